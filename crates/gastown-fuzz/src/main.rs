//! `gastown-fuzz`: runs fuzz targets for a time. `cargo xtask fuzz` builds and starts it.
#![expect(clippy::print_stdout, reason = "a command prints to the terminal")]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use gastown_fuzz::{Failure, Limit, Target};

/// Runs fuzz targets, each for a time.
#[derive(Parser)]
#[command(bin_name = "cargo xtask fuzz")]
struct Args {
    /// Run only this target. Can be repeated.
    #[arg(long)]
    target: Vec<String>,
    /// The time of each target.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// The seed of the mutations. Without it, each run has another.
    #[arg(long)]
    seed: Option<u64>,
    /// The folder for inputs that fail.
    #[arg(long, default_value = "target/xtask/fuzz")]
    findings: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(rand::random);
    let targets = selected(&args.target)?;
    println!("seed {seed}, {} s for each of {} targets", args.seconds, targets.len());
    let mut failed = false;
    for target in targets {
        let report = gastown_fuzz::run(&target, Limit::Time(Duration::from_secs(args.seconds)), seed)?;
        let (peak, length) = report.peak;
        println!(
            "{:<10} {:>9} inputs, {:>5} behaviours, at most {peak} bytes (for {length}), {} failures",
            target.name,
            report.inputs,
            report.behaviours,
            report.failures.len()
        );
        for failure in &report.failures {
            failed = true;
            let path = store(&args.findings, &target, failure)?;
            println!("  {}: {}", path.display(), failure.problem);
        }
    }
    if failed {
        println!("Mend each, add a test with a name, and move the input to crates/gastown-fuzz/corpus.");
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn selected(names: &[String]) -> anyhow::Result<Vec<Target>> {
    let all = gastown_fuzz::all();
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|target| target.name != **name)) {
        let known: Vec<_> = all.iter().map(|target| target.name).collect();
        bail!("no target {unknown}; the targets are {}", known.join(", "));
    }
    Ok(all.into_iter().filter(|target| names.is_empty() || names.iter().any(|name| name == target.name)).collect())
}

fn store(folder: &std::path::Path, target: &Target, failure: &Failure) -> anyhow::Result<PathBuf> {
    let folder = folder.join(target.name);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut hash = DefaultHasher::new();
    failure.input.hash(&mut hash);
    let path = folder.join(format!("{:016x}", hash.finish()));
    std::fs::write(&path, &failure.input).with_context(|| path.display().to_string())?;
    Ok(path)
}
