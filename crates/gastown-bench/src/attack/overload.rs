//! Rows 7 and 9: a crowd on `/readyz`, and a crowd on reads.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::measure::crowd::{Crowd, Tally};
use crate::measure::latencies::{millis, number};
use crate::report::{Check, Limit, Unit};

use super::connections::HEALTHZ;
use super::stage::{OneOf, Stage};

/// The time after a crowd in which a bystander watches the recovery.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// A bystander may lose a request to the turns of a crowd.
const MIN_SUCCESS: f64 = 0.99;

pub(super) async fn readiness(stage: &Stage) -> anyhow::Result<Vec<Check>> {
    let requests = OneOf(Arc::new([HEALTHZ.replace("healthz", "readyz")]));
    let bystander = stage.bystander();
    let tally = crowd(stage).send(&requests).await?;
    let observed = bystander.stop().await?;
    let mut checks = judge(stage, &tally)?;
    checks.extend(stage.judge(&observed));
    Ok(checks)
}

pub(super) async fn reads(stage: &Stage) -> anyhow::Result<Vec<Check>> {
    let bystander = stage.bystander();
    let crowd = crowd(stage);
    let tally = crowd.send(&stage.status_reads()).await?;
    sleep(AFTERWARDS).await;
    let observed = bystander.stop().await?;
    let mut checks = judge(stage, &tally)?;
    let fast = Duration::from_secs_f64(stage.scale.bounds.bystander_ms / 2_000.0);
    let recovered = millis(observed.recovered_after(crowd.until, fast)) / 1_000.0;
    let most = stage.scale.bounds.bystander_ms;
    checks.extend([
        Check::new("recovery", Unit::Seconds, recovered, Limit::AtMost(stage.scale.bounds.recovery_seconds)),
        Check::new(
            "p99 of another user",
            Unit::Milliseconds,
            observed.latencies().percentile_ms(99),
            Limit::AtMost(most),
        ),
        Check::new("success of another user", Unit::Ratio, observed.success(), Limit::AtLeast(MIN_SUCCESS)),
    ]);
    Ok(checks)
}

fn crowd(stage: &Stage) -> Crowd {
    let (address, until) = (stage.server.address, Instant::now() + stage.scale.phase);
    Crowd { address, clients: stage.scale.crowd, until, interval: None }
}

/// Returns what a crowd may see. Each answer is a success or a refusal in its form.
fn judge(stage: &Stage, tally: &Tally) -> anyhow::Result<Vec<Check>> {
    ensure!(tally.answered() > 0, "nothing was answered: {:?}", tally.example());
    let (p99, most) = (tally.latencies_of_answered().percentile_ms(99), stage.scale.bounds.answered_ms);
    let clients = number(tally.sent().min(stage.scale.crowd));
    Ok(vec![
        Check::new("clients", Unit::Count, clients, Limit::AtLeast(number(stage.scale.crowd))),
        Check::new("p99 of what is answered", Unit::Milliseconds, p99, Limit::AtMost(most)),
        Check::new("other answers", Unit::Count, number(tally.broken()), Limit::AtMost(0.0)),
    ])
}
