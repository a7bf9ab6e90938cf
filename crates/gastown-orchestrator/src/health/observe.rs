//! From the answers of a batch to observations.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use gastown_domain::ports::HealthCheck;
use gastown_domain::{AppName, HealthObservation, HealthReason, MachineId, Power};
use tokio::time::timeout;

use super::HealthMonitor;
use super::ask::{Answer, Asked};
use crate::singleton_jobs::is_alarming;

/// The time limit of one look at a machine.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// A town and what its check has shown.
pub(super) type Observed = (HealthCheck, HealthObservation);

impl HealthMonitor {
    /// Judges the answers of a batch together.
    ///
    /// If many sandboxes fail at once, our own network or a mistake of ours is likelier than that they all broke. Then none
    /// counts.
    pub(super) async fn observe(&self, answers: Vec<Asked>) -> Vec<Observed> {
        let asked = answers.iter().filter(|(_, answer)| was_asked(answer)).count();
        let failed = answers.iter().filter(|(_, answer)| has_failed(answer)).count();
        let policy = &self.settings.policy.monitor;
        if is_alarming(failed, asked, policy.alarm_threshold) {
            tracing::warn!(failed, asked, "many health checks failed at once; none of them counts");
            return answers.into_iter().map(|(check, answer)| (check, without_failure(&answer))).collect();
        }
        let looks = answers.into_iter().map(|(check, answer)| async move {
            let seen = match answer {
                Answer::Silent(app, machine) => self.look(&app, &machine).await,
                Answer::Failed(reason) => HealthObservation::Failed(reason),
                Answer::Healthy | Answer::NotAsked | Answer::NotRunning => without_failure(&answer),
            };
            (check, seen)
        });
        stream::iter(looks).buffer_unordered(policy.looks_at_once).collect().await
    }

    /// Returns a failure if the silent machine is on, as the provider says.
    async fn look(&self, app: &AppName, machine: &MachineId) -> HealthObservation {
        let look = self.ports.provider.machines.machine(app, machine);
        match timeout(LOOK_TIMEOUT, look).await {
            Ok(Ok(Some(found))) if found.power == Power::On => HealthObservation::Failed(HealthReason::NoAnswer),
            // The drift check finds a machine that is off or gone.
            Ok(Ok(_)) => HealthObservation::CannotAsk,
            Ok(Err(error)) => {
                let error: &dyn std::error::Error = &error;
                tracing::debug!(machine.id = %machine, error, "failed to look at silent machine");
                HealthObservation::CannotAsk
            }
            Err(_) => HealthObservation::CannotAsk,
        }
    }
}

const fn was_asked(answer: &Answer) -> bool {
    match answer {
        Answer::Healthy | Answer::Failed(_) | Answer::Silent(..) => true,
        Answer::NotAsked | Answer::NotRunning => false,
    }
}

const fn has_failed(answer: &Answer) -> bool {
    match answer {
        Answer::Failed(_) | Answer::Silent(..) => true,
        Answer::Healthy | Answer::NotAsked | Answer::NotRunning => false,
    }
}

/// Returns the observation of an answer whose failure does not count.
const fn without_failure(answer: &Answer) -> HealthObservation {
    match answer {
        Answer::Healthy => HealthObservation::Healthy,
        Answer::Failed(_) | Answer::Silent(..) | Answer::NotAsked => HealthObservation::CannotAsk,
        Answer::NotRunning => HealthObservation::NotRunning,
    }
}
