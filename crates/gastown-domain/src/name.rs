//! Names that users choose.

use crate::Invalid;
use crate::id::{bounded, text_newtype};

/// Directory names that Gas Town uses itself. No rig may have one of them, in any case (FM-29).
const RESERVED_RIGS: [&str; 7] = ["hq", "mayor", "deacon", "daemon", "plugins", "settings", "logs"];

text_newtype!(
    /// The name of a town: 1 to 64 characters of `a-z 0-9 -` that begin and end with a letter or digit. Unique among
    /// the live towns of its owner.
    ///
    /// ```
    /// use gastown_domain::TownName;
    /// assert!("my-town-2".parse::<TownName>().is_ok());
    /// assert!("My Town".parse::<TownName>().is_err());
    /// ```
    TownName,
    parse_town_name
);
text_newtype!(
    /// The name of a rig, as `gt rig add` accepts it: 1 to 64 characters of `A-Z a-z 0-9 _`, except Gas Town's own
    /// directory names. Unique in its town, ignoring case.
    RigName,
    parse_rig_name
);

impl RigName {
    /// Returns the form in which names are compared.
    pub fn folded(&self) -> String {
        self.as_str().to_ascii_lowercase()
    }
}

fn parse_town_name(raw: &str) -> Result<String, Invalid> {
    bounded(raw, 64)?;
    match raw.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        Some(bad) => Err(Invalid::Character { bad, allowed: "a-z, 0-9 and '-'" }),
        None if raw.starts_with('-') || raw.ends_with('-') => Err(Invalid::Edge),
        None => Ok(raw.to_owned()),
    }
}

fn parse_rig_name(raw: &str) -> Result<String, Invalid> {
    bounded(raw, 64)?;
    if let Some(bad) = raw.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_')) {
        return Err(Invalid::Character { bad, allowed: "letters, digits and '_'" });
    }
    match RESERVED_RIGS.iter().find(|word| word.eq_ignore_ascii_case(raw)) {
        Some(word) => Err(Invalid::Reserved { word }),
        None => Ok(raw.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn town_names_are_validated() {
        let long = "a".repeat(65);
        for raw in ["a", "town-1", "0", &"a".repeat(64)] {
            assert!(raw.parse::<TownName>().is_ok(), "{raw:?}");
        }
        for raw in ["", "-a", "a-", "A", "a b", "a_b", "ä", "a\u{202e}", "a\0", &long] {
            assert!(raw.parse::<TownName>().is_err(), "{raw:?}");
        }
    }

    #[test]
    fn rig_names_are_validated() {
        for raw in ["app", "App_2", "_", "hq2"] {
            assert!(raw.parse::<RigName>().is_ok(), "{raw:?}");
        }
        for raw in ["", "rig-one", "a.b", "a b", "a/b", "HQ", "Mayor", "deacon", "-b"] {
            assert!(raw.parse::<RigName>().is_err(), "{raw:?}");
        }
    }
}
