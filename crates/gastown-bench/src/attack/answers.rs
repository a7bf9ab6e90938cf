//! Row 1: as many large rigs as possible, and batches of the status of their town.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::measure::crowd::Crowd;
use crate::measure::http1::Connection;
use crate::measure::latencies::number;
use crate::measure::trpc;
use crate::report::{Check, Limit, Unit};

use super::stage::{OneOf, Stage, User, create_town};

/// The bytes of a rig's configuration, with its frame.
const CONFIG_BYTES: usize = 32_000;
/// Clients that add rigs at a time.
const ADDERS: usize = 8;
/// Clients that read the status at a time.
const READERS: usize = 64;
/// The calls of a batch.
const BATCH: usize = 10;
/// The default of `MAX_ANSWER_BYTES`, in MiB.
const MAX_ANSWER_MIB: f64 = 8.0;
/// The memory for the answers in flight of one user.
const MAX_GROWTH_MIB: f64 = 64.0;

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Vec<Check>> {
    let token = stage.token(User::LargeRigs);
    let town = create_town(&stage.server, token, "large").await?;
    let accepted = add_rigs(stage, &town).await?;

    let input = format!(r#"{{"townId":"{town}"}}"#);
    let request = trpc::batch_query("getTownStatus", BATCH, Some(&input), token);
    let mut connection = Connection::open(stage.server.address).await?;
    let answer = connection.send(request.as_bytes()).await?;
    ensure!(answer.status == 200, "answered {}", answer.status);
    let answer_mib = number(answer.body.len()) / f64::from(1 << 20);

    let before = stage.server.memory_mib();
    stage.server.forget_peak()?;
    let bystander = stage.bystander();
    let crowd = Crowd {
        address: stage.server.address,
        clients: READERS,
        until: Instant::now() + stage.scale.phase,
        interval: None,
    };
    let tally = crowd.send(&OneOf(Arc::new([request]))).await?;
    let observed = bystander.stop().await?;
    ensure!(tally.answered() > 0, "no batch was answered: {:?}", tally.example());
    let mut checks = vec![
        Check::new(
            "rigs that one town has",
            Unit::Count,
            number(accepted),
            Limit::AtMost(number(stage.scale.max_rigs)),
        ),
        Check::new("answer to ten statuses", Unit::Mebibytes, answer_mib, Limit::AtMost(MAX_ANSWER_MIB)),
        Check::new("other answers", Unit::Count, number(tally.broken()), Limit::AtMost(0.0)),
        Check::new("memory", Unit::Mebibytes, stage.server.peak_mib() - before, Limit::AtMost(MAX_GROWTH_MIB)),
    ];
    checks.extend(stage.judge(&observed));
    Ok(checks)
}

/// Adds rigs until the limit, and tries it beyond. Returns how many were accepted.
async fn add_rigs(stage: &Stage, town: &str) -> anyhow::Result<usize> {
    let mut adders = JoinSet::new();
    for adder in 0..ADDERS {
        let numbers = (adder..stage.scale.large_rigs).step_by(ADDERS);
        let requests: Vec<_> = numbers.map(|number| add_rig(town, number, stage.token(User::LargeRigs))).collect();
        adders.spawn(send_all(stage.server.address, requests));
    }
    let mut accepted = 0;
    while let Some(added) = adders.join_next().await {
        accepted += added.context("a client panicked")??;
    }
    ensure!(accepted > 0, "no rig was added");
    Ok(accepted)
}

fn add_rig(town: &str, number: usize, token: &str) -> String {
    let config = json!({ "large": "x".repeat(CONFIG_BYTES) });
    let repo = "https://github.com/octocat/hello-world";
    let input = json!({ "townId": town, "rigName": format!("rig{number}"), "repoUrl": repo, "config": config });
    trpc::mutation("addRig", &input, token)
}

/// Sends all requests, and returns how many were accepted. The others must be refused because of the limit.
async fn send_all(address: std::net::SocketAddr, requests: Vec<String>) -> anyhow::Result<usize> {
    let (mut connection, mut accepted) = (Connection::open(address).await?, 0);
    for request in requests {
        let answer = connection.send(request.as_bytes()).await?;
        match answer.status {
            200 => accepted += 1,
            412 => {}
            status => bail!("addRig answered {status}: {}", String::from_utf8_lossy(answer.body)),
        }
    }
    Ok(accepted)
}
