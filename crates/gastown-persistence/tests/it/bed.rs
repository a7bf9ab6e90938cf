//! A database of its own for each test, and the smallest valid values to put into it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ephemeral_db::TestDatabase;
use gastown_domain::ports::{
    AcceptedCreate, CreateTown, IdempotencyKey, KeyedRequest, NewCreate, NewOperation, OperationUpdate,
    Operations as _, Registry as _, Requested, StoreError, TownChange, WorkerId,
};
use gastown_domain::{
    Branch, NewTown, Operation, OperationId, OperationKind, Phase, Progress, Rig, RigId, RigStatus, StepName, Town,
    TownConfig, TownId, UserId,
};
use gastown_persistence::{Database, DatabaseSettings, MigrateError};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use uuid::Uuid;

/// Runs each of these tests on both databases.
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

/// Long enough for every test.
pub(crate) const LEASE: Duration = Duration::from_secs(3600);

/// A migrated database with the users alice and bob.
pub(crate) struct Bed {
    pub(crate) database: Database,
    /// Another way in, to look and to tamper.
    pub(crate) raw: DatabaseConnection,
    pub(crate) place: TestDatabase,
}

async fn migrate(url: String) -> Result<(), MigrateError> {
    migration::at_url::up(&url).await
}

impl Bed {
    pub(crate) async fn postgres() -> Self {
        Self::on(TestDatabase::postgres(migrate).await.unwrap()).await
    }

    pub(crate) async fn sqlite() -> Self {
        Self::on(TestDatabase::sqlite(migrate).await.unwrap()).await
    }

    async fn on(place: TestDatabase) -> Self {
        let database = Database::connect(&DatabaseSettings::at(place.url())).await.unwrap();
        let raw = sea_orm::Database::connect(place.url()).await.unwrap();
        let bed = Self { database, raw, place };
        bed.sql("INSERT INTO kilocode_users (id, api_token_pepper) VALUES ('alice', 'salt'), ('bob', NULL)").await;
        bed
    }

    /// The same database through a pool of these settings.
    pub(crate) async fn again(&self, change: impl FnOnce(&mut DatabaseSettings)) -> Database {
        let mut settings = DatabaseSettings::at(self.place.url());
        change(&mut settings);
        Database::connect(&settings).await.unwrap()
    }

    pub(crate) async fn sql(&self, statement: &str) {
        self.raw.execute_unprepared(statement).await.unwrap();
    }

    /// The first column of the first row of a query, a number.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let statement = Statement::from_string(self.raw.get_database_backend(), query);
        let row = self.raw.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    pub(crate) async fn create(&self, owner: &str, name: &str) -> Town {
        let create = create_of(new_town(owner, name));
        assert_eq!(self.database.accept_create(&create).await.unwrap(), AcceptedCreate::Inserted);
        self.database.load(create.town.id).await.unwrap().unwrap()
    }

    /// A town whose create has ended well.
    pub(crate) async fn running(&self, owner: &str, name: &str) -> Town {
        let town = self.create(owner, name).await;
        let operation = self.claimed(town.id, "setup").await;
        let change = TownChange { status: Some(gastown_domain::TownStatus::Running), ..TownChange::default() };
        self.database.finish(operation.fence(), Ok(()), &change).await.unwrap();
        self.database.load(town.id).await.unwrap().unwrap()
    }

    pub(crate) async fn claim(&self, town: TownId, who: &str) -> Option<Operation> {
        self.database.claim(town, &worker(who), LEASE).await.unwrap()
    }

    pub(crate) async fn claimed(&self, town: TownId, who: &str) -> Operation {
        self.claim(town, who).await.unwrap()
    }

    /// Claims what is due, and says of which towns.
    pub(crate) async fn claim_due(&self, who: &str, limit: u32) -> Vec<TownId> {
        let claimed = self.database.claim_due(&worker(who), LEASE, limit).await.unwrap();
        claimed.into_iter().map(|operation| operation.town).collect()
    }

    pub(crate) async fn request(&self, town: &Town, kind: OperationKind) -> Requested {
        self.database.request(&wish(town, kind)).await.unwrap()
    }

    /// Soft-deletes a town as a destroy would, and ends it.
    pub(crate) async fn hide(&self, town: &Town) {
        self.request(town, OperationKind::Destroy).await;
        let destroy = self.claimed(town.id, "driver").await;
        let change = TownChange { soft_deleted_at: Some(noon()), ..TownChange::default() };
        self.database.finish(destroy.fence(), Ok(()), &change).await.unwrap();
    }

    /// Makes every lease run out, as time would.
    pub(crate) async fn let_leases_run_out(&self) {
        self.sql("UPDATE gastown_operations SET lease_expires_at = '2000-01-01T00:00:00+00:00'").await;
    }
}

pub(crate) fn fresh_uuid() -> Uuid {
    static LAST: AtomicU64 = AtomicU64::new(0);
    Uuid::from_u64_pair(0x0190_a1b2_c3d4_7e5f, 0x8a9b_0000_0000_0000 + LAST.fetch_add(1, Ordering::Relaxed))
}

/// Some fixed time, with microseconds.
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

/// Patient enough for every test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// A request for this town, without a key and with no limit in its way.
pub(crate) fn create_of(town: NewTown) -> NewCreate {
    let operation = NewOperation {
        id: OperationId::new(fresh_uuid()),
        town: town.id,
        kind: OperationKind::Create,
        requested_by: town.owner.clone(),
        at: town.created_at,
        timeout: Some(PATIENCE),
    };
    NewCreate { town, operation, keyed: None, max_towns: u32::MAX }
}

/// The same with an idempotency key.
pub(crate) fn keyed(create: NewCreate, key: &str) -> NewCreate {
    let key: IdempotencyKey = key.parse().unwrap();
    let NewTown { name, config, region, .. } = create.town.clone();
    let request = CreateTown { name, config, region: Some(region), key: Some(key.clone()) };
    NewCreate { keyed: Some(KeyedRequest { key, fingerprint: request.fingerprint() }), ..create }
}

/// The owner's wish for a town.
pub(crate) fn wish(town: &Town, kind: OperationKind) -> NewOperation {
    NewOperation {
        id: OperationId::new(fresh_uuid()),
        town: town.id,
        kind,
        requested_by: town.owner.clone(),
        at: noon(),
        timeout: Some(PATIENCE),
    }
}

pub(crate) fn rig(town: TownId, name: &str) -> Rig {
    Rig {
        id: RigId::new(fresh_uuid()),
        town,
        name: name.parse().unwrap(),
        repo: "https://github.com/acme/app".parse().unwrap(),
        branch: Branch::main(),
        status: RigStatus::Pending,
        config: serde_json::Map::new(),
        created_at: noon(),
    }
}

/// What a driver writes after a step that went well.
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
