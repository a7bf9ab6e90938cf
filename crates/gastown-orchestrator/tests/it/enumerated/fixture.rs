//! Where a scenario happens, and what follows it.

use std::future::Future;
use std::time::Duration;

use gastown_domain::ports::{Action, AddRig, CreateTown, RemoveRig, Towns as _};
use gastown_domain::{Branch, FirstRig, RigId, TownId, TownStatus};
use gastown_orchestrator::Grace;
use tokio::time::{Instant, sleep};

use super::case::Case;
use super::scenario::Scenario;
use crate::bench::{Bench, Replica, alice, request};
use crate::faults::{Call, Fault};
use crate::invariants::OPERATOR;
use crate::world::{Phase, RELEASE};

/// Passes of the inspector within which a row tells the truth again: three looks that agree, after one that was spoilt.
const DRIFT_PASSES: usize = 4;
/// Passes of the orphan sweeper within which an orphan is gone: the grace is seven passes long, then machine and volume go
/// one after the other, then the book is closed.
const ORPHAN_PASSES: usize = 12;

/// By how much younger a thing is at its first pass than a period.
const CREATED_LATER_BY: Duration = Duration::from_secs(500);

/// Where it happens.
pub(super) struct Fixture {
    pub(super) scenario: Scenario,
    pub(super) bench: Bench,
    pub(super) town: Option<TownId>,
    pub(super) rig: Option<RigId>,
}

impl Fixture {
    pub(super) fn town(&self) -> TownId {
        self.town.unwrap()
    }

    /// Lets other processes do what they do from time to time, until all is quiet; answers after how many sweeps.
    pub(super) async fn recover(&self, case: &Case) -> usize {
        let sweeps = self.bench.recover_in(&case.to_string()).await;
        match self.scenario {
            Scenario::DriftMachineStopped
            | Scenario::DriftMachineMissing
            | Scenario::DriftMachineReplaced
            | Scenario::DriftVolumeMoved => {
                self.until_consistent(DRIFT_PASSES, run_drift_detector).await;
            }
            // That the volume is lost is for an inspection to say, or that the machine is gone where no stop was accepted.
            Scenario::DriftVolumeLost | Scenario::StartWithoutVolume | Scenario::StopWithoutMachine => {
                self.until_consistent(DRIFT_PASSES, run_drift_detector).await;
            }
            // Who stands still right at the call powers on what another one has powered off by then; Fly knows no claims.
            Scenario::StartUnhealthy if case.hangs_at_fly() => {
                self.until_consistent(DRIFT_PASSES, run_drift_detector).await
            }
            Scenario::SweepOrphans | Scenario::SweepIncompleteLists => {
                self.until_consistent(ORPHAN_PASSES, run_orphan_sweeper).await
            }
            Scenario::SweepSecondMachine => {
                // Nobody but the operator would.
                self.until_consistent(1, async |replica| delete_as_operator(replica).await).await;
                self.until_consistent(ORPHAN_PASSES, run_orphan_sweeper).await;
            }
            _ => {}
        }
        sweeps
    }

    async fn until_consistent(&self, passes: usize, pass: impl AsyncFn(&Replica)) {
        for _ in 0..passes {
            if self.bench.invariant_violations().is_empty() && self.bench.store.rows().records.orphans.is_empty() {
                return;
            }
            pass(&self.bench.replica()).await;
        }
    }

    /// A stopped town whose machine is gone, as its row says.
    pub(super) async fn remove_machine(&self) {
        self.bench.fly.world().machines[0].phase = Phase::Gone(Instant::now());
        self.bench.store.rows().towns.get_mut(&self.town()).unwrap().machine_id = None;
        sleep(RELEASE).await;
    }

    /// The answer that says which volume was made gets lost, and the next looks agree that there is none.
    pub(super) fn lose_answer(&self) {
        let mut schedule = self.bench.fly.schedule();
        schedule.next(Call::Fly(Action::CreateVolume), 1, Fault::ReplyLost);
        schedule.next(Call::Fly(Action::ListVolumes), 4, Fault::EmptyList);
    }

    /// Of a town that was destroyed; and the list takes longer than a lease is renewed after.
    pub(super) async fn add_orphans(&self) {
        let towns = self.bench.replica().towns;
        let barn = towns.create_town(&alice(), request("barn")).await.unwrap().id;
        towns.destroy_town(&alice(), barn).await.unwrap();
        // The first pass finds them when they are so young that their age outlasts their grace.
        self.bench.fly.world().add_orphans(barn, Instant::now() + CREATED_LATER_BY);
        self.bench.fly.schedule().next(Call::Fly(Action::ListMachines), 1, Fault::Slow);
    }

    /// One rig to be added, one to be removed; the sandbox could not be asked.
    pub(super) async fn leave_rigs_pending(&self) {
        let towns = self.bench.replica().towns;
        let old = towns.add_rig(&alice(), rig(self.town(), "old")).await.unwrap();
        for call in [Call::AddRig, Call::RemoveRig] {
            self.bench.fly.schedule().next(call, 1, Fault::NotSent);
        }
        towns.add_rig(&alice(), rig(self.town(), "new")).await.unwrap();
        let removal = RemoveRig { town: self.town(), rig: old.id, force: false };
        towns.remove_rig(&alice(), removal).await.unwrap();
    }

    /// The tombstone of somebody who writes to the table past this service.
    pub(super) fn soft_delete_by_hand(&self) {
        let (town, mut rows) = (self.town(), self.bench.store.rows());
        let row = rows.towns.get_mut(&town).unwrap();
        (row.destroyed_at, row.status) = (Some(row.created_at), TownStatus::Destroyed);
        row.sandbox_id = row.sandbox_id.tombstone(town);
        rows.soft_deleted.insert(town, Instant::now());
    }
}

/// One pass of the inspector, a period after whatever was before.
pub(super) async fn run_drift_detector(replica: &Replica) {
    sleep(Duration::from_secs(61)).await;
    attempt(replica, replica.drift_detector.pass()).await;
}

/// One pass of the orphan sweeper, a period after whatever was before.
pub(super) async fn run_orphan_sweeper(replica: &Replica) {
    sleep(Duration::from_secs(601)).await;
    attempt(replica, replica.orphans.pass()).await;
}

pub(super) async fn attempt<T>(replica: &Replica, call: impl Future<Output = T>) {
    let _ = replica.unless_crashed(call).await;
}

pub(super) fn keyed() -> CreateTown {
    CreateTown { key: Some("once".parse().unwrap()), ..request("mill") }
}

pub(super) fn with_rig() -> CreateTown {
    let mut request = request("mill");
    let repo_url = "https://github.com/acme/engine".parse().unwrap();
    request.config.rigs = vec![FirstRig { rig_name: "engine".parse().unwrap(), repo_url, branch: Branch::main() }];
    request
}

pub(super) fn rig(town: TownId, name: &str) -> AddRig {
    AddRig {
        town,
        name: name.parse().unwrap(),
        repo: "https://github.com/acme/engine".parse().unwrap(),
        branch: Branch::main(),
        config: serde_json::Map::new(),
    }
}

/// An operator deletes every second machine that a look through all apps shows, and does not ask how long it has been there.
pub(super) async fn delete_as_operator(replica: &Replica) {
    let delete = async {
        let Ok(survey) = replica.orphans.survey(Grace::NONE).await else { return };
        for found in survey.orphans {
            let _ = replica.orphans.delete(&found.sighting, OPERATOR).await;
        }
    };
    attempt(replica, delete).await;
}

/// Waits until Fly is asked for this, and says for which town; gives up where it never is.
pub(super) async fn wait_for_call(bench: &Bench, call: Action) -> Option<TownId> {
    for _ in 0..2000 {
        if bench.fly.count(call) > 0 {
            return bench.store.rows().towns.keys().next().copied();
        }
        sleep(Duration::from_millis(100)).await;
    }
    None
}

/// A town whose creator died with the machine made and nobody told.
pub(super) async fn abandoned_create(bench: &Bench, request: CreateTown) -> TownId {
    let replica = bench.replica();
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 1, Fault::CrashAfter);
    attempt(&replica, replica.towns.create_town(&alice(), request)).await;
    sleep(Duration::from_secs(60)).await;
    bench.only_town()
}
