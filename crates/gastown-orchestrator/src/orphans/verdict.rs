//! Whether an orphan may be deleted, by what the book and the lists say of it. Pure.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{ObservedOrphan, Orphan};
use gastown_domain::{MachineId, OrphanReason, ResourceId};

use super::stock::AppStock;
use crate::settings::OrphanPolicy;

/// How far Fly's clock and ours may be apart (FM-51).
const CLOCKS_APART: Duration = Duration::from_secs(300);

/// How much longer a volume is kept whose town the registry never had: it holds data, and the registry may have been set
/// back to a backup that is older than the town.
const DATA_PATIENCE: u32 = 24;

/// What must have passed before an orphan is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// It is in the book for so long, and as old at Fly.
    pub time: Duration,
    /// It was seen in so many passes.
    pub passes: u32,
}

impl Grace {
    /// Nothing: an operator's.
    pub const NONE: Self = Self { time: Duration::ZERO, passes: 0 };

    /// The grace of this orphan.
    fn of(self, sighting: &ObservedOrphan) -> Self {
        match (&sighting.item.resource, sighting.reason) {
            (ResourceId::Volume(_), OrphanReason::NoTown) => Self { time: self.time * DATA_PATIENCE, ..self },
            _ => self,
        }
    }
}

impl From<&OrphanPolicy> for Grace {
    fn from(policy: &OrphanPolicy) -> Self {
        Self { time: policy.grace, passes: policy.passes }
    }
}

/// Whether an orphan may be deleted, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it; a last look decides.
    Deletable,
    /// A second machine of a living town: only on an operator's word.
    NeedsWord,
    /// A second volume of a living town: it may hold the town's data.
    MayHoldData,
    /// Its deletion is under way.
    Destroying,
    /// A volume of a machine that is still there: that one goes first.
    HeldBy(MachineId),
    /// The list it was seen in was not whole.
    ListNotWhole,
    /// Seen as an orphan for too short a time.
    SeenTooShort {
        /// When it is long enough, by the database's clock.
        until: DateTime<Utc>,
    },
    /// Seen as an orphan in too few passes.
    SeenTooSeldom {
        /// In how many.
        times: u32,
        /// In how many it must be.
        of: u32,
    },
    /// Made too lately.
    TooYoung {
        /// When it is old enough, by our clock.
        until: DateTime<Utc>,
    },
    /// At the last look, something accounted for it.
    AccountedFor,
    /// At the last look, it was what its town has: its volume, or the only machine that answers.
    InUse,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deletable => f.write_str("may be deleted"),
            Self::NeedsWord => f.write_str("a second machine of a living town: only on an operator's word"),
            Self::MayHoldData => f.write_str("a second volume of a living town: it may hold its data"),
            Self::Destroying => f.write_str("its deletion is under way"),
            Self::HeldBy(machine) => write!(f, "held by machine {machine}, which goes first"),
            Self::ListNotWhole => f.write_str("the app could not be read whole"),
            Self::SeenTooShort { until } => write!(f, "not seen for long enough before {}", plain(until)),
            Self::SeenTooSeldom { times, of } => write!(f, "seen in {times} of {of} passes"),
            Self::TooYoung { until } => write!(f, "too young before {}", plain(until)),
            Self::AccountedFor => f.write_str("accounted for by now"),
            Self::InUse => f.write_str("in use"),
        }
    }
}

fn plain(at: &DateTime<Utc>) -> impl fmt::Display {
    at.format("%Y-%m-%dT%H:%M:%SZ")
}

/// What time it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// By the database, for what is in the book.
    pub(super) book: DateTime<Utc>,
    /// By us, for what Fly dates.
    pub(super) ours: DateTime<Utc>,
}

/// What the book and the lists say of an orphan.
pub(super) fn verdict(
    sighting: &ObservedOrphan,
    entry: Option<&Orphan>,
    stock: &AppStock,
    grace: Grace,
    times: Times,
) -> Verdict {
    let item = &sighting.item;
    if item.destroying {
        return Verdict::Destroying;
    }
    if !sighting.reason.may_be_deleted() {
        return match item.resource {
            ResourceId::Machine(_) => Verdict::NeedsWord,
            ResourceId::Volume(_) => Verdict::MayHoldData,
        };
    }
    if !stock.is_whole {
        return Verdict::ListNotWhole;
    }
    if let Some(holder) = item.held_by.as_ref().filter(|holder| stock.holds(&ResourceId::Machine((*holder).clone()))) {
        return Verdict::HeldBy(holder.clone());
    }
    by_patience(entry, item.made_at, grace.of(sighting), times)
}

fn by_patience(entry: Option<&Orphan>, made_at: Option<DateTime<Utc>>, grace: Grace, times: Times) -> Verdict {
    let first_seen = entry.map_or(times.book, |entry| entry.first_seen_at);
    let seen_until = first_seen + grace.time;
    if seen_until > times.book {
        return Verdict::SeenTooShort { until: seen_until };
    }
    let seen_in = entry.map_or(0, |entry| entry.times_seen);
    if seen_in < grace.passes {
        return Verdict::SeenTooSeldom { times: seen_in, of: grace.passes };
    }
    // Who has no patience at all does not ask how far clocks may be apart either.
    let old_from = made_at.map(|made_at| made_at + grace.time + CLOCKS_APART.min(grace.time));
    match old_from {
        Some(until) if until > times.ours => Verdict::TooYoung { until },
        _ => Verdict::Deletable,
    }
}

#[cfg(test)]
mod tests;
