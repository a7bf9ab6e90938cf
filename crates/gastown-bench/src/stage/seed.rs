//! Rows of users and towns, inserted by Postgres from their numbers. Numbers begin at 1.

use anyhow::Context as _;
use sqlx::AssertSqlSafe;

use super::fly::Resources;
use super::postgres::Database;
use super::users::PEPPER;

/// Town `n` belongs to user `(n - 1) / 5 + 1`.
pub(crate) const TOWNS_PER_USER: usize = 5;

/// Returns the id of a town. The number comes first, because the names of volumes have only the first digits of an id.
pub(crate) fn town_id(number: usize) -> String {
    let digits = format!("{number:012}{:020}", 0);
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

/// Returns the SQL of a town's id, from an expression for its number.
pub(crate) fn town_id_sql(number: &str) -> String {
    format!("rpad(lpad(({number})::text, 12, '0'), 32, '0')::uuid")
}

/// Returns the SQL of the id of a town's owner, from an expression for the town's number.
pub(crate) fn owner_sql(number: &str) -> String {
    format!("'user-' || (({number})::int - 1) / {TOWNS_PER_USER} + 1")
}

/// Inserts users without towns.
pub(crate) async fn users(database: &Database, from: usize, to: usize) -> anyhow::Result<()> {
    let numbers = format!("generate_series({from}, {to}) AS n");
    let rows = format!("SELECT 'user-' || n, '{PEPPER}' FROM {numbers}");
    database.execute(&format!("INSERT INTO kilocode_users (id, api_token_pepper) {rows}")).await
}

/// Inserts running towns with a rig each, and their owners. `from` is 1 or follows the last town of a user.
pub(crate) async fn towns(database: &Database, from: usize, to: usize) -> anyhow::Result<()> {
    users(database, from / TOWNS_PER_USER + 1, to / TOWNS_PER_USER).await?;
    let (id, owner) = (town_id_sql("n"), owner_sql("n"));
    for rows in [
        format!(
            "gastown_towns (id, user_id, town_name, sandbox_id, fly_machine_id, fly_volume_id, status, created_at) \
             SELECT {id}, {owner}, 'town-' || n, 'bench-' || n, 'machine' || n, 'vol_' || n, 'running', now()"
        ),
        format!("gastown_town_health (town_id, checked_at) SELECT {id}, now()"),
        format!(
            "gastown_rigs (id, town_id, rig_name, repo_url, created_at) \
             SELECT gen_random_uuid(), {id}, 'app', 'https://github.com/octocat/hello-world.git', now()"
        ),
    ] {
        database.execute(&format!("INSERT INTO {rows} FROM generate_series({from}, {to}) AS n")).await?;
    }
    database.execute("VACUUM ANALYZE").await
}

/// Records the machines and volumes of the first towns, which are due for a comparison then.
pub(crate) async fn record_resources(database: &Database, resources: Vec<Resources>) -> anyhow::Result<()> {
    let (machines, volumes): (Vec<_>, Vec<_>) =
        resources.into_iter().map(|Resources { machine, volume }| (machine, volume)).unzip();
    let id = town_id_sql("r.n");
    let update = format!(
        "UPDATE gastown_towns t SET fly_machine_id = r.machine, fly_volume_id = r.volume \
         FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS r (machine, volume, n) WHERE t.id = {id}"
    );
    let run = sqlx::query(AssertSqlSafe(update)).bind(machines).bind(volumes).execute(&database.pool).await;
    run.context("failed to record machines and volumes")?;
    database.execute("UPDATE gastown_town_health SET checked_at = NULL").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_of_a_town_has_its_number_as_digits() {
        assert_eq!(town_id(1), "00000000-0001-0000-0000-000000000000");
        assert_eq!(town_id(1_234_567), "00000123-4567-0000-0000-000000000000");
    }
}
