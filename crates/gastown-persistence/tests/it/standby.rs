//! A real hot standby: the service meets it for a while, and fails over to it.

use std::error::Error as _;
use std::time::{Duration, Instant};

use ephemeral_db::{Cluster, PostgresProxy};
use gastown_domain::ports::{Readiness as _, Registry as _, StoreError};
use gastown_domain::{Town, TownId};
use gastown_persistence::{Database, DatabaseSettings};
use sea_orm::ConnectionTrait as _;
use tokio::task::JoinSet;

use crate::bed::{assert_inserted, beat, create_of, new_town, noon};

/// The time in which writes succeed again after the primary is there.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// A primary with a hot standby, and a service that reaches them through one address.
struct Pair {
    primary: Cluster,
    standby: Cluster,
    proxy: PostgresProxy,
    database: Database,
    town: Town,
}

impl Pair {
    async fn start() -> Self {
        let primary = Cluster::start_replicated().await.unwrap();
        migration::at_url::up(primary.url()).await.unwrap();
        let raw = sea_orm::Database::connect(primary.url()).await.unwrap();
        raw.execute_unprepared("INSERT INTO kilocode_users (id) VALUES ('alice')").await.unwrap();
        raw.close().await.unwrap();
        let standby = primary.start_standby().await.unwrap();
        primary.commit_on_standby().await.unwrap();
        let proxy = PostgresProxy::in_front_of(primary.url()).await.unwrap();
        let database = Database::connect(&DatabaseSettings::at(proxy.url())).await.unwrap();
        let town = created(&database, "mill").await;
        Self { primary, standby, proxy, database, town }
    }

    /// Leads the address to a server, as a failover of DNS or of a virtual address does.
    fn lead_to(&self, server: &Cluster) {
        self.proxy.redirect(server.url()).unwrap();
    }
}

async fn created(database: &Database, name: &str) -> Town {
    let create = create_of(new_town("alice", name));
    assert_inserted(&database.accept_create(&create).await);
    database.load(create.town.id).await.unwrap().unwrap()
}

/// Uses many sessions at once. Their results do not matter.
async fn use_sessions(database: &Database, town: TownId) {
    let mut uses = JoinSet::new();
    for number in 0..20 {
        let database = database.clone();
        uses.spawn(async move {
            if number % 2 == 0 {
                drop(database.load(town).await);
            } else {
                drop(beat(&database, town, noon()).await);
            }
        });
    }
    uses.join_all().await;
}

fn is_read_only(error: &StoreError) -> bool {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    error.is_transient() && (cause.contains("read-only transaction") || cause.contains("the database is read only"))
}

/// Waits until a write succeeds and the database is ready. Then no later write may fail.
async fn assert_back(database: &Database, town: TownId) {
    let begun = Instant::now();
    while !(beat(database, town, noon()).await.is_ok() && database.ready().await.is_ok()) {
        assert!(begun.elapsed() < BACK_WITHIN, "nothing can be written after {:?}", begun.elapsed());
        tokio::task::yield_now().await;
    }
    let mut writes = JoinSet::new();
    for _ in 0..20 {
        let database = database.clone();
        writes.spawn(async move { beat(&database, town, noon()).await });
    }
    assert!(writes.join_all().await.into_iter().all(|written| written.unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_that_met_a_standby_writes_to_the_primary_within_seconds() {
    let pair = Pair::start().await;
    let (database, town) = (&pair.database, pair.town.id);
    database.ready().await.unwrap();
    pair.lead_to(&pair.standby);
    pair.proxy.disconnect();
    for _ in 0..3 {
        use_sessions(database, town).await;
        let error = beat(database, town, noon()).await.unwrap_err();
        assert!(is_read_only(&error), "{error:?}");
        let error = database.ready().await.unwrap_err();
        assert!(is_read_only(&error), "{error:?}");
        assert!(database.load(town).await.unwrap().is_some(), "reads are answered");
    }
    // The sessions on the standby are not ended from outside.
    pair.lead_to(&pair.primary);
    assert_back(database, town).await;
    created(database, "forge").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_writes_to_a_promoted_standby_within_seconds() {
    let mut pair = Pair::start().await;
    let acknowledged = created(&pair.database, "forge").await;
    pair.primary.crash().await.unwrap();
    let town = pair.town.id;
    beat(&pair.database, town, noon()).await.unwrap_err();
    pair.lead_to(&pair.standby);
    use_sessions(&pair.database, town).await;
    let error = beat(&pair.database, town, noon()).await.unwrap_err();
    assert!(is_read_only(&error), "{error:?}");

    pair.standby.promote().await.unwrap();
    assert_back(&pair.database, town).await;
    assert_eq!(pair.database.load(acknowledged.id).await.unwrap(), Some(acknowledged));
}
