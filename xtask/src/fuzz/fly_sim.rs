//! `cargo xtask fuzz --fly-sim`: Schemathesis against the simulator of Fly.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use fly_sim::Side;
use serde_json::Value;

use super::answers::Answers;
use super::exceptions::Exceptions;
use super::schemathesis::Schemathesis;
use super::world;
use crate::interrupt::Interrupt;
use crate::workspace;

/// The document that the simulator is held to, relative to the root.
const DOCUMENT: &str = "crates/fly-sim/spec/fly-openapi.json";
/// From the end of the set time until the run is given up.
const END_TIMEOUT: Duration = Duration::from_secs(120);

/// Calls every operation of Fly's OpenAPI document on a simulator, with generated inputs, and judges each answer.
///
/// The inputs and the judgement are those of Schemathesis. An answer with a status of 500 or more fails. So does one that
/// the document does not describe, unless crates/fly-sim/fuzz/exceptions.toml lists it.
#[derive(Parser)]
#[command(name = "cargo xtask fuzz --fly-sim")]
struct Options {
    /// Duration in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(30..=86_400))]
    seconds: u64,
    /// Seed of the inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) async fn run(arguments: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let options = Options::parse_from(std::iter::once("fuzz".into()).chain(arguments));
    let interrupt = Interrupt::listen()?;
    let folder = workspace::log_folder().join("fuzz/fly-sim");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let schemathesis = Schemathesis::provide(&interrupt).await?;
    let (mut document, exceptions) = (read_document()?, Exceptions::load()?);
    let operations = operations(&document);
    exceptions.apply(&mut document)?;

    let sim = world::start().await?;
    let run = schemathesis.run(&sim, &document, &exceptions, &folder, (options.seconds, options.seed), &interrupt);
    let end = Duration::from_secs(options.seconds) + END_TIMEOUT;
    let text = tokio::time::timeout(end, run).await.context("Schemathesis does not end")??;
    let answers = Answers::read(&folder.join(Schemathesis::REPORT))?;
    let mut findings = own_violations(&sim);
    sim.shutdown().await;

    findings.extend(text.failures);
    findings.extend(operations.difference(&answers.operations()).map(|name| format!("{name}: was not called")));
    findings.extend(exceptions.unmet(&answers));
    report(&answers, &findings, &folder);
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_document() -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(workspace::root().join(DOCUMENT)).context("cannot read the document of Fly")?;
    serde_json::from_str(&text).context("the document of Fly is not JSON")
}

/// Returns the operations of a document, as `GET /apps`.
pub(super) fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let methods = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten().filter(|(_, operation)| operation.is_object());
        methods.map(move |(method, _)| format!("{} {path}", method.to_ascii_uppercase()))
    });
    methods.collect()
}

/// Returns the answers that the simulator's own check found outside the document.
fn own_violations(sim: &fly_sim::FlySim) -> Vec<String> {
    let answers = sim.violations().into_iter().filter(|violation| violation.side == Side::Response);
    answers.map(|violation| format!("{:?}: {}", violation.call, violation.problem)).collect()
}

fn report(answers: &Answers, findings: &[String], folder: &Path) {
    let by_class: Vec<String> =
        answers.by_class().into_iter().map(|(class, count)| format!("{count} of {class}xx")).collect();
    println!("{} answers from {} operations: {}", answers.count(), answers.operations().len(), by_class.join(", "));
    for finding in findings {
        println!("\nFAILED  {finding}");
    }
    println!("\n{} findings; everything that was sent and answered is in {}", findings.len(), folder.display());
}

/// Writes a file of the run.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    ensure!(!name.contains('/'), "{name} is not a file's name");
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
