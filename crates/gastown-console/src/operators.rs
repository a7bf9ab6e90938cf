//! The operators: a token for each, and the name that events record.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use gastown_domain::Invalid;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::session::Sessions;

/// The name in the events of everyone with the unnamed token, and of visitors on this machine.
const UNNAMED: &str = "console";
/// The longest name.
const MAX_NAME: usize = 32;

/// The name of an operator, as events record it after `operator:`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperatorName(String);

impl OperatorName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OperatorName {
    type Err = Invalid;

    /// Accepts up to 32 lower-case letters, digits, dots, dashes and underscores. `console` is that of the unnamed token.
    fn from_str(raw: &str) -> Result<Self, Invalid> {
        let is_of_a_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        let starts_well = raw.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        if starts_well && raw.len() <= MAX_NAME && raw.bytes().all(is_of_a_name) && raw != UNNAMED {
            return Ok(Self(raw.to_owned()));
        }
        Err(Invalid::Shape {
            expected: "a name of at most 32 lower-case letters, digits, dots, dashes and underscores, and not `console`",
        })
    }
}

/// The tokens of all operators. An operator may have several, such as during a rotation.
#[derive(Clone)]
pub struct Operators(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    actor: String,
    /// The SHA-256 of the token. Digests have one length, so that a comparison takes the same time for every text.
    digest: [u8; 32],
    /// The sessions that were begun with the token. They end when it is removed.
    sessions: Sessions,
}

/// An operator who was recognized. It is valid for the [`Operators`] that returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known(usize);

impl fmt::Debug for Operators {
    /// Shows the names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|entry| &entry.actor)).finish()
    }
}

impl Operators {
    /// Returns the operators with these tokens. A token without a name is that of all others.
    pub fn new(tokens: impl IntoIterator<Item = (Option<OperatorName>, SecretString)>) -> Self {
        let entry = |(name, token): (Option<OperatorName>, SecretString)| Entry {
            actor: format!("operator:{}", name.as_ref().map_or(UNNAMED, OperatorName::as_str)),
            digest: digest(token.expose_secret()),
            sessions: Sessions::new(&token),
        };
        Self(tokens.into_iter().map(entry).collect())
    }

    /// Returns the operator with this token. Every token is compared, each in constant time.
    pub(crate) fn with_token(&self, given: &str) -> Option<Known> {
        let given = digest(given);
        self.last_of(|entry| entry.digest.ct_eq(&given).into())
    }

    /// Returns the operator whose session this is, unless it has expired.
    pub(crate) fn with_session(&self, value: &str, now: DateTime<Utc>) -> Option<Known> {
        self.last_of(|entry| entry.sessions.is_valid(value, now))
    }

    fn last_of(&self, is_wanted: impl Fn(&Entry) -> bool) -> Option<Known> {
        // No early end, so that the time does not tell which one it was.
        let wanted = self.0.iter().enumerate().filter(|(_, entry)| is_wanted(entry));
        wanted.map(|(at, _)| Known(at)).fold(None, |_, known| Some(known))
    }

    /// Returns the actor in the events of an operator.
    pub(crate) fn actor(&self, known: Known) -> &str {
        self.0.get(known.0).map_or("operator", |entry| &entry.actor)
    }

    /// Returns the sessions of an operator's token.
    pub(crate) fn sessions(&self, known: Known) -> Option<&Sessions> {
        self.0.get(known.0).map(|entry| &entry.sessions)
    }

    /// Returns the first operator, who stands for every visitor on this machine.
    pub(crate) const fn first() -> Known {
        Known(0)
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::<Utc>::UNIX_EPOCH;

    fn operators() -> Operators {
        let named = |name: &str, token: &str| (Some(name.parse().unwrap()), token.into());
        Operators::new([
            (None, "of-all".into()),
            named("eve", "of-eve"),
            named("eve", "next-of-eve"),
            named("al", "of-al"),
        ])
    }

    #[test]
    fn each_token_has_its_actor() {
        let all = operators();
        for (token, actor) in [
            ("of-all", "operator:console"),
            ("of-eve", "operator:eve"),
            ("next-of-eve", "operator:eve"),
            ("of-al", "operator:al"),
        ] {
            assert_eq!(all.with_token(token).map(|known| all.actor(known)), Some(actor), "{token}");
        }
        for wrong in ["", "of-ev", "of-eve ", "Of-eve", "of-allof-eve"] {
            assert_eq!(all.with_token(wrong), None, "{wrong:?}");
        }
        assert_eq!(format!("{all:?}").matches("of-").count(), 0);
    }

    #[test]
    fn sessions_are_of_one_token_and_end_with_it() {
        let all = operators();
        let eve = all.with_token("of-eve").unwrap();
        let session = all.sessions(eve).unwrap().issue(NOW, "a1");
        assert_eq!(all.with_session(&session, NOW), Some(eve));
        let without = Operators::new([(None, "of-all".into()), (Some("eve".parse().unwrap()), "next-of-eve".into())]);
        assert_eq!(without.with_session(&session, NOW), None);
    }

    #[test]
    fn names_are_short_and_plain() {
        for name in ["eve", "e", "eve.k-2_x", "0day", &"a".repeat(32)] {
            assert_eq!(name.parse::<OperatorName>().unwrap().to_string(), name);
        }
        for name in ["", "console", "Eve", "eve k", ".eve", "-eve", "eve:x", "eve,x", "è", &"a".repeat(33)] {
            assert!(name.parse::<OperatorName>().is_err(), "{name:?}");
        }
    }
}
