//! The orphan sweeper reports resources without a row, and deletes them after a grace period and several checks.

mod failures;
mod grace;
mod operator;
mod unreliable_lists;

use std::time::Duration;

use gastown_domain::ports::{Action, MachineSpec, Orphan, WorkerId};
use gastown_domain::{Guest, MachineId, Town, TownId, VolumeId};
use gastown_orchestrator::{OrphanReport, OrphanSweeper};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::bench::{Bench, settings};
use crate::faults::Process;
use crate::inventory::the_app;
use crate::world::World;

const EVERY: Duration = Duration::from_secs(600);

/// The number of passes until the grace period is over. The first pass records, and those after an hour delete.
const GRACE_PASSES: usize = 6;

fn sweeper_on(bench: &Bench, process: &Process) -> OrphanSweeper {
    OrphanSweeper::new(bench.ports(process), settings().into(), WorkerId("sweeper".to_owned()))
}

fn sweeper(bench: &Bench) -> OrphanSweeper {
    sweeper_on(bench, &Process::default())
}

async fn pass_by(sweeper: &OrphanSweeper) -> OrphanReport {
    sleep(EVERY).await;
    sweeper.pass().await.unwrap().unwrap()
}

/// Runs one due pass of a new process, one period after the last one.
async fn pass(bench: &Bench) -> OrphanReport {
    pass_by(&sweeper(bench)).await
}

/// Runs the passes of the grace period, which delete nothing.
async fn pass_grace_period(bench: &Bench) {
    for number in 1..=GRACE_PASSES {
        assert_eq!(pass(bench).await.deleted, 0, "pass {number} is within the grace period");
    }
}

fn found(seen: usize, orphans: usize) -> OrphanReport {
    OrphanReport { apps: 1, seen, orphans, ..OrphanReport::default() }
}

/// Returns the id of a town that the registry has never had.
fn unknown_town(number: u128) -> TownId {
    TownId::new(Uuid::from_u128((0xdead_0000 + number) << 96))
}

/// Adds a machine of the town's name on its own volume.
fn add_orphan(world: &mut World, town: TownId) -> (MachineId, VolumeId) {
    let region = "iad".parse().unwrap();
    let volume = world.add_volume(town, &region).id;
    let metadata = [("gastown_town_id".to_owned(), town.to_string())];
    let spec = MachineSpec {
        app: the_app(),
        town,
        region,
        image: "registry.fly.io/gastown:1".parse().unwrap(),
        guest: Guest::TOWN,
        volume: volume.clone(),
        env: [].into(),
        metadata: metadata.into(),
    };
    (world.add_machine(&spec, Instant::now()), volume)
}

/// Adds machines and volumes of destroyed towns.
fn add_orphans(bench: &Bench, count: u128) {
    for number in 0..count {
        bench.add_tombstone(unknown_town(number));
        add_orphan(&mut bench.fly.world(), unknown_town(number));
    }
}

async fn towns(bench: &Bench, count: usize) {
    for number in 0..count {
        bench.running(&format!("mill-{number}")).await;
    }
}

fn orphan_records(bench: &Bench) -> Vec<Orphan> {
    bench.store.rows().records.orphans.values().cloned().collect()
}

fn deletions_sent(bench: &Bench) -> (usize, usize) {
    (bench.fly.count(Action::DeleteMachine), bench.fly.count(Action::DeleteVolume))
}

/// Inserts a row, as an operator does who restores it from a backup.
fn restore_row(bench: &Bench, like: &Town, town: TownId, machine: &MachineId, volume: &VolumeId) {
    let row = Town {
        id: town,
        name: "barn".parse().unwrap(),
        machine_id: Some(machine.clone()),
        volume_id: Some(volume.clone()),
        ..like.clone()
    };
    bench.store.rows().towns.insert(town, row);
}
