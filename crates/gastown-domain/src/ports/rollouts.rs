//! Rollouts of images: one row of state that operators change and any process drives.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{NewOperation, StoreError};
use crate::{
    Failure, HealthLimits, ImageRef, MaxUnavailable, Percent, Recorded, Rollout, RolloutNumber, RolloutPass,
    RolloutState, TouchCounts, TownId, UserId,
};

/// A rollout to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRollout {
    /// The image.
    pub image: ImageRef,
    /// The towns that it includes.
    pub percent: Percent,
    /// True if no running town is restarted.
    pub only_stopped: bool,
    /// The most towns that are restarted at the same time.
    pub max_unavailable: MaxUnavailable,
    /// True to end a paused rollout first, which then decides nothing any more.
    pub replace: bool,
}

/// The result of a change of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutChanged {
    /// The rollout, after the change.
    Done(Box<Rollout>),
    /// The state does not allow the change. This is the newest rollout. Nothing was written.
    Refused(Box<Rollout>),
    /// This rollout has brought the same image to a greater share. Nothing was written.
    SmallerShare(Box<Rollout>),
    /// There is no rollout.
    NotFound,
}

/// A change of the newest rollout by an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutOrder {
    /// Touch no further town.
    Pause,
    /// Go on. The failed towns are known.
    Resume,
    /// Take the image back.
    Undo,
}

/// A change of the state that the driver found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutEnd {
    /// The state from which it follows. In another one nothing is written.
    pub from: RolloutState,
    /// The next state.
    pub to: RolloutState,
    /// The reason of a pause, in words.
    pub reason: Option<String>,
}

/// A failed town of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTouch {
    /// The town.
    pub town: TownId,
    /// Its name.
    pub name: String,
    /// The failure of its restart. `None` if it became unhealthy afterwards, or has none yet.
    pub failure: Option<Recorded<Failure>>,
}

/// The limits by which a rollout judges towns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutLimits {
    /// A restarted town that becomes unhealthy within this time has failed.
    pub soak: Duration,
    /// The limits of restarts, which the monitor and rollouts share.
    pub health: HealthLimits,
}

/// The active rollout, as its driver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedRollout {
    /// The rollout.
    pub rollout: Rollout,
    /// The towns of the present pass.
    pub counts: TouchCounts,
    /// The touched towns of both passes that are being restarted.
    pub unavailable: u32,
    /// The next towns, without an operation in flight.
    pub ready: Vec<ReadyTown>,
    /// True if any town waits for its turn.
    pub has_waiting: bool,
    /// The time since the last touched town was restarted, by the database's clock.
    pub since_last: Option<Duration>,
    /// The last failure of the present pass.
    pub last_failure: Option<FailedTouch>,
    /// A town of the present pass whose restart is past its deadline and goes on, with its last failure.
    pub stuck: Option<FailedTouch>,
}

/// A town that may be touched now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyTown {
    /// The town.
    pub town: TownId,
    /// Its owner.
    pub owner: UserId,
    /// False: it is restarted. True: a failed turn has stopped it, and it is started.
    pub was_stopped: bool,
}

/// The turn of a town.
#[derive(Debug, Clone, PartialEq)]
pub struct Touch {
    /// The rollout.
    pub rollout: RolloutNumber,
    /// The direction.
    pub pass: RolloutPass,
    /// The town.
    pub town: TownId,
    /// The restart, or the start of a town that a failed turn has stopped. `None` to skip the town.
    pub restart: Option<NewOperation>,
    /// The limits of restarts.
    pub limits: HealthLimits,
}

/// The result of a town's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// The restart was accepted, or the town was skipped.
    Accepted,
    /// The town is neither running nor stopped by a failed turn, has an operation in flight, or was touched in this pass. Nothing
    /// was written.
    Refused,
    /// Too many towns are being restarted, or the waves do not go on. Nothing was written.
    Over,
}

/// A rollout, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutReport {
    /// The rollout.
    pub rollout: Rollout,
    /// The towns of the present pass.
    pub counts: TouchCounts,
    /// Running towns that wait for their turn.
    pub waiting: u64,
    /// Running towns that are not touched because their checks fail. They get the image at their next start.
    pub unhealthy: u64,
    /// Stopped towns that get another image at their next start.
    pub stopped: u64,
    /// The failed towns of the present pass, newest first, at most fifty.
    pub failures: Vec<FailedTouch>,
    /// The live towns by the image that they have, most first, at most twenty. `None` is not known.
    pub images: Vec<(Option<String>, u64)>,
    /// The time of the report, by the database's clock.
    pub at: DateTime<Utc>,
}

/// The rollouts.
///
/// Every change of a rollout and every turn of a town locks its row first, then the town's.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Rollouts: Send + Sync {
    /// Returns the rollout that decides the image of the town ([`deciding_rollout`](crate::deciding_rollout)).
    async fn deciding(&self, town: TownId) -> Result<Option<Rollout>, StoreError>;

    /// Starts a rollout. Refused while another one is active, and for a smaller share of an image
    /// ([`greater_share`](crate::greater_share)).
    async fn start(&self, rollout: &NewRollout, actor: &str) -> Result<RolloutChanged, StoreError>;

    /// Changes the newest rollout for an operator.
    async fn order(&self, order: RolloutOrder, actor: &str) -> Result<RolloutChanged, StoreError>;

    /// Returns the newest rollout.
    async fn report(&self) -> Result<Option<RolloutReport>, StoreError>;

    /// Returns true if a rollout is active.
    async fn is_active(&self) -> Result<bool, StoreError>;

    /// Ends the turns of towns whose restart has ended, and returns the active rollout with the next towns: as many as may be
    /// touched now.
    ///
    /// `setting` is the image of the settings, which the first observation records.
    async fn observe(&self, setting: &ImageRef, limits: &RolloutLimits) -> Result<Option<ObservedRollout>, StoreError>;

    /// Gives a town its turn, in one transaction with its restart. A pass touches a town at most once.
    async fn touch(&self, touch: &Touch) -> Result<Touched, StoreError>;

    /// Writes a change of the state that the driver found. Returns false if the state is another one.
    async fn conclude(&self, rollout: RolloutNumber, end: &RolloutEnd) -> Result<bool, StoreError>;
}
