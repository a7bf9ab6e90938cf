//! Lists for operators: the towns of all users, and the events of all towns.

use chrono::{DateTime, Utc};

use super::{HeldOperation, Readable, TownEvent, TownHealth};
#[cfg(doc)]
use crate::HealthState;
use crate::text_enum::text_enum;
use crate::{Town, TownId, TownName, TownStatus, UserId};

/// The conditions of a list of towns. A town in the list meets all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TownFilter {
    /// The owner.
    pub owner: Option<UserId>,
    /// The name.
    pub name: Option<TownName>,
    /// The status. Without it, the list has all live towns.
    pub status: Option<TownStatus>,
    /// The health.
    pub health: Option<ListedHealth>,
    /// The image of its machine, as the registry knows it.
    pub image: Option<String>,
    /// The last town of the page before. Only towns after it are listed.
    pub after: Option<ListPosition>,
}

/// The position of a town in a list, which is ordered by owner, name and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPosition {
    /// The owner.
    pub owner: UserId,
    /// The name.
    pub name: TownName,
    /// The town.
    pub town: TownId,
}

text_enum! {
    expected "`ok`, `drift`, `unhealthy` or `error`";
    /// The health of a town, as an operator asks for it.
    pub enum ListedHealth {
        /// No drift is recorded, and the checks do not fail too often.
        Ok = "ok",
        /// A drift is recorded.
        Drift = "drift",
        /// The state is [`HealthState::Unhealthy`]: the town is restarted.
        Unhealthy = "unhealthy",
        /// The state is [`HealthState::Error`]: restarts did not help.
        Error = "error",
    }
}

/// A town in a list, with its health and its operation in flight.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedTown {
    /// The row of the town, live or tombstone.
    pub town: Town,
    /// The health.
    pub health: Readable<TownHealth>,
    /// The operation in flight.
    pub operation: Option<Readable<HeldOperation>>,
}

/// The conditions of a list of events. An event in the list meets all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The town.
    pub town: Option<TownId>,
    /// The owner of the town.
    pub owner: Option<UserId>,
    /// The actor, such as `operator:eve` or the id of a user.
    pub actor: Option<String>,
    /// The action, such as `stop`.
    pub action: Option<String>,
    /// True for operations that failed or were rolled back.
    pub failed: bool,
    /// The earliest time.
    pub since: Option<DateTime<Utc>>,
    /// The latest time.
    pub until: Option<DateTime<Utc>>,
}

/// An event of any town. Owner and name are texts, because the row of the town may break a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedEvent {
    /// The town.
    pub town: TownId,
    /// The owner of the town.
    pub owner: String,
    /// The name of the town.
    pub name: String,
    /// The event.
    pub event: TownEvent,
}
