//! `cargo xtask test --mutants`: breaks the code in one known way at a time and checks that a test fails.
//!
//! It works on a copy of the sources with its own target directory, and never changes the sources.

mod list;
mod mutant;
mod workshop;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};

use crate::interrupt::Interrupt;
use crate::progress::Elapsed;
use list::MUTANTS;
use mutant::Mutant;
use workshop::Workshop;

/// Applies and tests the named mutants one by one, or all of them without a name. Fails if one survives, does not build, or
/// does not match the sources.
pub(super) async fn run(only: &[String]) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let is_known = |name: &String| names().contains(&name.as_str());
    if let Some(unknown) = only.iter().find(|name| !is_known(name)) {
        anyhow::bail!("unknown mutant {unknown}; the mutants are: {}", names().join(", "));
    }
    let is_chosen = |mutant: &&Mutant| only.is_empty() || only.iter().any(|name| name == mutant.name);
    let chosen: Vec<&Mutant> = MUTANTS.iter().filter(is_chosen).collect();
    let workshop = Workshop::open()?;
    println!("sources copied; building and testing all mutants takes some minutes");
    let suites = chosen.iter().flat_map(|mutant| mutant.suites).copied().collect();
    workshop.expect_green(suites, &interrupt).await?;

    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header([
        "mutant",
        "result",
        "time",
        "first failed test",
    ]);
    let mut unnoticed = 0;
    for (number, mutant) in chosen.iter().enumerate() {
        let started = Instant::now();
        let heading = format!("[{}/{}] {}", number + 1, chosen.len(), mutant.name);
        let fate = workshop.fate_of(mutant, &heading, &interrupt).await?;
        let took = Elapsed(started.elapsed()).to_string();
        println!("{heading}: {} ({took}): {}", fate.word(), mutant.about);
        unnoticed += usize::from(!fate.is_noticed());
        table.add_row([mutant.name.to_owned(), fate.word().to_owned(), took, fate.detail()]);
    }
    println!("\n{table}\n\n{} mutants, {} noticed, {unnoticed} not", chosen.len(), chosen.len() - unnoticed);
    Ok(if unnoticed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn names() -> Vec<&'static str> {
    MUTANTS.iter().map(|mutant| mutant.name).collect()
}

/// Longer than any suite of one crate. A mutant that makes a suite hang counts as noticed.
const SUITE_TIMEOUT: Duration = Duration::from_secs(15 * 60);
