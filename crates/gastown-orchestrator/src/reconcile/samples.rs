//! Sample values for the tables of the tests.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::{
    Action as ProviderAction, Awaited, Deletion, ObservedMachine, ObservedVolume, ProviderError,
};
use gastown_domain::{
    Failure, MachineId, Operation, OperationId, OperationKind, Phase, Power, Progress, Recorded, Region, StepName,
    Town, TownConfig, TownId, TownStatus, VolumeId,
};
use uuid::Uuid;

use super::outcome::Outcome;

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// Returns an operation that is on its deadline in five minutes.
pub(super) fn operation(kind: OperationKind, phase: Phase) -> Operation {
    Operation {
        id: OperationId::new(Uuid::from_u128(2)),
        town: TownId::new(Uuid::from_u128(1)),
        kind,
        phase,
        step: None,
        attempt: 0,
        last_error: None,
        cause: None,
        requested_by: "alice".parse().unwrap(),
        fence: 1,
        next_attempt_at: now(),
        deadline_at: Some(now() + TimeDelta::minutes(5)),
        progress: Progress::default(),
        created_at: now(),
        updated_at: now(),
    }
}

/// Returns the operation with this last step.
pub(super) fn after(step: StepName, operation: Operation) -> Operation {
    Operation { step: Some(step.into()), ..operation }
}

/// Returns the stop that undoes a failed start.
pub(super) fn undo_of_start(phase: Phase) -> Operation {
    let cause = Some(Recorded::Known(Failure::MachineNeverStarted));
    Operation { cause, ..operation(OperationKind::Stop, phase) }
}

/// Returns every kind of operation, and the stop that undoes a failed start, with a name.
pub(super) fn every_kind(phase: Phase) -> Vec<(String, Operation)> {
    let mut kinds: Vec<_> = OperationKind::ALL.map(|kind| (kind.to_string(), operation(kind, phase))).into();
    kinds.push(("stop (undo)".to_owned(), undo_of_start(phase)));
    kinds
}

pub(super) fn town(status: TownStatus) -> Town {
    let (owner, name) = ("alice".parse().unwrap(), "mill".parse().unwrap());
    Town {
        id: TownId::new(Uuid::from_u128(1)),
        sandbox_id: gastown_domain::SandboxId::derive(&owner, &name),
        owner,
        name,
        machine_id: Some("machine".parse().unwrap()),
        volume_id: Some("volume".parse().unwrap()),
        region: Some(region()),
        status,
        last_r2_sync_at: None,
        last_heartbeat_at: None,
        config: TownConfig::default(),
        created_at: now(),
        destroyed_at: None,
    }
}

pub(super) fn region() -> Region {
    "iad".parse().unwrap()
}

/// Returns every error of the provider, with a name.
pub(super) fn every_error() -> Vec<(&'static str, ProviderError)> {
    let action = ProviderAction::UpdateMachine;
    let cause = || "cause".into();
    vec![
        ("no_capacity", ProviderError::NoCapacity { action, cause: cause() }),
        ("region_refused", ProviderError::RegionRefused { action, cause: cause() }),
        ("host_full", ProviderError::HostFull { action, cause: cause() }),
        ("name_taken", ProviderError::NameTaken { action, by: "other".parse().unwrap() }),
        ("volume_bound", ProviderError::VolumeBound { action, cause: cause() }),
        ("volume_missing", ProviderError::VolumeMissing { action, cause: cause() }),
        ("machine_missing", ProviderError::MachineMissing { action }),
        ("not_now", ProviderError::NotNow { action, cause: cause() }),
        ("throttled", ProviderError::Throttled { action, retry_after: Some(Duration::from_secs(600)) }),
        ("refused", ProviderError::Refused { action, cause: cause() }),
        ("misconfigured", ProviderError::Misconfigured { action, cause: cause() }),
        ("not_sent", ProviderError::NotSent { action, cause: cause() }),
        ("unknown", ProviderError::Unknown { action, cause: cause() }),
    ]
}

/// Returns every outcome, with a name. A failed call is shown at the step that creates a machine.
pub(super) fn every_outcome() -> Vec<(String, Outcome)> {
    let (machine, volume): (MachineId, VolumeId) = ("machine".parse().unwrap(), "volume".parse().unwrap());
    let observed_volume = ObservedVolume { id: volume, region: Some(region()), destroying: false, bound_to: None };
    let observed_machine = ObservedMachine { id: machine, power: Power::Starting, volume: None };
    let mut outcomes = vec![
        ("starting", Outcome::Starting),
        ("stopping", Outcome::Stopping),
        ("started", Outcome::Reached(Awaited::Started)),
        ("stopped", Outcome::Reached(Awaited::Stopped)),
        ("destroyed", Outcome::Reached(Awaited::Destroyed)),
        ("machine deleted", Outcome::MachineDeleted(Deletion::Accepted)),
        ("machine already absent", Outcome::MachineDeleted(Deletion::AlreadyAbsent)),
        ("volume deleted", Outcome::VolumeDeleted(Deletion::Accepted)),
        ("volume already absent", Outcome::VolumeDeleted(Deletion::AlreadyAbsent)),
        ("volume created", Outcome::VolumeCreated { volume: observed_volume, queued: Duration::ZERO }),
        ("machine created", Outcome::MachineCreated { machine: observed_machine.clone(), queued: Duration::ZERO }),
        ("machine updated", Outcome::MachineUpdated(observed_machine)),
        ("synced", Outcome::Synced { at: Some(now()) }),
        ("not synced", Outcome::Synced { at: None }),
        ("sandbox ready", Outcome::SandboxReady),
        ("data restored", Outcome::Restored { saved_at: now() }),
        ("sandbox not ready", Outcome::SandboxNotReady),
        ("soft-deleted", Outcome::SoftDeleted { at: now() }),
        ("state not reached", Outcome::StateNotReached(Failure::MachineBusy)),
        ("waiting", Outcome::Waiting(Failure::MachineBusy)),
        ("finished", Outcome::Finished),
        ("volume lost", Outcome::VolumeLost),
        ("gave up", Outcome::GaveUp(Failure::MachineFailed)),
        ("not prepared", Outcome::NotPrepared(Failure::SecretsUnavailable)),
    ]
    .into_iter()
    .map(|(name, outcome)| (name.to_owned(), outcome))
    .collect::<Vec<_>>();
    for (name, error) in every_error() {
        let failed = Outcome::Failed { step: StepName::CreateMachine, error, queued: Duration::ZERO };
        outcomes.push((format!("failed: {name}"), failed));
    }
    outcomes
}
