//! The connections of callers' reads. No other call uses them, so a read waits only for other reads.
//!
//! A pool checks each connection that it gets back, which costs a round trip for each statement. A read that succeeded
//! leaves its connection ready for the next statement. On Postgres such connections are kept here, and the next read takes
//! the one that was used last. After an error or a cancellation the connection goes back to the pool, which checks it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gastown_domain::ports::{Measurement, Metrics, StoreError};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, QueryResult, Statement};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgPool, Postgres};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::connect::{CHECK_AFTER, DatabaseSettings, is_alive};
use crate::error::{driver_failed, is_driver_unavailable, store_error};
use crate::pools::Pool;
use crate::read_only::WriteRefusals;

/// A connection that was kept for this long goes back to the pool, which limits its age.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// A connection that was not needed for this long goes back to the pool, which closes idle ones.
const UNUSED_FOR: Duration = Duration::from_secs(10);

/// The parameters of a read, in the order of their numbers. Those that its statement does not have are `None`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parameters<'a> {
    pub(crate) user: &'a str,
    pub(crate) town: Option<Uuid>,
    pub(crate) limit: Option<i64>,
    pub(crate) before: Option<Uuid>,
}

/// The connections of callers' reads.
#[derive(Debug, Clone)]
pub(crate) enum ReadConnections {
    /// Connections to Postgres that are kept between reads.
    Kept(Arc<KeptConnections>),
    /// A pool of SQLite, or one that other calls use too.
    Pool(DatabaseConnection),
}

impl ReadConnections {
    /// Returns the connections of a pool of Postgres of this size that nothing else uses.
    pub(crate) fn of(
        settings: &DatabaseSettings,
        pool: &DatabaseConnection,
        connections: u32,
        refusals: WriteRefusals,
    ) -> Self {
        let max = usize::try_from(connections).unwrap_or(usize::MAX);
        let pool = pool.get_postgres_connection_pool().clone();
        let (timeout, metrics) = (settings.connect_timeout, Arc::clone(&settings.metrics));
        let (places, idle) = (Semaphore::new(max), Mutex::default());
        Self::Kept(Arc::new(KeptConnections { pool, places, max, timeout, refusals, metrics, idle }))
    }

    /// Reads all rows of a statement, whose parameters are `$1` to `$4`.
    pub(crate) async fn fetch(&self, sql: &Arc<str>, values: Parameters<'_>) -> Result<Vec<QueryResult>, StoreError> {
        match self {
            Self::Kept(connections) => connections.fetch(sql, values).await.map_err(driver_failed),
            Self::Pool(pool) => {
                let Parameters { user, town, limit, before } = values;
                let values = [Some(user.into()), town.map(Into::into), limit.map(Into::into), before.map(Into::into)];
                let values = values.into_iter().flatten();
                let statement = Statement::from_sql_and_values(pool.get_database_backend(), &**sql, values);
                pool.query_all_raw(statement).await.map_err(store_error)
            }
        }
    }

    /// Returns the figures of the pool. `None` if it is that of other calls.
    pub(crate) fn figures(&self) -> Option<Pool> {
        match self {
            Self::Kept(connections) => Some(connections.figures()),
            Self::Pool(_) => None,
        }
    }

    /// Closes the connections.
    pub(crate) async fn close(self) -> Result<(), DbErr> {
        match self {
            Self::Kept(connections) => {
                connections.close().await;
                Ok(())
            }
            Self::Pool(pool) => pool.close().await,
        }
    }
}

/// Connections to Postgres that are kept between reads.
#[derive(Debug)]
pub(crate) struct KeptConnections {
    pool: PgPool,
    /// As many as the pool has connections. Closed with the pool.
    places: Semaphore,
    max: usize,
    /// The time limit for a place, and for the check of a connection.
    timeout: Duration,
    /// Ends the sessions that may be on a standby, whose rows are old.
    refusals: WriteRefusals,
    metrics: Arc<dyn Metrics>,
    /// The connections that no read uses, in the order of their last use.
    idle: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    /// The time when the connection came from the pool.
    taken_at: Instant,
    used_at: Instant,
}

impl KeptConnections {
    async fn fetch(&self, sql: &Arc<str>, values: Parameters<'_>) -> Result<Vec<QueryResult>, sqlx::Error> {
        let began = Instant::now();
        let _place = self.place().await?;
        if let Some(kept) = self.kept().await {
            self.metrics.record(Measurement::DatabaseWaited(began.elapsed()));
            match self.fetch_on(kept, sql, values).await {
                // The server may have closed the connection since its last use. A read may be repeated.
                Err(error) if is_driver_unavailable(&error) => {}
                done => return done,
            }
        }
        let began = Instant::now();
        let connection = self.pool.acquire().await?;
        let now = Instant::now();
        self.metrics.record(Measurement::DatabaseWaited(now - began));
        self.fetch_on(Kept { connection, taken_at: now, used_at: now }, sql, values).await
    }

    /// Waits for a place, in order of arrival.
    async fn place(&self) -> Result<SemaphorePermit<'_>, sqlx::Error> {
        match tokio::time::timeout(self.timeout, self.places.acquire()).await {
            Ok(place) => place.map_err(|_closed| sqlx::Error::PoolClosed),
            Err(_elapsed) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// Returns a connection that answers, or `None` if none is kept.
    async fn kept(&self) -> Option<Kept> {
        let mut kept = self.idle().pop()?;
        if self.refusals.concerns(kept.taken_at.elapsed()) {
            // The pool decides by the age of the session, which may have been opened since.
            return None;
        }
        if kept.used_at.elapsed() < CHECK_AFTER {
            return Some(kept);
        }
        matches!(is_alive(&mut kept.connection, self.timeout).await, Ok(true)).then_some(kept)
    }

    async fn fetch_on(
        &self,
        mut kept: Kept,
        sql: &Arc<str>,
        values: Parameters<'_>,
    ) -> Result<Vec<QueryResult>, sqlx::Error> {
        // The text has no part that a caller gave.
        let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(values.user);
        let query = if let Some(town) = values.town { query.bind(town) } else { query };
        let query = if let Some(limit) = values.limit { query.bind(limit) } else { query };
        let query = if let Some(before) = values.before { query.bind(before) } else { query };
        let rows = query.fetch_all(&mut *kept.connection).await?;
        self.keep(kept);
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }

    /// Keeps a connection for the next read. Returns those to the pool that are too old or not needed.
    fn keep(&self, mut kept: Kept) {
        kept.used_at = Instant::now();
        let mut idle = self.idle();
        let unused = idle.first().is_some_and(|first| first.used_at.elapsed() > UNUSED_FOR).then(|| idle.remove(0));
        if kept.taken_at.elapsed() < KEPT_FOR && !self.places.is_closed() {
            idle.push(kept);
        }
        drop((idle, unused));
    }

    fn figures(&self) -> Pool {
        let open = usize::try_from(self.pool.size()).unwrap_or(usize::MAX);
        let in_use = self.max.saturating_sub(self.places.available_permits()).min(open);
        Pool { name: "reads", in_use, idle: open - in_use, max: self.max }
    }

    async fn close(&self) {
        self.places.close();
        self.idle().clear();
        self.pool.close().await;
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
