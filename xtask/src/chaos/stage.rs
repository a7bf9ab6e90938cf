//! The environment of a run: database, simulated Fly, users and replicas.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use fly_sim::{FlySim, RateLimits, SimConfig, Timing};
use gastown_sandbox_sim::SimulatedSandboxes;
use gastown_secrets::SandboxKey;
use secrecy::SecretString;
use tokio::time::Instant;

use super::Args;
use super::database::Database;
use super::replica::{self, Replica, url_of};
use super::users::{self, User};
use crate::workspace;

/// Secrets of this run only.
const TOKEN_SECRET: &str = "signs-the-tokens-of-the-chaos-alone";
const TOWN_SECRET: &str = "derives-the-keys-of-the-chaos-alone";
const FLY_TOKEN: &str = "opens-the-simulated-fly-alone";
const ORGANIZATION: &str = "personal";

/// The lease of an operation. It is far shorter than in production, so that a short run has many takeovers.
pub(super) const LEASE: Duration = Duration::from_secs(10);
/// The interval at which a replica looks for operations without an owner.
pub(super) const SWEEP: Duration = Duration::from_secs(1);

/// From the start of all replicas until they are ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// For one probe of a replica.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// All parts of a run.
pub(super) struct Stage {
    pub(super) database: Database,
    pub(super) fly: FlySim,
    pub(super) users: Vec<User>,
    /// A user who only reads.
    pub(super) reader: User,
    pub(super) ports: Vec<u16>,
    pub(super) replicas: Vec<Replica>,
    logs: PathBuf,
}

impl Stage {
    /// Starts all parts and waits until the replicas are ready.
    pub(super) async fn start(seed: u64, args: &Args) -> anyhow::Result<Self> {
        let logs = empty_folder(workspace::log_folder().join("chaos"))?;
        let database = Database::open(args.database.as_deref(), args.replicas).await?;
        let key = SandboxKey::generate();
        let fly = FlySim::start(simulated(seed, args.limits, key.to_secret())).await?;
        let mut users = users::insert(database.pool(), seed, args.users + 1, &TOKEN_SECRET.into()).await?;
        let reader = users.pop().context("no user")?;
        let ports = replica::free_ports(args.replicas, seed)?;
        let settings = |at: usize| settings(database.url_for(at), &fly, &key, &ports);
        let log = |at: usize| logs.join(format!("replica-{}.log", at + 1));
        let replicas = ports.iter().enumerate().map(|(at, port)| Replica::new(*port, settings(at), log(at)));
        let replicas = replicas.collect();
        let mut stage = Self { database, fly, users, reader, ports, replicas, logs };
        stage.replicas.iter_mut().try_for_each(Replica::start)?;
        stage.until_ready().await?;
        Ok(stage)
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let http = reqwest::Client::builder().no_proxy().timeout(PROBE_TIMEOUT).build()?;
        let deadline = Instant::now() + READY_TIMEOUT;
        for replica in &mut self.replicas {
            while !replica.is_ready(&http).await {
                let ended = replica.take_ended().is_some();
                ensure!(!ended && Instant::now() < deadline, "a replica is not ready; see {}", self.logs.display());
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
        Ok(())
    }

    /// Returns the folder for logs and results.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    /// Returns the ids of all users.
    pub(super) fn user_ids(&self) -> Vec<String> {
        self.users.iter().chain([&self.reader]).map(|user| user.id.clone()).collect()
    }

    /// Stops all parts, replicas first.
    pub(super) async fn stop(mut self) {
        let mut stopping = tokio::task::JoinSet::new();
        for mut replica in self.replicas.drain(..) {
            stopping.spawn(async move { replica.stop().await });
        }
        stopping.join_all().await;
        self.database.pool().close().await;
        self.fly.shutdown().await;
    }
}

fn empty_folder(path: PathBuf) -> anyhow::Result<PathBuf> {
    if path.exists() {
        std::fs::remove_dir_all(&path).with_context(|| format!("cannot empty {}", path.display()))?;
    }
    std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

/// Returns the configuration of the simulated Fly. It is slower than in tests, so that kills hit calls in flight. Replicas
/// limit their rates as in production. A 429 is an injected fault, or with `limits` a real one.
fn simulated(seed: u64, limits: bool, sandbox_key: SecretString) -> SimConfig {
    let ms = Duration::from_millis;
    let timing = Timing {
        latency: ms(10),
        launch: ms(150),
        prepare: ms(300),
        boot: ms(400),
        program_boot: ms(200),
        restart_backoff: ms(300),
        stop: ms(300),
        quiesce: ms(200),
        replace: ms(500),
        destroy: ms(400),
        volume_release: ms(1500),
        list_lag: ms(50),
        ..Timing::fly_like()
    };
    SimConfig {
        timing,
        rates: if limits { RateLimits::Fly } else { RateLimits::Off },
        token: Some(FLY_TOKEN.into()),
        org_slug: ORGANIZATION.to_owned(),
        seed,
        app_secrets: vec![("SANDBOX_PRIVATE_KEY".to_owned(), sandbox_key)],
        workload: SimulatedSandboxes::default().with_heartbeat(Duration::from_secs(5)).into_workload(),
        ..SimConfig::fast()
    }
}

/// Returns the settings of a replica. Only the way to the database differs. Fly's limits count per app and each replica keeps to its share, so a
/// create takes most of a minute. Timeouts are shorter than in production, so that operations reach their deadlines too.
fn settings(database: &str, fly: &FlySim, key: &SandboxKey, ports: &[u16]) -> Vec<(String, String)> {
    // There is no load balancer. Sandboxes call the first replica, which is down at times.
    let sandbox_target = ports.first().map_or_else(String::new, |port| url_of(*port));
    [
        ("DATABASE_URL", database),
        ("HOST", "127.0.0.1"),
        ("NEXTAUTH_SECRET", TOKEN_SECRET),
        ("INTERNAL_API_SECRET", TOWN_SECRET),
        ("FLY_API_BASE_URL", &fly.url()),
        ("FLY_API_TOKEN", FLY_TOKEN),
        ("FLY_ORG_SLUG", ORGANIZATION),
        ("FLY_APP_PREFIX", "chaos"),
        ("FLY_REGIONS", "iad,ord,fra"),
        ("FLY_IMAGE", "registry.example.com/gastown-sandbox@sha256:0123012301230123012301230123012301230123012301230123012301230123"),
        ("SANDBOX_URL", &fly.machine_url_template()),
        ("SANDBOX_PUBLIC_KEY", &key.public_key().to_string()),
        ("KILO_API_URL", "https://kilo.example.com"),
        ("R2_BUCKET", "towns"),
        ("R2_ACCESS_KEY", "chaos"),
        ("GASTOWN_CLOUD_URL", &sandbox_target),
        ("CALLER_WAIT_SECONDS", "5"),
        ("CREATE_PATIENCE_SECONDS", "150"),
        ("START_PATIENCE_SECONDS", "100"),
        ("STOP_PATIENCE_SECONDS", "100"),
        ("LEASE_SECONDS", &LEASE.as_secs().to_string()),
        ("SWEEP_SECONDS", &SWEEP.as_secs().to_string()),
        ("INSPECT_SECONDS", "2"),
        ("REPLICAS", &ports.len().to_string()),
        ("SHUTDOWN_SECONDS", "5"),
        ("LOG_FORMAT", "json"),
        ("LOG_LEVEL", "info,gastown_orchestrator=debug,gastown_fly=debug,gastown_sandbox=debug"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}
