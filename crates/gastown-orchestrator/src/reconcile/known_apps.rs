//! The apps that the provider has shown to this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gastown_domain::AppName;
use tokio::time::Instant;

/// Time for which an answer is trusted.
const VALID: Duration = Duration::from_secs(3600);

/// The maximum number of apps that are remembered.
const MAX_APPS: usize = 10_000;

/// Remembers which apps exist, so that not every create reads its app.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownApps(Arc<Mutex<HashMap<AppName, Instant>>>);

impl KnownApps {
    /// Returns true if the provider has shown the app within the last hour.
    pub(super) fn contains(&self, app: &AppName) -> bool {
        let apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.get(app).is_some_and(|at| at.elapsed() < VALID)
    }

    /// Remembers that the provider has just shown the app.
    pub(super) fn insert(&self, app: &AppName) {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if apps.len() >= MAX_APPS {
            apps.clear();
        }
        apps.insert(app.clone(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_app_is_known_for_an_hour() {
        let (apps, app) = (KnownApps::default(), "towns".parse().unwrap());
        assert!(!apps.contains(&app));
        apps.insert(&app);
        assert!(apps.contains(&app));
        tokio::time::advance(VALID).await;
        assert!(!apps.contains(&app));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_known_apps_is_bounded() {
        let apps = KnownApps::default();
        for number in 0..=MAX_APPS {
            apps.insert(&format!("app-{number}").parse().unwrap());
        }
        assert_eq!(apps.0.lock().unwrap().len(), 1);
    }
}
