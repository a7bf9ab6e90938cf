//! The ways in which the code is broken. Each is a change that a tired engineer could make, and that would lose a machine,
//! double one, or leave a town stuck.

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
        name: "id-after-the-wait",
        about: "the id of a machine that was made is not stored before the wait for it",
        file: MAKE,
        sound: "let change = TownChange { machine: Some(Some(id)), ..TownChange::default() };",
        broken: "let _ = id;\n                let change = TownChange::default();",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-fence",
        about: "a driver that lost its claim writes nevertheless",
        file: CLAIMS,
        sound: "        .add(Column::Fence.eq(fence.number))\n",
        broken: "",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "volume-first",
        about: "the volume is deleted before its machine is gone",
        file: PLAN,
        sound: "        (Present(_), _) => Step::DeleteMachine,\n",
        broken: "        (Present(_), Present(_)) => Step::DeleteVolume,\n        (Present(_), _) => Step::DeleteMachine,\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "retry-without-a-look",
        about: "a create whose answer was lost is not in doubt",
        file: MAKE,
        sound: "Err(error) if error.may_be_applied() => {}",
        broken: "Err(error) if error.may_be_applied() && before.exists() => {}",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "forgotten-id",
        about: "the id of a machine is forgotten when its deletion fails",
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
        name: "forgotten-volume",
        about: "the id of a volume is forgotten when its deletion fails",
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
        name: "trusted-empty-list",
        about: "one empty list proves an absence, though a create is in doubt",
        file: "crates/gastown-domain/src/doubt.rs",
        sound: "match self.looks.checked_sub(1) {",
        broken: "match self.looks.checked_sub(u8::MAX) {",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "unclear-is-absent",
        about: "a machine that could not be asked for is taken for none",
        file: PLAN,
        sound: "        (Unknown, _) => Step::ObserveAgain,\n        (Absent, Unknown) => Step::ObserveAgain,\n        (Absent, Absent | Present(VolumeState::Destroying)) => Step::EnsureVolume,",
        broken: "        (Unknown, _) => Step::EnsureMachine,\n        (Absent, Unknown) => Step::ObserveAgain,\n        (Absent, Absent | Present(VolumeState::Destroying)) => Step::EnsureVolume,",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "empty-disk",
        about: "a start without its volume gets a new machine all the same",
        file: PLAN,
        sound: "        (Absent | Present(VolumeState::Destroying), _) => Step::GiveUpVolumeLost,\n        (Present(Ready",
        broken: "        (Absent | Present(VolumeState::Destroying), _) => Step::EnsureVolume,\n        (Present(Ready",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "an-answer-is-a-sight",
        about: "Fly's answer ends the doubt about a thing, though Fly does not show it yet",
        file: MAKE,
        sound: "Ok(_) => doubt_of(&mut operation.progress).answered(),",
        broken: "Ok(_) => *doubt_of(&mut operation.progress) = before,",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "any-disk-of-the-name",
        about: "a start takes any other volume of the town's name for the lost one",
        file: OBSERVE,
        sound: "moved_to(&named, mounted).cloned().or(stored),",
        broken: "first_choice(&named).or(moved_to(&named, mounted)).cloned().or(stored),",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-doubt-written-down",
        about: "that something is being made is not written down before it is",
        file: MAKE,
        sound: "let prolonged = Instant::now();\n        self.remember(operation).await?;",
        broken: "let prolonged = Instant::now();",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "late-landings-forgotten",
        about: "an operation ends though a create that was sent may still land",
        file: PLAN,
        sound: "Step::Finish if world.late => Step::AwaitUnconfirmed,",
        broken: "Step::Finish if world.late => Step::Finish,",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "lease-not-prolonged",
        about: "a claim is not prolonged while a call takes its time",
        file: "crates/gastown-orchestrator/src/driver/holding.rs",
        sound: "tokio::time::sleep(lease / 3).await;",
        broken: "tokio::time::sleep(lease * 300).await;",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "acts-after-standing-still",
        about: "who stood still past its lease acts on without asking the registry",
        file: "crates/gastown-orchestrator/src/driver/holding.rs",
        sound: "prolonged.elapsed() < self.settings.policy.lease\n",
        broken: "prolonged.elapsed() < self.settings.policy.lease * 1000\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "left-running",
        about: "a start that failed leaves its machine on while the row says stopped",
        file: PASS,
        sound: "            OperationKind::Start if town.status == TownStatus::Stopped => Some((OperationKind::Stop, Phase::Prepared)),",
        broken: "            OperationKind::Start if town.status == TownStatus::Destroyed => Some((OperationKind::Stop, Phase::Prepared)),",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "claimed-twice",
        about: "an operation is claimed while another's lease on it holds",
        file: CLAIMS,
        sound: ".add(Column::LeaseExpiresAt.is_null()).add(Column::LeaseExpiresAt.lte(now))",
        broken: ".add(Column::LeaseExpiresAt.is_null()).add(Column::LeaseExpiresAt.gte(now))",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "progress-lost-to-a-destroy",
        about: "a destroy that takes over a create forgets what may have been made",
        file: "crates/gastown-persistence/src/request.rs",
        sound: "fresh(wish, now, current.fence + 1, Phase::Begun, &current.progress)?",
        broken: "fresh(wish, now, current.fence + 1, Phase::Begun, &Progress::default())?",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "any-404-is-gone",
        about: "a 404 proves an absence though the app itself does not answer",
        file: "crates/gastown-fly/src/fly.rs",
        sound: "            self.app_answers(app, action).await\n",
        broken: "            let _ = (app, action);\n            Ok(())\n",
        suites: FLY,
    },
    Mutant {
        name: "one-look-is-believed",
        about: "what one look shows is written into the row",
        file: "crates/gastown-domain/src/drift.rs",
        sound: "        self.looks >= agreeing_observations\n",
        broken: "        self.looks >= 1 && agreeing_observations > 0\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "absences-are-believed-at-once",
        about: "absences are believed however many there are",
        file: "crates/gastown-orchestrator/src/passes.rs",
        sound: "    wrong >= least as usize && wrong.saturating_mul(3) > seen\n",
        broken: "    wrong >= least as usize && wrong > seen\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-grace",
        about: "an orphan is deleted as soon as it is seen",
        file: "crates/gastown-orchestrator/src/orphans/verdict.rs",
        sound: "    by_patience(entry, item.made_at, grace.of(sighting), times)\n",
        broken: "    let _ = (entry, grace, times);\n    Verdict::Deletable\n",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "no-last-look",
        about: "the registry is not asked again before an orphan is deleted",
        file: "crates/gastown-orchestrator/src/orphans/removal.rs",
        sound: "        if ownership(item, &accounts) != Ownership::Orphan(*reason) {",
        broken: "        if accounts.len() > 1000 && ownership(item, &accounts) != Ownership::Orphan(*reason) {",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "second-volume-goes",
        about: "a second volume of a living town is deleted like any orphan",
        file: "crates/gastown-domain/src/orphan.rs",
        sound: "        TownStatus::Running | TownStatus::Stopped if names_another => Ownership::Orphan(OrphanReason::Second),",
        broken: "        TownStatus::Running | TownStatus::Stopped if names_another => Ownership::Orphan(OrphanReason::NoTown),",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "claims-never-given-back",
        about: "an operation that waits long keeps its claim and its permit",
        file: PASS,
        sound: "        let parked = wait > self.settings.policy.park_after;",
        broken: "        let parked = wait > self.settings.policy.park_after * 100_000;",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "hammering",
        about: "what fails for long is tried as often as what has just failed",
        file: "crates/gastown-orchestrator/src/driver/pace.rs",
        sound: "        let Some(beyond) = operation.attempt.checked_sub(policy.alert_attempts) else {",
        broken: "        let Some(beyond) = operation.attempt.checked_sub(u32::MAX) else {",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "another-disk",
        about: "a start ends well though the machine mounts another volume than the town's",
        file: ACT,
        sound: "machine.volume.as_ref() == Some(&volume.id)",
        broken: "machine.volume.as_ref() == Some(&volume.id) || machine.volume.is_some()",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "missing-untold",
        about: "a stop that finds no machine says that the town was stopped, and no more",
        file: OBSERVE,
        sound: "                sight.progress.machine_missing = true;\n",
        broken: "",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "lost-answer-is-a-refusal",
        about: "a request whose acceptance got lost is called failed, though it was written down",
        file: "crates/gastown-orchestrator/src/accept/mod.rs",
        sound: "            Ok(Some(found)) => Ok(found),\n            Ok(None) | Err(_) => Err(error),",
        broken: "            Ok(_) | Err(_) => Err(error),",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "unanswered-commit-is-repeated",
        about: "a transaction whose commit went unanswered is repeated, as if it had lost against another one",
        file: "crates/gastown-persistence/src/tx.rs",
        sound: "Err(stop) if stop.is_conflict() => stop,",
        broken: "Err(stop) if stop.is_conflict() || format!(\"{stop:?}\").contains(\"Io(\") => stop,",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "stale-look-is-written",
        about: "what a look showed before an operation is written after it",
        file: "crates/gastown-persistence/src/drift_checks.rs",
        sound: ".filter(health::Column::CheckedAt.eq(finding.taken_at))",
        broken: ".filter(health::Column::CheckedAt.gte(finding.taken_at))",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "unknown-state-is-gone",
        about: "a machine in a state that this version does not know counts as gone",
        file: "crates/gastown-fly/src/sight.rs",
        sound: "        (Replaced | Migrated | Other, true) => Power::Changing,",
        broken: "        (Replaced | Migrated | Other, true) => return None,",
        suites: FLY,
    },
    Mutant {
        name: "key-stands-for-anything",
        about: "a key that was used for something else is answered with what that made",
        file: "crates/gastown-persistence/src/registry.rs",
        sound: "    if !asked_the_same {",
        broken: "    if !asked_the_same && before.fingerprint.is_none() {",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "waits-for-locked-rows",
        about: "a replica that looks for work waits for rows that another one has locked",
        file: "crates/gastown-persistence/src/dialect.rs",
        sound: "select.lock_with_tables_behavior(lock, [table.table_ref()], LockBehavior::SkipLocked);",
        broken: "let _ = LockBehavior::SkipLocked;\n    select.lock_with_tables(lock, [table.table_ref()]);",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "part-of-a-list-is-enough",
        about: "an orphan is deleted though the app could not be read whole",
        file: "crates/gastown-orchestrator/src/orphans/verdict.rs",
        sound: "if !stock.is_whole {",
        broken: "if !stock.is_whole && stock.seen() > 1000 {",
        suites: ORCHESTRATOR,
    },
    Mutant {
        name: "retry-after-unread",
        about: "how long Fly asks to be left alone is not heeded",
        file: "crates/gastown-fly/src/client.rs",
        sound: "self.pace.throttled(call, retry_after);",
        broken: "self.pace.throttled(call, retry_after.filter(|_| false));",
        suites: FLY,
    },
    Mutant {
        name: "anybodys-claim-given-back",
        about: "a driver that lost its claim gives back that of whoever has it now",
        file: "crates/gastown-persistence/src/operations.rs",
        sound: "write(fence, given_back(claimed(fence)), &tx)",
        broken: "{
            let any = sea_orm::ColumnTrait::eq(&Column::TownId, fence.town.as_uuid());
            write(fence, given_back(operations::Entity::update_many().filter(any)), &tx)
        }",
        suites: PERSISTENCE,
    },
    Mutant {
        name: "one-read-is-enough",
        about: "a volume is called lost by the first read, without the second one that differs",
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

    /// A list that does not fit the sources any more shows nothing; this runs with all other tests.
    #[test]
    fn every_mutant_fits_the_sources() {
        for mutant in MUTANTS {
            let text = std::fs::read_to_string(workspace::root().join(mutant.file)).unwrap();
            let broken = mutant.applied_to(&text).unwrap_or_else(|error| panic!("{error}"));
            assert_ne!(broken, text, "{}", mutant.name);
        }
    }

    #[test]
    fn every_mutant_has_a_name_of_its_own() {
        let names: BTreeSet<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), MUTANTS.len());
    }
}
