//! The drift detector records an external change after three observations that agree.

mod confirmed;
mod operations;
mod replicas;
mod scheduling;
mod undecided;

use std::time::Duration;

use gastown_domain::ports::Towns as _;
use gastown_domain::{Drift, Town, TownId, TownStatus, UserId};
use gastown_orchestrator::{DriftDetector, DriftReport};
use tokio::time::{Instant, sleep};

use crate::bench::{Bench, request, settings};
use crate::faults::Process;
use crate::world::{Phase, World};

const EVERY: Duration = Duration::from_secs(60);

/// An external change.
type WorldChange = fn(&mut World);

fn detector_on(bench: &Bench, process: &Process) -> DriftDetector {
    DriftDetector::new(bench.ports(process), settings().into())
}

/// Runs one due pass of a new process, one period after the last one.
async fn pass(bench: &Bench) -> DriftReport {
    sleep(EVERY).await;
    detector_on(bench, &Process::default()).pass().await.unwrap().unwrap()
}

fn drift_of(bench: &Bench, town: TownId) -> Option<Drift> {
    bench.store.rows().records.health_of(town).drift.and_then(|(drift, _)| drift.known())
}

fn taken(towns: usize) -> DriftReport {
    DriftReport { taken: towns, ..DriftReport::default() }
}

fn agreed(towns: usize) -> DriftReport {
    DriftReport { agreed: towns, ..taken(towns) }
}

fn undecided(towns: usize) -> DriftReport {
    DriftReport { undecided: towns, ..taken(towns) }
}

fn suspected(towns: usize) -> DriftReport {
    DriftReport { suspected: towns, ..taken(towns) }
}

fn corrected(towns: usize) -> DriftReport {
    DriftReport { corrected: towns, ..taken(towns) }
}

/// Creates running towns, and removes the machines of the first ones.
async fn with_missing(towns: usize, missing: usize) -> (Bench, Vec<Town>) {
    let bench = Bench::new();
    let mut rows = Vec::new();
    for number in 0..towns {
        let owner: UserId = format!("owner-{}", number / 40).parse().unwrap();
        bench.store.rows().users.insert(owner.clone());
        let town = bench.replica().towns.create_town(&owner.into(), request(&format!("mill-{number}"))).await;
        rows.push(town.unwrap().town);
    }
    for machine in &mut bench.fly.world().machines[..missing] {
        machine.phase = Phase::Gone(Instant::now());
    }
    (bench, rows)
}

fn set_phase(world: &mut World, phase: Phase) {
    world.machines[0].phase = phase;
}

fn turn_off(world: &mut World) {
    set_phase(world, Phase::Off);
}

fn remove_machine(world: &mut World) {
    set_phase(world, Phase::Gone(Instant::now()));
    world.volumes[0].held_by = None;
}

/// Replaces the machine, as an operator or Fly may do: another id with the town's name.
fn replace_machine(world: &mut World) {
    let mut other = world.machines[0].clone();
    other.id = "another".parse().unwrap();
    world.volumes[0].held_by = Some(other.id.clone());
    set_phase(world, Phase::Gone(Instant::now()));
    world.machines.push(other);
}

fn lose_volume(world: &mut World) {
    world.volumes[0].gone = true;
}

fn stopped(town: Town) -> Town {
    Town { status: TownStatus::Stopped, ..town }
}

fn without_machine(town: Town) -> Town {
    Town { machine_id: None, status: TownStatus::Stopped, ..town }
}

fn with_other_machine(town: Town) -> Town {
    Town { machine_id: Some("another".parse().unwrap()), ..town }
}
