use std::sync::Arc;
use std::time::Duration;

use gastown_domain::Backoff;
use gastown_domain::ports::StoreError;
use sea_orm::{DatabaseTransaction, DbErr, TransactionTrait as _};

use crate::Database;
use crate::dialect::transaction_options;
use crate::error::{NoAnswer, Stop, store_error, unwritable};

/// How often a transaction that lost against another one is tried in all.
const TRIES: u32 = 6;

/// Long enough for the other one to commit, short enough that a caller does not notice.
const PAUSE: Backoff = Backoff { first: Duration::from_millis(10), max: Duration::from_millis(200) };

/// Work that hands its transaction on to something that outlives it; it is undone.
#[derive(Debug, thiserror::Error)]
#[error("the transaction was still in use when its work was done")]
struct StillInUse;

impl Database {
    /// Runs `work` in a transaction and commits it. Where the database made it lose against another transaction
    /// (serialization failure, deadlock, SQLite's busy), the whole of it is repeated, after a pause, a few times.
    ///
    /// `work` holds statements and nothing else: it may run more than once, and nobody outside is waited for in it.
    /// Every statement in it goes through the transaction it is given: a pool of one has no second connection.
    pub(crate) async fn in_tx<T, W, F>(&self, name: &'static str, work: W) -> Result<T, StoreError>
    where
        W: Fn(Arc<DatabaseTransaction>) -> F,
        F: Future<Output = Result<T, Stop>>,
    {
        self.answered(async {
            let mut failures = 0;
            loop {
                let lost = match self.attempt(&work).await {
                    Err(stop) if stop.is_conflict() => stop,
                    done => return done.map_err(StoreError::from),
                };
                failures += 1;
                if failures == TRIES {
                    return Err(contention(name, lost));
                }
                tracing::debug!(tx.name = name, tx.failures = failures, "a transaction lost against another one");
                tokio::time::sleep(PAUSE.delay(failures, rand::random())).await;
            }
        })
        .await
    }

    async fn attempt<T, W, F>(&self, work: &W) -> Result<T, Stop>
    where
        W: Fn(Arc<DatabaseTransaction>) -> F,
        F: Future<Output = Result<T, Stop>>,
    {
        // Shared rather than lent: a future that borrows its argument cannot be shown to be `Send` in a generic place.
        let shared = Arc::new(self.connection.begin_with_options(transaction_options()).await?);
        let done = work(Arc::clone(&shared)).await;
        let tx = Arc::into_inner(shared).ok_or_else(|| unwritable(StillInUse))?;
        match done {
            Ok(value) => tx.commit().await.map(|()| value).map_err(Stop::from),
            Err(stop) => {
                // The reason why it stopped is worth more than a failure to undo, which the server does by itself.
                let _undone = tx.rollback().await;
                Err(stop)
            }
        }
    }

    /// Waits for one statement that needs no transaction.
    pub(crate) async fn answer<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, StoreError> {
        self.answered(async { statement.await.map_err(store_error) }).await
    }

    /// No call waits for ever. What is cut off here is undone when its transaction is dropped, or was committed: the
    /// caller has to look.
    pub(crate) async fn answered<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        tokio::time::timeout(self.answer_timeout, call)
            .await
            .unwrap_or_else(|_| Err(NoAnswer(self.answer_timeout).into()))
    }
}

fn contention(transaction: &'static str, lost: Stop) -> StoreError {
    match lost {
        Stop::Database { error, .. } => StoreError::Contention { transaction, cause: Box::new(error) },
        Stop::Store(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use ephemeral_db::TestDatabase;
    use sea_orm::ConnectionTrait as _;

    use super::*;
    use crate::DatabaseSettings;

    /// A transaction that raises this error until it was tried `failing` times; what became of it, and the tries.
    async fn tried(code: &str, failing: u32) -> (Result<u32, StoreError>, u32) {
        let place = TestDatabase::empty_postgres().await.unwrap();
        let database = Database::connect(&DatabaseSettings::at(place.url())).await.unwrap();
        let raise = &format!("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$");
        let tries = &AtomicU32::new(0);
        let done = database
            .in_tx("tried", move |tx| async move {
                let number = tries.fetch_add(1, Ordering::SeqCst) + 1;
                if number <= failing {
                    tx.execute_unprepared(raise).await?;
                }
                Ok(number)
            })
            .await;
        (done, tries.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn a_transaction_that_lost_is_repeated_until_it_wins() {
        for code in ["40001", "40P01", "55P03"] {
            let (done, tries) = tried(code, 2).await;
            assert_eq!((done.unwrap(), tries), (3, 3), "{code}");
        }
    }

    #[tokio::test]
    async fn the_repeating_has_an_end() {
        let (done, tries) = tried("40001", u32::MAX).await;
        let error = done.unwrap_err();
        assert!(matches!(error, StoreError::Contention { transaction: "tried", .. }), "{error:?}");
        assert_eq!(tries, TRIES);
    }

    #[tokio::test]
    async fn any_other_error_is_not_repeated() {
        let outages = ["57P01", "53300", "25P02", "25P03"].map(|code| (code, true));
        for (code, transient) in [("23514", false), ("22012", false)].into_iter().chain(outages) {
            let (done, tries) = tried(code, u32::MAX).await;
            assert_eq!((done.unwrap_err().is_transient(), tries), (transient, 1), "{code}");
        }
    }
}
