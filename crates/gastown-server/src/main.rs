//! The binary `gastown`: parses its arguments and runs a command of the library.

use std::process::ExitCode;

use clap::Parser as _;
use gastown_server::cli;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(cli::Arguments::parse()).await
}
