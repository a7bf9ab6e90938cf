//! The tRPC router.

use std::sync::Arc;
use std::time::Duration;

use gastown_http::{HandlerRuntime, HttpParts, HttpSettings};
use gastown_orchestrator::TownService;
use tokio_util::task::TaskTracker;

use crate::build_error::{BuildError, Mistakes};
use crate::gastown::Gastown;
use crate::plan::Plan;
use crate::ports_of_builder::PortSet;

/// The time of a call beyond its wait for an operation, for the registry.
pub(crate) const REGISTRY_TIME: Duration = Duration::from_secs(30);

impl Gastown {
    /// Returns the tRPC router: `/trpc/<procedure>`, `/healthz` and `/readyz`, with limits, request ids and spans.
    ///
    /// Merge it into a router of your own, or nest it below a path.
    pub fn router(&self) -> axum::Router {
        gastown_http::router(self.http_parts())
    }

    /// Returns the parts of the router, to change one before [`gastown_http::router`] puts them together.
    pub fn http_parts(&self) -> HttpParts {
        self.http.clone()
    }
}

impl Plan {
    /// Returns the parts of the router. A call outlasts the wait for its operation.
    pub(crate) fn http_parts(
        &self,
        service: &TownService,
        ports: &PortSet,
        calls: &TaskTracker,
    ) -> Result<HttpParts, BuildError> {
        let given = (ports.user_tokens.clone(), ports.readiness.clone(), ports.metrics.clone());
        let (Some(tokens), Some(readiness), Some(metrics)) = given else {
            return Err(BuildError::Invalid(Mistakes::default()));
        };
        let mut settings = HttpSettings::clone(&self.http);
        settings.trpc.time_limit = self.call_time_limit();
        Ok(HttpParts {
            towns: Arc::new(service.clone()),
            home: Arc::new(service.clone()),
            tokens,
            readiness,
            metrics,
            tasks: calls.clone(),
            handlers: HandlerRuntime::of_connections(),
            settings,
        })
    }

    /// Returns the time of a call: the wait for its operation, and the registry.
    pub(crate) fn call_time_limit(&self) -> Duration {
        self.settings.policy.timeouts.caller + REGISTRY_TIME
    }
}
