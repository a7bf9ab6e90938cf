//! Names that users choose.

use crate::Invalid;
use crate::id::{bounded, text_newtype};

/// Directory names of Gas Town itself, which no rig may take, in any case (FM-29).
const RESERVED_RIGS: [&str; 7] = ["hq", "mayor", "deacon", "daemon", "plugins", "settings", "logs"];

text_newtype!(
    /// A town's name: 1 to 64 of `a-z 0-9 -`, beginning and ending with a letter or digit. Unique among the living towns
    /// of its owner.
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
    /// A rig's name: what `gt rig add` takes, 1 to 64 of `A-Z a-z 0-9 _`, not one of Gas Town's own directory names.
    /// Unique in its town without regard to case.
    RigName,
    parse_rig_name
);

impl RigName {
    /// The form in which two names are compared.
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
    fn town_names_keep_their_rule() {
        let long = "a".repeat(65);
        for raw in ["a", "town-1", "0", &"a".repeat(64)] {
            assert!(raw.parse::<TownName>().is_ok(), "{raw:?}");
        }
        for raw in ["", "-a", "a-", "A", "a b", "a_b", "ä", "a\u{202e}", "a\0", &long] {
            assert!(raw.parse::<TownName>().is_err(), "{raw:?}");
        }
    }

    #[test]
    fn rig_names_are_what_gas_town_takes() {
        for raw in ["app", "App_2", "_", "hq2"] {
            assert!(raw.parse::<RigName>().is_ok(), "{raw:?}");
        }
        for raw in ["", "rig-one", "a.b", "a b", "a/b", "HQ", "Mayor", "deacon", "-b"] {
            assert!(raw.parse::<RigName>().is_err(), "{raw:?}");
        }
    }
}
