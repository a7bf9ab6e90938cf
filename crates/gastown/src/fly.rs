//! The settings of Fly.io, and the ports on it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use gastown_domain::AppPlacement;
use gastown_domain::ports::{Metrics, NoMetrics};
use gastown_fly::{BaseUrl, Fly, FlyAppName, FlyAppPrefix, FlyClient, PUBLIC_BASE_URL, RateLimiting, Timeouts};
use gastown_orchestrator::SandboxEnv;
use gastown_sandbox::{DEFAULT_TEMPLATE, SandboxClient, UrlTemplate};
use secrecy::{ExposeSecret as _, SecretString};

use crate::build_error::{BuildError, Mistakes, set_up};
use crate::given::Given;
use crate::http_url::require_https;
use crate::ports_of_builder::PortSet;

/// The use of Fly.io: an account, the apps of towns, and the share of Fly's rate limits.
#[derive(Debug, Clone)]
pub struct FlySettings {
    apps: Apps,
    token: SecretString,
    base_url: Given<BaseUrl>,
    replicas: NonZeroU32,
    rate_limits: RateLimiting,
}

#[derive(Debug, Clone)]
enum Apps {
    Shared(Given<FlyAppName>),
    PerUser { organization: String, prefix: Given<FlyAppPrefix> },
    Placed(AppPlacement),
}

impl FlySettings {
    /// Returns settings with one app for all towns, which exists already.
    pub fn shared_app(app: impl Into<Given<FlyAppName>>, token: impl Into<SecretString>) -> Self {
        Self::of(Apps::Shared(app.into()), token.into())
    }

    /// Returns settings with one app per user, created when needed in this organization.
    pub fn app_per_user(
        organization: impl Into<String>,
        prefix: impl Into<Given<FlyAppPrefix>>,
        token: impl Into<SecretString>,
    ) -> Self {
        Self::of(Apps::PerUser { organization: organization.into(), prefix: prefix.into() }, token.into())
    }

    /// Returns settings with a placement that was checked already.
    pub fn placed(apps: AppPlacement, token: impl Into<SecretString>) -> Self {
        Self::of(Apps::Placed(apps), token.into())
    }

    fn of(apps: Apps, token: SecretString) -> Self {
        let base_url = PUBLIC_BASE_URL.into();
        Self { apps, token, base_url, replicas: NonZeroU32::MIN, rate_limits: RateLimiting::default() }
    }

    /// Sets the address of the Machines API. The default is the public one.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<Given<BaseUrl>>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Sets the number of processes that share Fly's rate limits. The default is 1.
    #[must_use]
    pub fn replicas(mut self, replicas: NonZeroU32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Sets the client's own limits on its calls. The default is Fly's limits.
    #[must_use]
    pub fn rate_limits(mut self, rate_limits: RateLimiting) -> Self {
        self.rate_limits = rate_limits;
        self
    }

    /// Returns the time limits of a call, which ends before a lease does.
    pub fn timeouts(lease: Duration) -> Timeouts {
        let usual = Timeouts::default();
        Timeouts { connect: usual.connect.min(lease / 3), call: usual.call.min(lease * 2 / 3) }
    }

    /// Returns this process's share of the rate limits. With one app per user it is the whole, because operations of one user
    /// rarely run in two processes at once.
    ///
    /// A call takes at most two thirds of a lease, and with its time in the queue at most one lease, for every share. After a
    /// takeover, a lost create may appear for as long as that.
    pub fn pacing(&self, lease: Duration) -> RateLimiting {
        let sharers = match &self.apps {
            Apps::Shared(_) | Apps::Placed(AppPlacement::Shared(_)) => self.replicas,
            Apps::PerUser { .. } | Apps::Placed(AppPlacement::PerUser { .. }) => NonZeroU32::MIN,
        };
        let RateLimiting::On(rates) = self.rate_limits else { return RateLimiting::Off };
        let rates = rates.shared_by(sharers);
        RateLimiting::On(rates.with_max_wait(rates.max_wait.min(Self::timeouts(lease).call / 2)))
    }

    /// Creates the adapter of Fly, whose calls fit this lease, without a control plane.
    ///
    /// Errors: `Invalid`, `SetUp`.
    pub fn adapter(self, lease: Duration) -> Result<Fly, BuildError> {
        let mut mistakes = Mistakes::default();
        let metrics: Arc<dyn Metrics> = Arc::new(NoMetrics);
        match self.checked(lease, &mut mistakes) {
            Some(fly) if mistakes.0.is_empty() => fly.adapter(&metrics),
            _ => Err(BuildError::Invalid(mistakes)),
        }
    }

    /// Checks the settings and reports all mistakes.
    pub(crate) fn checked(self, lease: Duration, mistakes: &mut Mistakes) -> Option<CheckedFly> {
        let (timeouts, pacing) = (Self::timeouts(lease), self.pacing(lease));
        let apps = match self.apps {
            Apps::Shared(app) => app.value("fly.app", mistakes).map(|app| AppPlacement::Shared(app.into())),
            Apps::PerUser { organization, prefix } => {
                let prefix = prefix.value("fly.prefix", mistakes);
                prefix.map(|prefix| AppPlacement::PerUser { organization, prefix: prefix.into() })
            }
            Apps::Placed(apps) => Some(apps),
        };
        let base_url = self.base_url.value("fly.base_url", mistakes);
        let base_url =
            base_url.and_then(|url| mistakes.checked("fly.base_url", require_https(url.as_url()).map(|()| url)));
        if self.token.expose_secret().trim().is_empty() {
            mistakes.add("fly.token", "is missing");
        }
        Some(CheckedFly { apps: apps?, token: self.token, base_url: base_url?, timeouts, pacing })
    }
}

/// Settings of Fly that have no mistake.
pub(crate) struct CheckedFly {
    pub(crate) apps: AppPlacement,
    pub(crate) base_url: BaseUrl,
    token: SecretString,
    timeouts: Timeouts,
    pacing: RateLimiting,
}

impl CheckedFly {
    /// Creates the adapter, whose calls are counted.
    pub(crate) fn adapter(&self, metrics: &Arc<dyn Metrics>) -> Result<Fly, BuildError> {
        let client = FlyClient::new(self.base_url.clone(), &self.token, self.timeouts, self.pacing);
        let fly = Fly::new(client.map_err(set_up("the Fly client"))?, self.apps.clone());
        Ok(fly.counted_by(Arc::clone(metrics)))
    }
}

/// Returns the ports on Fly.
pub(crate) fn ports(fly: Fly) -> PortSet {
    let fly = Arc::new(fly);
    PortSet {
        apps: Some(fly.clone()),
        volumes: Some(fly.clone()),
        machines: Some(fly.clone()),
        turns: Some(fly.clone()),
        inventory: Some(fly),
        ..PortSet::default()
    }
}

/// Checks the template of the sandboxes' addresses, by default those at Fly. The app and the machine's id do not decide if the
/// host is private.
pub(crate) fn checked_template(given: Option<Given<UrlTemplate>>, mistakes: &mut Mistakes) -> Option<UrlTemplate> {
    let template = given.unwrap_or_else(|| DEFAULT_TEMPLATE.into()).value("sandbox_url", mistakes)?;
    let filled = template.fill(&"app".parse().ok()?, &"0".parse().ok()?).ok()?;
    mistakes.checked("sandbox_url", require_https(&filled).map(|()| template))
}

/// Returns the port on the API inside each sandbox. It hides the keys of R2 in what sandboxes say.
pub(crate) fn sandboxes(template: UrlTemplate, env: &SandboxEnv) -> Result<PortSet, BuildError> {
    let client = SandboxClient::new(template, gastown_sandbox::Timeouts::default());
    let shared = [Some(&env.r2_access_key), env.r2_secret_key.as_ref()];
    let client = client.map_err(set_up("the sandbox client"))?;
    let client = client.hiding(shared.into_iter().flatten().cloned().collect());
    Ok(PortSet { sandboxes: Some(Arc::new(client)), ..PortSet::default() })
}
