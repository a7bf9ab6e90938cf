//! The time of the pure decisions: the next step of an operation, the verdict on a town, and the id of a sandbox.
//!
//! `cargo bench -p gastown-domain` runs them.

use divan::{Bencher, black_box};
use gastown_domain::ports::ObservedMachine;
use gastown_domain::{
    LocatedVolume, MachineComparison, MachineId, Observation, OperationKind, Phase, Power, Region, SandboxId, Seen,
    TownName, TownStatus, UserId, VolumeComparison, VolumeId, VolumeState, compare, plan,
};

fn main() {
    divan::main();
}

/// Every goal in every phase, with a running machine on its volume.
#[divan::bench(args = OperationKind::ALL)]
fn plan_with_machine_and_volume(bencher: Bencher<'_, '_>, goal: OperationKind) {
    let observed = observation(Power::On);
    bencher.bench(|| Phase::ALL.map(|phase| plan(black_box(goal), phase, black_box(&observed))));
}

/// A create before its first call.
#[divan::bench]
fn plan_of_a_create_that_made_nothing(bencher: Bencher<'_, '_>) {
    let observed =
        Observation { machine: Seen::Absent, volume: Seen::Absent, next_region: Some(region()), ..Default::default() };
    bencher.bench(|| plan(OperationKind::Create, Phase::Begun, black_box(&observed)));
}

/// The verdicts of a drift detector on a town in every power state.
#[divan::bench]
fn compare_in_every_power_state() -> usize {
    let verdict = |power| {
        let machine = MachineComparison { seen: Seen::Present(black_box(power)), is_recorded: true };
        compare(black_box(TownStatus::Running), machine, VolumeComparison::There)
    };
    Power::ALL.into_iter().map(verdict).map(black_box).count()
}

/// A name that is short enough to be encoded, and one that is hashed.
#[divan::bench(args = ["mill", "a-town-with-a-long-name-of-which-no-id-has-room-for"])]
fn derive_sandbox_id(bencher: Bencher<'_, '_>, name: &str) {
    let user: UserId = parsed("user_abc123");
    let name: TownName = parsed(name);
    bencher.bench(|| SandboxId::derive(black_box(&user), black_box(&name)));
}

fn observation(power: Power) -> Observation {
    let (machine, volume): (MachineId, VolumeId) = (parsed("machine"), parsed("volume"));
    let located = LocatedVolume { id: volume.clone(), region: Some(region()), state: VolumeState::Ready };
    let observed = ObservedMachine { id: machine, power, volume: Some(volume) };
    Observation { machine: Seen::Present(observed), volume: Seen::Present(located), ..Default::default() }
}

fn region() -> Region {
    parsed("iad")
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error:?}"))
}
