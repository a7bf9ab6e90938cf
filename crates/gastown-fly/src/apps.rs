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
    classify::Refusal,
    fly::{AppPolicy, Fly},
    port_error::port_error,
};

const ACTION: Action = Action::EnsureApp;
/// Fly's alias for a person's own organization; reads show the real slug instead.
const PERSONAL: &str = "personal";

#[async_trait]
impl Apps for Fly {
    async fn ensure(&self, app: &AppName) -> Result<(), ProviderError> {
        let look = api::apps::get(app.as_str());
        let missing = match self.client.ask::<App>(&look).await {
            Ok(found) => return self.is_ours(&found),
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
            Ok(found) => self.is_ours(&found),
            Err(error) => Err(self.failed(app, ACTION, error)),
        }
    }
}

impl Fly {
    fn is_ours(&self, app: &App) -> Result<(), ProviderError> {
        match (&self.apps, &app.organization) {
            (AppPolicy::Created { org_slug, .. }, Some(owner)) if org_slug != PERSONAL && *org_slug != owner.slug => {
                Err(ProviderError::Misconfigured { action: ACTION, cause: Box::new(ForeignApp) })
            }
            (AppPolicy::Created { .. } | AppPolicy::Shared(_), _) => Ok(()),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the app belongs to another organization")]
struct ForeignApp;
