//! Idle stops: when an unused town is stopped by the service. Pure.
//!
//! A town is idle only if every fact says so. A fact that is missing, old or of a newer version never does (FM-26).

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use crate::text_enum::text_enum;
use crate::{HealthState, OperationKind, Recorded, RecordedOperation, StepName, TownStatus};

/// The time after which the last report of a sandbox is too old to say anything: three of its heartbeats.
pub const REPORT_IS_STALE_AFTER: Duration = Duration::from_secs(180);

/// The time for which a recorded use of a town stands for later ones, so that not every call is a write.
pub const USE_COUNTS_FOR: Duration = Duration::from_secs(30);

/// The minutes without use after which a town is stopped, in the configuration of the town.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct IdleMinutes(u32);

impl IdleMinutes {
    /// The fewest minutes.
    pub const MIN: u32 = 5;
    /// The most minutes, which are a week.
    pub const MAX: u32 = 7 * 24 * 60;

    /// Returns this number of minutes, or `None` if it is out of range.
    pub const fn new(minutes: u32) -> Option<Self> {
        if Self::MIN <= minutes && minutes <= Self::MAX { Some(Self(minutes)) } else { None }
    }

    /// Returns the number of minutes.
    pub const fn get(self) -> u32 {
        self.0
    }

    fn delta(self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.0))
    }
}

impl fmt::Display for IdleMinutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads the setting of a stored configuration. A version that did not know the key may have stored any value there, and what
/// is no valid setting is none.
pub(crate) fn stored_minutes<'de, D: Deserializer<'de>>(stored: D) -> Result<Option<IdleMinutes>, D::Error> {
    let value = serde_json::Value::deserialize(stored)?;
    Ok(value.as_u64().and_then(|minutes| u32::try_from(minutes).ok()).and_then(IdleMinutes::new))
}

/// The facts about the use of a town. All times are by the database's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleFacts {
    /// The setting, from the configuration itself.
    pub stop_after: Option<IdleMinutes>,
    /// The status of the town.
    pub status: TownStatus,
    /// True while an operation is in flight.
    pub has_operation: bool,
    /// True while a rig waits to be added or removed.
    pub has_unapplied_rigs: bool,
    /// True if the town was changed from outside.
    pub has_drift: bool,
    /// The state of its health.
    pub health: Recorded<HealthState>,
    /// The last recorded call of its owner.
    pub used_at: Option<DateTime<Utc>>,
    /// The time at which the last report of the sandbox was recorded.
    pub heard_at: Option<DateTime<Utc>>,
    /// The workers that are at work, as that report says.
    pub active_polecats: Option<u32>,
    /// The time since which all reports say that no worker is at work, without a gap. The end of an operation clears it.
    pub idle_since: Option<DateTime<Utc>>,
}

/// The judgement of a town.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleVerdict {
    /// It was not used since then, which is long enough.
    Idle {
        /// The later one of the last use and the last work.
        since: DateTime<Utc>,
    },
    /// It stays as it is.
    Keep(KeepReason),
}

/// The reason why a town is not stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepReason {
    /// Its owner has not asked for idle stops.
    Off,
    /// It is not running.
    NotRunning,
    /// An operation is in flight.
    Busy,
    /// A rig waits to be added or removed.
    RigsWaiting,
    /// It was changed from outside.
    Changed,
    /// It is not known to be healthy.
    NotHealthy,
    /// No use is recorded, so it is not known when it was used last.
    UseUnknown,
    /// It was used lately.
    Used,
    /// The last report of its sandbox is missing or old.
    Silent,
    /// Workers are at work, or it is not known.
    Working,
    /// Workers were at work lately, or it is not known.
    WorkedLately,
}

/// Judges whether a town is idle.
pub fn judge_idle(facts: &IdleFacts, now: DateTime<Utc>) -> IdleVerdict {
    match idle_since(facts, now) {
        Ok(since) => IdleVerdict::Idle { since },
        Err(reason) => IdleVerdict::Keep(reason),
    }
}

fn idle_since(facts: &IdleFacts, now: DateTime<Utc>) -> Result<DateTime<Utc>, KeepReason> {
    let stop_after = facts.stop_after.ok_or(KeepReason::Off)?;
    let until = now - stop_after.delta();
    unless(facts.status != TownStatus::Running, KeepReason::NotRunning)?;
    unless(facts.has_operation, KeepReason::Busy)?;
    unless(facts.has_unapplied_rigs, KeepReason::RigsWaiting)?;
    unless(facts.has_drift, KeepReason::Changed)?;
    unless(facts.health != HealthState::Healthy, KeepReason::NotHealthy)?;
    let used_at = facts.used_at.ok_or(KeepReason::UseUnknown)?;
    unless(used_at > until, KeepReason::Used)?;
    let heard_at = facts.heard_at.ok_or(KeepReason::Silent)?;
    unless(heard_at + REPORT_IS_STALE_AFTER < now, KeepReason::Silent)?;
    unless(facts.active_polecats != Some(0), KeepReason::Working)?;
    let idle_since = facts.idle_since.ok_or(KeepReason::WorkedLately)?;
    unless(idle_since > until, KeepReason::WorkedLately)?;
    Ok(used_at.max(idle_since))
}

const fn unless(keeps: bool, reason: KeepReason) -> Result<(), KeepReason> {
    if keeps { Err(reason) } else { Ok(()) }
}

text_enum! {
    expected "a known state of an idle stop";
    /// The state of an idle stop.
    pub enum IdleStopState {
        /// The stop is in flight.
        Stopping = "stopping",
        /// The town is stopped.
        Stopped = "stopped",
    }
}

/// A stop of a town that was not used, as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleStop {
    /// The stop is in flight.
    Stopping {
        /// The time of its request.
        since: DateTime<Utc>,
    },
    /// The town is stopped.
    Stopped {
        /// The end of the stop.
        since: DateTime<Utc>,
    },
}

impl IdleStop {
    /// Returns the idle stop of a town, from its row, its operation in flight, and the recorded end of its last idle stop.
    pub fn of(
        status: TownStatus,
        operation: Option<&RecordedOperation>,
        stopped_at: Option<DateTime<Utc>>,
    ) -> Option<Self> {
        match operation.filter(|operation| operation.is_idle_stop()) {
            Some(stop) => Some(Self::Stopping { since: stop.created_at }),
            None if status == TownStatus::Stopped => stopped_at.map(|since| Self::Stopped { since }),
            None => None,
        }
    }

    /// Returns the state, which programs test.
    pub const fn state(self) -> IdleStopState {
        match self {
            Self::Stopping { .. } => IdleStopState::Stopping,
            Self::Stopped { .. } => IdleStopState::Stopped,
        }
    }

    /// Returns the time since which it is in this state.
    pub const fn since(self) -> DateTime<Utc> {
        match self {
            Self::Stopping { since } | Self::Stopped { since } => since,
        }
    }

    /// Returns the text for the town's owner.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Stopping { .. } => {
                "The town is being stopped because it was idle; a start, or a new rig, starts it again"
            }
            Self::Stopped { .. } => "The town was stopped because it was idle; a start, or a new rig, starts it again",
        }
    }
}

impl RecordedOperation {
    /// Returns true for the stop of a town that was not used, which the service requests. Its owner's start ends it.
    pub fn is_idle_stop(&self) -> bool {
        self.kind.known() == Some(OperationKind::Stop) && self.progress.idle_since.is_some()
    }

    /// Returns true for a stop whose call to stop the machine may have been sent. Its intent is written before the call. So a
    /// row that has only synced or looked shows that no call was sent. None follows once the claim is lost.
    pub fn may_have_stopped_machine(&self) -> bool {
        let step = self.step.as_ref().map(Recorded::as_str);
        let begun = self.progress.steps.iter().map(|begun| begun.step.as_str());
        let is_harmless = |step: &str| step == StepName::FinalSync.as_str() || step == StepName::ObserveAgain.as_str();
        begun.chain(step).any(|step| !is_harmless(step))
    }
}

#[cfg(test)]
mod tests;
