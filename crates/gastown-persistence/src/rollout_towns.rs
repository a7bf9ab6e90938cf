//! The turns of towns in a rollout. The key of `gastown_rollout_towns` keeps a pass from touching a town twice.
//!
//! The row of the rollout is locked before the town's, so that a pause or an undo waits for a turn in progress.

use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    FailedTouch, ObservedRollout, ReadyTown, RolloutLimits, RolloutReport, StoreError, Touch, Touched,
};
use gastown_domain::{
    HealthLimits, HealthState, ImageRef, OperationId, OperationKind, Phase, Progress, Recorded, Rejection,
    RestartCount, Rollout, RolloutNumber, RolloutPass, TouchCounts, TouchOutcome, TownId, TownStatus, UserId,
};
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, OnConflict, Query, SelectStatement};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, DbErr, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select, Set,
};
use uuid::Uuid;

use crate::calendar::{before, truncated};
use crate::dialect::{self, locked};
use crate::entity::gastown_rollout_towns::{self as touches, Column};
use crate::entity::gastown_rollouts as rollouts;
use crate::entity::{
    gastown_operations as operations, gastown_town_events as events, gastown_town_health as health,
    gastown_towns as towns,
};
use crate::error::{TxError, store_error};
use crate::events::{Event, ROLLOUT, outcome_of};
use crate::request;
use crate::rollouts::newest;
use crate::row::log_unreadable;
use crate::town_queries::{has_operation, is_idle};

/// The most failed towns and images of a report.
const MAX_FAILURES: u64 = 50;
const MAX_IMAGES: u64 = 20;

/// Ends the turns whose restart has ended, and returns the active rollout.
pub(crate) async fn observe(
    tx: &DatabaseTransaction,
    setting: &ImageRef,
    limits: &RolloutLimits,
) -> Result<Option<ObservedRollout>, TxError> {
    let active = locked(newest().filter(rollouts::Column::EndedAt.is_null())).one(tx).await?;
    let Some(active) = active else { return Ok(None) };
    let mut rollout = active.into_rollout()?;
    if rollout.setting.is_none() {
        record_setting(tx, rollout.number, setting).await?;
        rollout.setting = Some(setting.clone());
    }
    let now = dialect::now(tx).await?;
    end_turns(tx, &rollout, now).await?;
    fail_unhealthy(tx, &rollout, before(now, limits.soak)).await?;
    let counts = counts(tx, rollout.number, rollout.state.pass()).await?;
    let unavailable = unavailable(tx, rollout.number).await?;
    let free = Ord::max(u32::from(rollout.max_unavailable.get()).saturating_sub(unavailable), 1);
    let ready = if rollout.state.is_driven() {
        ready(tx, &rollout, u64::from(free), (now, &limits.health)).await?
    } else {
        Vec::new()
    };
    let has_waiting = !ready.is_empty() || waiting(&rollout).limit(1).one(tx).await?.is_some();
    let since_last = last_end(tx, &rollout).await?.map(|at| (now - at).to_std().unwrap_or_default());
    let last_failure = failed(tx, &rollout, 1).await?.pop();
    let stuck = stuck(tx, &rollout, now).await?;
    Ok(Some(ObservedRollout { rollout, counts, unavailable, ready, has_waiting, since_last, last_failure, stuck }))
}

async fn record_setting(tx: &DatabaseTransaction, rollout: RolloutNumber, setting: &ImageRef) -> Result<(), DbErr> {
    let written = rollouts::Entity::update_many()
        .col_expr(rollouts::Column::Setting, Expr::value(setting.as_str()))
        .filter(rollouts::Column::Number.eq(rollout.get()));
    written.exec(tx).await.map(|_| ())
}

/// Selects the turns of a rollout. At most as many as may be unavailable are in flight.
fn turns(rollout: RolloutNumber) -> Select<touches::Entity> {
    touches::Entity::find().filter(Column::Rollout.eq(rollout.get()))
}

async fn end_turns(tx: &DatabaseTransaction, rollout: &Rollout, now: DateTime<Utc>) -> Result<(), TxError> {
    let running = Query::select().column(operations::Column::Id).from(operations::Entity).take();
    let ended =
        turns(rollout.number).filter(Column::Outcome.is_null()).filter(Column::OperationId.not_in_subquery(running));
    for turn in ended.all(tx).await? {
        let town = TownId::new(turn.town_id);
        let result = match turn.operation_id {
            Some(operation) => outcome_of(tx, OperationId::new(operation)).await?,
            None => None,
        };
        let image = image_of(tx, town).await?;
        let has_it = image.as_deref() == Some(rollout.image.as_str());
        let is_of_pass = match turn.pass.parse::<RolloutPass>() {
            Ok(RolloutPass::Out) => has_it,
            Ok(RolloutPass::Back) | Err(_) => !has_it && image.is_some(),
        };
        let (outcome, failure) = match result {
            Some(Ok(())) if is_of_pass => (TouchOutcome::Done, None),
            Some(Ok(()) | Err(Rejection::Preempted)) => (TouchOutcome::Skipped, None),
            Some(Err(Rejection::Failed(failure) | Rejection::RolledBack(failure))) => {
                (TouchOutcome::Failed, Some(failure.as_str().to_owned()))
            }
            None => (TouchOutcome::Failed, None),
        };
        let ended = touches::Entity::update_many()
            .col_expr(Column::Outcome, Expr::value(outcome.as_str()))
            .col_expr(Column::Failure, Expr::value(failure))
            .col_expr(Column::EndedAt, Expr::value(now))
            .filter(Column::Rollout.eq(turn.rollout))
            .filter(Column::TownId.eq(turn.town_id))
            .filter(Column::Pass.eq(turn.pass));
        ended.exec(tx).await?;
    }
    Ok(())
}

/// Returns a town of the present pass whose restart is past its deadline and goes on.
async fn stuck(
    tx: &DatabaseTransaction,
    rollout: &Rollout,
    now: DateTime<Utc>,
) -> Result<Option<FailedTouch>, TxError> {
    let in_flight = Query::select()
        .column(Column::OperationId)
        .from(touches::Entity)
        .and_where(Column::Rollout.eq(rollout.number.get()))
        .and_where(Column::Pass.eq(rollout.state.pass().as_str()))
        .and_where(Column::Outcome.is_null())
        .and_where(Column::OperationId.is_not_null())
        .take();
    let late = operations::Entity::find()
        .filter(operations::Column::Id.in_subquery(in_flight))
        .filter(operations::Column::DeadlineAt.lte(now))
        .order_by_asc(operations::Column::DeadlineAt)
        .limit(1)
        .select_only()
        .columns([operations::Column::TownId, operations::Column::LastError])
        .into_tuple::<(Uuid, Option<String>)>();
    let Some((town, failure)) = late.one(tx).await? else { return Ok(None) };
    let name = towns::Entity::find_by_id(town).select_only().column(towns::Column::TownName).into_tuple::<String>();
    Ok(Some(FailedTouch {
        town: TownId::new(town),
        name: name.one(tx).await?.unwrap_or_default(),
        failure: failure.as_deref().map(Recorded::read),
    }))
}

async fn image_of(tx: &DatabaseTransaction, town: TownId) -> Result<Option<String>, DbErr> {
    let image = health::Entity::find_by_id(town.as_uuid()).select_only().column(health::Column::Image);
    Ok(image.into_tuple::<Option<String>>().one(tx).await?.flatten())
}

/// Matches towns whose checks fail.
fn is_unhealthy() -> Condition {
    let states = [HealthState::Unhealthy, HealthState::Error].map(HealthState::as_str);
    Condition::all().add(health::Column::State.is_in(states))
}

/// Records that towns of the present pass became unhealthy after they were restarted, if they were restarted after `since`.
async fn fail_unhealthy(tx: &DatabaseTransaction, rollout: &Rollout, since: DateTime<Utc>) -> Result<(), TxError> {
    let unhealthy = Query::select()
        .column(health::Column::TownId)
        .from(health::Entity)
        .cond_where(is_unhealthy())
        .and_where(
            Expr::col((health::Entity, health::Column::StateSince)).gte(Expr::col((touches::Entity, Column::EndedAt))),
        )
        .and_where(Expr::col((health::Entity, health::Column::TownId)).equals((touches::Entity, Column::TownId)))
        .take();
    let failed = touches::Entity::update_many()
        .col_expr(Column::Outcome, Expr::value(TouchOutcome::Failed.as_str()))
        .filter(Column::Rollout.eq(rollout.number.get()))
        .filter(Column::Pass.eq(rollout.state.pass().as_str()))
        .filter(Column::Outcome.eq(TouchOutcome::Done.as_str()))
        .filter(Column::EndedAt.gte(since))
        .filter(Column::TownId.in_subquery(unhealthy));
    failed.exec(tx).await?;
    Ok(())
}

async fn counts(tx: &DatabaseTransaction, rollout: RolloutNumber, pass: RolloutPass) -> Result<TouchCounts, TxError> {
    let rows = turns(rollout)
        .filter(Column::Pass.eq(pass.as_str()))
        .select_only()
        .column(Column::Outcome)
        .column_as(Column::TownId.count(), "towns")
        .group_by(Column::Outcome)
        .into_tuple::<(Option<String>, i64)>()
        .all(tx)
        .await?;
    let mut counts = TouchCounts::default();
    for (outcome, towns) in rows {
        let towns = u32::try_from(towns).unwrap_or(u32::MAX);
        match outcome.as_deref().map(str::parse::<TouchOutcome>) {
            None => counts.in_flight += towns,
            Some(Ok(TouchOutcome::Done)) => counts.done += towns,
            Some(Ok(TouchOutcome::Failed)) => counts.failed += towns,
            // An end that this version does not know is of a newer version.
            Some(Ok(TouchOutcome::Skipped) | Err(_)) => counts.skipped += towns,
        }
    }
    Ok(counts)
}

/// Returns the number of failed towns of a pass.
pub(crate) async fn failures(
    tx: &DatabaseTransaction,
    rollout: RolloutNumber,
    pass: RolloutPass,
) -> Result<u32, TxError> {
    Ok(counts(tx, rollout, pass).await?.failed)
}

/// Returns the number of towns that are being restarted, in both passes.
async fn unavailable(tx: &DatabaseTransaction, rollout: RolloutNumber) -> Result<u32, TxError> {
    let unended = turns(rollout).filter(Column::Outcome.is_null()).count(tx).await?;
    Ok(u32::try_from(unended).unwrap_or(u32::MAX))
}

async fn last_end(tx: &DatabaseTransaction, rollout: &Rollout) -> Result<Option<DateTime<Utc>>, DbErr> {
    let last = turns(rollout.number)
        .filter(Column::Pass.eq(rollout.state.pass().as_str()))
        .filter(Column::Outcome.ne(TouchOutcome::Skipped.as_str()))
        .order_by_desc(Column::EndedAt)
        .limit(1);
    Ok(last.one(tx).await?.and_then(|turn| turn.ended_at))
}

/// Selects the ids of the towns that a pass has touched.
fn touched(rollout: RolloutNumber, pass: RolloutPass) -> SelectStatement {
    let mut ids = Query::select();
    ids.column(Column::TownId).from(touches::Entity);
    ids.and_where(Column::Rollout.eq(rollout.get())).and_where(Column::Pass.eq(pass.as_str()));
    ids
}

/// Matches the live towns of a rollout.
fn is_of(rollout: &Rollout) -> Condition {
    Condition::all()
        .add(towns::Column::DestroyedAt.is_null())
        .add_option(rollout.percent.bound().map(|bound| towns::Column::Id.lt(bound.as_uuid())))
}

/// Matches live towns of a rollout whose machine does not have the image of the pass, joined with their health.
fn needs_image(rollout: &Rollout, pass: RolloutPass) -> Condition {
    let image = health::Column::Image;
    let has_another = match pass {
        RolloutPass::Out => Condition::any().add(image.is_null()).add(image.ne(rollout.image.as_str())),
        RolloutPass::Back => {
            let was_touched = towns::Column::Id.in_subquery(touched(rollout.number, RolloutPass::Out));
            let may_have_it = Condition::all().add(image.is_null()).add(was_touched);
            Condition::any().add(image.eq(rollout.image.as_str())).add(may_have_it)
        }
    };
    is_of(rollout).add(has_another)
}

fn is_running() -> Expr {
    towns::Column::Status.eq(TownStatus::Running.as_str())
}

/// Matches towns that a failed turn of this rollout, or of the one before, has stopped. They had no operation since.
fn was_stopped(rollout: RolloutNumber) -> Condition {
    let of_turn = |column| Expr::col((touches::Entity, column));
    let operation = || Expr::col((events::Entity, events::Column::OperationId));
    let event = |condition: Expr| {
        let mut found = Query::select();
        found.expr(Expr::val(1)).from(events::Entity).and_where(condition);
        found
    };
    // Older events are removed first. So if one of the turn is known, all later ones are.
    let known = event(operation().equals((touches::Entity, Column::OperationId)));
    let later = event(
        Expr::col((events::Entity, events::Column::TownId))
            .equals((touches::Entity, Column::TownId))
            .and(Expr::col((events::Entity, events::Column::At)).gt(of_turn(Column::TouchedAt)))
            .and(operation().ne(of_turn(Column::OperationId))),
    );
    let mut stopped = Query::select();
    stopped
        .column((touches::Entity, Column::TownId))
        .from(touches::Entity)
        .and_where(of_turn(Column::Rollout).is_in([rollout.get(), rollout.get() - 1]))
        .and_where(of_turn(Column::Outcome).eq(TouchOutcome::Failed.as_str()))
        .and_where(Expr::exists(known))
        .and_where(Expr::exists(later).not());
    Condition::all()
        .add(towns::Column::Status.eq(TownStatus::Stopped.as_str()))
        .add(towns::Column::Id.in_subquery(stopped))
}

/// Selects the towns that wait for their turn, also those with an operation in flight. They run without the image of the pass, or a
/// failed turn has stopped them.
fn waiting(rollout: &Rollout) -> Select<towns::Entity> {
    let pass = rollout.state.pass();
    // A town whose checks fail is the monitor's, whose restart gives it the image too. An undo brings it back.
    let is_left_out = Condition::any().add(health::Column::State.is_null()).add(is_unhealthy().not());
    let is_restarted = needs_image(rollout, pass).add(is_running());
    let is_started = is_of(rollout).add(was_stopped(rollout.number));
    towns::Entity::find()
        .left_join(health::Entity)
        .filter(Condition::any().add(is_restarted).add(is_started))
        .filter(towns::Column::Id.not_in_subquery(touched(rollout.number, pass)))
        .filter(Condition::all().add_option((pass == RolloutPass::Out).then_some(is_left_out)))
        // It restarts no running town.
        .filter(Condition::all().add_option(rollout.only_stopped.then(|| towns::Column::Id.is_null())))
}

/// Returns the next towns.
async fn ready(
    tx: &DatabaseTransaction,
    rollout: &Rollout,
    limit: u64,
    (now, limits): (DateTime<Utc>, &HealthLimits),
) -> Result<Vec<ReadyTown>, TxError> {
    let window = before(now, limits.window);
    let may_be_restarted = Condition::any()
        .add(health::Column::Restarts.is_null())
        .add(health::Column::Restarts.lt(i64::from(limits.restarts)))
        .add(health::Column::WindowStartedAt.lte(window));
    let is_capped = rollout.state.pass() == RolloutPass::Out;
    let ready = waiting(rollout)
        .filter(is_idle())
        .filter(Condition::all().add_option(is_capped.then_some(may_be_restarted)))
        .order_by_asc(towns::Column::Id)
        .limit(limit)
        .select_only()
        .column(towns::Column::Id)
        .column(towns::Column::UserId)
        .column(towns::Column::Status);
    let rows = ready.into_tuple::<(Uuid, String, String)>().all(tx).await?;
    let owned = |(town, owner, status): (Uuid, String, String)| {
        let owner = owner.parse::<UserId>().map_err(|cause| corrupt(town, cause));
        let owner = owner.inspect_err(log_unreadable).ok()?;
        Some(ReadyTown { town: TownId::new(town), owner, was_stopped: status == TownStatus::Stopped.as_str() })
    };
    Ok(rows.into_iter().filter_map(owned).collect())
}

fn corrupt(town: Uuid, cause: gastown_domain::Invalid) -> StoreError {
    StoreError::CorruptRow { table: "gastown_towns", column: "user_id", id: town.to_string(), cause: cause.into() }
}

/// Gives a town its turn.
pub(crate) async fn touch(tx: &DatabaseTransaction, touch: &Touch) -> Result<Touched, TxError> {
    let found = locked(rollouts::Entity::find_by_id(touch.rollout.get())).one(tx).await?;
    let Some(rollout) = found.map(rollouts::Model::into_rollout).transpose()? else { return Ok(Touched::Over) };
    let is_driven = rollout.state.is_driven() && rollout.state.pass() == touch.pass;
    if !is_driven || unavailable(tx, touch.rollout).await? >= u32::from(rollout.max_unavailable.get()) {
        return Ok(Touched::Over);
    }
    let is_ready = match touch.restart.as_ref().map(|restart| restart.kind == OperationKind::Start) {
        Some(true) => was_stopped(touch.rollout),
        Some(false) => Condition::all().add(is_running()),
        None => Condition::any().add(is_running()).add(was_stopped(touch.rollout)),
    };
    let ready =
        towns::Entity::find_by_id(touch.town.as_uuid()).filter(towns::Column::DestroyedAt.is_null()).filter(is_ready);
    // Only the lock of the town's row prevents others from inserting an operation.
    if locked(ready).one(tx).await?.is_none() || has_operation(tx, touch.town).await? {
        return Ok(Touched::Refused);
    }
    let now = dialect::now(tx).await?;
    let Some(count) = allowed_restart(tx, touch, now).await? else { return Ok(Touched::Refused) };
    if !insert_turn(tx, touch, now).await? {
        return Ok(Touched::Refused);
    }
    let Some(restart) = &touch.restart else { return Ok(Touched::Accepted) };
    count_restart(tx, touch.town, count, now).await?;
    let progress = Progress { rollout: Some(touch.rollout.get()), ..Progress::default() };
    let progress = progress.requested_by(ROLLOUT, &restart.requested_by);
    let operation = request::insert(tx, restart, Phase::Begun, &progress).await?;
    Event::accepted(&operation).record(tx).await?;
    Ok(Touched::Accepted)
}

/// Inserts the turn of a town. Returns false if the pass has touched it.
async fn insert_turn(tx: &DatabaseTransaction, touch: &Touch, now: DateTime<Utc>) -> Result<bool, TxError> {
    let skipped = touch.restart.is_none();
    let row = touches::ActiveModel {
        rollout: Set(touch.rollout.get()),
        town_id: Set(touch.town.as_uuid()),
        pass: Set(touch.pass.as_str().to_owned()),
        operation_id: Set(touch.restart.as_ref().map(|restart| restart.id.as_uuid())),
        outcome: Set(skipped.then(|| TouchOutcome::Skipped.as_str().to_owned())),
        failure: Set(None),
        touched_at: Set(now),
        ended_at: Set(skipped.then_some(now)),
    };
    let mut known = OnConflict::columns([Column::Rollout, Column::TownId, Column::Pass]);
    known.do_nothing();
    let insert = touches::Entity::insert(row).on_conflict(known);
    let inserted = insert.exec_without_returning(tx).await.map_err(TxError::writing("gastown_rollout_towns"))?;
    Ok(inserted > 0)
}

/// Returns the counts of the town's restarts with one more, which count as the monitor's do. Returns `None` if that would be one
/// too many, or if the town's checks fail. An undo is the word of an operator, and is counted only.
async fn allowed_restart(
    tx: &DatabaseTransaction,
    touch: &Touch,
    now: DateTime<Utc>,
) -> Result<Option<RestartCount>, TxError> {
    let known = health::Entity::find_by_id(touch.town.as_uuid())
        .select_only()
        .columns([health::Column::Restarts, health::Column::WindowStartedAt, health::Column::State])
        .into_tuple::<(i64, Option<DateTime<Utc>>, Option<String>)>()
        .one(tx)
        .await?;
    let (restarts, window, state) = known.unwrap_or_default();
    let restarts = u32::try_from(restarts).unwrap_or(u32::MAX);
    let count = RestartCount::with_one_more(restarts, window, now, &touch.limits);
    let state = state.as_deref().map(Recorded::<HealthState>::read).and_then(|state| state.known());
    let fails = state == Some(HealthState::Unhealthy) || state == Some(HealthState::Error);
    let is_refused = touch.pass == RolloutPass::Out && (fails || count.restarts > touch.limits.restarts);
    Ok((!is_refused).then_some(count))
}

/// Counts a restart. A check in progress finds another mark, and writes nothing.
async fn count_restart(
    tx: &DatabaseTransaction,
    town: TownId,
    count: RestartCount,
    now: DateTime<Utc>,
) -> Result<(), TxError> {
    let row = health::ActiveModel {
        town_id: Set(town.as_uuid()),
        restarts: Set(i64::from(count.restarts)),
        window_started_at: Set(Some(truncated(count.window_started_at))),
        next_check_at: Set(Some(now)),
        ..health::ActiveModel::default()
    };
    let mut known = OnConflict::column(health::Column::TownId);
    known.update_columns([health::Column::Restarts, health::Column::WindowStartedAt, health::Column::NextCheckAt]);
    let insert = health::Entity::insert(row).on_conflict(known);
    insert.exec_without_returning(tx).await.map(|_| ()).map_err(TxError::writing("gastown_town_health"))
}

/// Returns the newest rollout with its figures.
pub(crate) async fn report(tx: &DatabaseTransaction) -> Result<Option<RolloutReport>, TxError> {
    let Some(row) = newest().one(tx).await? else { return Ok(None) };
    let rollout = row.into_rollout()?;
    let pass = rollout.state.pass();
    let of_status = |status: TownStatus| {
        let all = towns::Entity::find().left_join(health::Entity).filter(needs_image(&rollout, pass));
        all.filter(towns::Column::Status.eq(status.as_str()))
    };
    let is_out = pass == RolloutPass::Out;
    let unhealthy = of_status(TownStatus::Running).filter(is_unhealthy());
    Ok(Some(RolloutReport {
        counts: counts(tx, rollout.number, pass).await?,
        waiting: if rollout.state.is_active() { waiting(&rollout).count(tx).await? } else { 0 },
        unhealthy: if is_out { unhealthy.count(tx).await? } else { 0 },
        stopped: of_status(TownStatus::Stopped).count(tx).await?,
        failures: failed(tx, &rollout, MAX_FAILURES).await?,
        images: images(tx).await?,
        at: dialect::now(tx).await?,
        rollout,
    }))
}

/// Returns the failed towns of the present pass, newest first.
async fn failed(tx: &DatabaseTransaction, rollout: &Rollout, limit: u64) -> Result<Vec<FailedTouch>, TxError> {
    let failed = turns(rollout.number)
        .filter(Column::Pass.eq(rollout.state.pass().as_str()))
        .filter(Column::Outcome.eq(TouchOutcome::Failed.as_str()))
        .order_by_desc(Column::EndedAt)
        .order_by_desc(Column::TownId)
        .limit(limit)
        .all(tx)
        .await?;
    let names = towns::Entity::find()
        .filter(towns::Column::Id.is_in(failed.iter().map(|turn| turn.town_id)))
        .select_only()
        .columns([towns::Column::Id, towns::Column::TownName])
        .into_tuple::<(Uuid, String)>()
        .all(tx)
        .await?;
    let failed_touch = |turn: touches::Model| FailedTouch {
        town: TownId::new(turn.town_id),
        name: names.iter().find(|(id, _)| *id == turn.town_id).map(|(_, name)| name.clone()).unwrap_or_default(),
        failure: turn.failure.as_deref().map(Recorded::read),
    };
    Ok(failed.into_iter().map(failed_touch).collect())
}

/// Returns the live towns by image, most first.
async fn images(tx: &DatabaseTransaction) -> Result<Vec<(Option<String>, u64)>, TxError> {
    let count = || Expr::from(Func::count(Expr::col((towns::Entity, towns::Column::Id))));
    let mut query = towns::Entity::find()
        .left_join(health::Entity)
        .filter(towns::Column::DestroyedAt.is_null())
        .select_only()
        .into_query();
    query
        .expr_as(Expr::col((health::Entity, health::Column::Image)), "image")
        .expr_as(count(), "towns")
        .group_by_col((health::Entity, health::Column::Image))
        .order_by_expr(count(), sea_orm::sea_query::Order::Desc)
        .limit(MAX_IMAGES);
    let rows = tx.query_all(&query).await?;
    let read = |row: &sea_orm::QueryResult| {
        let towns: i64 = row.try_get("", "towns")?;
        Ok::<_, DbErr>((row.try_get("", "image")?, u64::try_from(towns).unwrap_or_default()))
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>().map_err(store_error)?)
}
