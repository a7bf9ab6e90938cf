//! `cargo xtask attack`: plays the attacks of `gastown-bench` against the server.

use std::process::ExitCode;

use crate::bench::{self, Build};

/// Options of `attack`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Plays smaller attacks against a debug build, as `cargo xtask test` does.
    #[arg(long)]
    quick: bool,
}

/// Builds and attacks. Fails if a figure exceeds its limit, or if an attack could not be played.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let build = if args.quick { Build::OfTests } else { Build::Release };
    let quick = args.quick.then(|| "--quick".into());
    bench::play(build, std::iter::once("attack".into()).chain(quick)).await
}
