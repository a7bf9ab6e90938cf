use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{Alarm, JobState, LeaderLease, SingletonJob, SingletonJobs, StoreError, WorkerId};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _, Set, UpdateMany};

use crate::calendar::{after, before, lease_millis};
use crate::entity::gastown_passes::{self as jobs, ActiveModel, Column};
use crate::error::TxError;
use crate::{Database, dialect};

#[async_trait]
impl SingletonJobs for Database {
    async fn claim(
        &self,
        job: SingletonJob,
        worker: &WorkerId,
        lease: Duration,
        every: Duration,
    ) -> Result<Option<LeaderLease>, StoreError> {
        self.in_tx("claim_job", move |tx| async move { claim(&tx, job, worker, lease, every).await }).await
    }

    async fn renew(&self, claim: LeaderLease, lease: Duration) -> Result<bool, StoreError> {
        let renew = || {
            let expiry = dialect::now_plus(self.connection.get_database_backend(), lease_millis(lease));
            held(claim).col_expr(Column::LeaseExpiresAt, expiry).exec(&self.connection)
        };
        Ok(self.write_once("renew_job", renew).await?.rows_affected == 1)
    }

    async fn finish(&self, claim: LeaderLease, alarm: Option<Alarm>) -> Result<(), StoreError> {
        let finish = || {
            let now = dialect::now_plus(self.connection.get_database_backend(), 0);
            held(claim)
                .col_expr(Column::EndedAt, now)
                .col_expr(Column::Alarm, Expr::value(alarm.map(Alarm::as_str)))
                .col_expr(Column::Owner, Expr::value(Option::<String>::None))
                .col_expr(Column::LeaseExpiresAt, Expr::value(Option::<DateTime<Utc>>::None))
                .exec(&self.connection)
        };
        self.write_once("finish_job", finish).await.map(|_| ())
    }

    async fn states(&self) -> Result<Vec<JobState>, StoreError> {
        let mut rows = self.read(jobs::Entity::find().all(&self.connection)).await?;
        let state = |job: SingletonJob| match rows.iter().position(|row| row.pass == job.as_str()) {
            Some(found) => rows.swap_remove(found).into_state(job),
            None => JobState { job, ended_at: None, alarm: None },
        };
        Ok(SingletonJob::ALL.into_iter().map(state).collect())
    }
}

async fn claim(
    tx: &DatabaseTransaction,
    job: SingletonJob,
    worker: &WorkerId,
    lease: Duration,
    every: Duration,
) -> Result<Option<LeaderLease>, TxError> {
    let first = ActiveModel { pass: Set(job.as_str().to_owned()), ..Default::default() };
    let known = OnConflict::column(Column::Pass).do_nothing().to_owned();
    jobs::Entity::insert(first).on_conflict(known).exec_without_returning(tx).await?;
    let now = dialect::now(tx).await?;
    let claimed = jobs::Entity::update_many()
        .col_expr(Column::Number, Expr::col(Column::Number).add(1))
        .col_expr(Column::Owner, Expr::value(worker.0.as_str()))
        .col_expr(Column::LeaseExpiresAt, Expr::value(after(now, lease)))
        .col_expr(Column::BeganAt, Expr::value(now))
        .filter(Column::Pass.eq(job.as_str()))
        .filter(null_or_until(Column::BeganAt, before(now, every)))
        .filter(null_or_until(Column::LeaseExpiresAt, now))
        .exec_with_returning(tx)
        .await?;
    Ok(claimed.first().map(|row| LeaderLease { job, number: row.number }))
}

fn null_or_until(column: Column, at: DateTime<Utc>) -> Condition {
    Condition::any().add(column.is_null()).add(column.lte(at))
}

/// Starts an update by the holder of a lease. A later claim raised the number, and the end of the run cleared the lease.
fn held(claim: LeaderLease) -> UpdateMany<jobs::Entity> {
    jobs::Entity::update_many()
        .filter(Column::Pass.eq(claim.job.as_str()))
        .filter(Column::Number.eq(claim.number))
        .filter(Column::LeaseExpiresAt.is_not_null())
}
