//! `Apps` on Fly.

use async_trait::async_trait;
use gastown_domain::{
    AppName,
    ports::{Action, Apps, ProviderError},
};

use crate::{
    api::{
        self, Subject,
        apps::{App, CreateApp},
    },
    fly::{AppPolicy, Fly},
    mapping::errors::port_error,
    refusal::Refusal,
    sanitize::sanitize,
};

const ACTION: Action = Action::EnsureApp;
/// Fly's alias for a person's own organization; reads show the real slug instead.
const PERSONAL: &str = "personal";

#[async_trait]
impl Apps for Fly {
    async fn ensure(&self, app: &AppName) -> Result<(), ProviderError> {
        let look = api::apps::get(app.as_str());
        let missing = match self.client.ask::<App>(&look).await {
            Ok(found) => return self.is_ours(app, &found),
            Err(error) => error,
        };
        let AppPolicy::Created { org_slug, .. } = &self.apps else { return Err(port_error(ACTION, missing)) };
        if missing.refusal() != Some(&Refusal::NotFound(Subject::App)) {
            return Err(self.failed(app, ACTION, missing));
        }
        let create = api::apps::create(&CreateApp { name: app.as_str(), org_slug, network: Some(app.as_str()) });
        match self.client.tell(&create).await {
            Ok(()) => {}
            // Somebody was faster, perhaps ourselves in an earlier try: the look below says who.
            Err(error) if error.refusal() == Some(&Refusal::AppNameTaken) => {}
            Err(error) => return Err(port_error(ACTION, error)),
        }
        self.young.born(app);
        match self.client.ask::<App>(&look).await {
            Ok(found) => self.is_ours(app, &found),
            Err(error) => Err(self.failed(app, ACTION, error)),
        }
    }
}

impl Fly {
    fn is_ours(&self, app: &AppName, found: &App) -> Result<(), ProviderError> {
        let AppPolicy::Created { org_slug, .. } = &self.apps else { return Ok(()) };
        if found.organization.as_ref().is_some_and(|owner| org_slug != PERSONAL && *org_slug != owner.slug) {
            return Err(ProviderError::Misconfigured { action: ACTION, cause: Box::new(ForeignApp) });
        }
        match &found.network {
            // In a network that others are in, one user's towns could reach another's.
            Some(network) if network != app.as_str() => {
                let cause = Box::new(SharedNetwork { app: app.clone(), network: sanitize(network.as_bytes()) });
                Err(ProviderError::Misconfigured { action: ACTION, cause })
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the app belongs to another organization")]
struct ForeignApp;

#[derive(Debug, thiserror::Error)]
#[error(
    "the app {app} is in the network {network}, which is not its own: a network is fixed when an app is made, so delete \
     the app and make it again with the network {app}"
)]
struct SharedNetwork {
    app: AppName,
    network: String,
}
