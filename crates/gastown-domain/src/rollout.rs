//! Rollouts: which image a town gets, and what a rollout does next. Pure.

mod history;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};

pub use self::history::{deciding_rollout, greater_share};
use crate::text_enum::text_enum;
use crate::{ImageRef, Invalid, TownId};

text_enum! {
    expected "a known state of a rollout";
    /// The state of a rollout.
    pub enum RolloutState {
        /// Towns get the image, in waves.
        Running = "running",
        /// No further town is touched. Starts still give the image.
        Paused = "paused",
        /// Every running town of it was touched or has the image.
        Finished = "finished",
        /// The image is taken back from the towns that have it, in waves.
        Undoing = "undoing",
        /// No further town is touched. Starts give the image of before.
        UndoPaused = "undo_paused",
        /// The rollout decides nothing any more.
        Undone = "undone",
    }
}

impl RolloutState {
    /// Returns true unless the rollout has ended. At most one rollout is active.
    pub const fn is_active(self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Undoing | Self::UndoPaused => true,
            Self::Finished | Self::Undone => false,
        }
    }

    /// Returns true if waves go on.
    pub const fn is_driven(self) -> bool {
        match self {
            Self::Running | Self::Undoing => true,
            Self::Paused | Self::Finished | Self::UndoPaused | Self::Undone => false,
        }
    }

    /// Returns true if the rollout decides the image of its towns.
    pub const fn decides(self) -> bool {
        match self.pass() {
            RolloutPass::Out => true,
            RolloutPass::Back => false,
        }
    }

    /// Returns the direction of its waves.
    pub const fn pass(self) -> RolloutPass {
        match self {
            Self::Running | Self::Paused | Self::Finished => RolloutPass::Out,
            Self::Undoing | Self::UndoPaused | Self::Undone => RolloutPass::Back,
        }
    }

    /// Returns the state in which the waves do not go on, or `None` if they do not anyway.
    pub const fn paused(self) -> Option<Self> {
        match self {
            Self::Running => Some(Self::Paused),
            Self::Undoing => Some(Self::UndoPaused),
            Self::Paused | Self::Finished | Self::UndoPaused | Self::Undone => None,
        }
    }

    /// Returns the state in which the waves go on again, or `None` if it is not paused.
    pub const fn resumed(self) -> Option<Self> {
        match self {
            Self::Paused => Some(Self::Running),
            Self::UndoPaused => Some(Self::Undoing),
            Self::Running | Self::Finished | Self::Undoing | Self::Undone => None,
        }
    }

    /// Returns the state of an undo that begins, or `None` if one has begun.
    pub const fn undone(self) -> Option<Self> {
        match self {
            Self::Running | Self::Paused | Self::Finished => Some(Self::Undoing),
            Self::Undoing | Self::UndoPaused | Self::Undone => None,
        }
    }

    /// Returns the state at the end of the waves.
    #[must_use]
    pub const fn ended(self) -> Self {
        match self.pass() {
            RolloutPass::Out => Self::Finished,
            RolloutPass::Back => Self::Undone,
        }
    }
}

text_enum! {
    expected "a known pass of a rollout";
    /// The direction of the waves. Each pass touches a town at most once.
    pub enum RolloutPass {
        /// Towns get the image.
        Out = "out",
        /// Towns get the image of before.
        Back = "back",
    }
}

text_enum! {
    expected "a known end of a touched town";
    /// The end of a town's turn in a rollout.
    pub enum TouchOutcome {
        /// It was restarted, is healthy, and has the image of the pass.
        Done = "done",
        /// Its restart failed, or it became unhealthy soon after it.
        Failed = "failed",
        /// Its owner stopped or destroyed it, or is blocked, or it kept its image. It gets the image at its next start.
        Skipped = "skipped",
    }
}

text_enum! {
    expected "a known relation to the newest rollout";
    /// The image of a town's machine, compared with that of the newest rollout.
    pub enum TownImage {
        /// It is that of the newest rollout.
        Newest = "newest_rollout",
        /// It is another one, or there is no rollout.
        Another = "another",
        /// It is not known.
        Unknown = "unknown",
    }
}

/// The number of a rollout, from 1. A later rollout has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RolloutNumber(i64);

impl RolloutNumber {
    /// Returns this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Returns the number, for storage.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for RolloutNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The share of the towns that a rollout includes, 1 to 100.
///
/// The ids of towns are random, so their first four bytes select the towns. A greater share includes every town of a smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// All towns.
    pub const ALL: Self = Self(100);

    /// Returns the number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Returns the smallest percentage that includes this town.
    pub fn of(town: TownId) -> Self {
        let [first, second, third, fourth, ..] = *town.as_uuid().as_bytes();
        let share = u64::from(u32::from_be_bytes([first, second, third, fourth])) * 100 / (1 << 32);
        Self(u8::try_from(share + 1).unwrap_or(100))
    }

    /// Returns true if it includes this town.
    pub fn includes(self, town: TownId) -> bool {
        Self::of(town) <= self
    }

    /// Returns the id that every town of this share is before, or `None` for all towns.
    pub fn bound(self) -> Option<TownId> {
        if self == Self::ALL {
            return None;
        }
        let first = u128::from((u64::from(self.0) << 32).div_ceil(100));
        Some(TownId::new(uuid::Uuid::from_u128(first << 96)))
    }
}

impl TryFrom<u64> for Percent {
    type Error = Invalid;

    fn try_from(raw: u64) -> Result<Self, Invalid> {
        ranged(raw, 100).map(Self)
    }
}

impl FromStr for Percent {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        number(raw)?.try_into()
    }
}

/// The most towns that a rollout restarts at the same time, 1 to 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxUnavailable(u16);

impl MaxUnavailable {
    /// The number without another request.
    pub const DEFAULT: Self = Self(5);

    /// Returns the number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u64> for MaxUnavailable {
    type Error = Invalid;

    fn try_from(raw: u64) -> Result<Self, Invalid> {
        ranged(raw, 500).map(Self)
    }
}

impl FromStr for MaxUnavailable {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        number(raw)?.try_into()
    }
}

fn number(raw: &str) -> Result<u64, Invalid> {
    raw.parse().map_err(|_| Invalid::Shape { expected: "a number" })
}

fn ranged<T: TryFrom<u64>>(raw: u64, max: u64) -> Result<T, Invalid> {
    let range = Invalid::Range { min: 1, max };
    if (1..=max).contains(&raw) { T::try_from(raw).map_err(|_| range) } else { Err(range) }
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// The number.
    pub number: RolloutNumber,
    /// The image.
    pub image: ImageRef,
    /// The image of the settings when the rollout was first driven.
    pub setting: Option<ImageRef>,
    /// The towns that it includes.
    pub percent: Percent,
    /// True if no running town is restarted.
    pub only_stopped: bool,
    /// The most towns that are restarted at the same time.
    pub max_unavailable: MaxUnavailable,
    /// The state.
    pub state: RolloutState,
    /// The reason of a pause, in words.
    pub reason: Option<String>,
    /// The failed towns that an operator knew of at the last resumption.
    pub known_failures: u32,
    /// The operator who started it.
    pub started_by: String,
    /// The author of the last change of the state.
    pub changed_by: String,
    /// The start, by the database's clock.
    pub started_at: DateTime<Utc>,
    /// The last change of the state.
    pub changed_at: DateTime<Utc>,
    /// The end, unless the rollout is active.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Rollout {
    /// Returns the image that the rollout gives to its towns. It is `None` once the settings name another image than at its
    /// time, because that is the newer decision. As long as the rollout is active, it decides.
    pub fn image_beside(&self, setting: &ImageRef) -> Option<&ImageRef> {
        let is_older = !self.state.is_active() && self.setting.as_ref().is_some_and(|before| before != setting);
        (self.state.decides() && !is_older).then_some(&self.image)
    }
}

/// Returns the image that a town's machine gets. `deciding` is its [`deciding_rollout`].
pub fn image_of_town<'a>(setting: &'a ImageRef, deciding: Option<&'a Rollout>) -> &'a ImageRef {
    deciding.and_then(|rollout| rollout.image_beside(setting)).unwrap_or(setting)
}

/// The number of towns that a pass has touched, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TouchCounts {
    /// Towns that are being restarted.
    pub in_flight: u32,
    /// Towns that were restarted and are healthy.
    pub done: u32,
    /// Towns that failed.
    pub failed: u32,
    /// Towns that get the image at their next start.
    pub skipped: u32,
}

/// The facts from which the next step of a rollout follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutFacts {
    /// The state.
    pub state: RolloutState,
    /// The most towns that are restarted at the same time.
    pub max_unavailable: MaxUnavailable,
    /// The failed towns that an operator knew of at the last resumption.
    pub known_failures: u32,
    /// The towns of the present pass.
    pub counts: TouchCounts,
    /// The touched towns of both passes that are being restarted.
    pub unavailable: u32,
    /// True if the restart of a town of the present pass is past its deadline and goes on.
    pub has_stuck: bool,
    /// True if a town can be touched now.
    pub has_ready: bool,
    /// True if a town waits for its turn, perhaps until its operation has ended.
    pub has_waiting: bool,
    /// The time since the last touched town was restarted. `None` if there is none.
    pub since_last: Option<Duration>,
}

/// The next step of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutStep {
    /// Nothing is to be done now.
    Wait,
    /// A town has failed that no operator knows of, or its restart does not end.
    Pause,
    /// Touch at most so many towns.
    Touch(u32),
    /// Every town was touched, and those that were restarted have stayed healthy.
    Finish,
}

/// Returns the next step of a rollout. A restarted town that becomes unhealthy within `soak` has failed.
pub fn next_rollout_step(facts: &RolloutFacts, soak: Duration) -> RolloutStep {
    let free = u32::from(facts.max_unavailable.get()).saturating_sub(facts.unavailable);
    if !facts.state.is_driven() {
        return RolloutStep::Wait;
    }
    if facts.has_stuck || facts.counts.failed > facts.known_failures {
        return RolloutStep::Pause;
    }
    if facts.has_ready {
        return if free > 0 { RolloutStep::Touch(free) } else { RolloutStep::Wait };
    }
    let is_over = !facts.has_waiting && facts.unavailable == 0;
    if is_over && facts.since_last.is_none_or(|since| since >= soak) { RolloutStep::Finish } else { RolloutStep::Wait }
}

#[cfg(test)]
mod tests;
