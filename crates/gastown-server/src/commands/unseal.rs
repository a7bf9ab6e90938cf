//! `gastown unseal`: opens the sealed values of the environment when a sandbox boots, and becomes the image's program. It
//! fails closed.

use gastown_unseal::{UnsealError, Unsealed};

use super::say::say;
use crate::settings_source::Source;

/// Opens every sealed value. With a command, replaces this process by it, without the keys in its environment. Without a
/// command, prints the opened values as lines that a POSIX shell can `eval`.
///
/// Errors: a command without `--`, no key, a missing variable, or values that cannot be opened. Nothing is run or printed
/// then.
pub fn run(source: &Source, command: &[String], misplaced: &[String]) -> anyhow::Result<()> {
    if let Some(first) = misplaced.first() {
        return Err(UnsealError::Misplaced { first: first.clone() }.into());
    }
    let pairs = source.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let unsealed = Unsealed::open(pairs)?;
    match command.split_first() {
        Some((program, arguments)) => Err(unsealed.become_program(program, arguments).into()),
        None => Ok(say(unsealed.shell_lines())?),
    }
}
