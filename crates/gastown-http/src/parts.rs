use std::{sync::Arc, time::Duration};

use gastown_domain::ports::{HomeCalls, Metrics, Readiness, Towns, UserTokens};
use http::HeaderValue;
use tokio_util::task::TaskTracker;

use crate::{HandlerRuntime, trpc};

/// The ports and settings of the adapter.
#[derive(Clone)]
pub struct HttpParts {
    /// The operations on towns. They compare the pepper of each token.
    pub towns: Arc<dyn Towns>,
    /// The calls of sandboxes.
    pub home: Arc<dyn HomeCalls>,
    /// Verifies users' tokens.
    pub tokens: Arc<dyn UserTokens>,
    /// The check behind `/readyz`.
    pub readiness: Arc<dyn Readiness>,
    /// Counts calls.
    pub metrics: Arc<dyn Metrics>,
    /// Owns the calls in progress. A shutdown closes it and waits for it, so that no mutation is cut off.
    pub tasks: TaskTracker,
    /// Runs the handlers.
    pub handlers: HandlerRuntime,
    /// Limits and origins.
    pub settings: HttpSettings,
}

/// The settings of the adapter.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The limits of a request.
    pub trpc: trpc::Settings,
    /// Origins whose pages may call from a browser, such as `https://app.example.com`. Empty: none.
    pub allowed_origins: Vec<HeaderValue>,
    /// The time-out of the database for `/readyz`.
    pub readiness_limit: Duration,
    /// How long the result of a check is the answer to `/readyz`.
    pub readiness_max_age: Duration,
}

impl Default for HttpSettings {
    /// Returns the settings for production, without origins of browsers.
    fn default() -> Self {
        Self {
            trpc: trpc::Settings::default(),
            allowed_origins: Vec::new(),
            readiness_limit: Duration::from_secs(5),
            readiness_max_age: Duration::from_secs(1),
        }
    }
}
