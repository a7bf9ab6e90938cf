//! The adapter: one client behind the domain's ports, and what the ports share.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::{
    AppName, AppPlacement, UserId,
    ports::{Action, Metrics, ProviderError},
};
use serde::de::DeserializeOwned;

use crate::{
    api::{self, Call, Entry, Subject, apps::App},
    client::FlyClient,
    error::FlyError,
    mapping::errors::{invalid_answer, provider_error},
    rate_limit::QueueStats,
    recently_created::RecentlyCreatedApps,
    refusal::Refusal,
};

/// Fly behind the domain's ports `Apps`, `Volumes`, `Machines` and `Inventory`. Tries each call once.
#[derive(Clone, Debug)]
pub struct Fly {
    pub(crate) client: FlyClient,
    pub(crate) apps: AppPlacement,
    pub(crate) stop_grace: Duration,
    pub(crate) recently_created: RecentlyCreatedApps,
}

impl Fly {
    /// The default time between the stop signal and the kill.
    const STOP_GRACE: Duration = Duration::from_secs(30);

    /// Returns the ports on this client.
    pub fn new(client: FlyClient, apps: AppPlacement) -> Self {
        Self { client, apps, stop_grace: Self::STOP_GRACE, recently_created: RecentlyCreatedApps::default() }
    }

    /// Returns the same ports with another time between the stop signal and the kill.
    #[must_use]
    pub fn with_stop_grace(self, stop_grace: Duration) -> Self {
        Self { stop_grace, ..self }
    }

    /// Returns the same ports, whose calls are counted.
    #[must_use]
    pub fn counted_by(&self, metrics: Arc<dyn Metrics>) -> Self {
        Self { client: self.client.counted_by(metrics), ..self.clone() }
    }

    /// Returns the same ports with background priority, for sweeps and inspections. Connections and rate limits are
    /// shared.
    #[must_use]
    pub fn in_background(&self) -> Self {
        Self { client: self.client.in_background(), ..self.clone() }
    }

    /// Returns the same ports for the calls of one user, who takes turns with other users in each queue.
    #[must_use]
    pub fn for_user(&self, user: &UserId) -> Self {
        Self { client: self.client.for_user(user.as_str()), ..self.clone() }
    }

    /// Returns the queues in which a call of this process waits, the longest wait first.
    pub fn queue_stats(&self) -> Vec<QueueStats> {
        self.client.queue_stats()
    }

    /// Returns the port's error for a call on an app. While the app is recently created, a refused token or a missing app
    /// is temporary.
    pub(crate) fn app_error(&self, app: &AppName, action: Action, error: FlyError) -> ProviderError {
        let may_be_new = matches!(error.refusal(), Some(Refusal::NotFound(Subject::App) | Refusal::Unauthorized));
        if may_be_new && self.recently_created.contains(app) {
            return ProviderError::NotNow { action, cause: Box::new(error) };
        }
        provider_error(action, error)
    }

    /// Fetches a list and skips entries that cannot be read, so that one bad entry does not affect other towns.
    ///
    /// An unreadable entry that mentions one of `wanted` makes the whole list unusable.
    pub(crate) async fn fetch_list<T: DeserializeOwned>(
        &self,
        app: &AppName,
        call: &Call,
        action: Action,
        wanted: &[&str],
    ) -> Result<Vec<T>, ProviderError> {
        let entries: Vec<Entry<T>> =
            self.client.fetch(call).await.map_err(|error| self.app_error(app, action, error))?;
        let (listed, mut read, mut unreadable) = (entries.len(), Vec::new(), 0_usize);
        for entry in entries {
            match entry {
                Entry::Read(shown) => read.push(shown),
                Entry::Unreadable(entry) if entry.mentions(wanted) => return Err(invalid_answer(action)),
                Entry::Unreadable(_) => unreadable += 1,
            }
        }
        log_unreadable(call, listed, unreadable);
        Ok(read)
    }

    /// Proves that an object is absent, where the error says that it does not exist. Any other error is returned.
    ///
    /// A 404 below an app is a proof only while the app itself answers (FM-33).
    pub(crate) async fn prove_absent(
        &self,
        app: &AppName,
        subject: Subject,
        action: Action,
        error: FlyError,
    ) -> Result<(), ProviderError> {
        if error.refusal() == Some(&Refusal::NotFound(subject)) {
            self.check_app_answers(app, action).await
        } else {
            Err(self.app_error(app, action, error))
        }
    }

    async fn check_app_answers(&self, app: &AppName, action: Action) -> Result<(), ProviderError> {
        match self.client.fetch::<App>(&api::apps::get(app.as_str())).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.app_error(app, action, error)),
        }
    }
}

/// Logs the number of list entries that were skipped.
pub(crate) fn log_unreadable(call: &Call, listed: usize, unreadable: usize) {
    if unreadable > 0 {
        tracing::warn!(
            fly.subject = call.identifier(),
            fly.action = ?call.action(),
            listed,
            unreadable,
            "unreadable list entries skipped"
        );
    }
}
