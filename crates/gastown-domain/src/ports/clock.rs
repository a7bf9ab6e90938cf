//! Time, ids and randomness as ports, so that tests are exact.

use chrono::{DateTime, Utc};

use crate::{OperationId, RigId, TownId};

/// The wall clock.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait Clock: Send + Sync {
    /// Returns the time in whole microseconds, the precision of both databases.
    fn now(&self) -> DateTime<Utc>;
}

/// A source of unique ids.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait Ids: Send + Sync {
    /// Returns an unused town id.
    fn town(&self) -> TownId;
    /// Returns an unused rig id.
    fn rig(&self) -> RigId;
    /// Returns an unused operation id.
    fn operation(&self) -> OperationId;
}

/// Randomness for jitter. Nothing secret is derived from it.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait Jitter: Send + Sync {
    /// Returns a number in `0.0..1.0`.
    fn fraction(&self) -> f64;
}
