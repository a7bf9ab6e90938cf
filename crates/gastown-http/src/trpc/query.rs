//! Strict parsing of percent-escapes and query parameters: a malformed escape is an error. The usual crates keep it as
//! text.

use percent_encoding::percent_decode_str;

/// The text is not percent-encoded UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Decodes percent-escapes.
pub(super) fn decode(raw: &str) -> Result<String, Malformed> {
    let mut rest = raw.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(at + 1..at + 3) {
            Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => rest = &rest[at + 3..],
            _ => return Err(Malformed),
        }
    }
    percent_decode_str(raw).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| Malformed)
}

/// Returns the values of a query parameter in order, decoded as in forms: `+` is a space.
pub(super) fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Result<String, Malformed>> + 'a {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(move |(key, _)| decode_form(key).as_deref() == Ok(name))
        .map(|(_, value)| decode_form(value))
}

fn decode_form(raw: &str) -> Result<String, Malformed> {
    decode(&raw.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::{Malformed, decode, values};

    #[test]
    fn escapes_are_decoded_or_refused() {
        for (raw, want) in [
            ("a.b", Ok("a.b")),
            ("a%2Cb", Ok("a,b")),
            ("%c3%bc", Ok("ü")),
            ("%zz", Err(Malformed)),
            ("%", Err(Malformed)),
            ("a%2", Err(Malformed)),
            ("%ff", Err(Malformed)),
        ] {
            assert_eq!(decode(raw).as_deref(), want.as_ref().map(|text| *text), "{raw:?}");
        }
    }

    #[test]
    fn every_value_of_a_parameter_is_found_by_its_decoded_name() {
        let all: Vec<_> = values("x=1&inp%75t=%7B%7D&input&input=a+b&input=%zz", "input").collect();
        assert_eq!(all, [Ok("{}".to_owned()), Ok(String::new()), Ok("a b".to_owned()), Err(Malformed)]);
    }
}
