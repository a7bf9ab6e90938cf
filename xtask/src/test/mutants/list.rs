//! The list of mutants. Each is a plausible mistake that would lose a machine, create two, or leave a town stuck.

use super::mutant::{Mutant, Suite};

const ORCHESTRATOR: &[Suite] = &[Suite::Orchestrator];
const PERSISTENCE: &[Suite] = &[Suite::Persistence];
const FLY: &[Suite] = &[Suite::Fly];

const PLAN: &str = "crates/gastown-domain/src/plan.rs";
const ACT: &str = "crates/gastown-orchestrator/src/driver/act.rs";
const MAKE: &str = "crates/gastown-orchestrator/src/driver/make.rs";
const OBSERVE: &str = "crates/gastown-orchestrator/src/driver/observe.rs";
const PASS: &str = "crates/gastown-orchestrator/src/driver/pass.rs";
const CLAIMS: &str = "crates/gastown-persistence/src/claims.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "id-stored-after-wait",
        about: "the id of a new machine is stored only after the wait for it",
        file: MAKE,
        sound: "let change = TownChange { machine: Some(Some(id)), ..TownChange::default() };",
        broken: "let _ = id;\n                let change = TownChange::default();",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-fence",
        about: "a driver that lost its claim still writes",
        file: CLAIMS,
        sound: "        .add(Column::Fence.eq(fence.number))\n",
        broken: "",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "volume-first",
        about: "a volume is deleted before its machine is gone",
        file: PLAN,
        sound: "        (Present(_), _) => Step::DeleteMachine,\n",
        broken: "        (Present(_), Present(_)) => Step::DeleteVolume,\n        (Present(_), _) => Step::DeleteMachine,\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "lost-create-is-repeated",
        about: "a create without an answer is not recorded as unconfirmed",
        file: MAKE,
        sound: "Err(error) if error.may_be_applied() => {}",
        broken: "Err(error) if error.may_be_applied() && before.exists() => {}",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "machine-id-forgotten",
        about: "the id of a machine is removed when its deletion fails",
        file: ACT,
        sound: "Some(there) => outside.machines.delete_machine(app, &there.id).await.map(|()| done()),",
        broken: "Some(there) => {
                    let asked = outside.machines.delete_machine(app, &there.id).await;
                    let change = TownChange { machine: asked.is_err().then_some(None), ..TownChange::default() };
                    Ok(Done::Learned(Learned { phase: None, change }))
                }",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "volume-id-forgotten",
        about: "the id of a volume is removed when its deletion fails",
        file: ACT,
        sound: "Some(there) => outside.volumes.delete_volume(app, &there.id).await.map(|()| done()),",
        broken: "Some(there) => {
                    let asked = outside.volumes.delete_volume(app, &there.id).await;
                    let change = TownChange { volume: asked.is_err().then_some(None), ..TownChange::default() };
                    Ok(Done::Learned(Learned { phase: None, change }))
                }",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "one-empty-list-is-proof",
        about: "one empty list proves an absence despite an unconfirmed create",
        file: "crates/gastown-domain/src/doubt.rs",
        sound: "match self.looks.checked_sub(1) {",
        broken: "match self.looks.checked_sub(u8::MAX) {",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "unclear-is-absent",
        about: "a machine whose state could not be read counts as absent",
        file: PLAN,
        sound: "        (Unknown, _) => Step::ObserveAgain,\n        (Absent, Unknown) => Step::ObserveAgain,\n        (Absent, Absent | Present(VolumeState::Destroying)) => Step::EnsureVolume,",
        broken: "        (Unknown, _) => Step::EnsureMachine,\n        (Absent, Unknown) => Step::ObserveAgain,\n        (Absent, Absent | Present(VolumeState::Destroying)) => Step::EnsureVolume,",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "start-with-empty-volume",
        about: "a start whose volume is lost creates a new one",
        file: PLAN,
        sound: "        (Absent | Present(VolumeState::Destroying), _) => Step::GiveUpVolumeLost,\n        (Present(Ready",
        broken: "        (Absent | Present(VolumeState::Destroying), _) => Step::EnsureVolume,\n        (Present(Ready",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "answer-confirms-create",
        about: "an answer confirms a create before the provider shows the resource",
        file: MAKE,
        sound: "Ok(_) => doubt_of(&mut operation.progress).answered(),",
        broken: "Ok(_) => *doubt_of(&mut operation.progress) = before,",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "any-volume-of-the-name",
        about: "a start uses any other volume with the town's name for a lost one",
        file: OBSERVE,
        sound: "moved_to(&named, mounted).cloned().or(stored),",
        broken: "first_choice(&named).or(moved_to(&named, mounted)).cloned().or(stored),",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "create-without-record",
        about: "a create is sent before it is recorded as unconfirmed",
        file: MAKE,
        sound: "let prolonged = Instant::now();\n        self.remember(operation).await?;",
        broken: "let prolonged = Instant::now();",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "finish-with-create-pending",
        about: "an operation ends although a create may still appear",
        file: PLAN,
        sound: "Step::Finish if world.late => Step::AwaitUnconfirmed,",
        broken: "Step::Finish if world.late => Step::Finish,",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "lease-not-renewed",
        about: "a lease is not renewed during a long call",
        file: "crates/gastown-orchestrator/src/driver/holding.rs",
        sound: "tokio::time::sleep(lease / 3).await;",
        broken: "tokio::time::sleep(lease * 300).await;",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "act-after-lost-lease",
        about: "a driver that was suspended past its lease acts without a renewal",
        file: "crates/gastown-orchestrator/src/driver/holding.rs",
        sound: "prolonged.elapsed() < self.settings.policy.timeouts.lease\n",
        broken: "prolonged.elapsed() < self.settings.policy.timeouts.lease * 1000\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "machine-left-running",
        about: "a failed start leaves its machine running while the row says stopped",
        file: PASS,
        sound: "            OperationKind::Start if town.status == TownStatus::Stopped => Some((OperationKind::Stop, Phase::Prepared)),",
        broken: "            OperationKind::Start if town.status == TownStatus::Destroyed => Some((OperationKind::Stop, Phase::Prepared)),",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "claimed-twice",
        about: "an operation is claimed under the valid lease of another driver",
        file: CLAIMS,
        sound: ".add(Column::LeaseExpiresAt.is_null()).add(Column::LeaseExpiresAt.lte(now))",
        broken: ".add(Column::LeaseExpiresAt.is_null()).add(Column::LeaseExpiresAt.gte(now))",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "destroy-drops-progress",
        about: "a destroy that preempts a create drops the record of what it may have created",
        file: "crates/gastown-persistence/src/request.rs",
        sound: "unclaimed(request, now, current.fence + 1, Phase::Begun, &current.progress)?",
        broken: "unclaimed(request, now, current.fence + 1, Phase::Begun, &Progress::default())?",
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
        file: "crates/gastown-domain/src/drift.rs",
        sound: "        self.looks >= agreeing_observations\n",
        broken: "        self.looks >= 1 && agreeing_observations > 0\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-circuit-breaker",
        about: "absences are accepted however many there are",
        file: "crates/gastown-orchestrator/src/passes.rs",
        sound: "    wrong >= least as usize && wrong.saturating_mul(3) > seen\n",
        broken: "    wrong >= least as usize && wrong > seen\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-grace-period",
        about: "an orphan is deleted as soon as it is found",
        file: "crates/gastown-orchestrator/src/orphans/verdict.rs",
        sound: "    by_patience(entry, item.made_at, grace.of(sighting), times)\n",
        broken: "    let _ = (entry, grace, times);\n    Verdict::Deletable\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-final-check",
        about: "an orphan is deleted without another check of the registry",
        file: "crates/gastown-orchestrator/src/orphans/removal.rs",
        sound: "        if ownership(item, &accounts) != Ownership::Orphan(*reason) {",
        broken: "        if accounts.len() > 1000 && ownership(item, &accounts) != Ownership::Orphan(*reason) {",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "second-volume-deleted",
        about: "a second volume of an existing town is deleted like any orphan",
        file: "crates/gastown-domain/src/orphan.rs",
        sound: "        TownStatus::Running | TownStatus::Stopped if names_another => Ownership::Orphan(OrphanReason::Second),",
        broken: "        TownStatus::Running | TownStatus::Stopped if names_another => Ownership::Orphan(OrphanReason::NoTown),",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "claims-never-released",
        about: "an operation with a long wait keeps its claim and its permit",
        file: PASS,
        sound: "        let parked = wait > self.settings.policy.backoff.park_after;",
        broken: "        let parked = wait > self.settings.policy.backoff.park_after * 100_000;",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-slow-backoff",
        about: "an operation that has failed for long is retried as often as a new one",
        file: "crates/gastown-orchestrator/src/driver/pace.rs",
        sound: "        let Some(beyond) = operation.attempt.checked_sub(policy.limits.alert_attempts) else {",
        broken: "        let Some(beyond) = operation.attempt.checked_sub(u32::MAX) else {",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "wrong-volume-accepted",
        about: "a start succeeds although the machine mounts another volume than the town's",
        file: ACT,
        sound: "machine.volume.as_ref() == Some(&volume.id)",
        broken: "machine.volume.as_ref() == Some(&volume.id) || machine.volume.is_some()",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "missing-machine-not-reported",
        about: "a stop that finds no machine does not report that it is missing",
        file: OBSERVE,
        sound: "                sight.progress.machine_missing = true;\n",
        broken: "",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "lost-answer-is-failure",
        about: "a request that was committed is reported as failed when its answer is lost",
        file: "crates/gastown-orchestrator/src/accept/mod.rs",
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
        file: "crates/gastown-persistence/src/inspections.rs",
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
        sound: "if !stock.is_whole {",
        broken: "if !stock.is_whole && stock.seen() > 1000 {",
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
        about: "a driver that lost its claim releases the claim of its successor",
        file: "crates/gastown-persistence/src/operations.rs",
        sound: "released(claimed(fence)).exec(&self.connection)",
        broken: "{
            let any = sea_orm::ColumnTrait::eq(&Column::TownId, fence.town.as_uuid());
            released(operations::Entity::update_many().filter(any)).exec(&self.connection)
        }",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "one-read-is-proof",
        about: "a volume counts as lost after the first read, without the second, different one",
        file: "crates/gastown-orchestrator/src/inspection/look.rs",
        sound: "if named.is_empty() && there.is_none() {",
        broken: "if town.volume_id.is_some() && there.is_none() {",
        suites: ORCHESTRATOR,
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
