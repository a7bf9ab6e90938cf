//! `gastown completions` and `gastown man`: files that are generated from the command line's definition.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

use super::say::say;

/// The options of `gastown man`.
#[derive(Debug, Clone, Args)]
pub struct ManOptions {
    /// Write one page for each command into this folder. Without it, the page of `gastown` is printed.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Prints the completions of a shell.
pub fn completions(mut command: Command, shell: Shell) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "gastown", &mut text);
    Ok(say(String::from_utf8_lossy(&text).trim_end())?)
}

/// Prints or writes man pages.
///
/// Errors: the folder does not exist or cannot be written to.
pub fn man(command: Command, options: &ManOptions) -> anyhow::Result<()> {
    let Some(folder) = &options.dir else {
        return Ok(say(String::from_utf8_lossy(&page(command, "gastown")?).trim_end())?);
    };
    let written = write_all(&command.disable_help_subcommand(true), "gastown", folder)?;
    Ok(say(format!("{written} pages are in {}.", folder.display()))?)
}

fn page(command: Command, name: &str) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).title(name).render(&mut text)?;
    Ok(text)
}

/// Writes the page of a command and those of its subcommands. Returns their number.
fn write_all(command: &Command, name: &str, folder: &Path) -> anyhow::Result<usize> {
    let path = folder.join(format!("{name}.1"));
    let text = page(command.clone(), name)?;
    std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    let subcommands = command.get_subcommands().filter(|command| command.get_name() != "help");
    let below = subcommands.map(|command| write_all(command, &format!("{name}-{}", command.get_name()), folder));
    below.sum::<anyhow::Result<usize>>().map(|below| below + 1)
}
