//! The connection of readiness probes, and the cause when there is no connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gastown_domain::ports::StoreError;
use migration::address::PostgresAddress;
use migration::postgres;
use sea_orm::DbErr;
#[cfg(feature = "sqlite")]
use sea_orm::{DatabaseConnection, EntityTrait as _, QuerySelect as _};
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::sync::Mutex;

#[cfg(feature = "sqlite")]
use crate::entity::gastown_towns;
#[cfg(feature = "sqlite")]
use crate::error::store_error;
use crate::error::{driver_failed, is_driver_unavailable};
use crate::read_only::{ReadOnly, WriteRefusals};
use crate::session::Session;

/// A connection of this age is replaced, so that a probe also shows if the database accepts connections.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// The time limit for a new connection. A probe has little time, and shall still say why it fails.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Reads the registry instead of pinging, because a database without our tables is not ready. Nor is one that is read only.
const QUERY: &str = "SELECT current_setting('transaction_read_only') = 'on', EXISTS (SELECT 1 FROM gastown_towns)";

/// The connection of readiness probes.
#[derive(Debug, Clone)]
pub(crate) enum Probe {
    /// A connection to Postgres that no pool has. A pool would hide why it cannot connect.
    Postgres(Arc<PostgresProbe>),
    /// A pool of SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite(DatabaseConnection),
}

/// A connection to Postgres for one probe at a time.
pub(crate) struct PostgresProbe {
    address: PostgresAddress,
    session: Session,
    timeout: Duration,
    refusals: WriteRefusals,
    kept: Mutex<Option<Kept>>,
    /// True if the last probe found the database read only.
    was_read_only: AtomicBool,
    is_closed: AtomicBool,
}

struct Kept {
    connection: PgConnection,
    opened_at: Instant,
}

impl Probe {
    /// Fails if the registry cannot be read, or not be written.
    pub(crate) async fn ready(&self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(probe) => probe.ready(&mut *probe.kept.lock().await).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => {
                gastown_towns::Entity::find().limit(1).one(pool).await.map(|_| ()).map_err(store_error)
            }
        }
    }

    /// Returns why a pool found no connection in time. `None`: its connections are in use, or another probe is running.
    pub(crate) async fn cause_of_no_connection(&self) -> Option<StoreError> {
        let probe = match self {
            Self::Postgres(probe) => probe,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => return None,
        };
        let mut kept = probe.kept.try_lock().ok()?;
        // A kept connection would not show that there are no others.
        *kept = None;
        match probe.connected().await {
            Ok(connected) => {
                *kept = Some(connected);
                None
            }
            Err(error) => Some(error),
        }
    }

    /// Closes the connection.
    pub(crate) async fn close(self) -> Result<(), DbErr> {
        match self {
            Self::Postgres(probe) => {
                probe.is_closed.store(true, Ordering::SeqCst);
                if let Some(kept) = probe.kept.lock().await.take() {
                    // The process ends, and the server closes what is left.
                    let _closed = kept.connection.close().await;
                }
                Ok(())
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}

impl PostgresProbe {
    /// Returns a probe that begins with an open connection.
    pub(crate) fn new(
        address: PostgresAddress,
        session: Session,
        timeout: Duration,
        refusals: WriteRefusals,
        connection: PgConnection,
    ) -> Self {
        let kept = Kept { connection, opened_at: Instant::now() };
        Self {
            address,
            session,
            timeout: timeout.min(CONNECT_TIMEOUT),
            refusals,
            kept: Mutex::new(Some(kept)),
            was_read_only: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        }
    }

    async fn ready(&self, place: &mut Option<Kept>) -> Result<(), StoreError> {
        if let Some(kept) = place.take().filter(|kept| !self.is_outdated(kept)) {
            match self.check(kept, place).await {
                // The connection may have ended since the last probe.
                Err(ProbeError::Driver(error)) if is_driver_unavailable(&error) => {}
                done => return done.map_err(StoreError::from),
            }
        }
        let connected = self.connected().await?;
        self.check(connected, place).await.map_err(StoreError::from)
    }

    fn is_outdated(&self, kept: &Kept) -> bool {
        let age = kept.opened_at.elapsed();
        age > KEPT_FOR || self.refusals.concerns(age)
    }

    /// Keeps the connection if it could write.
    async fn check(&self, mut kept: Kept, place: &mut Option<Kept>) -> Result<(), ProbeError> {
        let row = sqlx::raw_sql(QUERY).fetch_one(&mut kept.connection).await.map_err(ProbeError::Driver)?;
        let is_read_only = row.try_get(0).map_err(ProbeError::Driver)?;
        let was_read_only = self.was_read_only.swap(is_read_only, Ordering::SeqCst);
        if is_read_only {
            self.refusals.record();
            return Err(ProbeError::ReadOnly);
        }
        if was_read_only {
            self.refusals.end_sessions();
        }
        *place = Some(kept);
        Ok(())
    }

    async fn connected(&self) -> Result<Kept, StoreError> {
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(driver_failed(sqlx::Error::PoolClosed));
        }
        let opened_at = Instant::now();
        let connected = postgres::connect_once(&self.address, self.timeout).await;
        let mut connection = connected.map_err(unavailable)?;
        self.session.set_up(&mut connection).await.map_err(unavailable)?;
        Ok(Kept { connection, opened_at })
    }
}

fn unavailable(cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable { cause: Box::new(cause) }
}

enum ProbeError {
    Driver(sqlx::Error),
    ReadOnly,
}

impl From<ProbeError> for StoreError {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Driver(error) => driver_failed(error),
            ProbeError::ReadOnly => unavailable(ReadOnly),
        }
    }
}

impl std::fmt::Debug for PostgresProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresProbe").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
