//! The settings of the console for operators.

use std::str::FromStr;

use gastown_console::{OperatorName, Operators};
use gastown_domain::Invalid;
use secrecy::SecretString;

use super::list::List;
use super::metrics::ListenAddress;
use crate::settings_source::Reader;

/// The most tokens of named operators. Every request compares all of them.
const MAX_TOKENS: usize = 64;
/// The tokens of one operator: the present one, and one more during a rotation.
const MAX_TOKENS_OF_ONE: usize = 2;

/// The settings of the console.
#[derive(Debug, Clone, Default)]
pub struct ConsoleConfig {
    /// `CONSOLE_LISTEN`: the address of the console. Without it there is none.
    pub listen: Option<ListenAddress>,
    /// `CONSOLE_TOKEN`: the token of operators without a name.
    pub token: Option<SecretString>,
    /// `CONSOLE_TOKENS`: the tokens of named operators. `CONSOLE_LISTEN` requires one of both settings. Only `gastown dev` has
    /// a console without a token, on a loopback address.
    pub named: Vec<OperatorToken>,
    /// `--allow-actions`: the console may start, stop and destroy towns.
    pub allows_actions: bool,
}

/// The token of a named operator.
#[derive(Debug, Clone)]
pub struct OperatorToken {
    /// The name, which events record.
    pub name: OperatorName,
    /// The token.
    pub token: SecretString,
}

impl FromStr for OperatorToken {
    type Err = Invalid;

    /// Reads `NAME:TOKEN`.
    fn from_str(raw: &str) -> Result<Self, Invalid> {
        const EXPECTED: Invalid = Invalid::Shape { expected: "NAME:TOKEN pairs, separated by commas" };
        let (name, token) = raw.split_once(':').ok_or(EXPECTED)?;
        if token.is_empty() {
            return Err(EXPECTED);
        }
        Ok(Self { name: name.parse()?, token: token.into() })
    }
}

impl ConsoleConfig {
    /// Returns the operators, or `None` if no token is set.
    pub(crate) fn operators(&self) -> Option<Operators> {
        let named = self.named.iter().map(|of| (Some(of.name.clone()), of.token.clone()));
        let all: Vec<_> = self.token.iter().map(|token| (None, token.clone())).chain(named).collect();
        (!all.is_empty()).then(|| Operators::new(all))
    }
}

/// Reads the settings. The rules for the values of tokens are checked with those of all secrets.
pub(super) fn console(reader: &mut Reader<'_>) -> ConsoleConfig {
    let listen: Option<ListenAddress> = reader.optional("CONSOLE_LISTEN");
    let token = reader.secret("CONSOLE_TOKEN");
    let has_named = reader.has("CONSOLE_TOKENS");
    let named = reader.optional::<List<OperatorToken>>("CONSOLE_TOKENS").map(|List(named)| named);
    if let Some(problem) = named.as_deref().and_then(wrong_number) {
        reader.wrong("CONSOLE_TOKENS", &problem);
    }
    let named = named.unwrap_or_default();
    if listen.is_some() && token.is_none() && !has_named {
        reader.wrong("CONSOLE_TOKEN", "is missing, and CONSOLE_LISTEN requires it or CONSOLE_TOKENS");
    }
    ConsoleConfig { listen, token, named, allows_actions: false }
}

/// Returns the problem if there are too many tokens, or none.
fn wrong_number(named: &[OperatorToken]) -> Option<String> {
    if named.is_empty() {
        return Some("is invalid: has no token".to_owned());
    }
    if named.len() > MAX_TOKENS {
        return Some(format!("is invalid: has {} tokens, at most {MAX_TOKENS} are allowed", named.len()));
    }
    let tokens_of = |name: &OperatorName| named.iter().filter(|of| of.name == *name).count();
    let is_crowded = named.iter().any(|of| tokens_of(&of.name) > MAX_TOKENS_OF_ONE);
    is_crowded.then(|| format!("is invalid: an operator has more than {MAX_TOKENS_OF_ONE} tokens"))
}
