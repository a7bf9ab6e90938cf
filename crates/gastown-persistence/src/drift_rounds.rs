//! Rounds of drift checks: the row of `gastown_passes` that all replicas share, with the figures of the present round.
//!
//! A round is open until its end is later than its beginning. A process of an older version makes a round alone. Then the
//! row has an owner, and is left to it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::Recorded;
use gastown_domain::ports::{Alarm, DriftRound, RoundFigures, RoundProgress, RoundState, SingletonJob};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, Set, UpdateMany,
};

use crate::calendar::later_than;
use crate::dialect::{self, locked};
use crate::entity::gastown_passes::{self as jobs, ActiveModel, Column, Model};
use crate::error::TxError;

const JOB: SingletonJob = SingletonJob::DriftCheck;

/// Begins a round that is due, or joins the present one.
pub(crate) async fn join(tx: &DatabaseTransaction, every: Duration) -> Result<Option<DriftRound>, TxError> {
    let first = ActiveModel { pass: Set(JOB.as_str().to_owned()), ..Default::default() };
    let known = OnConflict::column(Column::Pass).do_nothing().to_owned();
    jobs::Entity::insert(first).on_conflict(known).exec_without_returning(tx).await?;
    let Some(row) = locked(jobs::Entity::find_by_id(JOB.as_str())).one(tx).await? else { return Ok(None) };
    let now = dialect::now(tx).await?;
    let age = row.began_at.map(|began_at| (now - began_at).to_std().unwrap_or_default());
    if age.is_none_or(|age| age >= every) && !is_held(&row, now) {
        return begin(tx, row, now).await.map(Some);
    }
    let is_joinable = row.owner.is_none() && !has_ended(&row);
    Ok(is_joinable.then(|| DriftRound { number: row.number, age: age.unwrap_or_default(), is_new: false }))
}

async fn begin(tx: &DatabaseTransaction, last: Model, now: DateTime<Utc>) -> Result<DriftRound, TxError> {
    let number = last.number + 1;
    let began_at = later_than(last.ended_at, now);
    let mut round = last.into_active_model();
    (round.number, round.began_at) = (Set(number), Set(Some(began_at)));
    (round.owner, round.lease_expires_at) = (Set(None), Set(None));
    (round.taken, round.finished, round.compared, round.absent, round.refused) =
        (Set(0), Set(0), Set(0), Set(0), Set(0));
    jobs::Entity::update(round).exec(tx).await?;
    Ok(DriftRound { number, age: Duration::ZERO, is_new: true })
}

/// Locks a round. Returns false if it has ended or another one has begun.
pub(crate) async fn lock_open(tx: &DatabaseTransaction, round: i64) -> Result<bool, TxError> {
    let row = locked(jobs::Entity::find_by_id(JOB.as_str()).filter(Column::Number.eq(round))).one(tx).await?;
    Ok(row.is_some_and(|row| !has_ended(&row)))
}

/// Counts towns as taken and holds the locked round until then.
pub(crate) async fn add_taken(
    tx: &DatabaseTransaction,
    round: i64,
    towns: usize,
    held_until: DateTime<Utc>,
) -> Result<(), TxError> {
    let taken = add_to(update(round), Column::Taken, towns).col_expr(Column::LeaseExpiresAt, Expr::value(held_until));
    taken.exec(tx).await?;
    Ok(())
}

/// Adds the figures of a batch and returns the state of the round. A round without towns in flight is not held.
pub(crate) async fn report(
    tx: &DatabaseTransaction,
    round: i64,
    batch: RoundFigures,
) -> Result<Option<RoundState>, TxError> {
    if batch != RoundFigures::default() {
        let RoundFigures { finished, compared, absent, refused } = batch;
        let mut added = update(round);
        for (column, figure) in [
            (Column::Finished, finished),
            (Column::Compared, compared),
            (Column::Absent, absent),
            (Column::Refused, refused),
        ] {
            added = add_to(added, column, figure);
        }
        added.exec(tx).await?;
        let is_complete = Expr::col(Column::Finished).gte(Expr::col(Column::Taken));
        let freed = Expr::value(Option::<DateTime<Utc>>::None);
        update(round).col_expr(Column::LeaseExpiresAt, freed).filter(is_complete).exec(tx).await?;
    }
    let row = jobs::Entity::find_by_id(JOB.as_str()).filter(Column::Number.eq(round)).one(tx).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(state(&row, dialect::now(tx).await?)))
}

/// Ends a round, unless it has ended or would lose the results of towns in flight.
pub(crate) async fn end(tx: &DatabaseTransaction, round: i64, alarm: Option<Alarm>) -> Result<bool, TxError> {
    let row = locked(jobs::Entity::find_by_id(JOB.as_str()).filter(Column::Number.eq(round))).one(tx).await?;
    let Some(row) = row.filter(|row| !has_ended(row) && (alarm.is_some() || row.finished >= row.taken)) else {
        return Ok(false);
    };
    let ended_at = later_than(row.began_at, dialect::now(tx).await?);
    let mut ended = row.into_active_model();
    (ended.ended_at, ended.alarm) = (Set(Some(ended_at)), Set(alarm.map(|alarm| alarm.as_str().to_owned())));
    jobs::Entity::update(ended).exec(tx).await?;
    Ok(true)
}

fn state(row: &Model, now: DateTime<Utc>) -> RoundState {
    let figures = [row.finished, row.compared, row.absent, row.refused, row.taken - row.finished];
    let [finished, compared, absent, refused, in_flight] = figures.map(|figure| usize::try_from(figure).unwrap_or(0));
    let figures = RoundFigures { finished, compared, absent, refused };
    let progress = if has_ended(row) {
        RoundProgress::Ended(row.alarm.as_deref().map(Recorded::read))
    } else if row.finished >= row.taken {
        RoundProgress::Complete
    } else if is_held(row, now) {
        RoundProgress::InFlight
    } else {
        RoundProgress::Abandoned
    };
    RoundState { figures, in_flight, progress }
}

fn has_ended(row: &Model) -> bool {
    row.ended_at.is_some() && row.ended_at > row.began_at
}

fn is_held(row: &Model, now: DateTime<Utc>) -> bool {
    row.lease_expires_at.is_some_and(|until| until > now)
}

fn update(round: i64) -> UpdateMany<jobs::Entity> {
    jobs::Entity::update_many().filter(Column::Pass.eq(JOB.as_str())).filter(Column::Number.eq(round))
}

fn add_to(update: UpdateMany<jobs::Entity>, column: Column, figure: usize) -> UpdateMany<jobs::Entity> {
    update.col_expr(column, Expr::col(column).add(i64::try_from(figure).unwrap_or(i64::MAX)))
}
