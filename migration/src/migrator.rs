use sea_orm_migration::sea_orm::DynIden;
use sea_orm_migration::sea_query::IntoIden;
use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait};

/// The tables that only the migrations use. They have no entity.
pub const TABLES_BESIDE_THE_MODEL: [&str; 2] = ["gastown_migrations", "gastown_schema_notes"];

/// All migrations, oldest first.
///
/// Services call [`up`](crate::up), which also excludes other processes. This type is for hosts that add the migrations to
/// a list of their own.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(crate::m20261123_000001_users::Migration),
            Box::new(crate::m20261123_000002_towns::Migration),
            Box::new(crate::m20261123_000003_rigs::Migration),
            Box::new(crate::m20261123_000004_operations::Migration),
            Box::new(crate::m20261123_000005_town_health::Migration),
            Box::new(crate::m20261123_000006_town_events::Migration),
            Box::new(crate::m20261123_000007_drift::Migration),
            Box::new(crate::m20261123_000008_orphans::Migration),
            Box::new(crate::m20261123_000009_passes::Migration),
            Box::new(crate::m20261125_000010_lookups::Migration),
            Box::new(crate::m20261130_000011_drift_rounds::Migration),
            Box::new(crate::m20261130_000012_requests_of_user::Migration),
            Box::new(crate::m20261130_000013_retention::Migration),
            Box::new(crate::m20261130_000014_refused_rigs::Migration),
            Box::new(crate::m20261130_000015_restarts::Migration),
            Box::new(crate::m20261130_000016_health_checks::Migration),
            Box::new(crate::m20261201_000017_sandbox_reports::Migration),
            Box::new(crate::m20261201_000018_restores::Migration),
            Box::new(crate::m20261201_000019_idle_stops::Migration),
            Box::new(crate::m20261201_000020_rollouts::Migration),
            Box::new(crate::m20261201_000021_comparisons::Migration),
        ]
    }

    /// Differs from SeaORM's default, where a host on the same database may keep its own migrations.
    fn migration_table_name() -> DynIden {
        "gastown_migrations".into_iden()
    }
}
