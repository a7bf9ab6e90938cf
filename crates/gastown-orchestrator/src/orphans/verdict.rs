//! The verdict on an orphan's deletion, by its record and the inventory. Pure.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{ObservedOrphan, Orphan};
use gastown_domain::{MachineId, OrphanReason, ResourceId};

use super::inventory::SortedInventory;
use crate::settings::OrphanPolicy;

/// The assumed difference between the provider's clock and ours (FM-51).
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The grace factor of a volume whose town the registry never had. It holds data, and the registry may have been restored
/// from a backup that is older than the town.
const DATA_GRACE: u32 = 24;

/// The grace period before a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// The minimum age of the record, and of the resource at the provider.
    pub time: Duration,
    /// The minimum number of passes that saw it.
    pub passes: u32,
}

impl Grace {
    /// No grace: for operators.
    pub const NONE: Self = Self { time: Duration::ZERO, passes: 0 };

    /// Returns the grace of this orphan.
    fn of(self, sighting: &ObservedOrphan) -> Self {
        match (&sighting.item.resource, sighting.reason) {
            (ResourceId::Volume(_), OrphanReason::NoTown) => Self { time: self.time * DATA_GRACE, ..self },
            _ => self,
        }
    }
}

impl From<&OrphanPolicy> for Grace {
    fn from(policy: &OrphanPolicy) -> Self {
        Self { time: policy.grace, passes: policy.passes }
    }
}

/// The verdict on a deletion: allowed, or the reason against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed. The last read decides.
    Deletable,
    /// A second machine of a living town. Only an operator may delete it.
    NeedsOperator,
    /// A second volume of a living town. It may hold the town's data.
    MayHoldData,
    /// Its deletion is under way.
    Destroying,
    /// A volume of a machine that exists. The machine is deleted first.
    HeldBy(MachineId),
    /// The list that showed it was incomplete.
    ListNotWhole,
    /// It has been an orphan for too short a time.
    SeenTooShort {
        /// The end of the grace period, by the database's clock.
        until: DateTime<Utc>,
    },
    /// Too few passes have seen it.
    SeenTooSeldom {
        /// The passes that saw it.
        times: u32,
        /// The passes that are needed.
        of: u32,
    },
    /// It was created too recently.
    TooYoung {
        /// The time at which it is old enough, by our clock.
        until: DateTime<Utc>,
    },
    /// At the last read, a row referenced it.
    AccountedFor,
    /// At the last read, its town was using it: its volume, or its only machine.
    InUse,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deletable => f.write_str("may be deleted"),
            Self::NeedsOperator => f.write_str("second machine of a living town; only an operator may delete it"),
            Self::MayHoldData => f.write_str("second volume of a living town; it may hold data"),
            Self::Destroying => f.write_str("deletion in progress"),
            Self::HeldBy(machine) => write!(f, "attached to machine {machine}, which is deleted first"),
            Self::ListNotWhole => f.write_str("incomplete inventory of the app"),
            Self::SeenTooShort { until } => write!(f, "within grace period until {}", plain(until)),
            Self::SeenTooSeldom { times, of } => write!(f, "seen in {times} of {of} passes"),
            Self::TooYoung { until } => write!(f, "created too recently; until {}", plain(until)),
            Self::AccountedFor => f.write_str("referenced by a row"),
            Self::InUse => f.write_str("in use"),
        }
    }
}

fn plain(at: &DateTime<Utc>) -> impl fmt::Display {
    at.format("%Y-%m-%dT%H:%M:%SZ")
}

/// The present time, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The database's time, for records.
    pub(super) database: DateTime<Utc>,
    /// Our time, for dates of the provider.
    pub(super) ours: DateTime<Utc>,
}

/// Returns the verdict on an orphan.
pub(super) fn verdict(
    sighting: &ObservedOrphan,
    entry: Option<&Orphan>,
    app: &SortedInventory,
    grace: Grace,
    times: Times,
) -> Verdict {
    let item = &sighting.item;
    if item.destroying {
        return Verdict::Destroying;
    }
    if !sighting.reason.may_be_deleted() {
        return match item.resource {
            ResourceId::Machine(_) => Verdict::NeedsOperator,
            ResourceId::Volume(_) => Verdict::MayHoldData,
        };
    }
    if !app.is_whole {
        return Verdict::ListNotWhole;
    }
    if let Some(holder) = item.held_by.as_ref().filter(|holder| app.holds(&ResourceId::Machine((*holder).clone()))) {
        return Verdict::HeldBy(holder.clone());
    }
    by_age(entry, item.made_at, grace.of(sighting), times)
}

fn by_age(entry: Option<&Orphan>, made_at: Option<DateTime<Utc>>, grace: Grace, times: Times) -> Verdict {
    let first_seen = entry.map_or(times.database, |entry| entry.first_seen_at);
    let seen_until = first_seen + grace.time;
    if seen_until > times.database {
        return Verdict::SeenTooShort { until: seen_until };
    }
    let seen_in = entry.map_or(0, |entry| entry.times_seen);
    if seen_in < grace.passes {
        return Verdict::SeenTooSeldom { times: seen_in, of: grace.passes };
    }
    // Without a grace period, clock skew does not matter.
    let old_from = made_at.map(|made_at| made_at + grace.time + CLOCK_SKEW.min(grace.time));
    match old_from {
        Some(until) if until > times.ours => Verdict::TooYoung { until },
        _ => Verdict::Deletable,
    }
}

#[cfg(test)]
mod tests;
