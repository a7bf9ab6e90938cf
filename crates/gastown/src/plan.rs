//! Checked settings, and the effects of a build: the simulator, the database, the clients.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::{Clock, Figures, WorkerId};
#[cfg(any(feature = "fly", feature = "postgres"))]
use gastown_domain::ports::{Metrics, NoMetrics};
use gastown_orchestrator::{Ports, RetentionPorts, Settings, TownService};
use gastown_system::worker_id;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::background::Background;
use crate::build_error::{BuildError, Mistakes};
use crate::gastown::Gastown;
use crate::ports_of_builder::PortSet;
use crate::secrets::CheckedSecrets;

/// Settings without a mistake.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) ports: PortSet,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) secrets: Option<CheckedSecrets>,
    #[cfg(feature = "postgres")]
    pub(crate) database: Option<gastown_persistence::DatabaseSettings>,
    #[cfg(feature = "postgres")]
    pub(crate) blocked_column: Option<gastown_persistence::BlockedColumn>,
    #[cfg(feature = "postgres")]
    pub(crate) migrate: bool,
    #[cfg(feature = "fly")]
    pub(crate) fly: Option<crate::fly::CheckedFly>,
    #[cfg(feature = "fly")]
    pub(crate) template: gastown_sandbox::UrlTemplate,
    #[cfg(feature = "sim")]
    pub(crate) simulation: Option<fly_sim::SimConfig>,
    #[cfg(feature = "http")]
    pub(crate) http: gastown_http::HttpSettings,
    #[cfg(feature = "server")]
    pub(crate) connections: gastown_http::connections::ConnectionLimits,
    pub(crate) grace_period: Duration,
    #[cfg(feature = "metrics")]
    pub(crate) prometheus: Option<crate::figures::Prometheus>,
}

/// The adapters that only its background tasks see.
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "the gauges read them"))]
pub(crate) struct Adapters {
    pub(crate) figures: Option<Arc<dyn Figures>>,
    #[cfg(feature = "postgres")]
    pub(crate) database: Option<gastown_persistence::Database>,
    #[cfg(feature = "fly")]
    pub(crate) fly: Option<gastown_fly::Fly>,
}

/// The ports for callers, and those for background work, whose calls yield.
struct BothPorts {
    foreground: PortSet,
    background: PortSet,
}

impl BothPorts {
    /// Adds ports where there is none yet.
    fn or(self, foreground: &PortSet, background: &PortSet) -> Self {
        Self { foreground: self.foreground.or(foreground), background: self.background.or(background) }
    }

    fn or_same(self, ports: &PortSet) -> Self {
        self.or(ports, ports)
    }
}

impl Plan {
    /// Connects and puts everything together.
    pub(crate) async fn carry_out(mut self) -> Result<Gastown, BuildError> {
        #[cfg(feature = "sim")]
        let simulator = self.start_simulator().await?;
        let (BothPorts { foreground, background }, adapters) = self.open().await?;
        let (foreground_ports, background_ports, retention) = complete(&foreground, &background)?;

        let (worker, stop, calls) = (worker_id(), CancellationToken::new(), TaskTracker::new());
        let service = TownService::new(foreground_ports, self.settings.clone(), worker.clone(), stop.clone());
        #[cfg(feature = "postgres")]
        let database = adapters.database.clone();
        #[cfg(feature = "fly")]
        let fly = adapters.fly.clone();
        let tasks = self.background(&service, (&background_ports, retention), &worker, adapters);
        Ok(Gastown {
            #[cfg(feature = "http")]
            http: self.http_parts(&service, &foreground, &calls)?,
            #[cfg(feature = "server")]
            connections: self.connection_limits(),
            calls,
            service,
            background: tasks,
            worker,
            stop,
            grace_period: self.grace_period,
            minter: self.secrets.map(|secrets| secrets.minter(self.clock)),
            #[cfg(feature = "postgres")]
            database,
            #[cfg(feature = "fly")]
            fly,
            #[cfg(feature = "sim")]
            simulator,
        })
    }

    /// Connects, and returns every port.
    async fn open(&mut self) -> Result<(BothPorts, Adapters), BuildError> {
        let ports = std::mem::take(&mut self.ports);
        #[cfg(any(feature = "fly", feature = "postgres"))]
        let metrics = ports.metrics.clone().unwrap_or_else(|| Arc::new(NoMetrics));
        let mut ports = BothPorts { foreground: ports.clone(), background: ports };
        #[cfg(feature = "postgres")]
        let database = self.open_database(&metrics).await?;
        #[cfg(feature = "postgres")]
        if let Some(database) = &database {
            ports = ports.or(&crate::database::ports(database), &crate::database::ports(&database.background()));
        }
        #[cfg(feature = "fly")]
        let fly = self.fly.as_ref().map(|fly| fly.adapter(&metrics)).transpose()?;
        #[cfg(feature = "fly")]
        {
            if let Some(fly) = &fly {
                // Background calls yield to calls with a waiting caller (FM-52).
                ports = ports.or(&crate::fly::ports(fly.clone()), &crate::fly::ports(fly.in_background()));
            }
            ports = ports.or_same(&crate::fly::sandboxes(self.template.clone(), &self.settings.env)?);
        }
        if let Some(secrets) = &self.secrets {
            ports = ports.or_same(&secrets.ports(&self.clock));
        }
        let ports = ports.or_same(&PortSet::system());
        let adapters = Adapters {
            figures: ports.background.figures.clone(),
            #[cfg(feature = "postgres")]
            database,
            #[cfg(feature = "fly")]
            fly,
        };
        Ok((ports, adapters))
    }

    /// Returns the background tasks.
    fn background(
        &self,
        service: &TownService,
        ports: (&Ports, RetentionPorts),
        worker: &WorkerId,
        adapters: Adapters,
    ) -> Background {
        let tasks = Background::new(service, ports, &self.settings, worker);
        #[cfg(feature = "postgres")]
        let tasks = tasks.hearing_of_changes(adapters.database.as_ref());
        #[cfg(feature = "metrics")]
        let tasks = tasks.setting_gauges(self.gauges(&adapters));
        #[cfg(feature = "fly")]
        let tasks = tasks.logging_queues_of(adapters.fly);
        tasks
    }

    /// Opens the database, if a port needs it.
    #[cfg(feature = "postgres")]
    async fn open_database(
        &self,
        metrics: &Arc<dyn Metrics>,
    ) -> Result<Option<gastown_persistence::Database>, BuildError> {
        let Some(settings) = self.database.clone() else { return Ok(None) };
        let settings = gastown_persistence::DatabaseSettings { metrics: Arc::clone(metrics), ..settings };
        crate::database::warn_without_sslmode(&settings);
        let database = crate::database::open_database(&settings, self.migrate).await?;
        crate::database::with_blocked(database, self.blocked_column.as_ref()).await.map(Some)
    }
}

/// Returns the ports of the service and of background work. The checks before have reported what is missing.
fn complete(foreground: &PortSet, background: &PortSet) -> Result<(Ports, Ports, RetentionPorts), BuildError> {
    let complete = || Some((foreground.complete()?, background.complete()?, background.of_retention()?));
    complete().ok_or_else(|| BuildError::Invalid(Mistakes::default()))
}
