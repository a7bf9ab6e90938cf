//! The list of mutants. Each is a plausible mistake that would lose a machine, create two, or leave a town stuck.

use super::mutant::{Mutant, Suite};

const ORCHESTRATOR: &[Suite] = &[Suite::Orchestrator];
const PERSISTENCE: &[Suite] = &[Suite::Persistence];
const FLY: &[Suite] = &[Suite::Fly];

const PLAN: &str = "crates/gastown-domain/src/lifecycle/plan.rs";
const UNCONFIRMED: &str = "crates/gastown-domain/src/lifecycle/unconfirmed.rs";
const APPLY: &str = "crates/gastown-orchestrator/src/reconcile/apply.rs";
const DECIDE: &str = "crates/gastown-orchestrator/src/reconcile/decide.rs";
const LEASE: &str = "crates/gastown-orchestrator/src/reconcile/lease.rs";
const RECONCILER: &str = "crates/gastown-orchestrator/src/reconcile/reconciler.rs";
const OBSERVE: &str = "crates/gastown-orchestrator/src/reconcile/observe.rs";
const ROLLOUT_TOWNS: &str = "crates/gastown-persistence/src/rollout_towns.rs";
const CLAIMS: &str = "crates/gastown-persistence/src/claims.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "id-stored-after-wait",
        about: "the id of a new machine is stored only after the wait for it",
        file: APPLY,
        sound: "let change = TownChange { machine: Some(Some(machine.id)), ..TownChange::default() };",
        broken: "let _ = machine;\n            let change = TownChange::default();",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-fence",
        about: "a worker that lost its claim still writes",
        file: CLAIMS,
        sound: "        .add(Column::Fence.eq(fence.number))\n",
        broken: "",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "volume-first",
        about: "a volume is deleted before its machine is gone",
        file: PLAN,
        sound: "        (Present(machine), _) => Step::DeleteMachine(machine.id.clone()),\n",
        broken: "        (Present(_), Present(volume)) => Step::DeleteVolume(volume.id.clone()),\n        (Present(machine), _) => Step::DeleteMachine(machine.id.clone()),\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "lost-create-is-repeated",
        about: "a create without an answer is taken back, as if it was certainly not applied",
        file: APPLY,
        sound: "let applying = if error.may_be_applied() { self } else { self.without_create() };",
        broken: "let earlier = &self.decision.before_create;
        let is_second = earlier.unconfirmed_volume.exists() || earlier.unconfirmed_machine.exists();
        let applying = if error.may_be_applied() && is_second { self } else { self.without_create() };",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "applied-create-taken-back",
        about: "giving up takes back a create that may be applied",
        file: APPLY,
        sound: "self.attempts_are_exhausted() {\n                    self.give_up(failure)\n",
        broken: "self.attempts_are_exhausted() {\n                    self.without_create().give_up(failure)\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "machine-id-forgotten",
        about: "the id of a machine is removed when its deletion fails",
        file: APPLY,
        sound: "        Outcome::Failed { step, error, queued } => applying",
        broken: "        Outcome::Failed { step: StepName::DeleteMachine, .. } => {
            applying.succeeded(None, TownChange { machine: Some(None), ..TownChange::default() })
        }
        Outcome::Failed { step, error, queued } => applying",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "volume-id-forgotten",
        about: "the id of a volume is removed when its deletion fails",
        file: APPLY,
        sound: "        Outcome::Failed { step, error, queued } => applying",
        broken: "        Outcome::Failed { step: StepName::DeleteVolume, .. } => {
            applying.succeeded(None, TownChange { volume: Some(None), ..TownChange::default() })
        }
        Outcome::Failed { step, error, queued } => applying",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "one-empty-list-is-proof",
        about: "one empty list proves an absence despite an unconfirmed create",
        file: UNCONFIRMED,
        sound: "if self.looks == 0 { Seen::Absent }",
        broken: "if self.looks < u8::MAX { Seen::Absent }",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "failed-read-is-absence",
        about: "a machine whose state could not be read counts as absent",
        file: OBSERVE,
        sound: "        self.observe_machine(observed).await?;\n",
        broken: "        if self.observe_machine(observed).await.is_err() {
            observed.machine = Seen::Absent;
        }\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "start-with-empty-volume",
        about: "a start whose volume is lost creates a new one",
        file: PLAN,
        sound: "{ state: VolumeState::Destroying, .. }) => {\n            return Err(Step::GiveUpVolumeLost);\n",
        broken: "{ state: VolumeState::Destroying, .. }) => {\n            return Err(create_volume(observed));\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "restart-without-a-stop",
        about: "a restart counts a machine as restarted that was never stopped",
        file: PLAN,
        sound: "(On | Starting, Phase::Begun) => Step::StopMachine(machine.id.clone()),",
        broken: "(On | Starting, Phase::Begun) => Step::PrepareSandbox(machine.id.clone()),",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "answer-confirms-create",
        about: "an answer confirms a create before the provider shows the resource",
        file: UNCONFIRMED,
        sound: "Self { named: true, ..self }",
        broken: "self.found()",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "any-volume-of-the-name",
        about: "a start uses any other volume with the town's name for a lost one",
        file: OBSERVE,
        sound: "locate::volume::mounted(named, mounted).cloned().or(recorded)",
        broken: "locate::volume::preferred(named).or(locate::volume::mounted(named, mounted)).cloned().or(recorded)",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "create-without-record",
        about: "a create is sent before it is recorded as unconfirmed",
        file: DECIDE,
        sound: "        next.progress = with_create_recorded(next.progress, step.name(), times.now, policy);\n",
        broken: "        let recorded = with_create_recorded(next.progress.clone(), step.name(), times.now, policy);
        next.progress = if recorded.queued_ms > 0 { recorded } else { next.progress };\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-intent-before-create",
        about: "a repeated create is sent without a write before it",
        file: DECIDE,
        sound: "StepEffect::CreatesVolume | StepEffect::CreatesMachine => Intent::Write,\n",
        broken: "StepEffect::CreatesVolume | StepEffect::CreatesMachine if unwritten || !repeated => Intent::Write,
        StepEffect::CreatesVolume | StepEffect::CreatesMachine => Intent::Renew,\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "unwritten-change-lost",
        about: "a change to the town's row is lost if no intent is written",
        file: "crates/gastown-orchestrator/src/reconcile/drive.rs",
        sound: "&self.unwritten.clone().merged(change)",
        broken: "&change",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "takeover-keeps-expiry",
        about: "a takeover keeps the expiry of a create that the previous process may still send",
        file: RECONCILER,
        sound: "Operation { progress: operation.progress.without_expiry(), ..operation }",
        broken: "operation",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "finish-with-create-pending",
        about: "an operation ends although a create may still appear",
        file: PLAN,
        sound: "if step == Step::Finish && observation.create_pending { Step::AwaitUnconfirmed } else { step }",
        broken: "step",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "lease-not-renewed",
        about: "a lease is not renewed during a long call",
        file: LEASE,
        sound: "sleep(self.lease / 3).await;",
        broken: "sleep(self.lease * 300).await;",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "act-after-lost-lease",
        about: "a worker that was suspended past its lease acts without a renewal",
        file: LEASE,
        sound: "self.renewed.elapsed() < self.lease\n",
        broken: "self.renewed.elapsed() < self.lease * 1000\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "lease-not-checked-after-intent",
        about: "a call is sent although the write before it outlasted the lease",
        file: RECONCILER,
        sound: "if !drive.lease.still_valid() {",
        broken: "if !drive.lease.still_valid() && self.stop.is_cancelled() {",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "stale-is-absence",
        about: "a takeover takes a volume whose create is unconfirmed for absent, without a look",
        file: OBSERVE,
        sound: "self.never_requested_volume().then_some(Seen::Absent)",
        broken: "self.town.volume_id.is_none().then_some(Seen::Absent)",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "sent-before-intent",
        about: "a call is sent before its intent is written",
        file: RECONCILER,
        sound: "Intent::Write => drive.write(Duration::ZERO, Some(self.settings.policy.timeouts.lease)).await?,",
        broken: "Intent::Write => {}",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "machine-left-running",
        about: "a failed start leaves its machine running while the row says stopped",
        file: "crates/gastown-orchestrator/src/reconcile/ending.rs",
        sound: "(OperationKind::Start, TownStatus::Stopped) => Undo::By(OperationKind::Stop, Phase::Prepared),",
        broken: "(OperationKind::Start, TownStatus::Stopped) => Undo::Nothing,",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "claimed-twice",
        about: "an operation is claimed under the valid lease of another worker",
        file: CLAIMS,
        sound: ".add(Column::LeaseExpiresAt.is_null()).add(Expr::col(Column::LeaseExpiresAt).lte(now))",
        broken: ".add(Column::LeaseExpiresAt.is_null()).add(Expr::col(Column::LeaseExpiresAt).gte(now))",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "destroy-drops-progress",
        about: "a destroy that preempts a create drops the record of what it may have created",
        file: "crates/gastown-persistence/src/request.rs",
        sound: "    let progress = inherited(progress, request, actor);\n",
        broken: "    let _ = progress;\n    let progress = inherited(&Progress::default(), request, actor);\n",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "any-404-is-absence",
        about: "a 404 proves an absence although the app itself does not answer",
        file: "crates/gastown-fly/src/fly.rs",
        sound: "            self.check_app_answers(app, action).await\n",
        broken: "            let _ = (app, action);\n            Ok(())\n",
        suites: FLY,
    },
    Mutant {
        name: "one-observation-is-proof",
        about: "one observation is enough to change the row",
        file: "crates/gastown-domain/src/observe/drift.rs",
        sound: "        self.looks >= agreeing_observations\n",
        broken: "        self.looks >= 1 && agreeing_observations > 0\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-circuit-breaker",
        about: "absences are accepted however many there are",
        file: "crates/gastown-orchestrator/src/singleton_jobs.rs",
        sound: "    wrong >= least as usize && wrong.saturating_mul(3) > seen\n",
        broken: "    wrong >= least as usize && wrong > seen\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-grace-period",
        about: "an orphan is deleted as soon as it is found",
        file: "crates/gastown-orchestrator/src/orphans/verdict.rs",
        sound: "    by_age(entry, item.made_at, grace.of(sighting), times)\n",
        broken: "    let _ = (entry, grace, times);\n    Verdict::Deletable\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-final-check",
        about: "an orphan is deleted without another check of the registry",
        file: "crates/gastown-orchestrator/src/orphans/removal.rs",
        sound: "        if ownership(item, &rows) != Ownership::Orphan(*reason) {",
        broken: "        if rows.len() > 1000 && ownership(item, &rows) != Ownership::Orphan(*reason) {",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "second-volume-deleted",
        about: "a second volume of an existing town is deleted like any orphan",
        file: "crates/gastown-domain/src/observe/orphan.rs",
        sound: "        TownStatus::Running | TownStatus::Stopped if names_another => Ownership::Orphan(OrphanReason::Second),",
        broken: "        TownStatus::Running | TownStatus::Stopped if names_another => Ownership::Orphan(OrphanReason::NoTown),",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "claims-never-released",
        about: "an operation with a long wait keeps its claim and its permit",
        file: APPLY,
        sound: "(wait <= policy.backoff.park_after).then",
        broken: "(wait <= policy.backoff.park_after * 100_000).then",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-slow-backoff",
        about: "an operation that has failed for long is retried as often as a new one",
        file: "crates/gastown-orchestrator/src/reconcile/attempts.rs",
        sound: "operation.attempt.checked_sub(policy.limits.alert_attempts)",
        broken: "operation.attempt.checked_sub(u32::MAX)",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "wrong-volume-accepted",
        about: "a start succeeds although the machine mounts another volume than the town's",
        file: PLAN,
        sound: "Seen::Present(volume) if machine.volume.as_ref() != Some(&volume.id) => Step::ObserveAgain,",
        broken: "Seen::Present(_) if machine.volume.is_none() => Step::ObserveAgain,",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "missing-machine-not-reported",
        about: "a stop that finds no machine does not report that it is missing",
        file: OBSERVE,
        sound: "                observed.progress.machine_missing = true;\n",
        broken: "",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "lost-answer-is-failure",
        about: "a request that was committed is reported as failed when its answer is lost",
        file: "crates/gastown-orchestrator/src/service/mod.rs",
        sound: "            Ok(Some(found)) => Ok(found),\n            Ok(None) | Err(_) => Err(error),",
        broken: "            Ok(_) | Err(_) => Err(error),",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "unanswered-commit-is-repeated",
        about: "a transaction without an answer to its commit is repeated like one that lost a conflict",
        file: "crates/gastown-persistence/src/tx.rs",
        sound: "Err(error) if error.is_conflict() => error,",
        broken: "Err(error) if error.is_conflict() || format!(\"{error:?}\").contains(\"Io(\") => error,",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "stale-observation-is-written",
        about: "an observation from before an operation is written after it",
        file: "crates/gastown-persistence/src/drift_checks.rs",
        sound: ".filter(health::Column::CheckedAt.eq(finding.taken_at))",
        broken: ".filter(health::Column::CheckedAt.gte(finding.taken_at))",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "unknown-state-is-absence",
        about: "a machine in a state that this version does not know counts as absent",
        file: "crates/gastown-fly/src/mapping/states.rs",
        sound: "        (Replaced | Migrated | Other, true) => Power::Changing,",
        broken: "        (Replaced | Migrated | Other, true) => return None,",
        suites: FLY,
    },
    Mutant {
        name: "key-reused-for-another-request",
        about: "a key is accepted again for a different request",
        file: "crates/gastown-persistence/src/registry.rs",
        sound: "    if !is_repeat(tx, &before, town, request).await? {",
        broken: "    if before.fingerprint.is_none() && !is_repeat(tx, &before, town, request).await? {",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "waits-for-locked-rows",
        about: "a replica that looks for work waits for rows that another replica has locked",
        file: "crates/gastown-persistence/src/dialect.rs",
        sound: "select.lock_with_tables_behavior(lock, [table.table_ref()], LockBehavior::SkipLocked);",
        broken: "let _ = LockBehavior::SkipLocked;\n    select.lock_with_tables(lock, [table.table_ref()]);",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "partial-list-is-enough",
        about: "an orphan is deleted although the app was only partly read",
        file: "crates/gastown-orchestrator/src/orphans/verdict.rs",
        sound: "if !app.is_whole {",
        broken: "if !app.is_whole && app.seen() > 1000 {",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "retry-after-ignored",
        about: "the delay that the provider asks for is ignored",
        file: "crates/gastown-fly/src/client.rs",
        sound: "self.limiter.throttle(call, retry_after);",
        broken: "self.limiter.throttle(call, retry_after.filter(|_| false));",
        suites: FLY,
    },
    Mutant {
        name: "foreign-claim-released",
        about: "a worker that lost its claim releases the claim of its successor",
        file: "crates/gastown-persistence/src/operations.rs",
        sound: "released(claimed(fence)).exec(&self.connection)",
        broken: "{
            let any = sea_orm::ColumnTrait::eq(&Column::TownId, fence.town.as_uuid());
            released(operations::Entity::update_many().filter(any)).exec(&self.connection)
        }",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "replica-does-not-wait",
        about: "a replica records its absences before the others have reported theirs",
        file: "crates/gastown-orchestrator/src/drift/shared_round.rs",
        sound: "RoundProgress::InFlight if has_absences => sleep(POLL.min(self.policy.drift.every / 4)).await,",
        broken: "RoundProgress::InFlight if has_absences => return Ok(RoundVerdict::Plausible),",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "list-is-proof",
        about: "a list that differs from the row is believed without a read of the machine",
        file: "crates/gastown-orchestrator/src/drift/compare_town.rs",
        sound: "(compare(town.status, compared.machine, compared.volume) == DriftVerdict::Agrees).then_some(compared)",
        broken: "(compare(town.status, compared.machine, compared.volume) != DriftVerdict::Undecided).then_some(compared)",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "one-read-is-proof",
        about: "a volume counts as lost after the first read, without the second, different one",
        file: "crates/gastown-orchestrator/src/drift/compare_town.rs",
        sound: "if named.is_empty() && recorded.is_none() {",
        broken: "if town.volume_id.is_some() && recorded.is_none() {",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "silence-of-all-counts",
        about: "after an outage of our own network every town is restarted",
        file: "crates/gastown-orchestrator/src/health/observe.rs",
        sound: "if is_alarming(failed, asked, policy.alarm_threshold) {",
        broken: "if is_alarming(failed, asked, policy.alarm_threshold) && asked == 0 {",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "late-check-is-written",
        about: "the result of a check is written although an operation ended or another replica took the town since",
        file: "crates/gastown-persistence/src/health_checks.rs",
        sound: "known.update_columns(RESULT).action_cond_where(Condition::all().add(is_marked));",
        broken: "let _ = is_marked;\n    known.update_columns(RESULT);",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "restart-after-owner",
        about: "a restart is accepted although its owner has started the town since the check",
        file: "crates/gastown-persistence/src/health_checks.rs",
        sound: "        .filter(Column::NextCheckAt.eq(truncated(next_check_at)));\n",
        broken: "        .filter(Column::NextCheckAt.lte(truncated(next_check_at)));\n",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "stale-idle",
        about: "a town is stopped by what was read before the stop, although its owner has used it since",
        file: "crates/gastown-persistence/src/idle.rs",
        sound: "used_at: known.and_then(|health| health.last_user_call_at),",
        broken: "used_at: Some(chrono::DateTime::UNIX_EPOCH),",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "silence-is-idle",
        about: "a gap in the reports of a sandbox counts as idle time",
        file: "crates/gastown-persistence/src/heartbeats.rs",
        sound: "        .add(own(Column::HeardAt).gte(dialect::now_plus(backend, -stale)));\n",
        broken: "        .add(own(Column::HeardAt).is_not_null());\n    let _ = stale;\n",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "start-before-late-stop",
        about: "a start ends while the call of the idle stop before it may still stop the machine",
        file: "crates/gastown-persistence/src/request.rs",
        sound: "    if request.kind != OperationKind::Start || !current.may_have_stopped_machine() {",
        broken: "    if request.kind != OperationKind::Start || current.attempt < u32::MAX {",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "second-turn",
        about: "a rollout restarts a town again that had its turn",
        file: ROLLOUT_TOWNS,
        sound: "    if !insert_turn(tx, touch, now).await? {\n        return Ok(Touched::Refused);\n    }\n",
        broken: "    insert_turn(tx, touch, now).await?;\n",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "too-many-turns",
        about: "a rollout restarts more towns at the same time than it may",
        file: ROLLOUT_TOWNS,
        sound: "if !is_driven || unavailable(tx, touch.rollout).await? >= u32::from(rollout.max_unavailable.get()) {",
        broken: "if !is_driven {",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "rollout-goes-on",
        about: "a rollout goes on with the next towns after a failed wave",
        file: "crates/gastown-orchestrator/src/rollout/mod.rs",
        sound: "RolloutStep::Pause => self.pause(&observed, reason(&observed)).await,",
        broken: "RolloutStep::Pause => self.wave(&observed, 1).await,",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "earlier-share-stays",
        about: "an undo gives the same image again, because an earlier share of it still decides",
        file: "crates/gastown-domain/src/rollout/history.rs",
        sound: "RolloutPass::Out if taken_back.contains(&&rollout.image) => {}",
        broken: "RolloutPass::Out if taken_back.len() > 1000 => {}",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "unconfirmed-image",
        about: "an image is recorded although its update was never confirmed",
        file: "crates/gastown-domain/src/operation.rs",
        sound: "self.image.as_ref().filter(|_| self.image_confirmed)",
        broken: "self.image.as_ref()",
        suites: PERSISTENCE,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::workspace;

    #[test]
    fn every_mutant_matches_the_sources() {
        for mutant in MUTANTS {
            let text = std::fs::read_to_string(workspace::root().join(mutant.file)).unwrap();
            let broken = mutant.applied_to(&text).unwrap_or_else(|error| panic!("{error}"));
            assert_ne!(broken, text, "{}", mutant.name);
        }
    }

    #[test]
    fn every_mutant_has_a_unique_name() {
        let names: BTreeSet<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), MUTANTS.len());
    }
}
