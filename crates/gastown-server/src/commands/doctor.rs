//! `gastown doctor`: checks everything that `serve` depends on, and says how to mend what is wrong. Changes nothing.

mod at_fly;
mod at_server;
mod check;
mod registry;
mod running;
mod sandboxes;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use gastown_secrets::SandboxKey;
use secrecy::SecretString;

pub(crate) use self::running::RunningServer;

use self::check::{json, table};
use super::at_server::OperatorServer;
use super::say::say;
use crate::config::{Config, ConfigError};
use crate::reports::{Check, State};
use crate::settings_source::Source;

/// The options of `gastown doctor`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// A file with the `SANDBOX_PRIVATE_KEY` of the apps, to compare it with `SANDBOX_PUBLIC_KEY`. Run this apart from `serve`,
    /// which must not have the key.
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    private_key: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: OperatorServer,
}

/// Examples for the help.
pub const EXAMPLES: &str = "\
Examples:
  gastown --config gastown.toml doctor
  gastown doctor --private-key sandbox.key --json
  GASTOWN_OPERATOR_TOKEN=… gastown doctor --server https://console.example.com";

/// Runs all checks that are possible. On this machine it reads all settings of `serve`. A server has read its own.
///
/// Errors: a check failed. With a server, the token is missing or is that of a user.
pub async fn run(source: &Source, options: Options) -> anyhow::Result<()> {
    let checks = match options.at.remote(source)? {
        Some(server) => at_server::checks(&server).await,
        None => here(source, &options).await,
    };
    say(if options.json { json(&checks).to_string() } else { table(&checks) })?;
    match checks.iter().filter(|check| check.state == State::Failed).count() {
        0 => Ok(()),
        1 => bail!("1 check failed"),
        failed => bail!("{failed} checks failed"),
    }
}

async fn here(source: &Source, options: &Options) -> Vec<Check> {
    let config = Config::read(source);
    let mut checks = vec![settings(&config)];
    let database = registry::checks(source, &mut checks).await;
    let config = config.ok();
    at_fly::checks(source, config.as_ref(), &mut checks).await;
    if let Some(path) = &options.private_key {
        checks.push(private_key(config.as_ref(), path));
    }
    checks.extend(config.as_ref().map(image));
    sandboxes::check(config.as_ref(), database.as_ref(), &mut checks).await;
    checks
}

fn settings(config: &Result<Config, ConfigError>) -> Check {
    match config {
        Ok(_) => Check::ok("settings", "all settings are valid"),
        Err(error) => {
            let mistakes: Vec<_> = error.mistakes.iter().map(ToString::to_string).collect();
            Check::failed(
                "settings",
                &mistakes.join("; "),
                "correct these settings; `gastown config example` lists all",
            )
        }
    }
}

/// Compares a private key with ours.
fn private_key(config: Option<&Config>, path: &std::path::Path) -> Check {
    const NAME: &str = "private key file";
    let Some(config) = config else { return Check::skipped(NAME, "the settings have mistakes") };
    match read_key(path) {
        Ok(key) if *key.public_key() == config.secrets.sealing_key => {
            Check::ok(NAME, "it belongs to SANDBOX_PUBLIC_KEY")
        }
        Ok(key) => Check::failed(
            NAME,
            &format!("it belongs to another public key, {}", key.public_key()),
            "set SANDBOX_PUBLIC_KEY to that key, or the app's secret SANDBOX_PRIVATE_KEY to the other one",
        ),
        Err(error) => Check::failed(NAME, &format!("{error:#}"), "give a file with the private key in base64 or hex"),
    }
}

fn read_key(path: &std::path::Path) -> anyhow::Result<SandboxKey> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    SandboxKey::parse(&SecretString::from(text.trim())).context("it is not a private key")
}

fn image(config: &Config) -> Check {
    let image = &config.orchestrator.machine.image;
    if image.is_pinned() {
        return Check::ok("image", &format!("{image} is pinned by its digest"));
    }
    Check::warning(
        "image",
        &format!("{image} is named by a tag, which may change"),
        "name it by its digest: IMAGE@sha256:…",
    )
}
