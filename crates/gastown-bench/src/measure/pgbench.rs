//! Floors: the same statements without a server in between, by `pgbench`.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use ephemeral_db::Cluster;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::latencies::{millis, number};
use super::process_tree::cpu_time;
use crate::progress::say;
use crate::stage::Postgres;

/// The result of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    pub(crate) per_second: f64,
    /// The CPU time of Postgres for each run of the script, in milliseconds.
    pub(crate) postgres_cpu_ms: f64,
}

/// The time that does not count, in which each connection plans the statements for the first time.
const WARM_UP: Duration = Duration::from_secs(1);

/// Runs a script with prepared statements and waits for its end. Returns `None` if `pgbench` is not installed.
pub(crate) async fn run(
    postgres: &Postgres,
    database: &str,
    script: &str,
    clients: usize,
    phase: Duration,
) -> anyhow::Result<Option<Floor>> {
    let Some(program) = Cluster::program("pgbench") else {
        say("pgbench is not installed, so there are no floors");
        return Ok(None);
    };
    let file = tempfile::NamedTempFile::new().context("failed to create a file")?;
    std::fs::write(file.path(), script).context("failed to write a script")?;
    let mut command = Command::new(program);
    command.args(["-n", "-M", "prepared", "-j", "1", "-P", "1", "-U", "postgres"]);
    command.args(["-c", &clients.to_string(), "-T", &(WARM_UP + phase).as_secs().to_string()]);
    command.arg("-h").arg(postgres.socket_directory()).arg("-f").arg(file.path()).arg(database);
    let warm = async {
        sleep(WARM_UP).await;
        (Instant::now(), cpu_time(postgres.process_id()))
    };
    let (output, (begun, before)) = tokio::join!(command.kill_on_drop(true).output(), warm);
    let (elapsed, cpu) = (begun.elapsed(), cpu_time(postgres.process_id()).saturating_sub(before));
    let output = output.context("failed to run pgbench")?;
    let progress = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "pgbench failed: {}", progress.trim());
    let per_second = mean_rate(&progress).with_context(|| format!("pgbench shows no rates: {progress}"))?;
    Ok(Some(Floor { per_second, postgres_cpu_ms: millis(cpu) / (per_second * elapsed.as_secs_f64()) }))
}

/// Returns the mean of the rates in the lines of progress, without the first one.
fn mean_rate(progress: &str) -> Option<f64> {
    let lines = progress.lines().filter_map(|line| line.strip_prefix("progress: "));
    let rates = lines.filter_map(|line| line.split(", ").nth(1)?.strip_suffix(" tps")?.parse::<f64>().ok());
    let counted: Vec<f64> = rates.skip(1).collect();
    (!counted.is_empty()).then(|| counted.iter().sum::<f64>() / number(counted.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_the_mean_without_the_first_second() {
        let progress = "pgbench (15.8)\nprogress: 1.0 s, 60.5 tps, lat 400.0 ms stddev 9.1, 0 failed\n\
            progress: 2.0 s, 16000.0 tps, lat 2.0 ms stddev 0.2, 0 failed\n\
            progress: 3.0 s, 17000.0 tps, lat 2.0 ms stddev 0.2\n";
        let rate = mean_rate(progress).unwrap();
        assert!((rate - 16_500.0).abs() < 1e-9, "{rate}");
    }

    #[test]
    fn progress_of_one_second_has_no_rate() {
        assert_eq!(mean_rate("progress: 1.0 s, 60.5 tps, lat 400.0 ms stddev 9.1, 0 failed\n"), None);
        assert_eq!(mean_rate(""), None);
    }
}
