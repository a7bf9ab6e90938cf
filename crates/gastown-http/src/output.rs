//! The domain's values as JSON of the wire: keys in camelCase, times in ISO 8601 with milliseconds.

mod changes;
mod events;

use chrono::{DateTime, SecondsFormat, Utc};
use gastown_domain::{
    Drift, Failure, HealthReason, IdleStop, Recorded, RecordedOperation, RefusedRig, Region, Rig, RigId, SandboxReport,
    TownConfig, TownId,
    ports::{
        AddedRig, GatewayToken, LastOutcome, RemovedRig, RestoredTown, RigRemoval, StartedTown, TownHealth, TownReport,
        TownState, TownSummary,
    },
};
use secrecy::ExposeSecret as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

pub(crate) use changes::{TownChangeView, TownListChangeView};
pub(crate) use events::EventPageView;

/// A time in the format of JavaScript's `toISOString`.
pub(crate) struct Moment(DateTime<Utc>);

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let description = "A time in ISO 8601 with milliseconds, such as `2026-11-29T12:00:00.000Z`.";
        schemars::json_schema!({ "type": "string", "format": "date-time", "description": description })
    }
}

/// An id in the canonical form of a UUID, in lower case.
#[cfg(feature = "schema")]
pub(crate) struct Id;

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Id {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let description = "An id in the canonical form of a UUID, in lower case.";
        schemars::json_schema!({ "type": "string", "format": "uuid", "description": description })
    }
}

/// The result of an ended operation.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum OutcomeResult {
    /// The operation reached its goal.
    Done,
    /// The operation failed. `failure` has the reason.
    Failed,
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// A town with its operation in flight, as shown to its owner.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Town"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct TownView {
    /// The id. Every other procedure takes it.
    #[cfg_attr(feature = "schema", schemars(with = "Id"))]
    town_id: TownId,
    /// The name, unique among the caller's live towns.
    town_name: String,
    /// The status. An operation in flight may change it.
    #[cfg_attr(feature = "schema", schemars(with = "gastown_domain::TownStatus"))]
    status: &'static str,
    /// The id of the sandbox, derived from user and name.
    sandbox_id: String,
    /// The machine, once there is one.
    fly_machine_id: Option<String>,
    /// The volume, once there is one.
    fly_volume_id: Option<String>,
    /// The region of the volume, or the desired one.
    fly_region: Option<String>,
    /// The configuration. Unknown keys are kept.
    config: TownConfig,
    /// The version of the configuration, for `updateTown`. It changes with the configuration.
    config_version: String,
    /// The time of acceptance.
    created_at: Moment,
    /// The last heartbeat of the sandbox.
    last_heartbeat_at: Option<Moment>,
    /// The last confirmed sync to R2.
    last_r2_sync_at: Option<Moment>,
    /// The operation in flight. `null`: nothing is in flight, and `status` is final.
    operation: Option<OperationView>,
}

impl From<TownState> for TownView {
    fn from(TownState { town, operation }: TownState) -> Self {
        Self {
            town_id: town.id,
            town_name: town.name.into(),
            status: town.status.as_str(),
            sandbox_id: town.sandbox_id.to_string(),
            fly_machine_id: town.machine_id.map(String::from),
            fly_volume_id: town.volume_id.map(String::from),
            fly_region: town.region.map(String::from),
            config_version: town.config.version().as_str().to_owned(),
            config: town.config,
            created_at: Moment(town.created_at),
            last_heartbeat_at: town.last_heartbeat_at.map(Moment),
            last_r2_sync_at: town.last_r2_sync_at.map(Moment),
            operation: operation.map(OperationView::from),
        }
    }
}

/// A town of a list, with its health in short.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "TownSummary"))]
pub(crate) struct TownSummaryView {
    #[serde(flatten)]
    town: TownView,
    /// The health. `getTownStatus` has the rest of it.
    health: HealthSummaryView,
    /// The idle stop of the town. `null`: it was not stopped because it was idle.
    #[serde(rename = "idleStop")]
    idle_stop: Option<IdleStopView>,
}

/// The stop of a town that was not used for as long as its configuration says. The next start, or a new rig, ends it.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "IdleStop"))]
struct IdleStopView {
    /// The state: `stopping` while the stop is in flight, and then `stopped`.
    #[cfg_attr(feature = "schema", schemars(with = "gastown_domain::IdleStopState"))]
    state: &'static str,
    /// The time since which the state is this one.
    since: Moment,
    /// The text for the user.
    message: &'static str,
}

impl From<IdleStop> for IdleStopView {
    fn from(stop: IdleStop) -> Self {
        Self { state: stop.state().as_str(), since: Moment(stop.since()), message: stop.message() }
    }
}

/// A town after a start.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "StartedTown"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartedTownView {
    #[serde(flatten)]
    town: TownView,
    /// The idle stop that the start has ended. `null`: the town was not stopped because it was idle.
    idle_stop: Option<IdleStopView>,
}

impl From<StartedTown> for StartedTownView {
    fn from(started: StartedTown) -> Self {
        Self { town: started.town.into(), idle_stop: started.idle_stop.map(IdleStopView::from) }
    }
}

/// The health of a town in a list.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "HealthSummary"))]
struct HealthSummaryView {
    /// The state, as in `getTownStatus`.
    #[cfg_attr(feature = "schema", schemars(with = "Recorded<gastown_domain::HealthState>"))]
    state: String,
    /// The time since which the state is this one.
    since: Option<Moment>,
}

impl From<TownSummary> for TownSummaryView {
    fn from(summary: TownSummary) -> Self {
        let idle_stop = summary.idle_stop().map(IdleStopView::from);
        let TownSummary { state, health, health_since, idle_stopped_at: _ } = summary;
        let health = HealthSummaryView { state: health.to_string(), since: health_since.map(Moment) };
        Self { town: state.into(), health, idle_stop }
    }
}

/// A region in which towns can be created.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Region"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegionView {
    /// The region's code, such as `iad`.
    region: String,
    /// True for the region of towns that are created without one.
    is_default: bool,
}

impl RegionView {
    /// Returns the regions, of which the first is the default.
    pub(crate) fn of(regions: Vec<Region>) -> Vec<Self> {
        let view = |(index, region)| Self { region: String::from(region), is_default: index == 0 };
        regions.into_iter().enumerate().map(view).collect()
    }
}

/// A rig in the list of its town's rigs.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Rig"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct RigView {
    /// The id.
    #[cfg_attr(feature = "schema", schemars(with = "Id"))]
    rig_id: RigId,
    /// The name, unique in its town, ignoring case.
    rig_name: String,
    /// The repository.
    repo_url: String,
    /// The branch. `null` until the sandbox has told the repository's default branch.
    branch: Option<String>,
    /// The status. `pending` and `removing` wait for the sandbox.
    #[cfg_attr(feature = "schema", schemars(with = "gastown_domain::RigStatus"))]
    status: &'static str,
    /// The time of acceptance.
    created_at: Moment,
}

/// A rig with its configuration.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "RigDetails"))]
pub(crate) struct RigDetailsView {
    #[serde(flatten)]
    rig: RigView,
    /// The configuration, as it was given.
    config: Map<String, Value>,
}

impl From<Rig> for RigDetailsView {
    fn from(rig: Rig) -> Self {
        Self { config: rig.config.clone(), rig: rig.into() }
    }
}

impl From<Rig> for RigView {
    fn from(rig: Rig) -> Self {
        Self {
            rig_id: rig.id,
            rig_name: rig.name.into(),
            repo_url: rig.repo.into(),
            branch: rig.branch.map(String::from),
            status: rig.status.as_str(),
            created_at: Moment(rig.created_at),
        }
    }
}

/// A rig that was added, with its town.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AddedRig"))]
pub(crate) struct AddedRigView {
    #[serde(flatten)]
    rig: RigDetailsView,
    /// The town after the call, with its operation in flight.
    town: TownView,
    /// The idle stop that this call has ended: the town starts, and then gets the rig. `null`: the call starts nothing.
    #[serde(rename = "idleStop")]
    idle_stop: Option<IdleStopView>,
}

impl From<AddedRig> for AddedRigView {
    fn from(added: AddedRig) -> Self {
        let idle_stop = added.idle_stop.map(IdleStopView::from);
        Self { rig: added.rig.into(), town: added.town.into(), idle_stop }
    }
}

/// The outcome of a removal of a rig. With `removed: false` the rig is removed when the sandbox answers again.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "RigRemoval"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct RemovalView {
    /// The rig.
    #[cfg_attr(feature = "schema", schemars(with = "Id"))]
    rig_id: RigId,
    /// False: the sandbox does not answer now, and the rig is removed later.
    removed: bool,
    /// The town after the call, with its operation in flight.
    town: TownView,
}

impl RemovalView {
    pub(crate) fn new(rig_id: RigId, RemovedRig { removal, town }: RemovedRig) -> Self {
        Self { rig_id, removed: removal == RigRemoval::Removed, town: town.into() }
    }
}

/// A town that is restored from R2.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "RestoredTown"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct RestoredTownView {
    /// The last confirmed sync before the volume was lost. Later changes are lost.
    saved_at: Moment,
    /// The town after the call, with its operation in flight.
    town: TownView,
}

impl From<RestoredTown> for RestoredTownView {
    fn from(restored: RestoredTown) -> Self {
        Self { saved_at: Moment(restored.saved_at), town: restored.town.into() }
    }
}

/// Everything about one town.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "TownStatusReport"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReportView {
    #[serde(flatten)]
    town: TownView,
    /// The rigs, oldest first, without their configurations.
    rigs: Vec<RigView>,
    /// The last rigs that the sandbox refused. They are no rigs of the town.
    refused_rigs: Vec<RefusedRigView>,
    /// The health.
    health: HealthView,
    /// The idle stop of the town. `null`: it was not stopped because it was idle.
    idle_stop: Option<IdleStopView>,
    /// True if the volume is lost and the data was saved to R2 before.
    restore_available: bool,
    /// The time of the data that `restoreTown` brings back. Later changes are lost. `null`: there is nothing to restore.
    restores_data_of: Option<Moment>,
    /// The end of the last operation. `null`: none has ended, or it is older than the history.
    last_outcome: Option<OutcomeView>,
}

impl From<TownReport> for ReportView {
    fn from(report: TownReport) -> Self {
        let refused = still_refused(&report);
        Self {
            idle_stop: report.idle_stop().map(IdleStopView::from),
            restore_available: report.is_restorable(),
            restores_data_of: report.restores_data_of().map(Moment),
            town: TownState { town: report.town, operation: report.operation }.into(),
            refused_rigs: refused.map(RefusedRigView::from).collect(),
            rigs: report.rigs.into_iter().map(RigView::from).collect(),
            health: report.health.into(),
            last_outcome: report.last_outcome.map(OutcomeView::from),
        }
    }
}

/// The end of the last operation.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "LastOutcome"))]
#[serde(rename_all = "camelCase")]
struct OutcomeView {
    /// The kind, as it was requested.
    #[cfg_attr(feature = "schema", schemars(with = "gastown_domain::Recorded<gastown_domain::OperationKind>"))]
    kind: String,
    /// The result.
    result: OutcomeResult,
    /// The reason, if the operation failed.
    failure: Option<FailureView>,
    /// The time of the end.
    at: Moment,
}

impl From<LastOutcome> for OutcomeView {
    fn from(outcome: LastOutcome) -> Self {
        Self {
            kind: outcome.kind.to_string(),
            result: if outcome.failure.is_none() { OutcomeResult::Done } else { OutcomeResult::Failed },
            failure: outcome.failure.map(FailureView::from),
            at: Moment(outcome.at),
        }
    }
}

/// Returns the refused rigs whose names were not added again since.
fn still_refused(report: &TownReport) -> impl Iterator<Item = RefusedRig> + use<> {
    let names: Vec<_> = report.rigs.iter().map(|rig| rig.name.folded()).collect();
    let refused = report.health.refused_rigs.clone();
    refused.into_iter().filter(move |rig| !names.contains(&rig.rig_name.folded()))
}

/// A rig that the sandbox refused. It is not a rig of the town any more.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "RefusedRig"))]
#[serde(rename_all = "camelCase")]
struct RefusedRigView {
    /// The name.
    rig_name: String,
    /// The repository.
    repo_url: String,
    /// The reason, as the sandbox gave it.
    reason: String,
    /// The time of the refusal.
    refused_at: Moment,
}

impl From<RefusedRig> for RefusedRigView {
    fn from(rig: RefusedRig) -> Self {
        Self {
            rig_name: rig.rig_name.into(),
            repo_url: rig.repo_url.into(),
            reason: rig.reason,
            refused_at: Moment(rig.refused_at),
        }
    }
}

/// The health of a town.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Health"))]
#[serde(rename_all = "camelCase")]
struct HealthView {
    /// Consecutive failed checks.
    failures: u32,
    /// Restarts within the window.
    restarts: u32,
    /// The state, as checks of the running sandbox show it. It is `unknown` before the first check and while the town is not
    /// running.
    #[cfg_attr(feature = "schema", schemars(with = "Recorded<gastown_domain::HealthState>"))]
    state: String,
    /// The time since which the state is this one.
    since: Option<Moment>,
    /// The reason, while checks fail.
    reason: Option<HealthReasonView>,
    /// The time of the last heartbeat of the sandbox.
    last_report_at: Option<Moment>,
    /// The report of the sandbox in that heartbeat.
    report: SandboxReportView,
    /// The image that the machine has. It is null if it is not known, as after a lost answer.
    image: Option<String>,
    /// The time of the last attempt to compare the town with Fly.
    checked_at: Option<Moment>,
    /// True after damage that a start does not repair.
    degraded: bool,
    /// A change of the town that the service did not make.
    drift: Option<DriftView>,
}

impl From<TownHealth> for HealthView {
    fn from(health: TownHealth) -> Self {
        Self {
            failures: health.failures,
            restarts: health.restarts,
            state: health.state.to_string(),
            since: health.since.map(Moment),
            reason: health.reason.map(HealthReasonView::from),
            last_report_at: health.last_report_at.map(Moment),
            report: health.report.into(),
            image: health.image.as_ref().map(ToString::to_string),
            checked_at: health.checked_at.map(Moment),
            degraded: health.drift.as_ref().and_then(|(drift, _)| drift.known()).is_some_and(degrades),
            drift: health.drift.map(DriftView::from),
        }
    }
}

/// The report of a sandbox about itself. A part that its image does not report is null.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "SandboxReport"))]
#[serde(rename_all = "camelCase")]
struct SandboxReportView {
    /// True if the daemon of `gt` runs.
    gt_running: Option<bool>,
    /// True if its database runs.
    dolt_running: Option<bool>,
    /// The workers (polecats) that are at work.
    active_polecats: Option<u32>,
    /// The used part of the volume, in bytes.
    disk_used_bytes: Option<u64>,
}

impl From<SandboxReport> for SandboxReportView {
    fn from(report: SandboxReport) -> Self {
        let SandboxReport { gt_running, dolt_running, active_polecats, disk_used_bytes } = report;
        Self { gt_running, dolt_running, active_polecats, disk_used_bytes }
    }
}

/// Returns true for a lost volume, which is never replaced by an empty one (FM-22). The next start or stop repairs every
/// other drift.
const fn degrades(drift: Drift) -> bool {
    match drift {
        Drift::VolumeLost => true,
        Drift::MachineStopped | Drift::MachineStarted | Drift::MachineMissing => false,
        Drift::MachineReplaced | Drift::VolumeMoved => false,
    }
}

/// The reason of failed checks.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "HealthReason"))]
struct HealthReasonView {
    /// The code. Programs test it.
    #[cfg_attr(feature = "schema", schemars(with = "Recorded<HealthReason>"))]
    code: String,
    /// The text for the user.
    message: &'static str,
}

impl From<Recorded<HealthReason>> for HealthReasonView {
    fn from(reason: Recorded<HealthReason>) -> Self {
        Self { code: reason.to_string(), message: reason.message() }
    }
}

/// An external change of a town.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ExternalChange"))]
#[serde(rename_all = "camelCase")]
struct DriftView {
    /// The kind of the change.
    #[cfg_attr(feature = "schema", schemars(with = "gastown_domain::Recorded<Drift>"))]
    code: String,
    /// The text for the user.
    message: &'static str,
    /// The time at which it was confirmed.
    since: Moment,
}

impl From<(Recorded<Drift>, DateTime<Utc>)> for DriftView {
    fn from((drift, since): (Recorded<Drift>, DateTime<Utc>)) -> Self {
        Self { code: drift.to_string(), message: drift.message(), since: Moment(since) }
    }
}

/// An operation in flight.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Operation"))]
#[serde(rename_all = "camelCase")]
struct OperationView {
    /// The goal.
    #[cfg_attr(feature = "schema", schemars(with = "gastown_domain::Recorded<gastown_domain::OperationKind>"))]
    kind: String,
    /// The last step that was begun, for display.
    step: Option<String>,
    /// The purpose of the operation, in words.
    goal: &'static str,
    /// The last step, in words.
    step_message: &'static str,
    /// The next action and the reason of a failed attempt, in words. `nextAttemptAt` is its time.
    next: String,
    /// The time that such an operation usually takes, in seconds.
    expected_seconds: Option<u32>,
    /// Failed attempts since the last progress.
    attempt: u32,
    /// The cause of the last failed attempt.
    last_error: Option<FailureView>,
    /// The time spent in queues for Fly's rate limits, in milliseconds (FM-53).
    queued_ms: u64,
    /// The earliest time of the next attempt.
    next_attempt_at: Moment,
    /// `null` for an operation that is never given up.
    deadline_at: Option<Moment>,
    /// The time of acceptance.
    started_at: Moment,
    /// The time of the last change.
    updated_at: Moment,
}

impl From<RecordedOperation> for OperationView {
    fn from(operation: RecordedOperation) -> Self {
        Self {
            goal: operation.goal(),
            step_message: operation.step_message(),
            next: operation.next_message(),
            expected_seconds: operation.kind.known().map(gastown_domain::OperationKind::expected_seconds),
            kind: operation.kind.to_string(),
            step: operation.step.map(|step| step.to_string()),
            attempt: operation.attempt,
            last_error: operation.last_error.map(FailureView::from),
            queued_ms: operation.progress.queued_ms,
            next_attempt_at: Moment(operation.next_attempt_at),
            deadline_at: operation.deadline_at.map(Moment),
            started_at: Moment(operation.created_at),
            updated_at: Moment(operation.updated_at),
        }
    }
}

/// The cause of a failed operation or attempt.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "OperationFailure"))]
struct FailureView {
    /// The code. Programs test it.
    #[cfg_attr(feature = "schema", schemars(with = "gastown_domain::Recorded<Failure>"))]
    code: String,
    /// The text for the user.
    message: &'static str,
}

impl From<Recorded<Failure>> for FailureView {
    fn from(failure: Recorded<Failure>) -> Self {
        Self { code: failure.to_string(), message: failure.message() }
    }
}

/// The answer to a heartbeat.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Heartbeat"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeartbeatView {
    /// The town.
    #[cfg_attr(feature = "schema", schemars(with = "Id"))]
    pub(crate) town_id: TownId,
    /// True: the heartbeat is recorded.
    pub(crate) recorded: bool,
}

/// A new gateway token, for the sandbox only.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "GatewayToken"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenView {
    /// The token.
    #[serde(serialize_with = "exposed")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    token: secrecy::SecretString,
    /// The time of its expiry.
    expires_at: Moment,
}

impl From<GatewayToken> for TokenView {
    fn from(fresh: GatewayToken) -> Self {
        Self { token: fresh.token, expires_at: Moment(fresh.expires_at) }
    }
}

/// Writes a secret into an answer. This is the only place that does so: the sandbox has requested it.
fn exposed<S: Serializer>(secret: &secrecy::SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}
