//! One wave: the turns of the next towns.

use gastown_domain::ports::{NewOperation, ObservedRollout, ReadyTown, StoreError, Touch, Touched};
use gastown_domain::{OperationKind, RolloutPass, TownId, UserId, image_of_town};

use super::{RolloutDriver, RolloutPassReport};

/// The reason of a pause of an undo that would give the same image again.
const SAME_IMAGE: &str = "an undo would give the same image again, because the settings name it; name the image of before in the \
     settings and resume, or start another rollout with --replace";

impl RolloutDriver {
    /// Gives at most so many towns their turn.
    pub(super) async fn wave(&self, observed: &ObservedRollout, most: u32) -> Result<RolloutPassReport, StoreError> {
        let mut report = RolloutPassReport::default();
        for ready in observed.ready.iter().take(most as usize) {
            let town = ready.town;
            if !self.changes_image(observed, town).await? {
                return self.pause(observed, SAME_IMAGE.to_owned()).await;
            }
            let restart = self.may_start(&ready.owner).await?.then(|| self.restart(ready));
            let is_skipped = restart.is_none();
            let (rollout, pass) = (observed.rollout.number, observed.rollout.state.pass());
            let limits = self.limits().health;
            let operation = restart.as_ref().map(|restart| restart.id);
            match self.ports.store.rollouts.touch(&Touch { rollout, pass, town, restart, limits }).await? {
                Touched::Accepted if is_skipped => report.skipped += 1,
                Touched::Accepted => {
                    report.touched += 1;
                    let op = operation.map(tracing::field::display);
                    tracing::info!(town.id = %town, op.id = op, %rollout, pass = pass.as_str(), "town restarted by rollout");
                }
                // The town is not running any more, or has an operation. The next pass looks again.
                Touched::Refused => {}
                Touched::Over => break,
            }
        }
        Ok(report)
    }

    /// Returns true if a restart of the town now changes its image as the pass wants.
    async fn changes_image(&self, observed: &ObservedRollout, town: TownId) -> Result<bool, StoreError> {
        match observed.rollout.state.pass() {
            RolloutPass::Out => Ok(true),
            RolloutPass::Back => {
                let deciding = self.ports.store.rollouts.deciding(town).await?;
                Ok(*image_of_town(&self.settings.machine.image, deciding.as_ref()) != observed.rollout.image)
            }
        }
    }

    /// Returns false for a blocked owner, whose town could not be started again.
    async fn may_start(&self, owner: &UserId) -> Result<bool, StoreError> {
        Ok(self.ports.store.users.user(owner).await?.is_some_and(|owner| !owner.is_blocked))
    }

    /// Returns the restart of a running town, or the start of one that a failed turn has stopped.
    fn restart(&self, ready: &ReadyTown) -> NewOperation {
        let timeouts = &self.settings.policy.timeouts;
        let (kind, timeout) = if ready.was_stopped {
            (OperationKind::Start, timeouts.start)
        } else {
            (OperationKind::Restart, timeouts.restart)
        };
        self.ports.env.operation_of_service((ready.town, &ready.owner), kind, Some(timeout))
    }
}
