//! Rollouts: one row each, which operators change and which any process drives. `rollout_towns` has the turns of towns.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    NewRollout, ObservedRollout, RolloutChanged, RolloutEnd, RolloutLimits, RolloutOrder, RolloutReport, Rollouts,
    StoreError, Touch, Touched,
};
use gastown_domain::{
    ImageRef, Percent, Rollout, RolloutNumber, RolloutState, TownId, deciding_rollout, greater_share,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Select, Set,
};

use crate::dialect::{self, locked};
use crate::entity::gastown_rollout_towns as touches;
use crate::entity::gastown_rollouts::{self as rollouts, ActiveModel, Column};
use crate::error::TxError;
use crate::events::ROLLOUT;
use crate::{Database, rollout_towns};

/// The subject of every rollout. Its unique index allows one rollout that has not ended.
const SUBJECT: &str = "image";

/// The rollouts of one read. The newest decides, unless it is undone.
const PAGE: u64 = 8;

#[async_trait]
impl Rollouts for Database {
    async fn deciding(&self, town: TownId) -> Result<Option<Rollout>, StoreError> {
        let mut read = Vec::new();
        loop {
            let page = self.read(including(town, read.last()).all(&self.connection)).await?;
            let is_last = (page.len() as u64) < PAGE;
            for row in page {
                read.push(row.into_rollout()?);
            }
            let deciding = deciding_rollout(&read);
            if deciding.is_some() || is_last {
                return Ok(deciding.cloned());
            }
        }
    }

    async fn start(&self, rollout: &NewRollout, actor: &str) -> Result<RolloutChanged, StoreError> {
        self.in_tx("start_rollout", move |tx| async move { start(&tx, rollout, actor).await }).await
    }

    async fn order(&self, order: RolloutOrder, actor: &str) -> Result<RolloutChanged, StoreError> {
        self.in_tx("change_rollout", move |tx| async move { change(&tx, order, actor).await }).await
    }

    async fn report(&self) -> Result<Option<RolloutReport>, StoreError> {
        self.in_tx("report_rollout", |tx| async move { rollout_towns::report(&tx).await }).await
    }

    async fn is_active(&self) -> Result<bool, StoreError> {
        let active = newest().filter(Column::EndedAt.is_null()).select_only().column(Column::Number);
        Ok(self.read(active.into_tuple::<i64>().one(&self.connection)).await?.is_some())
    }

    async fn observe(&self, setting: &ImageRef, limits: &RolloutLimits) -> Result<Option<ObservedRollout>, StoreError> {
        self.in_tx("observe_rollout", move |tx| async move { rollout_towns::observe(&tx, setting, limits).await }).await
    }

    async fn touch(&self, touch: &Touch) -> Result<Touched, StoreError> {
        let touched = self.in_tx("touch_town", move |tx| async move { rollout_towns::touch(&tx, touch).await });
        self.changed(touch.town, touched.await)
    }

    async fn conclude(&self, rollout: RolloutNumber, end: &RolloutEnd) -> Result<bool, StoreError> {
        self.in_tx("conclude_rollout", move |tx| async move { conclude(&tx, rollout, end).await }).await
    }
}

/// Selects the next rollouts that include the town, newest first.
fn including(town: TownId, after: Option<&Rollout>) -> Select<rollouts::Entity> {
    let selected = known().filter(Column::Percent.gte(i64::from(Percent::of(town).get()))).limit(PAGE);
    after.map_or(selected.clone(), |after| selected.filter(Column::Number.lt(after.number.get())))
}

/// Selects the rollouts whose state this version knows, newest first.
fn known() -> Select<rollouts::Entity> {
    let states = RolloutState::ALL.map(RolloutState::as_str);
    rollouts::Entity::find().filter(Column::State.is_in(states)).order_by_desc(Column::Number)
}

/// Selects the newest rollout.
pub(crate) fn newest() -> Select<rollouts::Entity> {
    rollouts::Entity::find().order_by_desc(Column::Number).limit(1)
}

/// Returns the rollout that has brought the same image to a greater share.
async fn of_greater_share(tx: &DatabaseTransaction, new: &NewRollout) -> Result<Option<Rollout>, TxError> {
    let rows = known().all(tx).await?;
    let all = rows.into_iter().map(rollouts::Model::into_rollout).collect::<Result<Vec<_>, _>>()?;
    Ok(greater_share(&new.image, new.percent, &all).cloned())
}

async fn start(tx: &DatabaseTransaction, new: &NewRollout, actor: &str) -> Result<RolloutChanged, TxError> {
    dialect::serialize_rollouts(tx).await?;
    let before = locked(newest()).one(tx).await?;
    let now = dialect::now(tx).await?;
    if let Some(before) = &before {
        let last = before.clone().into_rollout()?;
        let may_be_replaced = new.replace && last.state.is_active() && !last.state.is_driven();
        if last.state.is_active() && !may_be_replaced {
            return Ok(RolloutChanged::Refused(Box::new(last)));
        }
        if let Some(greater) = of_greater_share(tx, new).await? {
            return Ok(RolloutChanged::SmallerShare(Box::new(greater)));
        }
        if may_be_replaced {
            let end = RolloutEnd { from: last.state, to: RolloutState::Undone, reason: None };
            write(tx, last.number, &end, actor).await?;
        }
        // An undo of the last rollout needs its towns, and nothing needs those before.
        touches::Entity::delete_many().filter(touches::Column::Rollout.lt(before.number)).exec(tx).await?;
    }
    let number = before.map_or(0, |before| before.number).saturating_add(1);
    let row = insertion(number, new, actor, now).insert(tx).await.map_err(TxError::writing("gastown_rollouts"))?;
    Ok(RolloutChanged::Done(Box::new(row.into_rollout()?)))
}

/// Returns the row of a new rollout.
fn insertion(number: i64, new: &NewRollout, actor: &str, now: DateTime<Utc>) -> ActiveModel {
    ActiveModel {
        number: Set(number),
        subject: Set(SUBJECT.to_owned()),
        image: Set(new.image.as_str().to_owned()),
        setting: Set(None),
        percent: Set(i64::from(new.percent.get())),
        only_stopped: Set(new.only_stopped),
        max_unavailable: Set(i64::from(new.max_unavailable.get())),
        state: Set(RolloutState::Running.as_str().to_owned()),
        reason: Set(None),
        known_failures: Set(0),
        started_by: Set(actor.to_owned()),
        changed_by: Set(actor.to_owned()),
        started_at: Set(now),
        changed_at: Set(now),
        ended_at: Set(None),
    }
}

async fn change(tx: &DatabaseTransaction, order: RolloutOrder, actor: &str) -> Result<RolloutChanged, TxError> {
    let Some(row) = locked(newest()).one(tx).await? else { return Ok(RolloutChanged::NotFound) };
    let rollout = row.into_rollout()?;
    let from = rollout.state;
    let to = match order {
        RolloutOrder::Pause => from.paused(),
        RolloutOrder::Resume => from.resumed(),
        RolloutOrder::Undo => from.undone(),
    };
    let Some(to) = to else { return Ok(RolloutChanged::Refused(Box::new(rollout))) };
    let reason = (order == RolloutOrder::Pause).then(|| format!("paused by {actor}"));
    write(tx, rollout.number, &RolloutEnd { from, to, reason }, actor).await?;
    let known = match order {
        RolloutOrder::Pause => None,
        RolloutOrder::Resume => Some(rollout_towns::failures(tx, rollout.number, to.pass()).await?),
        RolloutOrder::Undo => Some(0),
    };
    if let Some(known) = known {
        let written = rollouts::Entity::update_many().col_expr(Column::KnownFailures, Expr::value(i64::from(known)));
        written.filter(Column::Number.eq(rollout.number.get())).exec(tx).await?;
    }
    let changed = rollouts::Entity::find_by_id(rollout.number.get()).one(tx).await?;
    let changed = changed.map_or(Ok(rollout), rollouts::Model::into_rollout)?;
    Ok(RolloutChanged::Done(Box::new(changed)))
}

async fn conclude(tx: &DatabaseTransaction, rollout: RolloutNumber, end: &RolloutEnd) -> Result<bool, TxError> {
    write(tx, rollout, end, ROLLOUT).await
}

/// Writes a change of the state. Returns false if the state is another one.
async fn write(
    tx: &DatabaseTransaction,
    rollout: RolloutNumber,
    end: &RolloutEnd,
    actor: &str,
) -> Result<bool, TxError> {
    let now = dialect::now(tx).await?;
    let ended_at = (!end.to.is_active()).then_some(now);
    let written = rollouts::Entity::update_many()
        .col_expr(Column::State, Expr::value(end.to.as_str()))
        .col_expr(Column::Reason, Expr::value(end.reason.as_deref()))
        .col_expr(Column::ChangedBy, Expr::value(actor))
        .col_expr(Column::ChangedAt, Expr::value(now))
        .col_expr(Column::EndedAt, Expr::value(ended_at))
        .filter(Column::Number.eq(rollout.get()))
        .filter(Column::State.eq(end.from.as_str()));
    Ok(written.exec(tx).await?.rows_affected > 0)
}
