//! Apps that were just made.
//!
//! For up to a minute Fly may not know a new app everywhere: calls on it are answered 401 or 404, as if our token or the
//! app were wrong (fly-go waits them out).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gastown_domain::AppName;
use tokio::time::Instant;

/// For how long an app counts as young.
const YOUTH: Duration = Duration::from_secs(60);

/// The apps this client and its clones have made lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct YoungApps(Arc<Mutex<HashMap<AppName, Instant>>>);

impl YoungApps {
    /// An app was made just now.
    pub(crate) fn born(&self, app: &AppName) {
        let now = Instant::now();
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.retain(|_, born| now < *born + YOUTH);
        apps.insert(app.clone(), now);
    }

    /// Whether the app was made within the last minute.
    pub(crate) fn has(&self, app: &AppName) -> bool {
        let apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.get(app).is_some_and(|born| Instant::now() < *born + YOUTH)
    }
}
