//! `cargo xtask bench`: builds the release binaries and runs `gastown-bench`, which measures them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cargo_metadata::MetadataCommand;
use tokio::process::Command;

use crate::cargo::cargo;
use crate::interrupt::Interrupt;
use crate::process_group::ProcessGroup;
use crate::workspace;

/// The packages whose binaries take part. `gastown-bench` starts the others.
const PACKAGES: [&str; 4] = ["gastown-server", "gastown-sandbox-sim", "fly-sim", "gastown-bench"];
/// From a signal until the processes of a run are killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Options of `bench`, which are those of `gastown-bench`.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// `reads`, `lifecycle`, `launch`, `growth`, `overload`, `heartbeats`, `monitor`, `fly-sim` or `scale`, with options; `--help` shows all of them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
    arguments: Vec<OsString>,
}

/// The build that takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    Release,
    /// A debug build with the features of the tests, so that nothing is compiled twice after them.
    OfTests,
    /// A debug build of `gastown-bench` alone, which is all that its help needs.
    OfHelp,
}

/// Builds and measures. A signal stops every process of the run.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let asks_help =
        args.arguments.iter().any(|argument| argument == "--help" || argument == "-h" || argument == "help");
    play(if asks_help { Build::OfHelp } else { Build::Release }, args.arguments).await
}

/// Builds, and runs `gastown-bench` with these arguments. A signal stops every process of the run.
pub(crate) async fn play(build: Build, arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    interrupt.or(build.make()).await?;
    let mut command = Command::new(build.binary()?);
    command.args(arguments);
    let mut bench = ProcessGroup::start(command).context("cannot run gastown-bench")?;
    let ended = interrupt.or(async { bench.wait().await.context("cannot wait for gastown-bench") }).await;
    if ended.is_err() {
        bench.stop(STOP_TIMEOUT).await;
    }
    Ok(if ended?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Build {
    /// Builds the binaries and shows the output of cargo.
    async fn make(self) -> anyhow::Result<()> {
        let mut build = Command::from(cargo());
        build.arg("build").kill_on_drop(true);
        match self {
            Self::Release => {
                build.args(["--release", "--bins"]);
                build.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
            }
            Self::OfTests => {
                build.args(["--workspace", "--bins", "--tests"]);
            }
            Self::OfHelp => {
                build.args(["--quiet", "--bins", "--package", "gastown-bench"]);
            }
        }
        ensure!(build.status().await.context("cannot run cargo")?.success(), "the binaries do not build");
        Ok(())
    }

    fn binary(self) -> anyhow::Result<PathBuf> {
        let mut metadata = MetadataCommand::new();
        metadata.manifest_path(workspace::root().join("Cargo.toml")).no_deps();
        let target = metadata.exec().context("cargo metadata failed")?.target_directory;
        let folder = match self {
            Self::Release => "release",
            Self::OfTests | Self::OfHelp => "debug",
        };
        Ok(target.join(folder).join("gastown-bench").into())
    }
}
