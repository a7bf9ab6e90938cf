//! A database for each test, and minimal valid values.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ephemeral_db::{PgBouncer, PoolMode, TestDatabase};
use gastown_domain::ports::{
    AcceptedCreate, CreateTown, DriftChecks, IdempotencyKey, KeyedRequest, NewCreate, NewOperation, OperationUpdate,
    Operations as _, Operator as _, Registry as _, Requested, StoreError, TownChange, TownHealth, WorkerId,
};
use gastown_domain::{
    Heartbeat, NewTown, Operation, OperationId, OperationKind, Phase, Progress, RecordedOperation, Rig, RigId,
    RigStatus, SandboxReport, StepName, Town, TownConfig, TownId, UserId,
};
use gastown_persistence::{Database, DatabaseSettings, MigrateError};
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait as _,
};
use uuid::Uuid;

/// Defines each of these tests once for each database.
macro_rules! on_both {
    ($($test:ident,)+) => {
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::bed::Bed::postgres().await).await;
            })+
        }
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::bed::Bed::sqlite().await).await;
            })+
        }
    };
}
pub(crate) use on_both;

/// A lease that outlasts every test.
pub(crate) const LEASE: Duration = Duration::from_secs(3600);

/// Takes towns for a drift check, in the present round or a new one.
pub(crate) async fn take_due(
    checks: &dyn DriftChecks,
    limit: u32,
    unseen_for: Duration,
) -> Vec<(Town, TownHealth, DateTime<Utc>)> {
    let round = checks.join_round(Duration::ZERO).await.unwrap().unwrap();
    checks.take_due(round.number, limit, unseen_for, LEASE).await.unwrap()
}

/// Writes a heartbeat, which stands for any write. Returns false if there is no such live town.
pub(crate) async fn beat(database: &Database, town: TownId, at: DateTime<Utc>) -> Result<bool, StoreError> {
    let beat = Heartbeat::received(town, at, SandboxReport::default(), None);
    Ok(database.record_heartbeats(&[beat]).await? == [town])
}

/// A migrated database with the users alice and bob.
pub(crate) struct Bed {
    pub(crate) database: Database,
    /// A second connection, to inspect and change rows.
    pub(crate) raw: DatabaseConnection,
    pub(crate) place: TestDatabase,
    /// The pooler in front of the database, if the service uses one.
    pooler: Option<PgBouncer>,
}

async fn migrate(url: String) -> Result<(), MigrateError> {
    migration::at_url::up(&url).await
}

impl Bed {
    pub(crate) async fn postgres() -> Self {
        Self::on(TestDatabase::postgres(migrate).await.unwrap(), None).await
    }

    /// Returns a database that the service reaches through a PgBouncer in session mode.
    pub(crate) async fn behind_pgbouncer() -> Self {
        let place = TestDatabase::postgres(migrate).await.unwrap();
        let pooler = PgBouncer::in_front_of(place.url(), PoolMode::Session, 50, &[]).await.unwrap();
        Self::on(place, Some(pooler)).await
    }

    pub(crate) async fn sqlite() -> Self {
        Self::on(TestDatabase::sqlite(migrate).await.unwrap(), None).await
    }

    /// Locks all towns until the transaction is dropped.
    pub(crate) async fn lock_all_towns(&self) -> DatabaseTransaction {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let held = self.raw.begin_with_options(options).await.unwrap();
        held.execute_unprepared("UPDATE gastown_towns SET fly_region = 'iad'").await.unwrap();
        held
    }

    async fn on(place: TestDatabase, pooler: Option<PgBouncer>) -> Self {
        let url = pooler.as_ref().map_or(place.url(), PgBouncer::url);
        let database = Database::connect(&DatabaseSettings::at(url)).await.unwrap();
        let raw = sea_orm::Database::connect(place.url()).await.unwrap();
        let bed = Self { database, raw, place, pooler };
        bed.sql("INSERT INTO kilocode_users (id, api_token_pepper) VALUES ('alice', 'salt'), ('bob', NULL)").await;
        bed
    }

    /// Opens the same database with other settings.
    pub(crate) async fn again(&self, change: impl FnOnce(&mut DatabaseSettings)) -> Database {
        let url = self.pooler.as_ref().map_or(self.place.url(), PgBouncer::url);
        let mut settings = DatabaseSettings::at(url);
        change(&mut settings);
        Database::connect(&settings).await.unwrap()
    }

    pub(crate) async fn sql(&self, statement: &str) {
        self.raw.execute_unprepared(statement).await.unwrap();
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.raw.get_database_backend() == DbBackend::Postgres
    }

    /// Returns the number in the first column of a query's first row.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let statement = Statement::from_string(self.raw.get_database_backend(), query);
        let row = self.raw.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    pub(crate) async fn create(&self, owner: &str, name: &str) -> Town {
        let create = create_of(new_town(owner, name));
        assert_inserted(&self.database.accept_create(&create).await);
        self.database.load(create.town.id).await.unwrap().unwrap()
    }

    /// Creates a town and ends its create successfully.
    pub(crate) async fn running(&self, owner: &str, name: &str) -> Town {
        let town = self.create(owner, name).await;
        let operation = self.claimed(town.id, "setup").await;
        let change = TownChange { status: Some(gastown_domain::TownStatus::Running), ..TownChange::default() };
        self.database.finish(&operation, Ok(()), &change).await.unwrap();
        self.database.load(town.id).await.unwrap().unwrap()
    }

    /// Returns the health of a town, live or not.
    pub(crate) async fn health(&self, town: TownId) -> TownHealth {
        self.database.town_details(town, &[], 0).await.unwrap().unwrap().health.unwrap()
    }

    pub(crate) async fn claim(&self, town: TownId, who: &str) -> Option<Operation> {
        self.database.claim(town, &worker(who), LEASE).await.unwrap()
    }

    pub(crate) async fn claimed(&self, town: TownId, who: &str) -> Operation {
        self.claim(town, who).await.unwrap()
    }

    /// Claims due operations and returns their towns.
    pub(crate) async fn claim_due(&self, who: &str, limit: u32) -> Vec<TownId> {
        let claimed = self.database.claim_due(&worker(who), LEASE, limit).await.unwrap();
        claimed.into_iter().map(|operation| operation.town).collect()
    }

    pub(crate) async fn request(&self, town: &Town, kind: OperationKind) -> Requested {
        self.database.request(&request(town, kind)).await.unwrap()
    }

    /// Soft-deletes a town by a destroy that ends.
    pub(crate) async fn destroy(&self, town: &Town) {
        self.request(town, OperationKind::Destroy).await;
        let destroy = self.claimed(town.id, "driver").await;
        let change = TownChange { soft_deleted_at: Some(noon()), ..TownChange::default() };
        self.database.finish(&destroy, Ok(()), &change).await.unwrap();
    }

    /// Expires all leases.
    pub(crate) async fn expire_leases(&self) {
        self.sql("UPDATE gastown_operations SET lease_expires_at = '2000-01-01T00:00:00+00:00'").await;
    }
}

pub(crate) fn fresh_uuid() -> Uuid {
    static LAST: AtomicU64 = AtomicU64::new(0);
    Uuid::from_u64_pair(0x0190_a1b2_c3d4_7e5f, 0x8a9b_0000_0000_0000 + LAST.fetch_add(1, Ordering::Relaxed))
}

/// A fixed time with microseconds.
pub(crate) fn noon() -> DateTime<Utc> {
    "2026-11-23T12:00:00.123456Z".parse().unwrap()
}

pub(crate) fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

pub(crate) fn worker(name: &str) -> WorkerId {
    WorkerId(name.to_owned())
}

pub(crate) fn new_town(owner: &str, name: &str) -> NewTown {
    NewTown {
        id: TownId::new(fresh_uuid()),
        owner: user(owner),
        name: name.parse().unwrap(),
        region: "iad".parse().unwrap(),
        config: TownConfig::default(),
        rigs: Vec::new(),
        created_at: noon(),
    }
}

/// An operation timeout that outlasts every test.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(600);

/// Returns a create request without a key or a limit.
pub(crate) fn create_of(town: NewTown) -> NewCreate {
    let operation = NewOperation {
        id: OperationId::new(fresh_uuid()),
        town: town.id,
        kind: OperationKind::Create,
        requested_by: town.owner.clone(),
        at: town.created_at,
        timeout: Some(TIMEOUT),
        max_in_flight: None,
        claim: None,
    };
    NewCreate { town, operation, keyed: None, max_towns: u32::MAX }
}

/// Adds an idempotency key to a create request.
pub(crate) fn keyed(create: NewCreate, key: &str) -> NewCreate {
    let key: IdempotencyKey = key.parse().unwrap();
    let NewTown { name, config, region, .. } = create.town.clone();
    let request = CreateTown { name, config, region: Some(region), key: Some(key.clone()) };
    NewCreate { keyed: Some(KeyedRequest { key, fingerprint: request.fingerprint() }), ..create }
}

/// Returns a request by the town's owner.
pub(crate) fn request(town: &Town, kind: OperationKind) -> NewOperation {
    NewOperation {
        id: OperationId::new(fresh_uuid()),
        town: town.id,
        kind,
        requested_by: town.owner.clone(),
        at: noon(),
        timeout: Some(TIMEOUT),
        max_in_flight: None,
        claim: None,
    }
}

/// Returns the operation of an accepted request.
pub(crate) fn accepted(requested: Requested) -> RecordedOperation {
    let Requested::Accepted(accepted) = requested else { panic!("not accepted: {requested:?}") };
    accepted.operation
}

/// Asserts that a create was inserted.
pub(crate) fn assert_inserted(answer: &Result<AcceptedCreate, StoreError>) {
    assert!(matches!(answer, Ok(AcceptedCreate::Inserted(_))), "{answer:?}");
}

pub(crate) fn rig(town: TownId, name: &str) -> Rig {
    Rig {
        id: RigId::new(fresh_uuid()),
        town,
        name: name.parse().unwrap(),
        repo: "https://github.com/acme/app".parse().unwrap(),
        branch: Some("main".parse().unwrap()),
        status: RigStatus::Pending,
        config: serde_json::Map::new(),
        created_at: noon(),
    }
}

/// Returns the update after a successful step.
pub(crate) fn record(step: StepName) -> OperationUpdate {
    OperationUpdate {
        kind: OperationKind::Create,
        phase: Phase::Begun,
        step: Some(step.into()),
        attempt: 0,
        last_error: None,
        cause: None,
        progress: Progress::default(),
        deadline_at: Some(noon()),
        wait: Duration::ZERO,
        hold: Some(LEASE),
        town: TownChange::default(),
    }
}

pub(crate) fn is_fenced<T>(done: &Result<T, StoreError>) -> bool {
    matches!(done, Err(StoreError::Fenced { .. }))
}
