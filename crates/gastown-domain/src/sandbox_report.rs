//! The reports of sandboxes in their heartbeats. Pure.

use chrono::{DateTime, Utc};

use crate::TownId;

/// The report of a sandbox about itself. A part that it does not report is `None`, which means unknown.
///
/// It is a claim of the sandbox: it is shown, and it never changes the status of a town (FM-36).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SandboxReport {
    /// True if the daemon of `gt` runs.
    pub gt_running: Option<bool>,
    /// True if the database of `gt` runs.
    pub dolt_running: Option<bool>,
    /// The workers (polecats) that are at work.
    pub active_polecats: Option<u32>,
    /// The used part of the volume, in bytes.
    pub disk_used_bytes: Option<u64>,
}

/// A heartbeat, with the time of its receipt by our clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// The town.
    pub town: TownId,
    /// The time of its receipt, by our clock.
    pub received_at: DateTime<Utc>,
    /// The report of the sandbox.
    pub report: SandboxReport,
    /// The time of the last sync to R2 that the sandbox claims. It is never after the receipt.
    pub synced_at: Option<DateTime<Utc>>,
    /// True if this report, and each one that it stands for, says that no worker is at work.
    pub is_idle: bool,
}

impl Heartbeat {
    /// Returns a heartbeat that was received at this time. The clock of a sandbox may be wrong, so a claimed sync of the
    /// future happened at the receipt.
    pub fn received(
        town: TownId,
        received_at: DateTime<Utc>,
        report: SandboxReport,
        claimed_sync: Option<DateTime<Utc>>,
    ) -> Self {
        let (synced_at, is_idle) = (claimed_sync.map(|at| at.min(received_at)), report.active_polecats == Some(0));
        Self { town, received_at, report, synced_at, is_idle }
    }

    /// Returns one heartbeat instead of two of the same town. The later one counts, and the later sync of both. It is idle only
    /// if both are.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let latest = if other.received_at >= self.received_at { other } else { self };
        let (synced_at, is_idle) = (self.synced_at.max(other.synced_at), self.is_idle && other.is_idle);
        Self { synced_at, is_idle, ..latest }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn beat(seconds: i64, polecats: Option<u32>, sync: Option<i64>) -> Heartbeat {
        let report = SandboxReport { active_polecats: polecats, ..SandboxReport::default() };
        let at = |seconds| noon() + TimeDelta::seconds(seconds);
        Heartbeat::received(TownId::new(Uuid::nil()), at(seconds), report, sync.map(at))
    }

    #[test]
    fn claimed_sync_is_never_after_the_receipt() {
        for (claimed, kept) in [(None, None), (Some(-5), Some(-5)), (Some(0), Some(0)), (Some(3600), Some(0))] {
            let synced_at = beat(0, None, claimed).synced_at.map(|at| (at - noon()).num_seconds());
            assert_eq!(synced_at, kept, "{claimed:?}");
        }
    }

    #[test]
    fn later_heartbeat_counts_and_no_time_goes_back() {
        let (first, second) = (beat(0, Some(3), Some(-1)), beat(1, None, Some(-9)));
        for merged in [first.merged(second), second.merged(first)] {
            assert_eq!(merged.received_at, second.received_at);
            assert_eq!(merged.report.active_polecats, None, "a part that is not reported any more is unknown");
            assert_eq!(merged.synced_at, first.synced_at);
        }
        let (of_same_time, known) = (beat(0, Some(0), None), beat(0, Some(3), Some(-1)));
        assert_eq!(known.merged(of_same_time).report.active_polecats, Some(0), "the one that came last counts");
        assert!(of_same_time.is_idle && !known.merged(of_same_time).is_idle, "work is not forgotten");
        assert!(of_same_time.merged(beat(1, Some(0), None)).is_idle);
    }
}
