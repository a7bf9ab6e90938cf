//! Exact counts for one undisturbed operation, which do not depend on the machine.

use std::time::Duration;

use anyhow::Context as _;
use sqlx::Row as _;
use tokio::time::sleep;

use super::clients::ready_clients;
use super::operations::{Operation, Owner};
use super::throughput::drain;
use crate::measure::latencies::number;
use crate::measure::series::Series;
use crate::options::Options;
use crate::progress::say;
use crate::reads::INSTANT_FLY;
use crate::report::Unit;
use crate::stage::{Database, Fly, Postgres, ServerSetup};

/// Towns that are counted. The least is undisturbed, because periodic jobs only add statements.
const TOWNS: usize = 5;
/// From the end of an operation until it is counted, for what follows its answer.
const SETTLE: Duration = Duration::from_millis(50);

/// The counts of one operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Counts {
    /// Statements without those that begin and end transactions. `None` if Postgres cannot count them.
    statements: Option<usize>,
    /// Commits of transactions of several statements.
    transactions: Option<usize>,
    /// Transactions that wrote or locked something, including those of one statement.
    writes: usize,
    /// Calls to the provider and to sandboxes.
    calls: usize,
    /// Those among them that list all machines or volumes of an app.
    lists: usize,
}

/// Counts statements, transactions and calls of each operation.
pub(super) async fn run(postgres: &Postgres, options: &Options, series: &mut Series) -> anyhow::Result<()> {
    say("counting statements and calls");
    let fly = Fly::start(INSTANT_FLY).await?;
    let database = postgres.create("counts").await?;
    let has_statistics = postgres.count_statements_of(&database).await?;
    if !has_statistics {
        say("pg_stat_statements is not installed, so statements are not counted");
    }
    let tokens = ready_clients(&database, 0, 1).await?;
    let server = ServerSetup::new(&database, &fly).start().await?;
    let mut owner = Owner::connect(server.address, &tokens[0]).await?;
    let counter = Counter { postgres, database: &database, fly: &fly, has_statistics };
    // The first town opens connections and checks the app.
    counter.life(&mut owner).await?;
    let mut least = counter.life(&mut owner).await?;
    for _ in 2..if options.quick { 3 } else { TOWNS } {
        for (known, counted) in least.iter_mut().zip(counter.life(&mut owner).await?) {
            *known = counted.min(*known);
        }
    }
    for (operation, counts) in Operation::LIFE.into_iter().zip(least) {
        add(series, operation, counts);
    }
    server.stop().await
}

fn add(series: &mut Series, operation: Operation, counts: Counts) {
    let mut add = |what: &str, count: Option<usize>| {
        if let Some(count) = count {
            series.add(format!("{} {what}", operation.name()), Unit::Count, number(count));
        }
    };
    add("statements", counts.statements);
    add("transactions", counts.transactions);
    add("write transactions", Some(counts.writes));
    add("provider calls", Some(counts.calls));
    add("provider calls that list", Some(counts.lists));
}

struct Counter<'a> {
    postgres: &'a Postgres,
    database: &'a Database,
    fly: &'a Fly,
    has_statistics: bool,
}

impl Counter<'_> {
    /// Runs every operation on a new town and counts each.
    async fn life(&self, owner: &mut Owner) -> anyhow::Result<[Counts; 4]> {
        let mut counts = [Counts::default(); 4];
        for (operation, counted) in Operation::LIFE.into_iter().zip(&mut counts) {
            let calls_before = self.fly.calls_after(0).await?.len();
            self.reset().await?;
            let writes_before = self.write_transactions().await?;
            owner.run(operation).await?;
            drain(self.database).await?;
            sleep(SETTLE).await;
            let calls = self.fly.calls_after(calls_before).await?;
            let writes = self.write_transactions().await? - writes_before;
            *counted = Counts { writes: usize::try_from(writes)?, ..self.count(&calls).await? };
        }
        Ok(counts)
    }

    async fn reset(&self) -> anyhow::Result<()> {
        if self.has_statistics {
            let reset = sqlx::query("SELECT pg_stat_statements_reset()").execute(self.postgres.admin()).await;
            reset.context("failed to reset the statistics of statements")?;
        }
        Ok(())
    }

    /// Returns the number of transactions so far that have an id. Reads have none, so this one is not counted.
    async fn write_transactions(&self) -> anyhow::Result<i64> {
        self.database.count("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").await
    }

    async fn count(&self, calls: &[String]) -> anyhow::Result<Counts> {
        let lists = calls.iter().filter(|call| is_list(call)).count();
        let counts = Counts { calls: calls.len(), lists, ..Counts::default() };
        if !self.has_statistics {
            return Ok(counts);
        }
        let query = "SELECT s.query, s.calls FROM pg_stat_statements s \
                     JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = $1";
        let rows = sqlx::query(query).bind(self.database.name).fetch_all(self.postgres.admin()).await;
        let mut run = Vec::new();
        for row in rows.context("failed to read the statistics of statements")? {
            let (statement, calls): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            run.push((Statement::of(&statement), usize::try_from(calls).unwrap_or_default()));
        }
        let total = |kind| run.iter().filter(|(of, _)| *of == kind).map(|(_, calls)| calls).sum();
        Ok(Counts { statements: Some(total(Statement::Work)), transactions: Some(total(Statement::Commit)), ..counts })
    }
}

/// Returns true for a call that lists what an app has. The list of a sandbox's rigs is not one of them.
fn is_list(call: &str) -> bool {
    call.starts_with("List")
}

/// The kinds of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statement {
    Work,
    Commit,
    /// Beginnings of transactions, rollbacks, savepoints and settings of a session.
    Control,
}

impl Statement {
    fn of(text: &str) -> Self {
        let first = text.split_whitespace().next().unwrap_or_default().trim_end_matches(';').to_uppercase();
        match first.as_str() {
            "COMMIT" | "END" => Self::Commit,
            "BEGIN" | "START" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "SET" | "SHOW" => Self::Control,
            _ => Self::Work,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart_from_transaction_control() {
        for (text, want) in [
            ("COMMIT", Statement::Commit),
            ("begin isolation level serializable", Statement::Control),
            ("ROLLBACK;", Statement::Control),
            ("SELECT $1", Statement::Work),
            ("WITH a AS (SELECT $1) UPDATE t", Statement::Work),
        ] {
            assert_eq!(Statement::of(text), want, "{text}");
        }
    }

    #[test]
    fn the_least_counts_are_those_with_the_fewest_statements() {
        let counts = |statements, calls| Counts { statements: Some(statements), calls, ..Counts::default() };
        assert_eq!(counts(55, 14).min(counts(60, 14)), counts(55, 14));
        assert_eq!(counts(55, 15).min(counts(55, 14)), counts(55, 14));
    }

    #[test]
    fn lists_of_rigs_are_not_lists_of_an_app() {
        assert!(is_list("ListVolumes") && is_list("ListMachines"));
        assert!(!is_list("SandboxListRigs") && !is_list("GetMachine"));
    }
}
