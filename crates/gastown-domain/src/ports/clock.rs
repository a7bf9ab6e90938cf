//! Time, ids and randomness: arguments, so that tests are exact.

use chrono::{DateTime, Utc};

use crate::{OperationId, RigId, TownId};

/// The wall clock.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait Clock: Send + Sync {
    /// Now, in whole microseconds, as the databases keep it.
    fn now(&self) -> DateTime<Utc>;
}

/// Fresh ids.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait Ids: Send + Sync {
    /// An id no town has had.
    fn town(&self) -> TownId;
    /// An id no rig has had.
    fn rig(&self) -> RigId;
    /// An id no operation has had.
    fn operation(&self) -> OperationId;
}

/// Randomness for jitter; nothing secret comes from it.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait Jitter: Send + Sync {
    /// A number in `0.0..1.0`.
    fn fraction(&self) -> f64;
}
