//! `gastown config`: an example of a settings file, and a check of the settings.

use clap::Subcommand;

use super::say::say;
use crate::config::{Config, example};
use crate::settings_source::Source;

/// The subcommands of `gastown config`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Action {
    /// Print a commented file of all settings with their defaults. Required ones are empty.
    #[command(after_help = "Example:\n  gastown config example > gastown.toml")]
    Example,
    /// Check all settings of `serve`, and name every mistake. Nothing is opened.
    #[command(after_help = "Example:\n  gastown --config gastown.toml config check")]
    Check,
}

/// Runs the command.
///
/// Errors: every missing or invalid setting.
pub fn run(source: &Source, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Example => Ok(say(example().trim_end())?),
        Action::Check => {
            Config::read(source)?;
            Ok(say("All settings are valid.")?)
        }
    }
}
