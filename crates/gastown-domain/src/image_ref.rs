//! References of images.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::id::bounded;

/// The most characters of a reference, so that it can be stored.
const MAX_REFERENCE: usize = 512;
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

const NAME: &str =
    "HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:DIGEST, with a repository in lower case and without a scheme";
const TAG: &str =
    "a reference whose tag has 1 to 128 letters, digits, '_', '.' and '-', and begins with a letter, a digit or '_'";
const DIGEST: &str = "a reference whose digest is complete, such as sha256: and 64 hexadecimal digits in lower case";

/// The image that a machine boots, with tag or digest.
///
/// A given reference follows the grammar of OCI registries (`reference` of `distribution/reference`), so a plain `town` is one.
/// A stored reference may be of a version that accepted more: 1 to 512 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef(String);

impl ImageRef {
    /// Returns the text, for storage and for the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if the image is named by its digest, so that its content never changes.
    pub fn is_pinned(&self) -> bool {
        self.0.contains('@')
    }

    /// Reads a stored reference.
    ///
    /// Errors: it is empty, too long, or not printable ASCII.
    pub fn stored(raw: &str) -> Result<Self, Invalid> {
        bounded(raw, MAX_REFERENCE)?;
        match raw.chars().find(|c| !c.is_ascii_graphic()) {
            Some(bad) => Err(Invalid::Character { bad, allowed: "printable ASCII characters" }),
            None => Ok(Self(raw.to_owned())),
        }
    }
}

impl FromStr for ImageRef {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        bounded(raw, MAX_REFERENCE)?;
        let (named, digest) = raw.split_once('@').map_or((raw, None), |(named, digest)| (named, Some(digest)));
        // A colon before the last slash is that of a port.
        let last = named.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match named[last..].split_once(':') {
            Some((component, tag)) => (&named[..last + component.len()], Some(tag)),
            None => (named, None),
        };
        for (is_valid, expected) in
            [(is_name(name), NAME), (tag.is_none_or(is_tag), TAG), (digest.is_none_or(is_digest), DIGEST)]
        {
            if !is_valid {
                return Err(Invalid::Shape { expected });
            }
        }
        Ok(Self(raw.to_owned()))
    }
}

/// Reads a stored reference, as [`ImageRef::stored`] does.
impl TryFrom<String> for ImageRef {
    type Error = Invalid;

    fn try_from(raw: String) -> Result<Self, Invalid> {
        Self::stored(&raw)
    }
}

impl From<ImageRef> for String {
    fn from(value: ImageRef) -> Self {
        value.0
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns true for path components, after an optional host.
fn is_name(name: &str) -> bool {
    let is_path = |path: &str| path.split('/').all(is_component);
    let after_host = name.split_once('/').filter(|(host, _)| is_host(host)).map(|(_, path)| path);
    name.len() <= MAX_NAME && (is_path(name) || after_host.is_some_and(is_path))
}

/// Returns true for a component such as `a`, `a.b`, `a_b`, `a__b` and `a--b`.
fn is_component(component: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator = |between: &str| matches!(between, "" | "." | "_" | "__") || between.chars().all(|c| c == '-');
    component.starts_with(is_letter) && component.ends_with(is_letter) && component.split(is_letter).all(is_separator)
}

/// Returns true for a domain name, an IPv4 address or an IPv6 address in brackets, with an optional port.
fn is_host(host: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let has_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().is_ok() && has_port;
    }
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    name.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_label(label: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    label.starts_with(is_letter) && label.ends_with(is_letter) && label.chars().all(|c| is_letter(c) || c == '-')
}

fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= MAX_TAG && tag.starts_with(is_word) && tag.chars().all(|c| is_word(c) || matches!(c, '.' | '-'))
}

/// Returns true for an algorithm and the digits that it has.
fn is_digest(digest: &str) -> bool {
    let Some((algorithm, digits)) = digest.split_once(':') else { return false };
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let is_lower = digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    algorithm.split(['+', '.', '-', '_']).all(is_part)
        && match algorithm {
            "sha256" => digits.len() == 64 && is_lower,
            "sha512" => digits.len() == 128 && is_lower,
            _ => digits.len() >= 32 && digits.chars().all(|c| c.is_ascii_hexdigit()),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(expected: &'static str) -> Result<ImageRef, Invalid> {
        Err(Invalid::Shape { expected })
    }

    #[test]
    fn references_of_the_grammar_are_accepted() {
        let sha256 = format!("registry.example.com/town@sha256:{}", "0f".repeat(32));
        let sha512 = format!("town:1@sha512:{}", "a".repeat(128));
        let other = format!("town@blake2b+x:{}", "A1".repeat(16));
        let (long_tag, long_name) = (format!("town:{}", "v".repeat(128)), format!("a.b/{}", "x".repeat(251)));
        for raw in [
            "x",
            "town",
            "town:1",
            "town:_1.x-Y",
            "a/b/c",
            "a.b_c__d--e/f:1",
            "localhost:5000/town",
            "Host/town",
            "registry.example.com:443/gas-town/sandbox:1",
            "127.0.0.1:5000/town",
            "[::1]:5000/town:1",
            "[fe80::1]/town",
            "host:5000",
            &sha256,
            &sha512,
            &other,
            &long_tag,
            &long_name,
        ] {
            assert_eq!(raw.parse::<ImageRef>().as_ref().map(ImageRef::as_str), Ok(raw));
        }
        assert!(sha256.parse::<ImageRef>().unwrap().is_pinned() && !"town:1".parse::<ImageRef>().unwrap().is_pinned());
    }

    #[test]
    fn other_texts_are_refused_with_what_is_wrong() {
        let digest = |digits: String| format!("sb@sha256:{digits}");
        assert_eq!("".parse::<ImageRef>(), Err(Invalid::Empty));
        let long = format!("a/{}", "b/".repeat(300));
        assert!(matches!(long.parse::<ImageRef>(), Err(Invalid::TooLong { max: 512, .. })));
        let (long_name, long_tag) = ("x".repeat(256), format!("town:{}", "v".repeat(129)));
        for raw in [
            "x y",
            "http://x/y",
            "https://registry.example.com/town:1",
            "Town",
            "registry.example.com/Town:1",
            "a//b",
            "/a",
            "a/",
            "-a",
            "a-",
            ".a",
            "a..b",
            "a___b",
            "a/b:1/c",
            "host:x/a",
            "host:/a",
            "[::1/a",
            "[town]/a",
            "ü",
            ":1",
            "@sha256:0",
            &long_name,
        ] {
            assert_eq!(raw.parse::<ImageRef>(), shape(NAME), "{raw}");
        }
        for raw in ["town:", "town:.1", "town:-", "town:a b", "town:1:2", &long_tag] {
            assert_eq!(raw.parse::<ImageRef>(), shape(TAG), "{raw}");
        }
        for raw in [
            "sb@sha256:abc".to_owned(),
            "sb@".to_owned(),
            "sb@sha256".to_owned(),
            digest("a".repeat(63)),
            digest("a".repeat(65)),
            digest("A".repeat(64)),
            digest("g".repeat(64)),
            "sb@md5:1".to_owned(),
            format!("sb@1x:{}", "a".repeat(64)),
            format!("sb@x+:{}", "a".repeat(64)),
            digest("a".repeat(32)) + "@x",
        ] {
            assert_eq!(raw.parse::<ImageRef>(), shape(DIGEST), "{raw}");
        }
    }

    #[test]
    fn stored_references_of_an_older_version_are_read() {
        for raw in ["registry.example.com/town@sha256:0123", "http://x/y", "Town"] {
            assert_eq!(ImageRef::stored(raw).unwrap().as_str(), raw);
            let json = serde_json::to_string(raw).unwrap();
            assert_eq!(serde_json::from_str::<ImageRef>(&json).unwrap().as_str(), raw);
        }
        for raw in ["", "a b", "a\n"] {
            assert!(ImageRef::stored(raw).is_err(), "{raw:?}");
        }
    }
}
