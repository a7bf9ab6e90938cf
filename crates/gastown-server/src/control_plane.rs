//! The control plane of the binary: the configuration, given to the builder, and a bound port.

use std::net::SocketAddr;
use std::sync::Arc;

use gastown::{Gastown, GastownBuilder, SecretSettings, local_url};
use gastown_persistence::DatabaseSettings;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ListenHost, SecretsConfig};
use crate::console_endpoint::{self, ConsoleEndpoint, ConsoleParts};
use crate::http_settings;
use crate::metrics_endpoint::MetricsEndpoint;
use crate::start_error::StartError;

/// A control plane that has bound its port, but does not serve yet.
pub struct ControlPlane {
    listener: TcpListener,
    address: SocketAddr,
    gastown: Gastown,
    metrics: Option<MetricsEndpoint>,
    console: Option<(ConsoleEndpoint, ConsoleParts)>,
}

impl ControlPlane {
    /// Connects, checks the schema and binds the port. No operation is claimed yet.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let listener = bind_port(&config.http.host, config.http.port).await?;
        Self::with_listener(config, listener).await
    }

    /// Like [`Self::bind`], with a bound port. Callers may need the port for the rest of the configuration.
    pub async fn with_listener(config: Config, listener: TcpListener) -> Result<Self, StartError> {
        let address = address_of(&listener, &config.http.host, config.http.port)?;
        let metrics = MetricsEndpoint::bind(&config.metrics).await?;
        let console = ConsoleEndpoint::bind(&config.console).await?;
        let builder = match &metrics {
            Some(endpoint) => builder(&config)?.prometheus(Arc::clone(&endpoint.metrics), endpoint.every),
            None => builder(&config)?,
        };
        let gastown = builder.build().await?;
        let console = console.zip(console_endpoint::parts(&config, &gastown));
        Ok(Self { listener, address, gastown, metrics, console })
    }

    /// Returns the control plane.
    pub fn gastown(&self) -> &Gastown {
        &self.gastown
    }

    /// Returns the URL for clients on this machine.
    pub fn local_url(&self) -> String {
        local_url(self.address)
    }

    /// Returns the URL of the metrics for programs on this machine, if they have an address.
    pub fn metrics_url(&self) -> Option<String> {
        self.metrics.as_ref().map(MetricsEndpoint::url)
    }

    /// Returns the URL of the console for browsers on this machine, if it has an address.
    pub fn console_url(&self) -> Option<String> {
        self.console.as_ref().map(|(console, _)| console.url())
    }

    /// Serves until `stop` is cancelled, then shuts down (see [`Gastown::serve`]).
    ///
    /// Errors: the listener's.
    pub async fn serve(self, stop: CancellationToken) -> std::io::Result<()> {
        // The metrics of a shutdown can be read until its end. The console ends with its beginning, as the router does.
        let (stop_console, stop_metrics) = (stop.clone(), CancellationToken::new());
        let serving = async {
            let served = self.gastown.serve(self.listener, stop).await;
            stop_metrics.cancel();
            served
        };
        let measured = async {
            match self.metrics {
                Some(metrics) => metrics.serve(stop_metrics.clone()).await,
                None => Ok(()),
            }
        };
        let shown = async {
            match self.console {
                Some((console, parts)) => Box::pin(console.serve(parts, stop_console)).await,
                None => Ok(()),
            }
        };
        let (served, measured, shown) = tokio::join!(serving, measured, shown);
        served.and(measured).and(shown)
    }
}

/// Returns a builder with everything that is configured.
fn builder(config: &Config) -> Result<GastownBuilder, StartError> {
    let database = DatabaseSettings {
        max_connections: config.database_max_connections,
        read_connections: config.database_read_connections,
        ..DatabaseSettings::at(config.database_url.clone())
    };
    let settings = &config.orchestrator;
    let builder = Gastown::builder()
        .database(database)
        .migrate_at_start(config.migrate_on_start)
        .fly(config.fly.settings())
        .sandbox_url(config.sandbox_url.clone())
        .secrets(secrets(&config.secrets))
        .image(settings.machine.image.clone())
        .size(settings.machine.guest, settings.machine.volume)
        .regions(settings.regions.clone())
        .sandbox_env(settings.env.clone())
        .policy(settings.policy.clone())
        .http(http_settings::adapter(config)?)
        .connections(http_settings::connections(config))
        .grace_period(config.http.shutdown);
    Ok(match &config.blocked_column {
        Some(column) => builder.blocked_column(column.clone()),
        None => builder,
    })
}

fn secrets(config: &SecretsConfig) -> SecretSettings {
    let mut secrets =
        SecretSettings::new(config.token_secret.clone(), config.town_secret.clone(), config.sealing_key.clone());
    if let Some(previous) = &config.previous_token_secret {
        secrets = secrets.previous_token_secret(previous.clone());
    }
    if let Some(previous) = &config.previous_town_secret {
        secrets = secrets.previous_town_secret(previous.clone());
    }
    match &config.token_env {
        Some(env) => secrets.token_env(env),
        None => secrets,
    }
}

/// Binds the port. A name is resolved, and its first address that can be bound is taken.
pub(crate) async fn bind_port(host: &ListenHost, port: u16) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind((host.to_resolve().as_str(), port)).await;
    bound.map_err(|cause| StartError::Listen { address: format!("{host}:{port}"), cause })
}

/// Returns the address of a listener that was bound to this host and port.
pub(crate) fn address_of(listener: &TcpListener, host: &ListenHost, port: u16) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|cause| StartError::Listen { address: format!("{host}:{port}"), cause })
}
