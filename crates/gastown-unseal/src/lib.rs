//! Opens the sealed environment of a sandbox at boot. It fails closed: nothing runs unless every rule holds.
//!
//! The binary `gastown-unseal` belongs into sandbox images. `gastown unseal` does the same.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use gastown_secrets::{
    EnvValue, InvalidKey, OpenEnvError, PREVIOUS_PRIVATE_KEY, PRIVATE_KEY, REQUIRED_VARIABLES, SandboxKey, open_env,
};
use secrecy::{ExposeSecret as _, SecretString};

/// The reason why the boot ends. It contains names of variables, never their values.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// The command is not preceded by `--`.
    #[error("write `--` before the command: gastown-unseal -- {first} …")]
    Misplaced {
        /// The first word of the command.
        first: String,
    },
    /// A required variable is missing or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A private key is malformed.
    #[error("{name} is invalid")]
    Key {
        /// The variable.
        name: &'static str,
        /// The cause.
        #[source]
        cause: InvalidKey,
    },
    /// Sealed values cannot be opened.
    #[error(transparent)]
    Sealed(#[from] OpenEnvError),
    /// The program cannot be run.
    #[error("failed to run {program}")]
    Run {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
}

/// The opened variables of a complete environment.
#[derive(Debug)]
pub struct Unsealed {
    opened: Vec<(String, SecretString)>,
}

impl Unsealed {
    /// Opens every sealed value of an environment, and requires the variables without which no sandbox boots.
    pub fn open(environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, UnsealError> {
        let mut keys = Vec::new();
        let mut rest = Vec::new();
        for (name, value) in environment.into_iter().filter(|(_, value)| !value.trim().is_empty()) {
            match [PRIVATE_KEY, PREVIOUS_PRIVATE_KEY].into_iter().find(|key| *key == name) {
                Some(name) => {
                    let key = SandboxKey::parse(&SecretString::from(value));
                    keys.push((name, key.map_err(|cause| UnsealError::Key { name, cause })?));
                }
                None => rest.push((name, value)),
            }
        }
        // The previous key alone is a mistake of the operator.
        if !keys.iter().any(|(name, _)| *name == PRIVATE_KEY) {
            return Err(UnsealError::Missing(PRIVATE_KEY));
        }
        let is_set = |required: &&str| rest.iter().any(|(name, _)| name == required);
        if let Some(missing) = REQUIRED_VARIABLES.into_iter().find(|name| !is_set(name)) {
            return Err(UnsealError::Missing(missing));
        }
        let keys: Vec<_> = keys.into_iter().map(|(_, key)| key).collect();
        let opened = open_env(&keys, rest)?.into_iter().filter_map(|(name, value)| match value {
            EnvValue::Opened(secret) => Some((name, secret)),
            EnvValue::Plain(_) => None,
        });
        let opened: Vec<_> = opened.collect();
        let is_empty = |required: &&str| {
            opened.iter().any(|(name, value)| name == required && value.expose_secret().trim().is_empty())
        };
        match REQUIRED_VARIABLES.into_iter().find(is_empty) {
            Some(empty) => Err(UnsealError::Missing(empty)),
            None => Ok(Self { opened }),
        }
    }

    /// Returns the opened values as lines that a POSIX shell can `eval`.
    pub fn shell_lines(&self) -> String {
        let quoted = |value: &SecretString| value.expose_secret().replace('\'', r"'\''");
        let lines: Vec<_> =
            self.opened.iter().map(|(name, value)| format!("export {name}='{}'", quoted(value))).collect();
        lines.join("\n")
    }

    /// Replaces this process by a program, with the opened values and without the private keys. Returns only on failure.
    pub fn become_program(&self, program: &str, arguments: &[String]) -> UnsealError {
        let opened = self.opened.iter().map(|(name, value)| (name, value.expose_secret()));
        let mut command = Command::new(program);
        command.args(arguments).env_remove(PRIVATE_KEY).env_remove(PREVIOUS_PRIVATE_KEY).envs(opened);
        UnsealError::Run { program: program.to_owned(), cause: command.exec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the environment of a town, with one sealed value.
    fn environment(key: &SandboxKey) -> Vec<(String, String)> {
        let token = key.public_key().seal(&SecretString::from("it's")).unwrap().to_text();
        let plain = REQUIRED_VARIABLES.map(|name| (name.to_owned(), "x".to_owned()));
        let private = (PRIVATE_KEY.to_owned(), key.to_secret().expose_secret().to_owned());
        plain
            .into_iter()
            .filter(|(name, _)| name != "KILO_JWT")
            .chain([("KILO_JWT".to_owned(), token), private])
            .collect()
    }

    #[test]
    fn sealed_values_become_shell_lines() {
        let unsealed = Unsealed::open(environment(&SandboxKey::generate())).unwrap();
        assert_eq!(unsealed.shell_lines(), "export KILO_JWT='it'\\''s'");
        assert!(!format!("{unsealed:?}").contains("it's"));
    }

    #[test]
    fn each_required_variable_must_be_set() {
        let key = SandboxKey::generate();
        for required in REQUIRED_VARIABLES.into_iter().chain([PRIVATE_KEY]) {
            for value in [None, Some(""), Some(" ")] {
                let others = environment(&key).into_iter().filter(|(name, _)| name != required);
                let changed = value.map(|value| (required.to_owned(), value.to_owned()));
                let error = Unsealed::open(others.chain(changed)).unwrap_err();
                assert!(
                    matches!(error, UnsealError::Missing(name) if name == required),
                    "{required} {value:?}: {error}"
                );
            }
        }
    }

    #[test]
    fn a_sealed_empty_value_counts_as_missing() {
        let key = SandboxKey::generate();
        let empty = key.public_key().seal(&SecretString::from("")).unwrap().to_text();
        let others = environment(&key).into_iter().filter(|(name, _)| name != "KILO_JWT");
        let error = Unsealed::open(others.chain([("KILO_JWT".to_owned(), empty)])).unwrap_err();
        assert!(matches!(error, UnsealError::Missing("KILO_JWT")), "{error}");
    }

    #[test]
    fn program_that_does_not_exist_is_named() {
        let unsealed = Unsealed::open(environment(&SandboxKey::generate())).unwrap();
        let error = unsealed.become_program("/no/such/program", &[]);
        assert_eq!(error.to_string(), "failed to run /no/such/program");
    }
}
