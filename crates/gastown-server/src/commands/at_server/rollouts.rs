//! The rollout of an image, at a server.

use async_trait::async_trait;
use gastown_domain::ports::{NewRollout, RolloutOrder};
use serde_json::{Value, json};

use super::{API, AtServer, OperatorServer, failed, opened};
use crate::commands::actor::actor;
use crate::commands::database;
use crate::operator_access::rollouts::{RolloutAccess, name_of};
use crate::operator_access::{AccessError, InDatabase};
use crate::reports::NewestRollout;
use crate::settings_source::Source;

impl OperatorServer {
    /// Returns the access to rollouts that is meant.
    ///
    /// Errors: as [`Self::access`].
    pub(in crate::commands) async fn rollouts(&self, source: &Source) -> anyhow::Result<Box<dyn RolloutAccess>> {
        match self.remote(source)? {
            Some(server) => Ok(Box::new(server)),
            None => Ok(Box::new(InDatabase::new(database::open(source).await?, actor(source)))),
        }
    }
}

impl AtServer {
    async fn change_at(&self, path: &str, body: &Value) -> Result<NewestRollout, AccessError> {
        let request = self.connection.post(&format!("{API}/rollout{path}")).json(body);
        let (status, answer) = self.connection.send(request).await.map_err(failed)?;
        opened(status, answer)
    }
}

#[async_trait]
impl RolloutAccess for AtServer {
    async fn rollout(&self) -> Result<NewestRollout, AccessError> {
        self.read("/rollout", &[]).await
    }

    async fn start_rollout(&self, new: &NewRollout) -> Result<NewestRollout, AccessError> {
        let NewRollout { image, percent, only_stopped, max_unavailable, replace } = new;
        let body = json!({
            "image": image,
            "percent": percent.get(),
            "onlyStopped": only_stopped,
            "maxUnavailable": max_unavailable.get(),
            "replace": replace,
        });
        self.change_at("", &body).await
    }

    async fn change_rollout(&self, order: RolloutOrder) -> Result<NewestRollout, AccessError> {
        self.change_at(&format!("/{}", name_of(order)), &json!({})).await
    }
}
