//! The ports on one client: what apps, machines and volumes share.

use std::time::Duration;

use gastown_domain::{
    AppName,
    ports::{Action, ProviderError},
};

use serde::de::DeserializeOwned;

use crate::{
    api::{self, Call, Entry, Subject, apps::App},
    client::FlyClient,
    error::FlyError,
    mapping::errors::port_error,
    recently_created::YoungApps,
    refusal::Refusal,
    rubbish::rubbish,
};

/// Fly behind the domain's ports `Apps`, `Volumes`, `Machines`, `Inventory` and `Lines`. Tries each call once; the driver repeats.
#[derive(Clone, Debug)]
pub struct Fly {
    pub(crate) client: FlyClient,
    pub(crate) apps: AppPolicy,
    pub(crate) stop_grace: Duration,
    pub(crate) young: YoungApps,
}

/// Whose apps the towns live in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppPolicy {
    /// One app, made by an operator: it is only looked at.
    Shared(AppName),
    /// Apps made as they are needed, in this organization, one per user, each with a private network of its own.
    Created {
        /// The organization's slug.
        org_slug: String,
        /// What their names begin with: `<prefix>-<20 hex>`.
        prefix: AppName,
    },
}

impl Fly {
    /// How long a sandbox has to end before it is killed.
    const STOP_GRACE: Duration = Duration::from_secs(30);

    /// The ports on this client.
    pub fn new(client: FlyClient, apps: AppPolicy) -> Self {
        Self { client, apps, stop_grace: Self::STOP_GRACE, young: YoungApps::default() }
    }

    /// The same with another time between the stop signal and the kill.
    #[must_use]
    pub fn with_stop_grace(self, stop_grace: Duration) -> Self {
        Self { stop_grace, ..self }
    }

    /// The same for what nobody waits for: sweeps, inspections. Connections and limits are shared.
    #[must_use]
    pub fn in_background(&self) -> Self {
        Self { client: self.client.in_background(), ..self.clone() }
    }

    /// The port's error for a call on an app. What reads as a wrong token or app is a matter of patience while the app is
    /// young.
    pub(crate) fn failed(&self, app: &AppName, action: Action, error: FlyError) -> ProviderError {
        let unsettled = matches!(error.refusal(), Some(Refusal::NotFound(Subject::App) | Refusal::Unauthorized));
        if unsettled && self.young.has(app) {
            return ProviderError::NotNow { action, cause: Box::new(error) };
        }
        port_error(action, error)
    }

    /// A list in which things of ours are looked for. An entry that cannot be read is passed over, or one would fail the
    /// looks of every town of the app; but where it mentions what is looked for, the list answers nothing.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        app: &AppName,
        call: &Call,
        action: Action,
        ours: &[&str],
    ) -> Result<Vec<T>, ProviderError> {
        let listed: Vec<Entry<T>> = self.client.ask(call).await.map_err(|error| self.failed(app, action, error))?;
        let (entries, mut read, mut unreadable) = (listed.len(), Vec::new(), 0_usize);
        for entry in listed {
            match entry {
                Entry::Read(shown) => read.push(shown),
                Entry::Unreadable(odd) if odd.mentions(ours) => return Err(rubbish(action)),
                Entry::Unreadable(_) => unreadable += 1,
            }
        }
        note_unreadable(call, entries, unreadable);
        Ok(read)
    }

    /// Proves that the app itself answers, without which no 404 below it means anything (FM-33).
    async fn app_answers(&self, app: &AppName, action: Action) -> Result<(), ProviderError> {
        match self.client.ask::<App>(&api::apps::get(app.as_str())).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(app, action, error)),
        }
    }

    /// Turns "no such machine / volume" into a proven absence, and everything else into the port's error.
    pub(crate) async fn proven_absent(
        &self,
        app: &AppName,
        subject: Subject,
        action: Action,
        error: FlyError,
    ) -> Result<(), ProviderError> {
        if error.refusal() == Some(&Refusal::NotFound(subject)) {
            self.app_answers(app, action).await
        } else {
            Err(self.failed(app, action, error))
        }
    }
}

/// Tells operators of entries that were passed over.
pub(crate) fn note_unreadable(call: &Call, listed: usize, unreadable: usize) {
    if unreadable > 0 {
        tracing::warn!(
            fly.subject = call.identifier(),
            fly.action = ?call.action(),
            listed,
            unreadable,
            "not every entry of Fly's list can be read"
        );
    }
}
