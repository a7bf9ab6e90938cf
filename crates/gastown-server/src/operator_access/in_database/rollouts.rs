//! The rollout of an image, in the database.

use async_trait::async_trait;
use gastown_domain::ports::{NewRollout, RolloutOrder, Rollouts as _};

use super::InDatabase;
use crate::operator_access::AccessError;
use crate::operator_access::rollouts::{RolloutAccess, accepted, name_of};
use crate::reports::NewestRollout;

#[async_trait]
impl RolloutAccess for InDatabase {
    async fn rollout(&self) -> Result<NewestRollout, AccessError> {
        let report = self.database.report().await.map_err(AccessError::Read)?;
        Ok(report.as_ref().into())
    }

    async fn start_rollout(&self, new: &NewRollout) -> Result<NewestRollout, AccessError> {
        let changed = self.database.start(new, &self.actor).await.map_err(AccessError::Write)?;
        accepted(changed, "start another one")?;
        self.rollout().await
    }

    async fn change_rollout(&self, order: RolloutOrder) -> Result<NewestRollout, AccessError> {
        let changed = self.database.order(order, &self.actor).await.map_err(AccessError::Write)?;
        accepted(changed, name_of(order))?;
        self.rollout().await
    }
}
