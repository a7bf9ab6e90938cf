//! The rollout of an image, for operators.

use async_trait::async_trait;
use gastown_domain::Rollout;
use gastown_domain::ports::{NewRollout, RolloutChanged, RolloutOrder};

use super::AccessError;
use crate::reports::NewestRollout;

/// An operator's access to the newest rollout. A repeated change is refused by the state, so a lost answer does no harm.
#[async_trait]
pub(crate) trait RolloutAccess: Send + Sync {
    /// Returns the newest rollout.
    async fn rollout(&self) -> Result<NewestRollout, AccessError>;

    /// Starts a rollout, and returns it.
    ///
    /// Errors: `Refused`.
    async fn start_rollout(&self, new: &NewRollout) -> Result<NewestRollout, AccessError>;

    /// Changes the newest rollout, and returns it.
    ///
    /// Errors: `Refused`.
    async fn change_rollout(&self, order: RolloutOrder) -> Result<NewestRollout, AccessError>;
}

/// Returns the name of a change, in commands and paths.
pub(crate) const fn name_of(order: RolloutOrder) -> &'static str {
    match order {
        RolloutOrder::Pause => "pause",
        RolloutOrder::Resume => "resume",
        RolloutOrder::Undo => "undo",
    }
}

/// Returns the change with this name.
pub(crate) fn order_named(name: &str) -> Option<RolloutOrder> {
    [RolloutOrder::Pause, RolloutOrder::Resume, RolloutOrder::Undo].into_iter().find(|order| name_of(*order) == name)
}

/// Returns the error of a change without a rollout.
pub(crate) fn no_rollout() -> AccessError {
    AccessError::refused("no_rollout", "there is no rollout: start one with `gastown rollout start`")
}

/// Fails with the reason of a refused change. `verb` is what was to be done.
pub(super) fn accepted(changed: RolloutChanged, verb: &str) -> Result<(), AccessError> {
    match changed {
        RolloutChanged::Done(_) => Ok(()),
        RolloutChanged::Refused(rollout) => Err(AccessError::refused("rollout_state", &wrong_state(&rollout, verb))),
        RolloutChanged::SmallerShare(rollout) => {
            Err(AccessError::refused("rollout_smaller_share", &smaller_share(&rollout)))
        }
        RolloutChanged::NotFound => Err(no_rollout()),
    }
}

fn wrong_state(rollout: &Rollout, verb: &str) -> String {
    let (number, state) = (rollout.number, rollout.state.as_str());
    format!("cannot {verb}: rollout {number} is {state}, see `gastown rollout status`")
}

/// Returns the text for a share that would leave the image to towns outside of it.
fn smaller_share(rollout: &Rollout) -> String {
    let Rollout { number, image, percent, .. } = rollout;
    let percent = percent.get();
    format!(
        "rollout {number} has brought {image} to {percent} % of the towns: start at least --percent {percent}, or take the \
         image back first with `gastown rollout undo`"
    )
}
