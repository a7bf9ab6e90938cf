//! Users who create and destroy towns during the overload. What was accepted is done, and what was refused leaves nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::measure::http1::Connection;
use crate::measure::latencies::number;
use crate::measure::refusal::accepted;
use crate::report::{Check, Limit, Unit};
use crate::stage::Database;

const PAUSE: Duration = Duration::from_millis(20);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// For operations that go on after the load.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Running users.
pub(super) struct Changes {
    tasks: JoinSet<anyhow::Result<Record>>,
    is_stopping: Arc<AtomicBool>,
}

/// The answers that the users got.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The ids of towns that were created and kept.
    kept: Vec<String>,
    /// The ids of towns that were created and destroyed.
    destroyed: Vec<String>,
    /// The names in refused creates. They differ for each request and user.
    refused: Vec<String>,
}

impl Changes {
    pub(super) fn start(address: SocketAddr, tokens: Vec<String>) -> Self {
        let (mut tasks, is_stopping) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        for (user, token) in tokens.into_iter().enumerate() {
            tasks.spawn(change(address, user, token, Arc::clone(&is_stopping)));
        }
        Self { tasks, is_stopping }
    }

    /// Lets each user finish its request. Fails if an answer was neither a success nor a refusal in its form.
    pub(super) async fn stop(mut self) -> anyhow::Result<Record> {
        self.is_stopping.store(true, Ordering::Relaxed);
        let mut all = Record::default();
        while let Some(ended) = self.tasks.join_next().await {
            let record = ended.context("a client panicked")??;
            all.kept.extend(record.kept);
            all.destroyed.extend(record.destroyed);
            all.refused.extend(record.refused);
        }
        Ok(all)
    }
}

async fn change(
    address: SocketAddr,
    user: usize,
    token: String,
    is_stopping: Arc<AtomicBool>,
) -> anyhow::Result<Record> {
    let (mut record, mut connection) = (Record::default(), Connection::open(address).await?);
    let mut number = 0;
    while !is_stopping.load(Ordering::Relaxed) {
        number += 1;
        let name = format!("overload-{user}-{number}");
        let Some(town) = accepted(&mut connection, "createTown", &json!({ "townName": name }), &token).await? else {
            record.refused.push(name);
            sleep(PAUSE).await;
            continue;
        };
        let id = town["townId"].as_str().context("a created town has no id")?.to_owned();
        if number % 2 == 0
            && accepted(&mut connection, "destroyTown", &json!({ "townId": id }), &token).await?.is_some()
        {
            record.destroyed.push(id);
        } else {
            record.kept.push(id);
        }
        sleep(PAUSE).await;
    }
    Ok(record)
}

impl Record {
    /// Compares what the users were told with the rows, once no operation is in flight.
    pub(super) async fn judge(&self, database: &Database) -> anyhow::Result<Vec<Check>> {
        let begun = Instant::now();
        while database.count("SELECT count(*) FROM gastown_operations").await? > 0 {
            if begun.elapsed() > DRAIN_TIMEOUT {
                bail!("operations are still in flight after {DRAIN_TIMEOUT:?}");
            }
            sleep(POLL_INTERVAL).await;
        }
        let accepted = self.kept.len() + self.destroyed.len();
        ensure!(accepted > 0, "no create was accepted");
        let running = rows(database, "id::text", &self.kept, "status = 'running'").await?;
        let gone = rows(database, "id::text", &self.destroyed, "status = 'destroyed'").await?;
        let made = rows(database, "town_name", &self.refused, "true").await?;
        Ok(vec![
            Check::new("creates accepted during the load", Unit::Count, number(accepted), Limit::AtLeast(1.0)),
            Check::new("accepted changes lost", Unit::Count, number(accepted - running - gone), Limit::AtMost(0.0)),
            Check::new("refused creates that were made", Unit::Count, number(made), Limit::AtMost(0.0)),
        ])
    }
}

/// Counts the towns among these that meet a condition.
async fn rows(database: &Database, column: &str, values: &[String], condition: &str) -> anyhow::Result<usize> {
    let query = format!("SELECT count(*) FROM gastown_towns WHERE {column} = ANY($1) AND {condition}");
    let count = sqlx::query_scalar(AssertSqlSafe(query)).bind(values).fetch_one(&database.pool).await;
    let count: i64 = count.context("failed to count towns")?;
    usize::try_from(count).context("a count is negative")
}
