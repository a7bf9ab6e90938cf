//! `gastown unseal`: what a sandbox image runs at boot. It opens the sealed values of the environment, fails closed, and
//! becomes the image's own program.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, bail};
use gastown_secrets::{EnvValue, SandboxKey, open_env};
use secrecy::{ExposeSecret as _, SecretString};

use crate::settings_source::Source;

/// The private key, base64; a Fly app secret, so that only the sandbox has it.
const KEY: &str = "SANDBOX_PRIVATE_KEY";
/// The key before a rotation.
const PREVIOUS_KEY: &str = "SANDBOX_PRIVATE_KEY_PREVIOUS";

/// Opens every sealed value. With a command, becomes it, the keys removed from its environment; without one, prints the
/// opened values as lines a POSIX shell can `eval`.
///
/// Errors: a command without `--` before it, no key, or any value that cannot be opened, by name; then nothing is run or printed.
#[expect(clippy::print_stdout, reason = "the command's answer")]
pub fn run(source: &Source, command: &[String], misplaced: &[String]) -> anyhow::Result<()> {
    if let Some(first) = misplaced.first() {
        bail!("write `--` before the command: gastown unseal -- {first} …");
    }
    let mut keys = Vec::new();
    for name in [KEY, PREVIOUS_KEY] {
        if let Some(value) = source.get(name) {
            let key = SandboxKey::parse(&SecretString::from(value.to_owned()));
            keys.push(key.with_context(|| format!("{name} is wrong"))?);
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
    // Returns only when it could not be done.
    Err(command.exec()).with_context(|| format!("cannot run {program}"))
}
