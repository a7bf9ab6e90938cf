//! Apps that were created a moment ago.
//!
//! For up to a minute some of Fly's hosts may not know a new app. They answer calls on it with 401 or 404, as if our token
//! or the app were wrong (fly-go waits for it).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gastown_domain::AppName;
use tokio::time::Instant;

/// How long an app counts as recently created.
const RECENT: Duration = Duration::from_secs(60);

/// The apps that this client and its clones have created lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentlyCreatedApps(Arc<Mutex<HashMap<AppName, Instant>>>);

impl RecentlyCreatedApps {
    /// Records that the app was created now.
    pub(crate) fn insert(&self, app: &AppName) {
        let now = Instant::now();
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.retain(|_, created| now < *created + RECENT);
        apps.insert(app.clone(), now);
    }

    /// Returns true if the app was created within the last minute.
    pub(crate) fn contains(&self, app: &AppName) -> bool {
        let apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.get(app).is_some_and(|created| Instant::now() < *created + RECENT)
    }
}
