//! `attack`: the limits of a server, found by exceeding them.
//!
//! Each row is an attack that once made the service slow, large or dead. It is played against `gastown serve` on Postgres
//! and a simulated Fly, and each figure has a limit. Start reading at `row.rs`.

mod answers;
mod connections;
mod descriptors;
mod heads;
mod heartbeats;
mod overload;
mod retention;
mod rigs;
mod row;
mod scale;
mod slow_readers;
mod stage;
mod turns;

use anyhow::Context as _;

use crate::Measured;
use crate::options::Options;
use crate::progress::say;
use crate::report::Check;
use crate::stage::open_file_limit;
use row::Row;
use scale::Scale;
use stage::Stage;

/// Plays every row, also after one that fails.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Measured> {
    let scale = if options.quick { &Scale::QUICK } else { &Scale::FULL };
    open_file_limit::raise(scale.connections()).context("failed to raise the limit of open files")?;
    say("starting Postgres, the simulated Fly and gastown");
    let stage = Stage::start(scale).await?;
    let (mut checks, mut errors) = (Vec::new(), Vec::new());
    for row in Row::ALL {
        say(format!("{}: {}", row.name(), row.about()));
        match row.play(&stage).await.and_then(measured) {
            Ok(found) => checks.extend(found.into_iter().map(|check| check.within(row.name()))),
            Err(error) => errors.push(format!("{}: {error:#}", row.name())),
        }
    }
    stage.stop().await?;
    Ok(Measured::Checks { checks, errors })
}

/// Fails for a row without figures.
fn measured(checks: Vec<Check>) -> anyhow::Result<Vec<Check>> {
    anyhow::ensure!(!checks.is_empty(), "nothing was measured");
    Ok(checks)
}
