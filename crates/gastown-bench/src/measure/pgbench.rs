//! Floors: the same statements without a server in between, by `pgbench`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use ephemeral_db::Cluster;
use tokio::process::Command;

use super::latencies::{millis, number};
use super::process_tree::cpu_time;
use crate::stage::Postgres;

/// The result of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    pub(crate) per_second: f64,
    /// The CPU time of Postgres for each run of the script, in milliseconds.
    pub(crate) postgres_cpu_ms: f64,
}

/// Runs a script with prepared statements and waits for its end. Returns `None` if `pgbench` is not installed.
pub(crate) async fn run(
    postgres: &Postgres,
    database: &str,
    script: &str,
    clients: usize,
    phase: Duration,
) -> anyhow::Result<Option<Floor>> {
    let Some(program) = Cluster::program("pgbench") else { return Ok(None) };
    let file = tempfile::NamedTempFile::new().context("failed to create a file")?;
    std::fs::write(file.path(), script).context("failed to write a script")?;
    let mut command = Command::new(program);
    command.args(["-n", "-M", "prepared", "-j", "1", "-U", "postgres"]);
    command.args(["-c", &clients.to_string(), "-T", &phase.as_secs().max(1).to_string()]);
    command.arg("-h").arg(postgres.socket_directory()).arg("-f").arg(file.path()).arg(database);
    let before = cpu_time(postgres.process_id());
    let output = command.kill_on_drop(true).output().await.context("failed to run pgbench")?;
    let cpu = cpu_time(postgres.process_id()).saturating_sub(before);
    if !output.status.success() {
        bail!("pgbench failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let result = parse(&String::from_utf8_lossy(&output.stdout)).context("pgbench printed no result")?;
    let per_run = millis(cpu) / number(result.transactions).max(1.0);
    Ok(Some(Floor { per_second: result.per_second, postgres_cpu_ms: per_run }))
}

#[derive(Debug, PartialEq)]
struct Summary {
    transactions: usize,
    per_second: f64,
}

/// Parses the summary. Up to version 13 there are two rates, of which the last one excludes the time to connect.
fn parse(output: &str) -> Option<Summary> {
    let after = |prefix: &'static str| output.lines().filter_map(move |line| line.trim().strip_prefix(prefix));
    let transactions = after("number of transactions actually processed:").next()?;
    let per_second = after("tps =").next_back()?.split_whitespace().next()?;
    let transactions = transactions.split(['/', ' ']).find(|text| !text.is_empty())?;
    Some(Summary { transactions: transactions.parse().ok()?, per_second: per_second.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "pgbench (15.8)\ntransaction type: a.sql\nnumber of clients: 32\n\
        number of transactions actually processed: 80430\nnumber of failed transactions: 0 (0.000%)\n\
        latency average = 1.989 ms\ninitial connection time = 25.1 ms\n\
        tps = 16086.190000 (without initial connection time)\n";

    #[test]
    fn rate_and_count_are_read_from_the_summary() {
        assert_eq!(parse(OUTPUT), Some(Summary { transactions: 80430, per_second: 16086.19 }));
        let old = "number of transactions actually processed: 10/10\ntps = 1.0 (including connections establishing)\n\
            tps = 2.0 (excluding connections establishing)\n";
        assert_eq!(parse(old), Some(Summary { transactions: 10, per_second: 2.0 }));
    }

    #[test]
    fn output_without_a_rate_has_no_result() {
        assert_eq!(parse("number of transactions actually processed: 10\n"), None);
        assert_eq!(parse(""), None);
    }
}
