//! A complete control plane for one test: database, simulated Fly, one or more replicas, users with tokens.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use ephemeral_db::{PgBouncer, PoolMode, PostgresProxy, TestDatabase};
use fly_sim::{FlySim, SimConfig};
use gastown_domain::{Backoff, UserId};
use gastown_fly::RateLimiting;
use gastown_jwt::{TokenKeys, TokenMinter};
use gastown_orchestrator::{
    Delays, DriftPolicy, IdlePolicy, Limits, MonitorPolicy, OrphanPolicy, Policy, RetentionPolicy, RolloutPolicy,
    Timeouts,
};
use gastown_persistence::{Database, DatabaseSettings, MigrateError};
use gastown_sandbox_sim::SimulatedSandboxes;
use gastown_secrets::SandboxKey;
use gastown_server::{Config, Source};
use gastown_system::SystemClock;
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{self, Refusal};
use crate::process::{Ended, Gastown};
use crate::replica::{DEBUG_LOG, Replica};
use crate::rows::{Rows, Town};

pub(crate) const ALICE: &str = "alice";
pub(crate) const BOB: &str = "bob";
/// The app in the simulated Fly.
pub(crate) const APP: &str = "towns";
/// The mount point of a town's volume.
pub(crate) const DATA: &str = "/home/gt/data";

/// Secrets that must not occur in any readable output. They have no part in common except their beginning.
pub(crate) const TOKEN_SECRET: &str = "canary-of-nextauth-QTmZ3xWb7LkeV0sRuJ2c";
pub(crate) const TOWN_SECRET: &str = "canary-of-internal-h8DfYpN5aGoK1tCqXz4M";
pub(crate) const FLY_TOKEN: &str = "canary-of-fly-of-no-known-form-B6vEwHjS9iUrOl3nPyTg";
pub(crate) const R2_ACCESS_KEY: &str = "canary-of-r2-access-e7QaZsXdWc2rFvTg";
pub(crate) const R2_SECRET_KEY: &str = "canary-of-r2-secret-m4NjUbHyGt5VfRcD";

/// The time-out of every wait. It is far longer than needed, even on a slow machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// The configuration of a stage. The default is minimal, and a test changes what it needs.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(crate) struct Setup {
    pub(crate) engine: Engine,
    pub(crate) sim: SimConfig,
    pub(crate) policy: Policy,
    /// `FLY_REGIONS`.
    pub(crate) regions: &'static str,
    /// One app for each user instead of one for all.
    pub(crate) app_per_user: bool,
    /// The pacing of the replicas' calls to Fly.
    pub(crate) pacing: RateLimiting,
    /// The key that seals values. By default that of the sandboxes.
    pub(crate) seal_for: Option<SandboxKey>,
    /// True if the replicas reach Postgres through a proxy that can lose commits. `rows` and operators bypass it.
    pub(crate) through_proxy: bool,
    /// True if the replicas reach Postgres through a PgBouncer in session mode.
    pub(crate) behind_pgbouncer: bool,
    /// Settings of the replicas that replace the usual ones.
    pub(crate) changes: Vec<(&'static str, String)>,
    /// The filter of the replicas' logs.
    pub(crate) log_filter: &'static str,
    /// True if the first replica can be replaced by one on the same port, see [`Stage::replace`].
    pub(crate) keeps_port: bool,
    /// True if the console and the operators' API may act.
    pub(crate) allows_actions: bool,
}

impl Setup {
    pub(crate) fn sqlite() -> Self {
        Self::on(Engine::Sqlite)
    }

    pub(crate) fn postgres() -> Self {
        Self::on(Engine::Postgres)
    }

    pub(crate) fn on(engine: Engine) -> Self {
        Self {
            engine,
            sim: SimConfig { workload: SimulatedSandboxes::default().into_workload(), ..SimConfig::fast() },
            policy: fast_policy(),
            regions: "iad",
            app_per_user: false,
            pacing: RateLimiting::Off,
            seal_for: None,
            through_proxy: false,
            behind_pgbouncer: false,
            changes: Vec::new(),
            log_filter: DEBUG_LOG,
            keeps_port: false,
            allows_actions: false,
        }
    }

    /// Starts everything, with one replica.
    pub(crate) async fn start(self) -> Stage {
        let place = database(self.engine).await;
        let rows = Rows::of(place.url()).await;
        let proxy =
            if self.through_proxy { Some(PostgresProxy::in_front_of(place.url()).await.unwrap()) } else { None };
        let pooler = if self.behind_pgbouncer { Some(pgbouncer(&place).await) } else { None };
        let sandbox_key = SandboxKey::generate();
        let app_secrets = vec![("SANDBOX_PRIVATE_KEY".to_owned(), sandbox_key.to_secret())];
        let sim = SimConfig { token: Some(FLY_TOKEN.into()), app_secrets, ..self.sim };
        let sim = FlySim::start(sim).await.unwrap();
        if !self.app_per_user {
            sim.create_app(APP).unwrap();
        }

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sealing_key = self.seal_for.as_ref().unwrap_or(&sandbox_key).public_key().to_string();
        let home = format!("http://{}", listener.local_addr().unwrap());
        let database = proxy.as_ref().map(PostgresProxy::url).or(pooler.as_ref().map(PgBouncer::url));
        let database = database.unwrap_or(place.url());
        let mut settings = settings(&sim, database, &sealing_key, self.regions, &home);
        if self.app_per_user {
            settings.retain(|(name, _)| name != "FLY_APP_NAME");
            settings.extend([("FLY_ORG_SLUG", "personal"), ("FLY_APP_PREFIX", "gt")].map(owned));
        }
        for (name, value) in &self.changes {
            set(&mut settings, name, value);
        }
        let mut config = config(&settings, self.policy, self.pacing);
        config.console.allows_actions = self.allows_actions;
        let tokens = make_users_known(place.url()).await;
        let port = self.keeps_port.then(|| listener.try_clone().unwrap());
        let replicas = vec![Replica::start(config.clone(), listener, self.log_filter).await];
        Stage {
            engine: self.engine,
            sim,
            rows,
            replicas,
            config,
            log_filter: self.log_filter,
            port,
            settings,
            tokens,
            sandbox_key,
            proxy,
            _pooler: pooler,
            place,
        }
    }
}

async fn pgbouncer(place: &TestDatabase) -> PgBouncer {
    PgBouncer::in_front_of(place.url(), PoolMode::Session, 50, &[]).await.unwrap()
}

fn config(settings: &[(String, String)], policy: Policy, pacing: RateLimiting) -> Config {
    let mut config = Config::read(&Source::from_pairs(settings.to_vec())).unwrap();
    config.orchestrator.policy = policy.validated().unwrap();
    config.fly.rate_limits = pacing;
    config
}

/// Replaces or adds a setting. An empty value removes it.
fn set(settings: &mut Vec<(String, String)>, name: &str, value: &str) {
    settings.retain(|(present, _)| present != name);
    if !value.is_empty() {
        settings.push(owned((name, value)));
    }
}

/// Returns an empty, migrated database.
pub(crate) async fn database(engine: Engine) -> TestDatabase {
    async fn migrate(url: String) -> Result<(), MigrateError> {
        migration::at_url::up(&url).await
    }
    match engine {
        Engine::Sqlite => TestDatabase::sqlite(migrate).await.unwrap(),
        Engine::Postgres => TestDatabase::postgres(migrate).await.unwrap(),
    }
}

/// Returns the policy of production, in milliseconds. The lease is long, because no test waits for its end.
fn fast_policy() -> Policy {
    const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
    let usual = Policy::production();
    Policy {
        timeouts: Timeouts {
            caller: Duration::from_secs(20),
            create: Duration::from_secs(20),
            start: Duration::from_secs(20),
            stop: Duration::from_secs(20),
            sync: Duration::from_secs(2),
            lease: Duration::from_secs(30),
            // No fault of these tests delays the effect of a call.
            create_visibility: Duration::from_millis(1400),
            await_state: Duration::from_secs(1),
            ..usual.timeouts
        },
        limits: Limits {
            create_attempts: 6,
            sync_attempts: 3,
            // A test of alerts sets this value.
            alert_attempts: u32::MAX,
            changes_per_minute: 60_000.try_into().unwrap(),
            sandbox_calls_per_minute: 60_000.try_into().unwrap(),
            ..usual.limits
        },
        backoff: Delays {
            retry: Backoff { first: Duration::from_millis(5), max: Duration::from_millis(40) },
            poll_interval: Duration::from_millis(15),
            sweep_every: Duration::from_millis(150),
            heartbeat_write: Duration::from_millis(100),
            ..usual.backoff
        },
        drift: DriftPolicy { every: NEVER, ..usual.drift },
        monitor: MonitorPolicy { every: NEVER, ..usual.monitor },
        idle: IdlePolicy { every: NEVER, ..usual.idle },
        orphans: OrphanPolicy { every: NEVER, ..usual.orphans },
        retention: RetentionPolicy { every: NEVER, ..usual.retention },
        rollout: RolloutPolicy { every: NEVER, soak: Duration::from_millis(300) },
    }
}

fn settings(sim: &FlySim, database: &str, sealing_key: &str, regions: &str, home: &str) -> Vec<(String, String)> {
    [
        ("DATABASE_URL", database),
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("NEXTAUTH_SECRET", TOKEN_SECRET),
        ("INTERNAL_API_SECRET", TOWN_SECRET),
        ("FLY_API_BASE_URL", &sim.url()),
        ("FLY_API_TOKEN", FLY_TOKEN),
        ("FLY_APP_NAME", APP),
        ("FLY_REGIONS", regions),
        ("FLY_IMAGE", "registry.example.com/gastown-sandbox@sha256:0123012301230123012301230123012301230123012301230123012301230123"),
        ("SANDBOX_URL", &sim.machine_url_template()),
        ("SANDBOX_PUBLIC_KEY", sealing_key),
        ("KILO_API_URL", "https://kilo.example.com"),
        ("R2_BUCKET", "towns"),
        ("R2_ACCESS_KEY", R2_ACCESS_KEY),
        ("R2_SECRET_KEY", R2_SECRET_KEY),
        ("GASTOWN_CLOUD_URL", home),
    ]
    .map(owned)
    .into()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Creates alice and bob, each with a pepper and a token that is valid for an hour.
async fn make_users_known(url: &str) -> BTreeMap<&'static str, SecretString> {
    let database = Database::connect(&DatabaseSettings::at(url)).await.unwrap();
    let mut tokens = BTreeMap::new();
    for name in [ALICE, BOB] {
        let user: UserId = name.parse().unwrap();
        database.make_user_known(&user, &pepper(name)).await.unwrap();
        tokens.insert(name, minter().mint_user_token(&user, Some(&pepper(name)), TimeDelta::hours(1)).unwrap());
    }
    database.close().await.unwrap();
    tokens
}

pub(crate) fn pepper(user: &str) -> SecretString {
    format!("canary-pepper-of-{user}").into()
}

pub(crate) fn token_keys() -> TokenKeys {
    TokenKeys::new(&TOKEN_SECRET.into()).unwrap()
}

pub(crate) fn minter() -> TokenMinter {
    TokenMinter::new(token_keys(), Arc::new(SystemClock))
}

/// The interface of a test. Fields are dropped in order, the database last.
pub(crate) struct Stage {
    pub(crate) engine: Engine,
    pub(crate) sim: FlySim,
    pub(crate) rows: Rows,
    pub(crate) replicas: Vec<Replica>,
    config: Config,
    log_filter: &'static str,
    /// The port of the first replica, if it stays open between that replica and its successor.
    port: Option<TcpListener>,
    /// The settings of the replicas, for separate processes.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) tokens: BTreeMap<&'static str, SecretString>,
    pub(crate) sandbox_key: SandboxKey,
    /// The proxy between the replicas and the database, if requested.
    pub(crate) proxy: Option<PostgresProxy>,
    /// The pooler between the replicas and the database, if requested.
    _pooler: Option<PgBouncer>,
    pub(crate) place: TestDatabase,
}

impl Stage {
    /// Starts another replica on the same database.
    pub(crate) async fn add_replica(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.replicas.push(self.replica(listener).await);
    }

    async fn replica(&self, listener: TcpListener) -> Replica {
        Replica::start(self.config.clone(), listener, self.log_filter).await
    }

    /// Changes the settings of the replicas that start from now on. An empty value removes a setting.
    pub(crate) fn set(&mut self, changes: &[(&str, &str)]) {
        for (name, value) in changes {
            set(&mut self.settings, name, value);
        }
        let allows_actions = self.config.console.allows_actions;
        self.config =
            config(&self.settings, Policy::clone(&self.config.orchestrator.policy), self.config.fly.rate_limits);
        self.config.console.allows_actions = allows_actions;
    }

    /// Stops a replica and starts another in its place. The first keeps its port, which the sandboxes call.
    pub(crate) async fn replace(&mut self, at: usize) {
        let listener = match at {
            0 => self.port.as_ref().expect("the setup keeps no port").try_clone().unwrap(),
            _ => TcpListener::bind("127.0.0.1:0").unwrap(),
        };
        self.replicas.remove(at).stop().await;
        self.replicas.insert(at, self.replica(listener).await);
    }

    /// Returns the settings of the replicas' orchestrator.
    pub(crate) fn orchestrator(&self) -> gastown_orchestrator::Settings {
        self.config.orchestrator.clone()
    }

    /// Crashes the last replica: its tasks are dropped, its leases stay.
    pub(crate) async fn crash(&mut self) {
        self.replicas.pop().unwrap().crash().await;
    }

    /// Starts another replica after all have crashed, and expires the leases of the dead. Their last statement may still
    /// arrive at the database, so the leases are expired until all operations are claimed again.
    pub(crate) async fn succeed(&mut self) {
        let dead: Vec<_> = self.rows.operations().await.into_iter().filter_map(|operation| operation.owner).collect();
        self.add_replica().await;
        until("another replica has taken over", async || {
            for owner in &dead {
                self.rows.expire_leases_of(owner).await;
            }
            let claims = self.rows.operations().await;
            !claims.iter().any(|operation| operation.owner.as_ref().is_some_and(|owner| dead.contains(owner)))
        })
        .await;
    }

    pub(crate) fn url(&self) -> &str {
        &self.replicas[0].url
    }

    pub(crate) fn token(&self, user: &str) -> &str {
        self.tokens[user].expose_secret()
    }

    /// Makes a call as a user to the first replica. Returns the data or the refusal.
    pub(crate) async fn call(&self, user: &str, procedure: &str, input: Value) -> Result<Value, Refusal> {
        self.call_at(0, user, procedure, input).await
    }

    pub(crate) async fn call_at(
        &self,
        replica: usize,
        user: &str,
        procedure: &str,
        input: Value,
    ) -> Result<Value, Refusal> {
        client::call(&self.replicas[replica].url, self.token(user), procedure, input).await
    }

    /// Makes a call in a separate task.
    pub(crate) fn spawn_call(
        &self,
        user: &str,
        procedure: &'static str,
        input: Value,
    ) -> tokio::task::JoinHandle<Result<Value, Refusal>> {
        let (url, token) = (self.url().to_owned(), self.token(user).to_owned());
        tokio::spawn(async move { client::call(&url, &token, procedure, input).await })
    }

    /// Creates alice's town and asserts that it is running.
    pub(crate) async fn running(&self, name: &str) -> Town {
        let made = self.call(ALICE, "createTown", json!({ "townName": name })).await.unwrap();
        assert_eq!(made["status"], "running", "{made}");
        self.rows.town(id_of(&made)).await
    }

    /// Creates alice's town and waits until it is running, for setups with a short wait of callers.
    pub(crate) async fn created(&self, name: &str) -> Town {
        let made = self.call(ALICE, "createTown", json!({ "townName": name })).await.unwrap();
        self.idle().await;
        self.rows.town(id_of(&made)).await
    }

    /// Makes alice's call with only the town as input. A destroy waits until nothing is left.
    pub(crate) async fn on_town(&self, procedure: &str, town: Uuid) -> Result<Value, Refusal> {
        let input = match procedure {
            "destroyTown" => json!({ "townId": town, "waitUntilGone": true }),
            _ => json!({ "townId": town }),
        };
        self.call(ALICE, procedure, input).await
    }

    /// Adds a rig to a town of alice.
    pub(crate) async fn add_rig(&self, town: Uuid, name: &str, repo: &str) -> Result<Value, Refusal> {
        self.call(ALICE, "addRig", json!({ "townId": town, "rigName": name, "repoUrl": repo })).await
    }

    /// Waits until no operation is in flight.
    pub(crate) async fn idle(&self) {
        until("every operation has ended", async || self.rows.operations().await.is_empty()).await;
    }

    /// Runs the binary with only the database's address.
    pub(crate) async fn gastown(&self, arguments: &[&str]) -> Ended {
        let settings = [("DATABASE_URL", self.place.url()), ("USER", "olga")].map(owned);
        Gastown::run(arguments, &settings).await
    }

    /// Runs the binary with `--json`, asserts success, and returns the JSON value.
    pub(crate) async fn gastown_json(&self, arguments: &[&str]) -> Value {
        let ended = self.gastown(&[arguments, &["--json"]].concat()).await;
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {}", ended.err);
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}", ended.out))
    }

    /// Makes a call to Fly, as an external user.
    pub(crate) async fn at_fly(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/v1/apps/{APP}/{path}", self.sim.url());
        let request = client::http().request(method, url).bearer_auth(FLY_TOKEN).json(&body);
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    /// Makes a read at Fly, as an external user.
    pub(crate) async fn fly_get(&self, path: &str) -> Value {
        let url = format!("{}/v1/apps/{APP}/{path}", self.sim.url());
        let answer = client::http().get(url).bearer_auth(FLY_TOKEN).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// Runs a command on a machine and returns its output.
    pub(crate) async fn exec(&self, machine: &str, script: &str) -> String {
        let url = format!("{}/v1/apps/{APP}/machines/{machine}/exec", self.sim.url());
        let body = json!({ "command": ["sh", "-c", script] });
        let answer = client::http().post(url).bearer_auth(FLY_TOKEN).json(&body).send().await.unwrap();
        let output: Value = answer.error_for_status().unwrap().json().await.unwrap();
        assert_eq!(output["exit_code"], 0, "{output}");
        output["stdout"].as_str().unwrap().to_owned()
    }
}

/// Returns the town's id in an answer.
pub(crate) fn id_of(answer: &Value) -> Uuid {
    answer["townId"].as_str().unwrap().parse().unwrap()
}

/// Polls until the condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "not so after {TIMEOUT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
