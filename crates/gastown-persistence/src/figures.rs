//! Figures of the whole registry: several counts in one statement.

use std::time::Duration;

use async_trait::async_trait;
use gastown_domain::ports::{FigureLimits, Figures, RegistryFigures, SingletonJob, StoreError};
use gastown_domain::{TownImage, TownStatus};
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, DbErr, EntityTrait, QueryFilter as _, QueryResult,
    QuerySelect as _, QueryTrait as _, Select,
};

use crate::claims::{is_due, is_free, is_known};
use crate::entity::{
    gastown_operations as operations, gastown_orphans as orphans, gastown_passes as jobs, gastown_rollouts as rollouts,
    gastown_town_health as health, gastown_towns as towns,
};
use crate::error::store_error;
use crate::{Database, dialect};

/// The columns of the statement: the name of a figure, what it is of, and its value.
const FIGURE: &str = "figure";
const LABEL: &str = "label";
const VALUE: &str = "value";

#[async_trait]
impl Figures for Database {
    async fn figures(&self, limits: FigureLimits) -> Result<RegistryFigures, StoreError> {
        let query = query(self.connection.get_database_backend(), limits);
        let rows = self.read(self.connection.query_all(&query)).await?;
        let mut figures = RegistryFigures::default();
        for row in &rows {
            add(&mut figures, row).map_err(store_error)?;
        }
        Ok(figures)
    }
}

/// Returns the statement. Tombstones are found by no part of it, and there is an index for live towns.
fn query(backend: DbBackend, limits: FigureLimits) -> SelectStatement {
    let now = || dialect::now_plus(backend, 0);
    let live = || towns::Entity::find().filter(towns::Column::DestroyedAt.is_null());
    let drifted = health::Entity::find()
        .inner_join(towns::Entity)
        .filter(towns::Column::DestroyedAt.is_null())
        .filter(health::Column::Drift.is_not_null());
    let checked = health::Entity::find()
        .inner_join(towns::Entity)
        .filter(towns::Column::DestroyedAt.is_null())
        .filter(towns::Column::Status.eq(TownStatus::Running.as_str()))
        .filter(health::Column::State.is_not_null());
    let margin = i64::try_from(limits.token_margin.as_millis()).unwrap_or(i64::MAX);
    let expiring = health::Entity::find()
        .inner_join(towns::Entity)
        .filter(towns::Column::DestroyedAt.is_null())
        .filter(towns::Column::Status.eq(TownStatus::Running.as_str()))
        .filter(Expr::col(health::Column::TokenExpiresAt).lte(dialect::now_plus(backend, margin)));
    let late = health::Entity::find().filter(Expr::col(health::Column::NextCheckAt).lte(now()));
    let due = || operations::Entity::find().filter(is_due(now())).filter(is_free(now()));
    let stuck = operations::Entity::find().filter(operations::Column::Attempt.gte(i64::from(limits.alert_attempts)));
    let age = dialect::millis_since_least(backend, "next_attempt_at");
    let mut all = counted_by("town", live(), towns::Column::Status);
    for other in [
        counted_by("drift", drifted, health::Column::Drift),
        counted_by("health", checked, health::Column::State),
        labelled("oldest_check", late, Expr::value(""), dialect::millis_since_least(backend, "next_check_at")),
        counted_by("operation", operations::Entity::find(), operations::Column::Kind),
        counted_by("alarm", jobs::Entity::find().filter(jobs::Column::Alarm.is_not_null()), jobs::Column::Pass),
        counted("due", due().filter(is_known())),
        labelled("oldest_due", due().filter(is_known()), Expr::value(""), age),
        counted("stuck", stuck),
        counted("newer", due().filter(is_known().not())),
        counted("orphans", orphans::Entity::find()),
        counted("expiring_tokens", expiring),
        images(live().left_join(health::Entity)),
        counted_by(
            "rollout",
            rollouts::Entity::find().filter(rollouts::Column::EndedAt.is_null()),
            rollouts::Column::State,
        ),
    ] {
        all.union(UnionType::All, other);
    }
    all
}

/// Counts towns by their image, compared with that of the newest rollout.
fn images(towns: Select<towns::Entity>) -> SelectStatement {
    let newest = "(SELECT r.image FROM gastown_rollouts r ORDER BY r.number DESC LIMIT 1)";
    let image = format!(
        "CASE WHEN gastown_town_health.image IS NULL THEN '{unknown}' \
         WHEN gastown_town_health.image = {newest} THEN '{newest_rollout}' ELSE '{another}' END",
        unknown = TownImage::Unknown.as_str(),
        newest_rollout = TownImage::Newest.as_str(),
        another = TownImage::Another.as_str(),
    );
    let mut select = labelled("image", towns, Expr::cust(image.clone()), count());
    select.add_group_by([Expr::cust(image)]);
    select
}

/// Counts the rows for each value of a column.
fn counted_by<E: EntityTrait>(figure: &str, rows: Select<E>, column: impl sea_orm::ColumnTrait) -> SelectStatement {
    let mut select = labelled(figure, rows, Expr::col(column.as_column_ref()), count());
    select.add_group_by([Expr::col(column.as_column_ref())]);
    select
}

fn counted<E: EntityTrait>(figure: &str, rows: Select<E>) -> SelectStatement {
    labelled(figure, rows, Expr::value(""), count())
}

fn count() -> Expr {
    Func::count(Expr::cust("*")).into()
}

fn labelled<E: EntityTrait>(figure: &str, rows: Select<E>, label: Expr, value: Expr) -> SelectStatement {
    let mut select = rows.select_only().into_query();
    // Constants in the text, because a parameter of a union has no type.
    select.expr_as(Expr::cust(format!("'{figure}'")), FIGURE).expr_as(label, LABEL).expr_as(value, VALUE);
    select
}

/// Adds a row of the statement to the figures.
fn add(figures: &mut RegistryFigures, row: &QueryResult) -> Result<(), DbErr> {
    let (figure, label): (String, String) = (row.try_get("", FIGURE)?, row.try_get("", LABEL)?);
    let value: Option<i64> = row.try_get("", VALUE)?;
    let value = u64::try_from(value.unwrap_or_default()).unwrap_or_default();
    match figure.as_str() {
        "town" => figures.towns.push((label.parse().ok(), value)),
        "drift" => figures.drifted.push((label.parse().ok(), value)),
        "health" => figures.health.push((label.parse().ok(), value)),
        "oldest_check" => figures.oldest_check = Duration::from_millis(value),
        "operation" => figures.operations.push((label.parse().ok(), value)),
        "alarm" => figures.alarms.extend(label.parse::<SingletonJob>().ok()),
        "due" => figures.due = value,
        "oldest_due" => figures.oldest_due = Duration::from_millis(value),
        "stuck" => figures.stuck = value,
        "newer" => figures.left_to_newer = value,
        "orphans" => figures.orphans = value,
        "image" => figures.images.push((label.parse().ok(), value)),
        "rollout" => figures.rollouts.push((label.parse().ok(), value)),
        "expiring_tokens" => figures.expiring_tokens = value,
        other => return Err(DbErr::Custom(format!("figure {other} is not read"))),
    }
    Ok(())
}
