//! What may happen next, drawn from a seed.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use gastown_domain::ports::Action;

use crate::bench::USERS;
use crate::faults::{Call, Fault, Query, listed};

/// Processes at once.
pub(super) const REPLICAS: usize = 3;
/// Towns are named by numbers below this; where there are fewer, the numbers go round.
const TOWNS: usize = 6;
/// The town that was accepted last.
pub(super) const NEWEST: usize = usize::MAX;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A user asks a process for something, and waits so many seconds for the answer: this one, or the town's owner.
    Request { at: usize, user: Option<usize>, request: UserRequest, waits: u64 },
    /// The process is killed; another takes its place.
    Kill { at: usize },
    /// It is shut down in good order; another takes its place.
    Restart { at: usize },
    /// It stands still for so many seconds, then goes on as if nothing had been.
    Hang { at: usize, seconds: u64 },
    /// Its clock jumps by so many seconds.
    Clock { at: usize, seconds: i64 },
    /// One of the next calls to Fly and the sandboxes is struck, and those that follow it.
    FaultBurst { after: usize, times: usize, fault: Fault },
    /// The next call of this kind is struck.
    FaultAt { call: Action, fault: Fault },
    /// One of the next calls to the registry is struck.
    RegistryFault { after: usize, fault: Fault },
    /// From now on so many in a thousand calls are struck, to Fly and the sandboxes and to the registry.
    RandomFaults { provider: u32, registry: u32, seed: u64 },
    /// Nothing strikes any more, for now.
    StopFaults,
    /// Workers sweep.
    Sweep { at: usize },
    /// Settled towns are compared with Fly, a while after the last time.
    DetectDrift { at: usize },
    /// What belongs to no row is looked for, a while after the last time.
    SweepOrphans { at: usize },
    /// Somebody else, or Fly itself, changes something.
    ExternalEvent(ExternalEvent),
    /// So many seconds pass.
    Wait { seconds: u64 },
}

/// What a user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UserRequest {
    /// A town of this name; with an idempotency key that belongs to the name.
    Create {
        name: usize,
        keyed: bool,
        with_rig: bool,
    },
    Start {
        town: usize,
    },
    Stop {
        town: usize,
    },
    Destroy {
        town: usize,
    },
    AddRig {
        town: usize,
        name: usize,
    },
    RemoveRig {
        town: usize,
        rig: usize,
        force: bool,
    },
    Read {
        town: usize,
    },
}

/// What happens at Fly without our doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExternalEvent {
    StopMachine {
        town: usize,
    },
    StartMachine {
        town: usize,
    },
    FailMachine {
        town: usize,
    },
    DestroyMachine {
        town: usize,
    },
    MoveVolume {
        town: usize,
    },
    LoseVolume {
        town: usize,
    },
    /// Somebody works in a rig, or no longer.
    OccupyRig {
        name: usize,
    },
    FreeRigs,
    /// It cannot be cloned any more.
    RefuseRig {
        name: usize,
    },
    /// Somebody deletes the row of a create or a destroy in flight.
    LoseOperation {
        town: usize,
    },
    /// Machine and volume of a town that no registry has heard of.
    LeaveOrphans,
    /// The first region has no room for machines, or has again.
    Fill,
    Empty,
    /// The hosts do not answer, or do again.
    LoseHosts,
    FindHosts,
}

listed! {
    /// What is drawn, by weight.
    StepKind { Create, Lifecycle, Rig, Read, Kill, Restart, Hang, Clock, FaultBurst, RegistryFault, RandomFaults, StopFaults, Sweep, DetectDrift, SweepOrphans, ExternalEvent, Wait, }
}

impl StepKind {
    const fn weight(self) -> u32 {
        match self {
            Self::Create => 12,
            Self::Lifecycle => 22,
            Self::Rig => 8,
            Self::Read => 2,
            Self::Kill | Self::Sweep | Self::DetectDrift => 5,
            Self::Restart | Self::RandomFaults => 3,
            Self::Hang | Self::StopFaults | Self::SweepOrphans => 2,
            Self::Clock => 1,
            Self::FaultBurst => 10,
            Self::RegistryFault => 4,
            Self::ExternalEvent => 6,
            Self::Wait => 12,
        }
    }
}

/// The moves of a seed: fewer or more, so that some seeds are easy to read.
pub(super) fn steps_of(rng: &mut StdRng) -> Vec<Step> {
    let count = rng.random_range(6..=50_usize);
    // Most begin in some weather; what is told of a few calls in the middle is easier to read.
    let first = rng.random_bool(0.7).then(|| random_faults(rng));
    let mut steps = Vec::from_iter(first);
    while steps.len() < count {
        if rng.random_bool(0.04) {
            steps.extend(crash_scene(rng));
        } else {
            steps.push(random_step(rng));
        }
    }
    steps
}

/// What would seldom come together by chance: something is made, its process dies or its town is given up meanwhile.
fn crash_scene(rng: &mut StdRng) -> Vec<Step> {
    let (at, user) = (rng.random_range(0..REPLICAS), rng.random_range(0..USERS.len()));
    let request = request(StepKind::Create, rng);
    let fault = *[Fault::Slow, Fault::HangBefore, Fault::AppliedLate, Fault::ReplyLost].choose(rng).unwrap();
    let destroy = UserRequest::Destroy { town: NEWEST };
    let steps = [
        Step::FaultAt { call: *[Action::CreateVolume, Action::CreateMachine].choose(rng).unwrap(), fault },
        Step::Request { at, user: Some(user), request, waits: *[0, 2, 5].choose(rng).unwrap() },
        Step::Kill { at },
        Step::Request { at: (at + 1) % REPLICAS, user: None, request: destroy, waits: 2 },
        Step::Wait { seconds: *[5, 20, 60].choose(rng).unwrap() },
    ];
    // Some of it is left out, so that it is another scene.
    let left_out = rng.random_range(0..steps.len() + 2);
    steps.into_iter().enumerate().filter(|(number, _)| *number != left_out).map(|(_, step)| step).collect()
}

fn random_faults(rng: &mut StdRng) -> Step {
    let provider = *[10, 30, 80, 200, 350].choose(rng).unwrap();
    let registry = *[0, 0, 5, 20].choose(rng).unwrap();
    Step::RandomFaults { provider, registry, seed: rng.random() }
}

fn random_step(rng: &mut StdRng) -> Step {
    let at = rng.random_range(0..REPLICAS);
    let kind = *StepKind::ALL.choose_weighted(rng, |kind| kind.weight()).unwrap();
    match kind {
        StepKind::Create | StepKind::Lifecycle | StepKind::Rig | StepKind::Read => {
            // Some do not wait for the answer, most for a moment, some to the end.
            let waits = *[0, 2, 2, 2, 70].choose(rng).unwrap();
            let user = (kind == StepKind::Create || rng.random_bool(0.1)).then(|| rng.random_range(0..USERS.len()));
            Step::Request { at, user, request: request(kind, rng), waits }
        }
        StepKind::Kill => Step::Kill { at },
        StepKind::Restart => Step::Restart { at },
        StepKind::Hang => Step::Hang { at, seconds: rng.random_range(1..180) },
        StepKind::Clock => Step::Clock { at, seconds: rng.random_range(-7200..7200) },
        StepKind::FaultBurst => {
            let fault = fault(rng, |fault| Call::all().any(|call| call.is_remote() && fault.fits(call)));
            // Now and then an outage.
            let times = *[1, 1, 1, 2, 5, 40].choose(rng).unwrap();
            Step::FaultBurst { after: rng.random_range(0..20), times, fault }
        }
        StepKind::RegistryFault => {
            let fault = fault(rng, |fault| fault.fits(Call::Store(Query::Record)));
            Step::RegistryFault { after: rng.random_range(0..40), fault }
        }
        StepKind::RandomFaults => random_faults(rng),
        StepKind::StopFaults => Step::StopFaults,
        StepKind::Sweep => Step::Sweep { at },
        StepKind::DetectDrift => Step::DetectDrift { at },
        StepKind::SweepOrphans => Step::SweepOrphans { at },
        StepKind::ExternalEvent => Step::ExternalEvent(event(rng)),
        // Most waits are short; some see leases, deadlines and backups of pauses pass.
        StepKind::Wait => Step::Wait { seconds: *[1, 5, 20, 60, 60, 400, 4000].choose(rng).unwrap() },
    }
}

fn request(kind: StepKind, rng: &mut StdRng) -> UserRequest {
    let town = rng.random_range(0..TOWNS);
    match kind {
        StepKind::Create => UserRequest::Create {
            name: rng.random_range(0..2),
            keyed: rng.random_bool(0.4),
            with_rig: rng.random_bool(0.2),
        },
        StepKind::Rig if rng.random_bool(0.6) => UserRequest::AddRig { town, name: rng.random_range(0..2) },
        StepKind::Rig => UserRequest::RemoveRig { town, rig: rng.random_range(0..2), force: rng.random_bool(0.3) },
        StepKind::Read => UserRequest::Read { town },
        _ => match rng.random_range(0..10) {
            0..4 => UserRequest::Stop { town },
            4..8 => UserRequest::Start { town },
            _ => UserRequest::Destroy { town },
        },
    }
}

fn fault(rng: &mut StdRng, fits: impl Fn(Fault) -> bool) -> Fault {
    let fitting: Vec<_> = Fault::ALL.iter().copied().filter(|fault| fits(*fault)).collect();
    *fitting.choose(rng).unwrap()
}

fn event(rng: &mut StdRng) -> ExternalEvent {
    let town = rng.random_range(0..TOWNS);
    match rng.random_range(0..19) {
        0 | 1 => ExternalEvent::StopMachine { town },
        2 => ExternalEvent::StartMachine { town },
        3 => ExternalEvent::FailMachine { town },
        4 | 5 => ExternalEvent::DestroyMachine { town },
        6 | 7 => ExternalEvent::MoveVolume { town },
        8 => ExternalEvent::LoseVolume { town },
        9 => ExternalEvent::OccupyRig { name: rng.random_range(0..2) },
        10 => ExternalEvent::FreeRigs,
        11 => ExternalEvent::LeaveOrphans,
        12 => ExternalEvent::Fill,
        13 => ExternalEvent::Empty,
        14 => ExternalEvent::LoseHosts,
        16 | 17 => ExternalEvent::LoseOperation { town: *[town, NEWEST].choose(rng).unwrap() },
        15 => ExternalEvent::RefuseRig { name: rng.random_range(0..2) },
        _ => ExternalEvent::FindHosts,
    }
}
