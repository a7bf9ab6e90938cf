//! The alarms of the overview, from the state of the registry. Pure.

use std::time::Duration;

use gastown_domain::ports::{JobState, RegistryFigures};
use gastown_domain::{Drift, HealthState, Recorded, RolloutState};

/// The time after which a due operation that no process drives shows that no worker runs.
const LATE: Duration = Duration::from_secs(60);

/// The urgency of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// An operator must act.
    Alarm,
    /// The service is degraded.
    Warning,
}

impl Severity {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Warning => "warning",
        }
    }
}

/// A reason why the service is not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) severity: Severity,
    pub(crate) text: String,
    /// The page with the details.
    pub(crate) page: &'static str,
}

/// Returns every reason, alarms first.
pub(crate) fn notices(figures: &RegistryFigures, jobs: &[JobState]) -> Vec<Notice> {
    let notice = |severity, text: String, page| Notice { severity, text, page };
    let mut all: Vec<_> = jobs.iter().filter_map(of_job).chain(of_rollout(figures)).collect();
    let health = |state| count(&figures.health, |known: &HealthState| *known == state);
    let drifted = count(&figures.drifted, |_: &Drift| true) + newer(&figures.drifted);
    for (severity, number, one, many, page) in [
        (Severity::Alarm, figures.stuck, "operation keeps failing", "operations keep failing", "/console/operations"),
        (
            Severity::Alarm,
            health(HealthState::Error),
            "town did not get well by restarts",
            "towns did not get well by restarts",
            "/console/towns?health=error",
        ),
        (
            Severity::Warning,
            health(HealthState::Unhealthy),
            "town is unhealthy and is restarted",
            "towns are unhealthy and are restarted",
            "/console/towns?health=unhealthy",
        ),
        (
            Severity::Warning,
            drifted,
            "town was changed from outside",
            "towns were changed from outside",
            "/console/towns?health=drift",
        ),
        (Severity::Warning, figures.orphans, "orphan at the provider", "orphans at the provider", "/console/orphans"),
        (
            Severity::Warning,
            figures.left_to_newer,
            "operation waits for a newer version of this service",
            "operations wait for a newer version of this service",
            "/console/operations",
        ),
    ] {
        if number > 0 {
            all.push(notice(severity, format!("{number} {}", if number == 1 { one } else { many }), page));
        }
    }
    if figures.oldest_due >= LATE {
        let seconds = figures.oldest_due.as_secs();
        let text = format!("an operation has been due for {seconds} s and no worker drives it");
        all.push(notice(Severity::Alarm, text, "/console/operations"));
    }
    all.sort_by_key(|notice| notice.severity != Severity::Alarm);
    all
}

fn of_rollout(figures: &RegistryFigures) -> Option<Notice> {
    let is_paused = |state: &RolloutState| state.is_active() && !state.is_driven();
    let text = "the rollout is paused".to_owned();
    let notice = Notice { severity: Severity::Alarm, text, page: "/console/rollout" };
    (count(&figures.rollouts, is_paused) > 0).then_some(notice)
}

fn of_job(state: &JobState) -> Option<Notice> {
    let alarm = state.alarm.as_ref()?;
    let meaning = match alarm {
        Recorded::Known(known) => known.message(),
        Recorded::Newer(_) => "of a newer version of this service",
    };
    let text = format!("periodic job {}: {} ({meaning})", state.job.as_str(), alarm.as_str());
    Some(Notice { severity: Severity::Alarm, text, page: "/console/operations" })
}

fn count<T>(counted: &[(Option<T>, u64)], is_meant: impl Fn(&T) -> bool) -> u64 {
    counted.iter().filter(|(value, _)| value.as_ref().is_some_and(&is_meant)).map(|(_, number)| number).sum()
}

fn newer<T>(counted: &[(Option<T>, u64)]) -> u64 {
    counted.iter().filter(|(value, _)| value.is_none()).map(|(_, number)| number).sum()
}

#[cfg(test)]
mod tests {
    use gastown_domain::ports::{Alarm, SingletonJob};

    use super::*;

    fn shown(figures: &RegistryFigures, jobs: &[JobState]) -> Vec<String> {
        let line = |notice: Notice| format!("{}: {} -> {}", notice.severity.as_str(), notice.text, notice.page);
        notices(figures, jobs).into_iter().map(line).collect()
    }

    #[test]
    fn a_service_that_is_well_has_no_notices() {
        let well = RegistryFigures {
            health: vec![(Some(HealthState::Healthy), 9), (Some(HealthState::Unknown), 1)],
            oldest_due: Duration::from_secs(59),
            due: 3,
            ..RegistryFigures::default()
        };
        let job = JobState { job: SingletonJob::Orphans, ended_at: None, alarm: None };
        assert_eq!(shown(&well, &[job]), [""; 0]);
    }

    #[test]
    fn every_reason_is_shown_with_its_page_alarms_first() {
        let figures = RegistryFigures {
            drifted: vec![(Some(Drift::MachineStopped), 2), (None, 1)],
            health: vec![(Some(HealthState::Unhealthy), 1), (Some(HealthState::Error), 2), (None, 4)],
            stuck: 1,
            left_to_newer: 1,
            orphans: 5,
            oldest_due: Duration::from_secs(61),
            ..RegistryFigures::default()
        };
        let job = |alarm| JobState { job: SingletonJob::DriftCheck, ended_at: None, alarm: Some(alarm) };
        let jobs = [job(Recorded::Known(Alarm::Refused)), job(Recorded::Newer("melted".to_owned()))];
        assert_eq!(
            shown(&figures, &jobs),
            [
                "alarm: periodic job inspection: refused (the provider refuses every request; check the token, the \
                 organization and the app) -> /console/operations",
                "alarm: periodic job inspection: melted (of a newer version of this service) -> /console/operations",
                "alarm: 1 operation keeps failing -> /console/operations",
                "alarm: 2 towns did not get well by restarts -> /console/towns?health=error",
                "alarm: an operation has been due for 61 s and no worker drives it -> /console/operations",
                "warning: 1 town is unhealthy and is restarted -> /console/towns?health=unhealthy",
                "warning: 3 towns were changed from outside -> /console/towns?health=drift",
                "warning: 5 orphans at the provider -> /console/orphans",
                "warning: 1 operation waits for a newer version of this service -> /console/operations",
            ]
        );
    }
}
