use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// Indexes for the sweeps, and a check on times.
///
/// The indexes find tombstones that still hold a resource id, live towns by status, and rigs that are not active. On
/// Postgres a check rejects `infinity` in the times of operations, which our driver cannot decode. Existing rows are not
/// checked.
///
/// Indexes on `gastown_towns` and `gastown_rigs` do not change the contract with other services.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const LEFT_OVER: &str = "gastown_towns_left_over_idx";
const LIVING: &str = "gastown_towns_status_idx";
const UNSETTLED: &str = "gastown_rigs_unsettled_idx";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let holds_an_id = Expr::col("fly_machine_id").is_not_null().or(Expr::col("fly_volume_id").is_not_null());
        let left_over = Index::create()
            .name(LEFT_OVER)
            .table("gastown_towns")
            .col("id")
            .and_where(Expr::col("destroyed_at").is_not_null())
            .and_where(holds_an_id)
            .take();
        manager.create_index(left_over).await?;
        let living = Index::create()
            .name(LIVING)
            .table("gastown_towns")
            .col("status")
            .and_where(Expr::col("destroyed_at").is_null())
            .take();
        manager.create_index(living).await?;
        let unsettled = Index::create()
            .name(UNSETTLED)
            .table("gastown_rigs")
            .col("town_id")
            .and_where(Expr::col("status").ne("active"))
            .take();
        manager.create_index(unsettled).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            let finite = "ALTER TABLE gastown_operations ADD CONSTRAINT gastown_operations_times_check CHECK \
                (isfinite(next_attempt_at) AND isfinite(deadline_at) AND isfinite(lease_expires_at) \
                AND isfinite(created_at) AND isfinite(updated_at)) NOT VALID";
            manager.get_connection().execute_unprepared(finite).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            let check = "ALTER TABLE gastown_operations DROP CONSTRAINT gastown_operations_times_check";
            manager.get_connection().execute_unprepared(check).await?;
        }
        for (name, table) in [(UNSETTLED, "gastown_rigs"), (LIVING, "gastown_towns"), (LEFT_OVER, "gastown_towns")] {
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        Ok(())
    }
}
