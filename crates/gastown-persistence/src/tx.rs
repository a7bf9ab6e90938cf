use std::sync::Arc;
use std::time::{Duration, Instant};

use gastown_domain::Backoff;
use gastown_domain::ports::{Measurement, StoreError};
use sea_orm::{DatabaseTransaction, DbErr, TransactionTrait as _};
use tokio::sync::SemaphorePermit;

use crate::Database;
use crate::dialect::transaction_options;
use crate::error::{CallTimeout, TxError, is_without_connection, store_error, unwritable};
use crate::read_only::is_refused_write;

/// The maximum number of attempts of a transaction that keeps conflicting.
const MAX_ATTEMPTS: u32 = 6;

/// Pauses between attempts: long enough for the other transaction to commit, short enough for callers not to notice.
const PAUSE: Backoff = Backoff { first: Duration::from_millis(10), max: Duration::from_millis(200) };

/// A transaction that is still in use after its work has ended. It is rolled back.
#[derive(Debug, thiserror::Error)]
#[error("transaction is still in use after its work has ended")]
struct StillInUse;

impl Database {
    /// Runs `work` in a transaction and commits it.
    ///
    /// Conflicts with other transactions (serialization failure, deadlock, SQLite's busy) repeat all of it after a pause.
    /// Therefore `work` contains only statements of the given transaction, and no calls to other systems. A pool of one
    /// connection could not serve any other statement.
    pub(crate) async fn in_tx<T, W, F>(&self, name: &'static str, work: W) -> Result<T, StoreError>
    where
        W: Fn(Arc<DatabaseTransaction>) -> F,
        F: Future<Output = Result<T, TxError>>,
    {
        self.retried(name, || self.attempt(&work)).await
    }

    /// Runs one writing statement without a transaction of its own, and repeats it after conflicts as [`Self::in_tx`] does.
    pub(crate) async fn write_once<T, F>(&self, name: &'static str, statement: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, DbErr>>,
    {
        self.retried(name, async || statement().await.map_err(TxError::from)).await
    }

    /// Reads with one statement that needs no transaction.
    pub(crate) async fn read<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, StoreError> {
        self.in_time(async { statement.await.map_err(store_error) }).await
    }

    /// Limits the duration of a call to the answer timeout. A background call first waits for a place.
    ///
    /// A transaction that is abandoned here is rolled back, or was already committed. The caller must look.
    pub(crate) async fn in_time<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let placed = async {
            let _place = self.background_place().await;
            match call.await {
                Ok(value) => Ok(value),
                Err(error) => Err(self.explained(error).await),
            }
        };
        tokio::time::timeout(self.answer_timeout, placed)
            .await
            .unwrap_or_else(|_| Err(CallTimeout(self.answer_timeout).into()))
    }

    /// Ends the sessions that cannot write, and says why there is no connection.
    async fn explained(&self, error: StoreError) -> StoreError {
        if is_refused_write(&error) {
            self.refusals.record();
        }
        if is_without_connection(&error) {
            return self.probe.cause_of_no_connection().await.unwrap_or(error);
        }
        error
    }

    /// Waits for a place of background work. `None`: the call needs none.
    async fn background_place(&self) -> Option<SemaphorePermit<'_>> {
        if self.is_background { self.background_places.acquire().await.ok() } else { None }
    }

    /// Repeats attempts that conflict with other transactions.
    async fn retried<T, F>(&self, name: &'static str, attempt: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, TxError>>,
    {
        self.in_time(async {
            let mut failures = 0;
            loop {
                let lost = match attempt().await {
                    Err(error) if error.is_conflict() => error,
                    done => return done.map_err(StoreError::from),
                };
                failures += 1;
                if failures == MAX_ATTEMPTS {
                    return Err(contention(name, lost));
                }
                tracing::debug!(tx.name = name, tx.failures = failures, "transaction conflicted");
                tokio::time::sleep(PAUSE.delay(failures, rand::random())).await;
            }
        })
        .await
    }

    async fn attempt<T, W, F>(&self, work: &W) -> Result<T, TxError>
    where
        W: Fn(Arc<DatabaseTransaction>) -> F,
        F: Future<Output = Result<T, TxError>>,
    {
        // Shared instead of borrowed, because a generic future that borrows its argument cannot be proven `Send`.
        let began = Instant::now();
        let shared = Arc::new(self.connection.begin_with_options(transaction_options()).await?);
        self.metrics.record(Measurement::DatabaseWaited(began.elapsed()));
        let done = work(Arc::clone(&shared)).await;
        let tx = Arc::into_inner(shared).ok_or_else(|| unwritable(StillInUse))?;
        match done {
            Ok(value) => tx.commit().await.map(|()| value).map_err(TxError::from),
            Err(error) => {
                // The first error matters more than a failed rollback, which the server does anyway.
                let _rolled_back = tx.rollback().await;
                Err(error)
            }
        }
    }
}

fn contention(transaction: &'static str, lost: TxError) -> StoreError {
    match lost {
        TxError::Database { error, .. } => StoreError::Contention { transaction, cause: Box::new(error) },
        TxError::Store(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use ephemeral_db::TestDatabase;
    use sea_orm::ConnectionTrait as _;

    use super::*;
    use crate::DatabaseSettings;

    /// Runs a transaction that raises this error in its first `failing` attempts. Returns the result and the attempts.
    async fn attempts_of(code: &str, failing: u32) -> (Result<u32, StoreError>, u32) {
        let place = TestDatabase::empty_postgres().await.unwrap();
        let database = Database::connect(&DatabaseSettings::at(place.url())).await.unwrap();
        let raise = &format!("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$");
        let attempts = &AtomicU32::new(0);
        let done = database
            .in_tx("tried", move |tx| async move {
                let number = attempts.fetch_add(1, Ordering::SeqCst) + 1;
                if number <= failing {
                    tx.execute_unprepared(raise).await?;
                }
                Ok(number)
            })
            .await;
        (done, attempts.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn conflicting_transaction_is_repeated() {
        for code in ["40001", "40P01", "55P03"] {
            let (done, attempts) = attempts_of(code, 2).await;
            assert_eq!((done.unwrap(), attempts), (3, 3), "{code}");
        }
    }

    #[tokio::test]
    async fn a_transaction_that_keeps_conflicting_ends_in_contention() {
        let (done, attempts) = attempts_of("40001", u32::MAX).await;
        let error = done.unwrap_err();
        assert!(matches!(error, StoreError::Contention { transaction: "tried", .. }), "{error:?}");
        assert_eq!(attempts, MAX_ATTEMPTS);
    }

    #[tokio::test]
    async fn any_other_error_is_not_repeated() {
        let outages = ["57P01", "53300", "25P02", "25P03"].map(|code| (code, true));
        for (code, transient) in [("23514", false), ("22012", false)].into_iter().chain(outages) {
            let (done, attempts) = attempts_of(code, u32::MAX).await;
            assert_eq!((done.unwrap_err().is_transient(), attempts), (transient, 1), "{code}");
        }
    }
}
