//! `gastown unseal`: opens the sealed values of the environment when a sandbox boots, and becomes the image's program. It
//! fails closed.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, bail};
use gastown_secrets::{EnvValue, SandboxKey, open_env};
use secrecy::{ExposeSecret as _, SecretString};

use crate::settings_source::Source;

/// The private key in base64. It is a secret of the Fly app, so that only sandboxes have it.
const KEY: &str = "SANDBOX_PRIVATE_KEY";
/// The key from before a rotation.
const PREVIOUS_KEY: &str = "SANDBOX_PRIVATE_KEY_PREVIOUS";

/// Opens every sealed value. With a command, replaces this process by it, without the keys in its environment. Without a
/// command, prints the opened values as lines that a POSIX shell can `eval`.
///
/// Errors: a command without `--`, no key, or names of values that cannot be opened. Nothing is run or printed then.
#[expect(clippy::print_stdout, reason = "the output of the command")]
pub fn run(source: &Source, command: &[String], misplaced: &[String]) -> anyhow::Result<()> {
    if let Some(first) = misplaced.first() {
        bail!("write `--` before the command: gastown unseal -- {first} …");
    }
    let mut keys = Vec::new();
    for name in [KEY, PREVIOUS_KEY] {
        if let Some(value) = source.get(name) {
            let key = SandboxKey::parse(&SecretString::from(value.to_owned()));
            keys.push(key.with_context(|| format!("{name} is invalid"))?);
        }
    }
    if keys.is_empty() {
        source.required(KEY)?;
    }
    let rest = source.pairs().filter(|(name, _)| *name != KEY && *name != PREVIOUS_KEY);
    let env = open_env(&keys, rest.map(|(name, value)| (name.to_owned(), value.to_owned())))?;
    let opened = env.iter().filter_map(|(name, value)| match value {
        EnvValue::Opened(secret) => Some((name, secret.expose_secret())),
        EnvValue::Plain(_) => None,
    });
    let Some((program, arguments)) = command.split_first() else {
        for (name, value) in opened {
            println!("export {name}='{}'", value.replace('\'', r"'\''"));
        }
        return Ok(());
    };
    let mut command = Command::new(program);
    command.args(arguments).env_remove(KEY).env_remove(PREVIOUS_KEY).envs(opened);
    // Returns only on failure.
    Err(command.exec()).with_context(|| format!("failed to run {program}"))
}
