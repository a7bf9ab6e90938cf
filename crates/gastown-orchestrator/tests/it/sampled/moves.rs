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
pub(super) enum Move {
    /// A user asks a process for something, and waits so many seconds for the answer: this one, or the town's owner.
    Ask { at: usize, user: Option<usize>, wish: Wish, waits: u64 },
    /// The process is killed; another takes its place.
    Kill { at: usize },
    /// It is shut down in good order; another takes its place.
    Restart { at: usize },
    /// It stands still for so many seconds, then goes on as if nothing had been.
    Hang { at: usize, seconds: u64 },
    /// Its clock jumps by so many seconds.
    Clock { at: usize, seconds: i64 },
    /// One of the next calls to Fly and the sandboxes is struck, and those that follow it.
    Trouble { after: usize, times: usize, fault: Fault },
    /// The next call of this kind is struck.
    TroubleAt { call: Action, fault: Fault },
    /// One of the next calls to the registry is struck.
    RegistryTrouble { after: usize, fault: Fault },
    /// From now on so many in a thousand calls are struck, to Fly and the sandboxes and to the registry.
    Weather { provider: u32, registry: u32, seed: u64 },
    /// Nothing strikes any more, for now.
    Calm,
    /// Workers sweep.
    Sweep { at: usize },
    /// Settled towns are compared with Fly, a while after the last time.
    Inspect { at: usize },
    /// What belongs to no row is looked for, a while after the last time.
    SearchOrphans { at: usize },
    /// Somebody else, or Fly itself, changes something.
    Mischief(Mischief),
    /// So many seconds pass.
    Wait { seconds: u64 },
}

/// What a user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
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
    Look {
        town: usize,
    },
}

/// What happens at Fly without our doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mischief {
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
    Kind { Create, Life, Rig, Look, Kill, Restart, Hang, Clock, Trouble, RegistryTrouble, Weather, Calm, Sweep, Inspect, Search, Mischief, Wait, }
}

impl Kind {
    const fn weight(self) -> u32 {
        match self {
            Self::Create => 12,
            Self::Life => 22,
            Self::Rig => 8,
            Self::Look => 2,
            Self::Kill | Self::Sweep | Self::Inspect => 5,
            Self::Restart | Self::Weather => 3,
            Self::Hang | Self::Calm | Self::Search => 2,
            Self::Clock => 1,
            Self::Trouble => 10,
            Self::RegistryTrouble => 4,
            Self::Mischief => 6,
            Self::Wait => 12,
        }
    }
}

/// The moves of a seed: fewer or more, so that some seeds are easy to read.
pub(super) fn moves_of(dice: &mut StdRng) -> Vec<Move> {
    let count = dice.random_range(6..=50_usize);
    // Most begin in some weather; what is told of a few calls in the middle is easier to read.
    let first = dice.random_bool(0.7).then(|| weather(dice));
    let mut moves = Vec::from_iter(first);
    while moves.len() < count {
        if dice.random_bool(0.04) {
            moves.extend(scene(dice));
        } else {
            moves.push(one(dice));
        }
    }
    moves
}

/// What would seldom come together by chance: something is made, its process dies or its town is given up meanwhile.
fn scene(dice: &mut StdRng) -> Vec<Move> {
    let (at, user) = (dice.random_range(0..REPLICAS), dice.random_range(0..USERS.len()));
    let wish = wish(Kind::Create, dice);
    let fault = *[Fault::Slow, Fault::HangBefore, Fault::LateApplied, Fault::ReplyLost].choose(dice).unwrap();
    let destroy = Wish::Destroy { town: NEWEST };
    let moves = [
        Move::TroubleAt { call: *[Action::CreateVolume, Action::CreateMachine].choose(dice).unwrap(), fault },
        Move::Ask { at, user: Some(user), wish, waits: *[0, 2, 5].choose(dice).unwrap() },
        Move::Kill { at },
        Move::Ask { at: (at + 1) % REPLICAS, user: None, wish: destroy, waits: 2 },
        Move::Wait { seconds: *[5, 20, 60].choose(dice).unwrap() },
    ];
    // Some of it is left out, so that it is another scene.
    let left_out = dice.random_range(0..moves.len() + 2);
    moves.into_iter().enumerate().filter(|(number, _)| *number != left_out).map(|(_, step)| step).collect()
}

fn weather(dice: &mut StdRng) -> Move {
    let provider = *[10, 30, 80, 200, 350].choose(dice).unwrap();
    let registry = *[0, 0, 5, 20].choose(dice).unwrap();
    Move::Weather { provider, registry, seed: dice.random() }
}

fn one(dice: &mut StdRng) -> Move {
    let at = dice.random_range(0..REPLICAS);
    let kind = *Kind::ALL.choose_weighted(dice, |kind| kind.weight()).unwrap();
    match kind {
        Kind::Create | Kind::Life | Kind::Rig | Kind::Look => {
            // Some do not wait for the answer, most for a moment, some to the end.
            let waits = *[0, 2, 2, 2, 70].choose(dice).unwrap();
            let user = (kind == Kind::Create || dice.random_bool(0.1)).then(|| dice.random_range(0..USERS.len()));
            Move::Ask { at, user, wish: wish(kind, dice), waits }
        }
        Kind::Kill => Move::Kill { at },
        Kind::Restart => Move::Restart { at },
        Kind::Hang => Move::Hang { at, seconds: dice.random_range(1..180) },
        Kind::Clock => Move::Clock { at, seconds: dice.random_range(-7200..7200) },
        Kind::Trouble => {
            let fault = fault(dice, |fault| Call::all().any(|call| call.is_outside() && fault.fits(call)));
            // Now and then an outage.
            let times = *[1, 1, 1, 2, 5, 40].choose(dice).unwrap();
            Move::Trouble { after: dice.random_range(0..20), times, fault }
        }
        Kind::RegistryTrouble => {
            let fault = fault(dice, |fault| fault.fits(Call::Store(Query::Record)));
            Move::RegistryTrouble { after: dice.random_range(0..40), fault }
        }
        Kind::Weather => weather(dice),
        Kind::Calm => Move::Calm,
        Kind::Sweep => Move::Sweep { at },
        Kind::Inspect => Move::Inspect { at },
        Kind::Search => Move::SearchOrphans { at },
        Kind::Mischief => Move::Mischief(mischief(dice)),
        // Most waits are short; some see leases, deadlines and backups of pauses pass.
        Kind::Wait => Move::Wait { seconds: *[1, 5, 20, 60, 60, 400, 4000].choose(dice).unwrap() },
    }
}

fn wish(kind: Kind, dice: &mut StdRng) -> Wish {
    let town = dice.random_range(0..TOWNS);
    match kind {
        Kind::Create => Wish::Create {
            name: dice.random_range(0..2),
            keyed: dice.random_bool(0.4),
            with_rig: dice.random_bool(0.2),
        },
        Kind::Rig if dice.random_bool(0.6) => Wish::AddRig { town, name: dice.random_range(0..2) },
        Kind::Rig => Wish::RemoveRig { town, rig: dice.random_range(0..2), force: dice.random_bool(0.3) },
        Kind::Look => Wish::Look { town },
        _ => match dice.random_range(0..10) {
            0..4 => Wish::Stop { town },
            4..8 => Wish::Start { town },
            _ => Wish::Destroy { town },
        },
    }
}

fn fault(dice: &mut StdRng, fits: impl Fn(Fault) -> bool) -> Fault {
    let fitting: Vec<_> = Fault::ALL.iter().copied().filter(|fault| fits(*fault)).collect();
    *fitting.choose(dice).unwrap()
}

fn mischief(dice: &mut StdRng) -> Mischief {
    let town = dice.random_range(0..TOWNS);
    match dice.random_range(0..19) {
        0 | 1 => Mischief::StopMachine { town },
        2 => Mischief::StartMachine { town },
        3 => Mischief::FailMachine { town },
        4 | 5 => Mischief::DestroyMachine { town },
        6 | 7 => Mischief::MoveVolume { town },
        8 => Mischief::LoseVolume { town },
        9 => Mischief::OccupyRig { name: dice.random_range(0..2) },
        10 => Mischief::FreeRigs,
        11 => Mischief::LeaveOrphans,
        12 => Mischief::Fill,
        13 => Mischief::Empty,
        14 => Mischief::LoseHosts,
        16 | 17 => Mischief::LoseOperation { town: *[town, NEWEST].choose(dice).unwrap() },
        15 => Mischief::RefuseRig { name: dice.random_range(0..2) },
        _ => Mischief::FindHosts,
    }
}
