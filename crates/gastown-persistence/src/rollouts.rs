//! Rollouts: one row each, which operators change and which any process drives. `rollout_towns` has the turns of towns.

use async_trait::async_trait;
use gastown_domain::ports::{
    NewRollout, ObservedRollout, RolloutChanged, RolloutEnd, RolloutLimits, RolloutOrder, RolloutReport, Rollouts,
    StoreError, Touch, Touched,
};
use gastown_domain::{ImageRef, Percent, Rollout, RolloutNumber, RolloutState, TownId};
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

#[async_trait]
impl Rollouts for Database {
    async fn deciding(&self, town: TownId) -> Result<Option<Rollout>, StoreError> {
        let found = self.read(deciding(town).one(&self.connection)).await?;
        found.map(rollouts::Model::into_rollout).transpose()
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

/// Selects the newest rollout that includes the town and decides.
fn deciding(town: TownId) -> Select<rollouts::Entity> {
    let decides = RolloutState::ALL.into_iter().filter(|state| state.decides()).map(RolloutState::as_str);
    newest().filter(Column::State.is_in(decides)).filter(Column::Percent.gte(i64::from(Percent::of(town).get())))
}

/// Selects rollouts, newest first.
pub(crate) fn newest() -> Select<rollouts::Entity> {
    rollouts::Entity::find().order_by_desc(Column::Number).limit(1)
}

async fn start(tx: &DatabaseTransaction, new: &NewRollout, actor: &str) -> Result<RolloutChanged, TxError> {
    dialect::serialize_rollouts(tx).await?;
    let before = locked(newest()).one(tx).await?;
    let now = dialect::now(tx).await?;
    if let Some(before) = &before {
        let last = before.clone().into_rollout()?;
        let may_be_replaced = new.replace && last.state.is_active() && !last.state.is_driven();
        if may_be_replaced {
            let end = RolloutEnd { from: last.state, to: RolloutState::Undone, reason: None };
            write(tx, last.number, &end, actor).await?;
        } else if last.state.is_active() {
            return Ok(RolloutChanged::Refused(Box::new(last)));
        }
        // An undo of the last rollout needs its towns, and nothing needs those before.
        touches::Entity::delete_many().filter(touches::Column::Rollout.lt(before.number)).exec(tx).await?;
    }
    let row = ActiveModel {
        number: Set(before.map_or(0, |before| before.number).saturating_add(1)),
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
    };
    let row = row.insert(tx).await.map_err(TxError::writing("gastown_rollouts"))?;
    Ok(RolloutChanged::Done(Box::new(row.into_rollout()?)))
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
