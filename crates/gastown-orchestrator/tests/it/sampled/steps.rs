//! The steps of a run, drawn from a seed.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use gastown_domain::ports::Action;

use crate::bench::USERS;
use crate::faults::{Call, Fault, Query, listed};

/// The number of processes that run at once.
pub(super) const REPLICAS: usize = 3;
/// The limit of town numbers. With fewer towns, the numbers wrap around.
const TOWNS: usize = 6;
/// The town that was accepted last.
pub(super) const NEWEST: usize = usize::MAX;

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A user sends a request to a process and waits so many seconds. Without a user, the town's owner sends it.
    Request { at: usize, user: Option<usize>, request: UserRequest, waits: u64 },
    /// Kills the process. Another one replaces it.
    Kill { at: usize },
    /// Shuts the process down gracefully. Another one replaces it.
    Restart { at: usize },
    /// Suspends the process for so many seconds.
    Hang { at: usize, seconds: u64 },
    /// Shifts the clock of the process by so many seconds.
    Clock { at: usize, seconds: i64 },
    /// Injects the fault into some of the next calls to Fly and the sandboxes.
    FaultBurst { after: usize, times: usize, fault: Fault },
    /// Injects the fault into the next call of this kind.
    FaultAt { call: Action, fault: Fault },
    /// Injects the fault into one of the next calls to the registry.
    RegistryFault { after: usize, fault: Fault },
    /// Injects random faults into a share of all calls from now on, in thousandths for Fly with the sandboxes and for
    /// the registry.
    RandomFaults { provider: u32, registry: u32, seed: u64 },
    /// Stops all faults for now.
    StopFaults,
    /// Runs a sweep of the workers.
    Sweep { at: usize },
    /// Changes the rollout as an operator does, by the number of the step.
    OrderRollout { number: usize },
    /// Makes a pass of the rollout, if it is due.
    DriveRollout { at: usize },
    /// Requests a restart as the health monitor does.
    RestartTown { at: usize, town: usize },
    /// Lets a town be idle, and stops idle towns.
    StopIdle { at: usize, town: usize },
    /// Requests a restore of a town whose volume is lost. If no drift check has recorded that, it does so.
    RestoreTown { at: usize, town: usize },
    /// Runs a drift pass, if it is due.
    DetectDrift { at: usize },
    /// Runs an orphan sweeper pass, if it is due.
    SweepOrphans { at: usize },
    /// Applies a change that the control plane did not make.
    ExternalEvent(ExternalEvent),
    /// Waits for so many seconds.
    Wait { seconds: u64 },
}

/// A request of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UserRequest {
    /// Creates a town of this name. A key belongs to its name.
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

/// A change at Fly that the control plane did not make.
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
    /// Marks a rig as in use.
    OccupyRig {
        name: usize,
    },
    FreeRigs,
    /// Makes the rig impossible to clone.
    RefuseRig {
        name: usize,
    },
    /// Deletes the operation row of a create or a destroy in flight.
    LoseOperation {
        town: usize,
    },
    /// Adds a machine and a volume of a town that the registry does not know.
    LeaveOrphans,
    /// Fills the first region, or frees it again.
    Fill,
    Empty,
    /// Makes the hosts unreachable, or reachable again.
    LoseHosts,
    FindHosts,
}

listed! {
    /// The kinds of steps, which are drawn by weight.
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

/// Returns the steps of a seed. Some seeds have few steps, so that they are easy to read.
pub(super) fn steps_of(rng: &mut StdRng) -> Vec<Step> {
    let count = rng.random_range(6..=50_usize);
    // Most runs begin with random faults. Runs with single faults are easier to read.
    let first = rng.random_bool(0.7).then(|| random_faults(rng));
    let mut steps = Vec::from_iter(first);
    while steps.len() < count {
        if rng.random_bool(0.04) {
            steps.extend(crash_scene(rng));
        } else {
            steps.push(random_step(rng));
        }
    }
    with_background_work(steps)
}

/// Adds a restart before each sweep, which drives it, an idle stop before each drift pass, and a restore after each loss of a
/// volume. Adds rollouts too. Draws nothing, so that the other steps of a seed stay the same.
fn with_background_work(steps: Vec<Step>) -> Vec<Step> {
    let with_restart = |(number, step): (usize, Step)| match step {
        Step::Sweep { at } => vec![Step::RestartTown { at, town: number % TOWNS }, Step::DriveRollout { at }, step],
        Step::Wait { .. } => vec![step, Step::DriveRollout { at: number % REPLICAS }],
        Step::Clock { .. } => vec![Step::OrderRollout { number }, step],
        Step::ExternalEvent(ExternalEvent::LoseVolume { town }) => {
            vec![step, Step::RestoreTown { at: number % REPLICAS, town }]
        }
        Step::DetectDrift { at } => {
            vec![Step::OrderRollout { number }, Step::StopIdle { at, town: number % TOWNS }, step]
        }
        step => vec![step],
    };
    steps.into_iter().enumerate().flat_map(with_restart).collect()
}

/// Returns steps that rarely occur together: a create is in progress while its process dies or its town is destroyed.
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
    // Leaves out one of them, for variety.
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
            // Some requests do not wait for the response, most wait for a moment, some until the end.
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
            // Sometimes a long outage.
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
        // Most waits are short. Some are longer than leases, deadlines and backoff.
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
