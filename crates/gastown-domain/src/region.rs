//! Fly's regions.

use crate::Invalid;
use crate::id::{bounded, text_newtype};

text_newtype!(
    /// A Fly region code: three of `a-z`, such as `iad`. Whether Fly has such a region is Fly's to say.
    Region,
    parse_region
);

fn parse_region(raw: &str) -> Result<String, Invalid> {
    bounded(raw, 3)?;
    let shaped = raw.len() == 3 && raw.bytes().all(|b| b.is_ascii_lowercase());
    if shaped {
        Ok(raw.to_owned())
    } else {
        Err(Invalid::Shape { expected: "a region code of three letters, such as 'iad'" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_three_lower_case_letters() {
        for (raw, ok) in [("iad", true), ("IAD", false), ("ia", false), ("iads", false), ("", false), ("i-d", false)] {
            assert_eq!(raw.parse::<Region>().is_ok(), ok, "{raw:?}");
        }
    }
}
