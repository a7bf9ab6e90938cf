use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{Alarm, JobState, LeaderLease, SingletonJob, SingletonJobs, StoreError, WorkerId};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, Set, UpdateMany};

use crate::calendar::{after, before};
use crate::entity::gastown_passes::{self as passes, ActiveModel, Column};
use crate::error::Stop;
use crate::row::readable;
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
        self.in_tx("begin_pass", move |tx| async move {
            let first = ActiveModel { pass: Set(job.as_str().to_owned()), ..Default::default() };
            let known = OnConflict::column(Column::Pass).do_nothing().to_owned();
            passes::Entity::insert(first).on_conflict(known).exec_without_returning(&*tx).await?;
            let now = dialect::now(&*tx).await?;
            let begun = passes::Entity::update_many()
                .col_expr(Column::Number, Expr::col(Column::Number).add(1))
                .col_expr(Column::Owner, Expr::value(worker.0.as_str()))
                .col_expr(Column::LeaseExpiresAt, Expr::value(after(now, lease)))
                .col_expr(Column::BeganAt, Expr::value(now))
                .filter(Column::Pass.eq(job.as_str()))
                .filter(null_or_until(Column::BeganAt, before(now, every)))
                .filter(null_or_until(Column::LeaseExpiresAt, now))
                .exec_with_returning(&*tx)
                .await?;
            Ok(begun.first().map(|row| LeaderLease { job, number: row.number }))
        })
        .await
    }

    async fn renew(&self, claim: LeaderLease, lease: Duration) -> Result<bool, StoreError> {
        self.in_tx("prolong_pass", move |tx| async move {
            let expiry = after(dialect::now(&*tx).await?, lease);
            let prolonged = held(claim).col_expr(Column::LeaseExpiresAt, Expr::value(expiry)).exec(&*tx).await?;
            Ok(prolonged.rows_affected == 1)
        })
        .await
    }

    async fn finish(&self, claim: LeaderLease, alarm: Option<Alarm>) -> Result<(), StoreError> {
        self.in_tx("end_pass", move |tx| async move {
            let now = dialect::now(&*tx).await?;
            let ended = held(claim)
                .col_expr(Column::EndedAt, Expr::value(now))
                .col_expr(Column::Alarm, Expr::value(alarm.map(Alarm::as_str)))
                .col_expr(Column::Owner, Expr::value(Option::<String>::None))
                .col_expr(Column::LeaseExpiresAt, Expr::value(Option::<DateTime<Utc>>::None));
            ended.exec(&*tx).await.map(|_| ()).map_err(Stop::from)
        })
        .await
    }

    async fn states(&self) -> Result<Vec<JobState>, StoreError> {
        let mut rows = self.answer(passes::Entity::find().all(&self.connection)).await?;
        let state = |job: SingletonJob| match rows.iter().position(|row| row.pass == job.as_str()) {
            Some(found) => rows.swap_remove(found).into_state(job),
            None => Ok(JobState { job, ended_at: None, alarm: None }),
        };
        Ok(readable(SingletonJob::ALL.into_iter().map(state)))
    }
}

fn null_or_until(column: Column, at: DateTime<Utc>) -> Condition {
    Condition::any().add(column.is_null()).add(column.lte(at))
}

/// The pass as the holder of this claim left it: whoever took it since has raised the number, whoever ended it has given
/// the lease back.
fn held(claim: LeaderLease) -> UpdateMany<passes::Entity> {
    passes::Entity::update_many()
        .filter(Column::Pass.eq(claim.job.as_str()))
        .filter(Column::Number.eq(claim.number))
        .filter(Column::LeaseExpiresAt.is_not_null())
}
