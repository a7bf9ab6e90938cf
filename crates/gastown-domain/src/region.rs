//! The provider's regions.

use crate::Invalid;
use crate::id::{bounded, text_newtype};

text_newtype!(
    /// The code of a region: 1 to 32 of `a-z 0-9 -`, such as `iad`. Only the provider knows which regions exist.
    Region,
    parse_region
);

fn parse_region(raw: &str) -> Result<String, Invalid> {
    bounded(raw, 32)?;
    match raw.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        Some(bad) => Err(Invalid::Character { bad, allowed: "a-z, 0-9 and '-'" }),
        None if raw.starts_with('-') || raw.ends_with('-') => Err(Invalid::Edge),
        None => Ok(raw.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_codes_are_validated() {
        let long = "a".repeat(33);
        for (raw, ok) in [
            ("iad", true),
            ("us-east-1", true),
            ("IAD", false),
            ("", false),
            ("i_d", false),
            ("i d", false),
            ("-b", false),
            ("b-", false),
            (&long, false),
        ] {
            assert_eq!(raw.parse::<Region>().is_ok(), ok, "{raw:?}");
        }
    }
}
