//! Collects settings and ports, checks all of them at once, and builds the control plane.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::Clock;
use gastown_domain::{AppPlacement, Gigabytes, Guest, ImageRef, Region};
use gastown_orchestrator::{MachineTemplate, Policy, SandboxEnv, Settings};
use gastown_system::SystemClock;
use secrecy::ExposeSecret as _;

use crate::build_error::{BuildError, Mistakes};
use crate::gastown::Gastown;
use crate::given::Given;
use crate::http_url::HttpUrl;
use crate::plan::Plan;
use crate::ports_of_builder::{OF_DATABASE, OF_PROVIDER, OF_SECRETS, PortSet};
use crate::secrets::SecretSettings;

/// The time that a shutdown leaves to calls in progress, unless another is set.
const GRACE_PERIOD: Duration = Duration::from_secs(25);

/// Builds a [`Gastown`]. What is not set has the value of production.
///
/// Required are a database, a provider, the secrets, an image and the environment of the sandboxes. A port that is given
/// replaces that of an adapter. An adapter whose ports are all replaced need not be set.
#[must_use = "a builder does nothing until `build` is awaited"]
pub struct GastownBuilder {
    pub(crate) ports: PortSet,
    #[cfg(feature = "postgres")]
    pub(crate) database: Option<gastown_persistence::DatabaseSettings>,
    #[cfg(feature = "postgres")]
    pub(crate) blocked_column: Option<gastown_persistence::BlockedColumn>,
    #[cfg(feature = "postgres")]
    pub(crate) migrate: bool,
    #[cfg(feature = "fly")]
    pub(crate) fly: Option<crate::fly::FlySettings>,
    #[cfg(feature = "fly")]
    pub(crate) sandbox_url: Option<Given<gastown_sandbox::UrlTemplate>>,
    #[cfg(feature = "sim")]
    pub(crate) simulation: Option<fly_sim::SimConfig>,
    #[cfg(feature = "http")]
    pub(crate) http: gastown_http::HttpSettings,
    #[cfg(feature = "server")]
    pub(crate) connections: gastown_http::connections::ConnectionLimits,
    pub(crate) secrets: Option<SecretSettings>,
    pub(crate) placement: Option<AppPlacement>,
    pub(crate) image: Option<Given<ImageRef>>,
    pub(crate) regions: Vec<Given<Region>>,
    pub(crate) guest: Guest,
    pub(crate) volume: Gigabytes,
    pub(crate) env: Option<SandboxEnv>,
    pub(crate) policy: Policy,
    pub(crate) grace_period: Duration,
    #[cfg(feature = "metrics")]
    pub(crate) prometheus: Option<crate::figures::Prometheus>,
}

impl Default for GastownBuilder {
    fn default() -> Self {
        Self {
            ports: PortSet::default(),
            #[cfg(feature = "postgres")]
            database: None,
            #[cfg(feature = "postgres")]
            blocked_column: None,
            #[cfg(feature = "postgres")]
            migrate: false,
            #[cfg(feature = "fly")]
            fly: None,
            #[cfg(feature = "fly")]
            sandbox_url: None,
            #[cfg(feature = "sim")]
            simulation: None,
            #[cfg(feature = "http")]
            http: gastown_http::HttpSettings::default(),
            #[cfg(feature = "server")]
            connections: gastown_http::connections::ConnectionLimits::default(),
            secrets: None,
            placement: None,
            image: None,
            regions: vec!["iad".into()],
            guest: Guest::TOWN,
            volume: Gigabytes::TOWN,
            env: None,
            policy: Policy::production(),
            grace_period: GRACE_PERIOD,
            #[cfg(feature = "metrics")]
            prometheus: None,
        }
    }
}

impl GastownBuilder {
    /// Sets the database of the registry: an address, `postgres://…` or `sqlite://…`, or whole settings.
    #[cfg(feature = "postgres")]
    pub fn database(mut self, database: impl Into<gastown_persistence::DatabaseSettings>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// Brings the schema up to date in `build`. Otherwise a schema with pending migrations is an error.
    #[cfg(feature = "postgres")]
    pub fn migrate_at_start(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Sets the column of `kilocode_users` that tells if a user is blocked. By default it is `blocked_reason`, if the table
    /// has it.
    #[cfg(feature = "postgres")]
    pub fn blocked_column(mut self, column: gastown_persistence::BlockedColumn) -> Self {
        self.blocked_column = Some(column);
        self
    }

    /// Sets Fly.io as the provider.
    #[cfg(feature = "fly")]
    pub fn fly(mut self, fly: crate::fly::FlySettings) -> Self {
        self.fly = Some(fly);
        self
    }

    /// Sets the template of the sandboxes' addresses, with the placeholders `{app}` and `{machine_id}`. The default is that of
    /// sandboxes at Fly.
    #[cfg(feature = "fly")]
    pub fn sandbox_url(mut self, template: impl Into<Given<gastown_sandbox::UrlTemplate>>) -> Self {
        self.sandbox_url = Some(template.into());
        self
    }

    /// Replaces the provider's ports `Apps`, `Volumes`, `Machines` and `Inventory` with one adapter.
    pub fn provider<P>(self, adapter: Arc<P>) -> Self
    where
        P: gastown_domain::ports::Apps
            + gastown_domain::ports::Volumes
            + gastown_domain::ports::Machines
            + gastown_domain::ports::Inventory
            + 'static,
    {
        self.apps(adapter.clone()).volumes(adapter.clone()).machines(adapter.clone()).inventory(adapter)
    }

    /// Sets the secrets.
    pub fn secrets(mut self, secrets: SecretSettings) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// Sets the apps that towns are in, for a provider other than Fly. The settings of Fly have their own.
    pub fn placement(mut self, placement: AppPlacement) -> Self {
        self.placement = Some(placement);
        self
    }

    /// Sets the image of the sandboxes, pinned by digest in production.
    pub fn image(mut self, image: impl Into<Given<ImageRef>>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// Sets the regions in order of preference. The default is `iad`.
    pub fn regions<R: Into<Given<Region>>>(mut self, regions: impl IntoIterator<Item = R>) -> Self {
        self.regions = regions.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the size of the town's machine and of its volume.
    pub fn size(mut self, guest: Guest, volume: Gigabytes) -> Self {
        (self.guest, self.volume) = (guest, volume);
        self
    }

    /// Sets the environment of the sandboxes.
    pub fn sandbox_env(mut self, env: SandboxEnv) -> Self {
        self.env = Some(env);
        self
    }

    /// Sets time limits, limits and delays.
    pub fn policy(mut self, policy: impl Into<Policy>) -> Self {
        self.policy = policy.into();
        self
    }

    /// Sets limits and origins of the router. The time of a call follows from the policy: the wait for an operation, and 30 s.
    #[cfg(feature = "http")]
    pub fn http(mut self, http: gastown_http::HttpSettings) -> Self {
        self.http = http;
        self
    }

    /// Sets the limits of the connections of [`Gastown::serve`]. The limit of file descriptors lowers them.
    #[cfg(feature = "server")]
    pub fn connections(mut self, limits: gastown_http::connections::ConnectionLimits) -> Self {
        self.connections = limits;
        self
    }

    /// Counts events in these metrics. While the control plane runs, it sets their gauges from the registry at this interval.
    /// [`gastown_metrics::endpoint`] serves them.
    #[cfg(feature = "metrics")]
    pub fn prometheus(mut self, metrics: Arc<gastown_metrics::PrometheusMetrics>, every: Duration) -> Self {
        self.prometheus = Some(crate::figures::Prometheus { metrics: Arc::clone(&metrics), every });
        self.metrics(metrics)
    }

    /// Sets the time that a shutdown leaves to calls in progress. The default is 25 s.
    pub fn grace_period(mut self, grace_period: Duration) -> Self {
        self.grace_period = grace_period;
        self
    }

    /// Checks everything, then connects to the database. No operation is claimed yet.
    ///
    /// Errors: `Invalid` names everything that is missing or wrong, and nothing was connected or started. The others are those
    /// of the database and of the clients.
    pub async fn build(mut self) -> Result<Gastown, BuildError> {
        #[cfg(feature = "sim")]
        self.fill_for_simulation();
        let plan = self.checked().map_err(BuildError::Invalid)?;
        plan.carry_out().await
    }

    /// Checks everything without any effect.
    fn checked(self) -> Result<Plan, Mistakes> {
        let mut mistakes = Mistakes::default();
        let plan = self.planned(&mut mistakes);
        match plan {
            Some(plan) if mistakes.0.is_empty() => Ok(plan),
            _ => Err(mistakes),
        }
    }

    fn planned(self, mistakes: &mut Mistakes) -> Option<Plan> {
        self.report_missing(mistakes);
        #[cfg(feature = "postgres")]
        if let Some(database) = &self.database {
            crate::database::check(database, mistakes);
        }
        #[cfg(feature = "fly")]
        let fly = self.fly.and_then(|fly| fly.checked(self.policy.timeouts.lease, mistakes));
        #[cfg(feature = "fly")]
        let placement = self.placement.or_else(|| fly.as_ref().map(|fly| fly.apps.clone()));
        #[cfg(not(feature = "fly"))]
        let placement = self.placement;
        #[cfg(feature = "fly")]
        let template = crate::fly::checked_template(self.sandbox_url, mistakes);
        let secrets = self.secrets.and_then(|secrets| secrets.checked(mistakes));
        let image = self.image.and_then(|image| image.value("image", mistakes));
        let regions = regions(self.regions, mistakes);
        let env = self.env.filter(|env| check_env(env, mistakes));
        let policy = mistakes.checked("policy", self.policy.validated());
        let machine = MachineTemplate { image: image?, guest: self.guest, volume: self.volume };
        let clock = self.ports.clock.clone().unwrap_or_else(|| Arc::new(SystemClock) as Arc<dyn Clock>);
        Some(Plan {
            settings: Settings { apps: placement?, regions: regions?, machine, env: env?, policy: policy? },
            ports: self.ports,
            clock,
            secrets,
            #[cfg(feature = "postgres")]
            database: self.database,
            #[cfg(feature = "postgres")]
            blocked_column: self.blocked_column,
            #[cfg(feature = "postgres")]
            migrate: self.migrate,
            #[cfg(feature = "fly")]
            fly,
            #[cfg(feature = "fly")]
            template: template?,
            #[cfg(feature = "sim")]
            simulation: self.simulation,
            #[cfg(feature = "http")]
            http: self.http,
            #[cfg(feature = "server")]
            connections: self.connections,
            grace_period: self.grace_period,
            #[cfg(feature = "metrics")]
            prometheus: self.prometheus,
        })
    }

    /// Reports every setting that is absent, with the ports that would replace it.
    fn report_missing(&self, mistakes: &mut Mistakes) {
        #[cfg(feature = "postgres")]
        let has_database = self.database.is_some();
        #[cfg(not(feature = "postgres"))]
        let has_database = false;
        #[cfg(feature = "fly")]
        let (has_fly, has_sandboxes) = (self.fly.is_some(), self.fly.is_some() || self.sandbox_url.is_some());
        #[cfg(not(feature = "fly"))]
        let (has_fly, has_sandboxes) = (false, false);
        let of_sandboxes: &[&str] = &["sandboxes"];
        // Without any port of a provider, Fly is what is missing. Its addresses and apps follow from it.
        let is_own_provider = !has_fly && self.ports.missing(&OF_PROVIDER).len() < OF_PROVIDER.len();
        for (setting, is_set, ports) in [
            ("database", has_database, &OF_DATABASE[..]),
            ("fly", has_fly, &OF_PROVIDER[..]),
            ("sandbox_url", has_sandboxes || !is_own_provider, of_sandboxes),
            ("secrets", self.secrets.is_some(), &OF_SECRETS[..]),
        ] {
            let missing = self.ports.missing(ports);
            if !is_set && !missing.is_empty() {
                mistakes.add(setting, format_args!("is missing, or instead of it: {}", missing.join(", ")));
            }
        }
        if is_own_provider && self.placement.is_none() {
            mistakes.add("placement", "is missing, the apps that towns are in");
        }
        for (setting, is_set) in [("image", self.image.is_some()), ("sandbox_env", self.env.is_some())] {
            if !is_set {
                mistakes.add(setting, "is missing");
            }
        }
    }
}

fn regions(given: Vec<Given<Region>>, mistakes: &mut Mistakes) -> Option<Vec<Region>> {
    if given.is_empty() {
        mistakes.add("regions", "is invalid: must name at least one region");
        return None;
    }
    let regions: Vec<_> = given.into_iter().map(|region| region.value("regions", mistakes)).collect();
    regions.into_iter().collect()
}

/// Checks the addresses and names in the environment. Returns true if all are right.
fn check_env(env: &SandboxEnv, mistakes: &mut Mistakes) -> bool {
    let before = mistakes.0.len();
    mistakes.checked("sandbox_env.kilo_api_url", env.kilo_api_url.parse::<HttpUrl>());
    if let Some(endpoint) = &env.r2_endpoint {
        mistakes.checked("sandbox_env.r2_endpoint", endpoint.parse::<HttpUrl>());
    }
    if let Some(home) = &env.gastown_cloud_url {
        mistakes.checked("sandbox_env.gastown_cloud_url", home.parse::<HttpUrl>().and_then(HttpUrl::for_paths));
    }
    for (setting, text) in [
        ("sandbox_env.r2_bucket", env.r2_bucket.as_str()),
        ("sandbox_env.r2_access_key", env.r2_access_key.expose_secret()),
    ] {
        if text.trim().is_empty() {
            mistakes.add(setting, "is missing");
        }
    }
    mistakes.0.len() == before
}
