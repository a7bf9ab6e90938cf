//! The next version, played in the test process: the present code on a registry that writes one more step, kind, phase,
//! failure and progress field.
//!
//! A row that a replica of the next version has written holds texts that the present version does not know. They are
//! translated back before the next version claims a row.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    Caller, CreateTown, DestroyTown, FailedCheck, NewOperation, OperationResult, OperationUpdate, Operations,
    Requested, RestoreTown, StoreError, TownChange, Towns as _, WorkerId,
};
use gastown_domain::{
    Fence, IdleVerdict, Operation, OperationId, OperationKind, Progress, RecordedOperation, Town, TownConfig, TownId,
    UserId,
};
use gastown_fly::{Fly, FlyClient, RateLimiting, Timeouts};
use gastown_jwt::TokenMinter;
use gastown_orchestrator::{Env, Ports, Provider, Secrets, Settings, Store, TownService, Workers};
use gastown_persistence::{Database, DatabaseSettings};
use gastown_sandbox::SandboxClient;
use gastown_secrets::{DerivedTownKeys, PublicSealingKey};
use gastown_system::{RandomIds, SystemClock, ThreadJitter};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::rows::{self, Rows};
use crate::stage::{ALICE, Engine, FLY_TOKEN, Stage, TOWN_SECRET, token_keys};

/// The column, the present text, and the text of the next version.
const TEXTS: [(&str, &str, &str); 6] = [
    ("kind", "stop", "hibernate"),
    ("mark", "prepared", "verified"),
    ("step", "settle_sandbox", "verify_sandbox"),
    ("step", "power_off", "suspend"),
    ("last_error", "sandbox_unhealthy", "sandbox_warming_up"),
    ("cause", "machine_never_started", "machine_slow"),
];

/// Returns true if the present version must leave the operation alone.
pub(super) fn is_of_next_version(row: &rows::Operation) -> bool {
    row.kind == "hibernate" || row.mark == "verified"
}

/// Plays the migration of the next version: the table accepts its kinds and phases.
pub(super) async fn accept_next_version(stage: &Stage) {
    let sql = match stage.engine {
        Engine::Sqlite => {
            "PRAGMA writable_schema = ON; \
             UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (', 'CHECK (1 OR ') WHERE name = 'gastown_operations'; \
             PRAGMA writable_schema = RESET; CREATE TABLE reread (x int); DROP TABLE reread"
        }
        Engine::Postgres => {
            "ALTER TABLE gastown_operations DROP CONSTRAINT gastown_operations_kind_check; \
             ALTER TABLE gastown_operations DROP CONSTRAINT gastown_operations_mark_check"
        }
    };
    stage.rows.execute(sql).await;
}

/// The registry of the next version.
struct NextRegistry {
    database: Arc<Database>,
    rows: Rows,
    engine: Engine,
}

impl NextRegistry {
    /// Writes the texts of the next version into a row, unless another claim has followed.
    async fn write_next(&self, town: TownId, fence: i64) {
        let columns = assignments(|(column, present, next)| {
            format!("{column} = CASE {column} WHEN '{present}' THEN '{next}' ELSE {column} END")
        });
        let town = match self.engine {
            Engine::Sqlite => format!("x'{}'", town.as_uuid().simple()),
            Engine::Postgres => format!("'{}'", town.as_uuid()),
        };
        let row = format!("town_id = {town} AND fence = {fence}");
        self.rows.execute(&format!("UPDATE gastown_operations SET {columns} WHERE {row}")).await;
    }

    /// Translates the rows of the next version back, so that the code of this version can claim them.
    async fn read_next(&self) {
        let columns = assignments(|(column, present, next)| {
            format!("{column} = CASE {column} WHEN '{next}' THEN '{present}' ELSE {column} END")
        });
        let of_next = "kind = 'hibernate' OR mark = 'verified'";
        self.rows.execute(&format!("UPDATE gastown_operations SET {columns} WHERE {of_next}")).await;
    }
}

/// Returns one assignment per column. A column with two texts gets both, one inside the other.
fn assignments(of: impl Fn((&str, &str, &str)) -> String) -> String {
    let mut assignments: Vec<(String, String)> = Vec::new();
    for text in TEXTS {
        let assignment = of(text);
        let (column, expression) = assignment.split_once(" = ").unwrap();
        match assignments.iter_mut().find(|(known, _)| known == column) {
            Some((_, before)) => *before = expression.replace(&format!("ELSE {column}"), &format!("ELSE {before}")),
            None => assignments.push((column.to_owned(), expression.to_owned())),
        }
    }
    assignments.iter().map(|(column, value)| format!("{column} = {value}")).collect::<Vec<_>>().join(", ")
}

#[async_trait]
impl Operations for NextRegistry {
    async fn request(&self, operation: &NewOperation) -> Result<Requested, StoreError> {
        self.database.request(operation).await
    }

    async fn current(&self, town: TownId) -> Result<Option<RecordedOperation>, StoreError> {
        self.database.current(town).await
    }

    async fn claim(&self, town: TownId, worker: &WorkerId, lease: Duration) -> Result<Option<Operation>, StoreError> {
        self.read_next().await;
        self.database.claim(town, worker, lease).await
    }

    async fn claim_due(&self, worker: &WorkerId, lease: Duration, limit: u32) -> Result<Vec<Operation>, StoreError> {
        self.read_next().await;
        self.database.claim_due(worker, lease, limit).await
    }

    async fn left_to_newer(&self, limit: u32) -> Result<Vec<RecordedOperation>, StoreError> {
        self.database.left_to_newer(limit).await
    }

    async fn renew(&self, fence: Fence, lease: Duration) -> Result<DateTime<Utc>, StoreError> {
        let time = self.database.renew(fence, lease).await?;
        self.write_next(fence.town, fence.number).await;
        Ok(time)
    }

    async fn record(&self, fence: Fence, record: &OperationUpdate) -> Result<DateTime<Utc>, StoreError> {
        let mut record = record.clone();
        record.progress.newer.insert("checksum".to_owned(), json!(7));
        let time = self.database.record(fence, &record).await?;
        self.write_next(fence.town, fence.number).await;
        Ok(time)
    }

    async fn idle_towns(&self, limit: u32) -> Result<Vec<(TownId, UserId)>, StoreError> {
        self.database.idle_towns(limit).await
    }

    async fn stop_idle(&self, operation: &NewOperation) -> Result<IdleVerdict, StoreError> {
        self.database.stop_idle(operation).await
    }

    async fn stranded(&self, limit: u32) -> Result<Vec<Town>, StoreError> {
        self.database.stranded(limit).await
    }

    async fn reinstate(&self, operation: &NewOperation, progress: &Progress) -> Result<bool, StoreError> {
        self.database.reinstate(operation, progress).await
    }

    async fn restart(
        &self,
        operation: &NewOperation,
        progress: &Progress,
        check: Option<FailedCheck>,
    ) -> Result<bool, StoreError> {
        self.database.restart(operation, progress, check).await
    }

    async fn release(&self, fence: Fence) -> Result<(), StoreError> {
        self.database.release(fence).await
    }

    async fn finish(
        &self,
        operation: &Operation,
        outcome: OperationResult,
        town: &TownChange,
    ) -> Result<Town, StoreError> {
        self.database.finish(operation, outcome, town).await
    }

    async fn outcome(&self, operation: OperationId) -> Result<Option<OperationResult>, StoreError> {
        self.database.outcome(operation).await
    }
}

/// A replica of the next version, with its own runtime.
pub(super) struct NextReplica {
    runtime: Runtime,
    towns: TownService,
    worker: String,
    stop: CancellationToken,
}

impl NextReplica {
    pub(super) async fn start(stage: &Stage) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (url, engine, settings) = (stage.place.url().to_owned(), stage.engine, stage.orchestrator());
        let adapters = Adapters::of(stage);
        let worker = format!("next-{}", Uuid::from_u128(rand::random()));
        let (id, stop) = (WorkerId(worker.clone()), CancellationToken::new());
        let stopped = stop.clone();
        let towns = runtime.spawn(async move { adapters.service(&url, engine, settings, id, stopped).await });
        Self { towns: towns.await.unwrap(), runtime, worker, stop }
    }

    /// Sweeps from now on.
    pub(super) fn work(&self) {
        self.runtime.spawn(Workers::new(self.towns.clone()).run(self.stop.clone()));
    }

    /// Requests an operation without waiting for it.
    pub(super) fn begin(&self, kind: OperationKind, town: Option<Uuid>) {
        let towns = self.towns.clone();
        self.runtime.spawn(async move { request(&towns, kind, town).await });
    }

    /// Requests an operation and waits for it.
    pub(super) async fn call(&self, kind: OperationKind, town: Uuid) {
        let towns = self.towns.clone();
        self.runtime.spawn(async move { request(&towns, kind, Some(town)).await }).await.unwrap();
    }

    /// Crashes the replica: its tasks are dropped, and its leases stay. Returns the owner of the leases.
    pub(super) async fn crash(self) -> String {
        let Self { runtime, towns, worker, .. } = self;
        drop(towns);
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(20))).await.unwrap();
        worker
    }
}

/// Makes the call. A conflict with another operation is an answer like any other here.
async fn request(towns: &TownService, kind: OperationKind, town: Option<Uuid>) {
    let alice = Caller::Trusted(ALICE.parse().unwrap());
    let town = town.map(TownId::new);
    let _ = match (kind, town) {
        (OperationKind::Start, Some(town)) => towns.start_town(&alice, town).await.map(|started| started.town),
        (OperationKind::Stop, Some(town)) => towns.stop_town(&alice, town).await,
        (OperationKind::Restore, Some(town)) => {
            let confirmed = RestoreTown { town, confirm: "mill".parse().unwrap() };
            towns.restore_town(&alice, confirmed).await.map(|restored| restored.town)
        }
        (_, Some(town)) => towns.destroy_town(&alice, DestroyTown::until_gone(town)).await,
        (_, None) => {
            let name = "mill".parse().unwrap();
            towns.create_town(&alice, CreateTown { name, config: TownConfig::default(), region: None, key: None }).await
        }
    };
}

/// The addresses and keys that the adapters of a replica need.
struct Adapters {
    fly: String,
    sandboxes: String,
    sealing_key: PublicSealingKey,
}

impl Adapters {
    fn of(stage: &Stage) -> Self {
        Self {
            fly: stage.sim.url(),
            sandboxes: stage.sim.machine_url_template(),
            sealing_key: stage.sandbox_key.public_key().clone(),
        }
    }

    async fn service(
        self,
        url: &str,
        engine: Engine,
        settings: Settings,
        worker: WorkerId,
        stop: CancellationToken,
    ) -> TownService {
        let database = Arc::new(Database::connect(&DatabaseSettings::at(url)).await.unwrap());
        let rows = Rows::of(url).await;
        let operations = Arc::new(NextRegistry { database: database.clone(), rows, engine });
        let client =
            FlyClient::new(self.fly.parse().unwrap(), &FLY_TOKEN.into(), Timeouts::default(), RateLimiting::Off)
                .unwrap();
        let fly = Arc::new(Fly::new(client, settings.apps.clone()));
        let timeouts = gastown_sandbox::Timeouts::default();
        let sandboxes = Arc::new(SandboxClient::new(self.sandboxes.parse().unwrap(), timeouts).unwrap());
        let ports = Ports {
            store: Store {
                registry: database.clone(),
                rigs: database.clone(),
                operations,
                drift_checks: database.clone(),
                health_checks: database.clone(),
                orphans: database.clone(),
                jobs: database.clone(),
                rollouts: database.clone(),
                users: database,
            },
            provider: Provider {
                apps: fly.clone(),
                volumes: fly.clone(),
                machines: fly.clone(),
                turns: Some(fly.clone()),
                inventory: fly,
                sandboxes,
            },
            secrets: Secrets {
                mint: Arc::new(TokenMinter::new(token_keys(), Arc::new(SystemClock))),
                sealer: Arc::new(self.sealing_key),
                towns: Arc::new(DerivedTownKeys::new(&TOWN_SECRET.into()).unwrap()),
            },
            env: Env {
                clock: Arc::new(SystemClock),
                ids: Arc::new(RandomIds),
                jitter: Arc::new(ThreadJitter),
                metrics: Arc::new(gastown_domain::ports::NoMetrics),
            },
        };
        TownService::new(ports, settings, worker, stop)
    }
}
