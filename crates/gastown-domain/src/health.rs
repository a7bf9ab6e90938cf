//! The health of running towns: from the state before and one observation to the next state and the action. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::Recorded;
use crate::text_enum::text_enum;

text_enum! {
    expected "a known state of health";
    /// The state of a running town's health.
    pub enum HealthState {
        /// Not checked yet.
        Unknown = "unknown",
        /// The last answer was good, or too few checks in a row have failed.
        Healthy = "healthy",
        /// Several checks in a row have failed. The town is restarted.
        Unhealthy = "unhealthy",
        /// Restarts did not help. There are no more until a check succeeds.
        Error = "error",
    }
}

text_enum! {
    expected "a known reason of bad health";
    /// The reason of a failed check.
    pub enum HealthReason {
        /// The machine runs, and its sandbox does not answer.
        NoAnswer = "no_answer",
        /// The sandbox answers that it does not work.
        NotReady = "not_ready",
        /// The sandbox answers that the daemon of `gt` does not run.
        DaemonDown = "daemon_down",
        /// The sandbox answers that its database does not work.
        DoltDown = "dolt_down",
        /// The sandbox answers that its volume is full.
        DiskFull = "disk_full",
        /// Another town answers, or no sandbox.
        WrongAnswer = "wrong_answer",
        /// The sandbox refuses the town's key.
        KeyRefused = "key_refused",
    }
}

impl HealthReason {
    /// Returns the reason of a sandbox that reports this code. Any other code is `not_ready`.
    pub fn of_code(code: &str) -> Self {
        [Self::DaemonDown, Self::DoltDown, Self::DiskFull]
            .into_iter()
            .find(|reason| reason.as_str() == code)
            .unwrap_or(Self::NotReady)
    }

    /// Returns the text for the town's owner.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoAnswer => "the machine runs, but the sandbox does not answer",
            Self::NotReady => "the sandbox reports that it does not work",
            Self::DaemonDown => "the sandbox reports that its daemon does not run",
            Self::DoltDown => "the sandbox reports that its database does not work",
            Self::DiskFull => "the sandbox reports that its volume is full",
            Self::WrongAnswer => "the sandbox gives a wrong answer",
            Self::KeyRefused => "the sandbox refuses the town's key",
        }
    }
}

impl Recorded<HealthReason> {
    /// Returns the text for the town's owner. A reason of a newer version has a general one.
    pub const fn message(&self) -> &'static str {
        match self {
            Self::Known(reason) => reason.message(),
            Self::Newer(_) => "the sandbox fails its checks",
        }
    }
}

impl Recorded<HealthState> {
    /// Returns a sentence for the town's owner.
    pub fn message(&self, reason: Option<&Recorded<HealthReason>>) -> String {
        let reason = reason.map_or("its checks fail", Recorded::<HealthReason>::message);
        match self {
            Self::Known(HealthState::Unknown) => "The health of the town is not known yet".to_owned(),
            Self::Known(HealthState::Healthy) => "The town is well".to_owned(),
            Self::Known(HealthState::Unhealthy) => format!("The town is unhealthy and is restarted: {reason}"),
            Self::Known(HealthState::Error) => format!("Restarts did not help, and there are no more: {reason}"),
            Self::Newer(_) => "The health of the town has changed".to_owned(),
        }
    }
}

impl Default for Recorded<HealthState> {
    /// Returns the state of a town that was never checked.
    fn default() -> Self {
        Self::Known(HealthState::Unknown)
    }
}

/// The result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthObservation {
    /// The right sandbox answers, and is well.
    Healthy,
    /// The check failed, and the provider says that the machine runs.
    Failed(HealthReason),
    /// The sandbox could not be asked, or its machine does not run. This says nothing about the sandbox, so it is no failed
    /// check: after an outage of ours every town would be restarted.
    CannotAsk,
    /// The town is not running, so it has no health.
    NotRunning,
}

/// The health of a running town, as the monitor records it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// The state.
    pub state: Recorded<HealthState>,
    /// The time since which the state is this one. `None` while it is not known.
    pub since: Option<DateTime<Utc>>,
    /// The reason, while checks fail.
    pub reason: Option<Recorded<HealthReason>>,
    /// Failed checks in a row.
    pub failures: u32,
    /// Restarts that were accepted within the window.
    pub restarts: u32,
    /// The time of the first of these restarts.
    pub window_started_at: Option<DateTime<Utc>>,
}

/// The limits by which health is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthLimits {
    /// The failed checks in a row that make a town unhealthy.
    pub failures: u32,
    /// The most restarts within the window, and the most without a good check in between.
    pub restarts: u32,
    /// The window in which restarts are counted.
    pub window: Duration,
}

impl HealthLimits {
    /// Three failed checks, and three restarts in ten minutes.
    pub const DEFAULT: Self = Self { failures: 3, restarts: 3, window: Duration::from_secs(600) };
}

/// The health after a check, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthVerdict {
    /// The next health.
    pub health: Health,
    /// True if the state differs from the one before, other than by the first good check.
    pub is_news: bool,
    /// The restart to request. Its acceptance writes these counts.
    pub restart: Option<RestartCount>,
}

/// The counts of restarts with one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartCount {
    /// Restarts within the window, with this one.
    pub restarts: u32,
    /// The time of the first of them.
    pub window_started_at: DateTime<Utc>,
}

impl RestartCount {
    /// Returns the counts with one restart more, which is the first of a window if the last one is over.
    pub fn with_one_more(
        restarts: u32,
        window: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        limits: &HealthLimits,
    ) -> Self {
        match window.filter(|start| now < *start + limits.window) {
            Some(window_started_at) => Self { restarts: restarts.saturating_add(1), window_started_at },
            None => Self { restarts: 1, window_started_at: now },
        }
    }
}

/// Judges one observation at `now`, by the database's clock.
pub fn judge_health(
    before: &Health,
    observed: HealthObservation,
    now: DateTime<Utc>,
    limits: &HealthLimits,
) -> HealthVerdict {
    match observed {
        HealthObservation::CannotAsk => HealthVerdict { health: before.clone(), is_news: false, restart: None },
        HealthObservation::Healthy => {
            let after = Health { failures: 0, reason: None, ..before.clone() };
            next(before, without_old_restarts(after, now, limits), HealthState::Healthy, now)
        }
        HealthObservation::Failed(reason) => failed(before, reason, now, limits),
        HealthObservation::NotRunning => {
            let after = Health { failures: 0, reason: None, ..before.clone() };
            HealthVerdict { is_news: false, ..next(before, after, HealthState::Unknown, now) }
        }
    }
}

fn failed(before: &Health, reason: HealthReason, now: DateTime<Utc>, limits: &HealthLimits) -> HealthVerdict {
    let failures = before.failures.saturating_add(1);
    let after = Health { failures, reason: Some(reason.into()), ..before.clone() };
    // A state of a newer version is treated as unhealthy.
    let known = before.state.known().unwrap_or(HealthState::Unhealthy);
    let after = match known {
        HealthState::Unknown | HealthState::Healthy => without_old_restarts(after, now, limits),
        // Restarts without a good check in between count for as long as it takes.
        HealthState::Unhealthy | HealthState::Error => after,
    };
    if known == HealthState::Error {
        return next(before, after, HealthState::Error, now);
    }
    if failures < limits.failures {
        return HealthVerdict { health: after, is_news: false, restart: None };
    }
    if after.restarts >= limits.restarts {
        return next(before, after, HealthState::Error, now);
    }
    let restart = RestartCount {
        restarts: after.restarts.saturating_add(1),
        window_started_at: after.window_started_at.unwrap_or(now),
    };
    HealthVerdict { restart: Some(restart), ..next(before, after, HealthState::Unhealthy, now) }
}

/// Forgets the restarts of a window that is over.
fn without_old_restarts(health: Health, now: DateTime<Utc>, limits: &HealthLimits) -> Health {
    let is_over = health.window_started_at.is_none_or(|start| now >= start + limits.window);
    if is_over { Health { restarts: 0, window_started_at: None, ..health } } else { health }
}

fn next(before: &Health, after: Health, state: HealthState, now: DateTime<Utc>) -> HealthVerdict {
    let is_same = before.state.known() == Some(state);
    let is_first = before.state.known() == Some(HealthState::Unknown) && state == HealthState::Healthy;
    let since = if is_same { before.since } else { Some(now) };
    HealthVerdict {
        health: Health { state: state.into(), since, ..after },
        is_news: !is_same && !is_first,
        restart: None,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use chrono::TimeDelta;

    use super::*;

    const LIMITS: HealthLimits = HealthLimits::DEFAULT;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn health(state: HealthState, failures: u32, restarts: u32) -> Health {
        let window_started_at = (restarts > 0).then(|| at(0));
        Health { state: state.into(), since: Some(at(0)), reason: None, failures, restarts, window_started_at }
    }

    fn shown(verdict: &HealthVerdict) -> String {
        let HealthVerdict { health, is_news, restart } = verdict;
        let news = if *is_news { "!" } else { "" };
        let restart = restart.map_or(String::new(), |restart| format!(" restart {}", restart.restarts));
        format!("{}{news} f{} r{}{restart}", health.state, health.failures, health.restarts)
    }

    /// One row per state, failures and restarts; within the window of the restarts, and after it.
    #[test]
    fn verdicts_match_the_reviewed_table() {
        let observations = [
            HealthObservation::Healthy,
            HealthObservation::Failed(HealthReason::NoAnswer),
            HealthObservation::CannotAsk,
            HealthObservation::NotRunning,
        ];
        let mut table = format!("{:<22} healthy, no_answer, cannot ask, not running\n", "state/f/r/time");
        for state in HealthState::ALL {
            for failures in [0, 1, 2, 3] {
                for restarts in [0, 2, 3] {
                    for now in [300, 600] {
                        let before = health(state, failures, restarts);
                        let row = format!("{state}/f{failures}/r{restarts}/{now}", state = state.as_str());
                        let cells = observations.map(|seen| shown(&judge_health(&before, seen, at(now), &LIMITS)));
                        writeln!(table, "{row:<22} {}", cells.join(", ")).unwrap();
                    }
                }
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn three_failures_restart_and_three_restarts_without_a_good_check_end_in_error() {
        let mut health = Health::default();
        let mut restarts = 0;
        for check in 0..20 {
            // Each check is far beyond the window of the restart before it.
            let now = at(check * 1000);
            let verdict = judge_health(&health, HealthObservation::Failed(HealthReason::NoAnswer), now, &LIMITS);
            health = verdict.health;
            if let Some(counted) = verdict.restart {
                restarts += 1;
                (health.restarts, health.window_started_at) = (counted.restarts, Some(counted.window_started_at));
            }
        }
        assert_eq!((restarts, health.state.known()), (3, Some(HealthState::Error)));
        let verdict = judge_health(&health, HealthObservation::Healthy, at(20_000), &LIMITS);
        assert!(verdict.is_news);
        assert_eq!((verdict.health.state.known(), verdict.health.restarts), (Some(HealthState::Healthy), 0));
        assert_eq!(verdict.health.since, Some(at(20_000)));
    }

    #[test]
    fn restarts_within_the_window_count_across_a_good_check() {
        let before = health(HealthState::Unhealthy, 3, 3);
        let well = judge_health(&before, HealthObservation::Healthy, at(100), &LIMITS).health;
        assert_eq!((well.failures, well.restarts), (0, 3));
        let failing = Health { failures: 2, ..well };
        let seen = HealthObservation::Failed(HealthReason::NoAnswer);
        assert_eq!(judge_health(&failing, seen, at(599), &LIMITS).health.state, HealthState::Error);
        assert!(judge_health(&failing, seen, at(600), &LIMITS).restart.is_some());
    }

    #[test]
    fn restarts_count_within_their_window() {
        let next = |restarts, window, now| RestartCount::with_one_more(restarts, window, at(now), &LIMITS);
        for (restarts, window, now, want) in
            [(0, None, 5, (1, 5)), (2, Some(0), 599, (3, 0)), (3, Some(0), 600, (1, 600)), (3, Some(0), 5, (4, 0))]
        {
            let count = next(restarts, window.map(at), now);
            assert_eq!((count.restarts, count.window_started_at), (want.0, at(want.1)));
        }
    }

    #[test]
    fn a_check_that_cannot_be_made_changes_nothing() {
        for state in HealthState::ALL {
            let before = health(state, 2, 1);
            let verdict = judge_health(&before, HealthObservation::CannotAsk, at(9999), &LIMITS);
            assert_eq!(verdict, HealthVerdict { health: before, is_news: false, restart: None });
        }
    }
}
