//! The port `Apps`.

use async_trait::async_trait;
use gastown_domain::{
    AppName, AppPlacement,
    ports::{Action, Apps, ProviderError},
};

use crate::{
    api::{
        self, Subject,
        apps::{App, CreateApp},
    },
    fly::Fly,
    mapping::errors::provider_error,
    refusal::Refusal,
    sanitize::sanitize,
};

const ACTION: Action = Action::EnsureApp;
/// Fly's alias for a person's own organization. Answers show the real slug instead.
const PERSONAL: &str = "personal";

#[async_trait]
impl Apps for Fly {
    async fn ensure(&self, app: &AppName) -> Result<(), ProviderError> {
        let missing = match self.client.fetch::<App>(&api::apps::get(app.as_str())).await {
            Ok(found) => return self.check_ours(app, &found),
            Err(error) => error,
        };
        let AppPlacement::PerUser { organization, .. } = &self.apps else {
            return Err(provider_error(ACTION, missing));
        };
        if missing.refusal() != Some(&Refusal::NotFound(Subject::App)) {
            return Err(self.app_error(app, ACTION, missing));
        }
        self.create_app(app, organization).await
    }
}

impl Fly {
    async fn create_app(&self, app: &AppName, org_slug: &str) -> Result<(), ProviderError> {
        let create = api::apps::create(&CreateApp { name: app.as_str(), org_slug, network: Some(app.as_str()) });
        match self.client.send(&create).await {
            Ok(()) => {}
            // Another client was faster, or an earlier try of ours. The read below shows whose app it is.
            Err(error) if error.refusal() == Some(&Refusal::AppNameTaken) => {}
            Err(error) => return Err(provider_error(ACTION, error)),
        }
        self.recently_created.insert(app);
        match self.client.fetch::<App>(&api::apps::get(app.as_str())).await {
            Ok(found) => self.check_ours(app, &found),
            Err(error) => Err(self.app_error(app, ACTION, error)),
        }
    }

    /// Checks that an app belongs to our organization and has a network of its own.
    fn check_ours(&self, app: &AppName, found: &App) -> Result<(), ProviderError> {
        let AppPlacement::PerUser { organization, .. } = &self.apps else { return Ok(()) };
        if found.organization.as_ref().is_some_and(|owner| organization != PERSONAL && *organization != owner.slug) {
            return Err(ProviderError::Misconfigured { action: ACTION, cause: Box::new(ForeignApp) });
        }
        match &found.network {
            // In a shared network one user's towns could reach another's.
            Some(network) if network != app.as_str() => {
                let cause = Box::new(SharedNetwork { app: app.clone(), network: sanitize(network.as_bytes(), None) });
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
    "the app {app} is in the network {network}, which is not its own; a network is fixed when an app is created, so \
     delete the app and create it again with the network {app}"
)]
struct SharedNetwork {
    app: AppName,
    network: String,
}
