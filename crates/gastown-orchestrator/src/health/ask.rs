//! One question to each sandbox of a batch.

use std::sync::Arc;

use gastown_domain::ports::{CheckNeed, HealthCheck, SandboxError};
use gastown_domain::{AppName, HealthReason, MachineId};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::HealthMonitor;
use crate::rigs::address_of_machine;

/// The answer of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is well.
    Healthy,
    /// It answers, and something is wrong.
    Failed(HealthReason),
    /// There was no answer from this machine.
    Silent(AppName, MachineId),
    /// The town was not asked.
    NotAsked,
    /// The town is not running.
    NotRunning,
}

/// A town and its answer.
pub(super) type Asked = (HealthCheck, Answer);

impl HealthMonitor {
    /// Starts to ask each sandbox, as soon as there is a slot. Returns once the last one is being asked.
    pub(super) async fn ask_each(&self, checks: Vec<HealthCheck>, slots: &Arc<Semaphore>) -> JoinSet<Asked> {
        let mut asking = JoinSet::new();
        for check in checks {
            let machine = check.machine.clone().filter(|_| check.need == CheckNeed::Check);
            let (Some(machine), Ok(app)) = (machine, self.settings.apps.app_of(&check.owner)) else {
                asking.spawn(std::future::ready((check.clone(), unasked(&check))));
                continue;
            };
            let Ok(slot) = Arc::clone(slots).acquire_owned().await else { break };
            let monitor = self.clone();
            let span = tracing::debug_span!("health_check", town.id = %check.town);
            let ask = async move {
                let answer = monitor.ask(&check, app, machine).await;
                drop(slot);
                (check, answer)
            };
            asking.spawn(ask.instrument(span));
        }
        asking
    }

    /// Asks one sandbox. A slow one holds its slot no longer than the time limit.
    async fn ask(&self, check: &HealthCheck, app: AppName, machine: MachineId) -> Answer {
        let keys = self.ports.secrets.towns.as_ref();
        let at = address_of_machine(&app, keys, check.town, &machine);
        let limit = self.settings.policy.monitor.timeout;
        match timeout(limit, self.ports.provider.sandboxes.health(&at)).await {
            Ok(Ok(())) => Answer::Healthy,
            Ok(Err(error)) => {
                tracing::debug!(town.id = %check.town, error = &error as &dyn std::error::Error, "health check failed");
                reason_of(&error).map_or(Answer::Silent(app, machine), Answer::Failed)
            }
            Err(_) => Answer::Silent(app, machine),
        }
    }
}

const fn unasked(check: &HealthCheck) -> Answer {
    match check.need {
        CheckNeed::NotRunning => Answer::NotRunning,
        CheckNeed::Check | CheckNeed::Busy => Answer::NotAsked,
    }
}

/// Returns the reason that an answer gives, or `None` if there was none.
const fn reason_of(error: &SandboxError) -> Option<HealthReason> {
    match error {
        SandboxError::Unreachable { .. } => None,
        SandboxError::Unhealthy { reason } => Some(*reason),
        SandboxError::Unauthorized => Some(HealthReason::KeyRefused),
        SandboxError::Wrong { .. } | SandboxError::Refused { .. } | SandboxError::InTheWay { .. } => {
            Some(HealthReason::WrongAnswer)
        }
    }
}
