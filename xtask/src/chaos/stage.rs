//! Everything the storm happens to: database, Fly, users, replicas.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use fly_sim::{FlySim, RateLimits, SimConfig, Timing};
use gastown_secrets::SandboxKey;
use secrecy::SecretString;
use tokio::time::Instant;

use super::Args;
use super::database::Database;
use super::replica::{self, Replica, url_of};
use super::users::{self, User};
use crate::workspace;

/// Secrets of nothing: everything they open ends with the run.
const TOKEN_SECRET: &str = "signs-the-tokens-of-chaos-alone";
const TOWN_SECRET: &str = "derives-the-keys-of-chaos-alone";
const FLY_TOKEN: &str = "opens-the-simulated-fly-alone";
const ORGANIZATION: &str = "personal";

/// How long a replica holds a town without a word: far less than in production, so that a short run sees much of it.
pub(super) const LEASE: Duration = Duration::from_secs(10);
/// How often a replica looks for work that nobody does.
pub(super) const SWEEP: Duration = Duration::from_secs(1);

/// From the start of all replicas until they answer.
const READY_WITHIN: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// What one question of ours may take.
const ASKING: Duration = Duration::from_secs(5);

/// Everything there is.
pub(super) struct Stage {
    pub(super) database: Database,
    pub(super) fly: FlySim,
    pub(super) users: Vec<User>,
    pub(super) ports: Vec<u16>,
    pub(super) replicas: Vec<Replica>,
    logs: PathBuf,
}

impl Stage {
    /// Everything up and answering.
    pub(super) async fn raise(seed: u64, args: &Args) -> anyhow::Result<Self> {
        let logs = empty_folder(workspace::log_folder().join("chaos"))?;
        let database = Database::open(args.database.as_deref()).await?;
        let key = SandboxKey::generate();
        let fly = FlySim::start(simulated(seed, args.limits, key.to_secret())).await?;
        let users = users::make_known(database.pool(), seed, args.users, &TOKEN_SECRET.into()).await?;
        let ports = replica::free_ports(args.replicas, seed)?;
        let settings = settings(database.url(), &fly, &key, &ports);
        let log = |number: usize| logs.join(format!("replica-{number}.log"));
        let replicas = ports.iter().zip(1..).map(|(port, number)| Replica::new(*port, settings.clone(), log(number)));
        let replicas = replicas.collect();
        let mut stage = Self { database, fly, users, ports, replicas, logs };
        stage.replicas.iter_mut().try_for_each(Replica::start)?;
        stage.until_ready().await?;
        Ok(stage)
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let http = reqwest::Client::builder().no_proxy().timeout(ASKING).build()?;
        let deadline = Instant::now() + READY_WITHIN;
        for replica in &mut self.replicas {
            while !replica.is_ready(&http).await {
                let ended = replica.take_ended().is_some();
                ensure!(!ended && Instant::now() < deadline, "a replica does not serve: see {}", self.logs.display());
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        }
        Ok(())
    }

    /// Where everything is kept that tells how it went.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    /// The users by id, as the rows name them.
    pub(super) fn user_ids(&self) -> Vec<String> {
        self.users.iter().map(|user| user.id.clone()).collect()
    }

    /// Takes everything down, in order.
    pub(super) async fn strike(mut self) {
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
    std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

/// Between a test's and the real one: slow enough that kills meet calls under way. Replicas pace their calls as in
/// production; 429 comes as a fault, or, with Fly's own limits, in earnest: then there is less to go wrong, not more.
fn simulated(seed: u64, limits: bool, sandbox_key: SecretString) -> SimConfig {
    let ms = Duration::from_millis;
    let timing = Timing {
        latency: ms(10),
        launch: ms(150),
        prepare: ms(300),
        boot: ms(400),
        sandbox_boot: ms(200),
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
        heartbeat: Some(Duration::from_secs(5)),
        ..SimConfig::fast()
    }
}

/// The same for every replica but the port. One app per user, as Fly's limits count per app, of which each replica keeps to
/// its share: a create takes the better part of a minute. Less patience than production has, so that operations meet their
/// deadlines too.
fn settings(database: &str, fly: &FlySim, key: &SandboxKey, ports: &[u16]) -> Vec<(String, String)> {
    // A service behind no balancer: sandboxes call the first replica, and find it dead now and then.
    let home = ports.first().map_or_else(String::new, |port| url_of(*port));
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
        ("FLY_IMAGE", "registry.example.com/gastown-sandbox@sha256:0123"),
        ("SANDBOX_URL", &fly.sandbox_url_template()),
        ("SANDBOX_PUBLIC_KEY", &key.public_key().to_string()),
        ("KILO_API_URL", "https://kilo.example.com"),
        ("R2_BUCKET", "towns"),
        ("R2_ACCESS_KEY", "chaos"),
        ("GASTOWN_CLOUD_URL", &home),
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
