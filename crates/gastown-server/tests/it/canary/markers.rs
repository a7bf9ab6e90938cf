//! The search for secrets in readable output, in whole or in part, and in the forms that output may give them.

use std::fmt::Write as _;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The shortest part of a secret that counts as a leak, in bytes. Error texts cut secrets.
const PART: usize = 12;

/// The secrets of one run, each with a name for messages.
#[derive(Default)]
pub(super) struct Markers(Vec<(String, String)>);

impl Markers {
    pub(super) fn add(&mut self, name: impl Into<String>, secret: impl Into<String>) {
        let (name, secret) = (name.into(), secret.into());
        assert!(secret.len() >= PART, "{name} is too short to be found");
        self.0.push((name, secret));
    }

    /// Adds the signature of a token, without which the rest is of no use.
    pub(super) fn add_token(&mut self, name: &str, token: &str) {
        self.add(name, token.rsplit_once('.').unwrap().1);
    }

    pub(super) fn search(&self) -> Search {
        let mut patterns = Vec::new();
        let mut meanings = Vec::new();
        for (name, secret) in &self.0 {
            for (form, parts) in forms(secret) {
                meanings.extend(parts.iter().map(|_| format!("{name} ({form})")));
                patterns.extend(parts);
            }
        }
        // Case does not matter, so hexadecimal digits and headers are found in both.
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        let found = AhoCorasick::builder().ascii_case_insensitive(true).kind(kind).build(patterns).unwrap();
        Search { found, meanings }
    }
}

/// The parts of all secrets in all forms.
pub(super) struct Search {
    found: AhoCorasick,
    meanings: Vec<String>,
}

impl Search {
    /// Returns the secrets in an output, each once, with the line of the first place.
    pub(super) fn all_in(&self, output: &[u8]) -> Vec<(&str, String)> {
        let mut hits: Vec<(&str, String)> = Vec::new();
        for hit in self.found.find_overlapping_iter(output) {
            let meaning = self.meanings[hit.pattern().as_usize()].as_str();
            if hits.iter().all(|(known, _)| *known != meaning) {
                hits.push((meaning, line_around(output, hit.start())));
            }
        }
        hits
    }

    /// Returns the names of the secrets in an output, each once.
    pub(super) fn names_in(&self, output: &[u8]) -> Vec<&str> {
        let mut names: Vec<_> =
            self.all_in(output).into_iter().map(|(meaning, _)| meaning.split_once(" (").unwrap().0).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Returns at most 600 bytes of the line at this place.
fn line_around(output: &[u8], at: usize) -> String {
    let from =
        output[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1).max(at.saturating_sub(300));
    let line = output[from..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(&line[..line.len().min(600)]).into_owned()
}

/// Returns every part of a secret in each form.
fn forms(secret: &str) -> Vec<(&'static str, Vec<String>)> {
    let bytes = secret.as_bytes();
    let of_bytes = |write: fn(&mut String, u8)| -> Vec<String> {
        let part = |part: &[u8]| {
            part.iter().fold(String::new(), |mut text, byte| {
                write(&mut text, *byte);
                text
            })
        };
        bytes.windows(PART).map(part).collect()
    };
    let numbers = |part: &[u8]| part.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    vec![
        ("plain", parts_of(secret, PART)),
        ("hexadecimal", of_bytes(|text, byte| write!(text, "{byte:02x}").unwrap())),
        ("percent-encoded", of_bytes(|text, byte| write!(text, "%{byte:02x}").unwrap())),
        ("escaped", of_bytes(|text, byte| write!(text, "\\u{byte:04x}").unwrap())),
        ("numbers", bytes.windows(PART).map(numbers).collect()),
        ("base64", base64(bytes, &STANDARD_NO_PAD)),
        ("base64url", base64(bytes, &URL_SAFE_NO_PAD)),
    ]
}

fn parts_of(text: &str, length: usize) -> Vec<String> {
    text.as_bytes().windows(length).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// Returns the parts of the secret in base64, at each of the three places that it can have in a longer text.
fn base64(secret: &[u8], alphabet: &GeneralPurpose) -> Vec<String> {
    let at = |before: usize| {
        let encoded = alphabet.encode([&vec![0; before], secret].concat());
        // The characters at both ends depend on the text around the secret.
        let (first, last) = ((before * 8).div_ceil(6), (before + secret.len()) * 8 / 6);
        parts_of(&encoded[first..last], PART * 4 / 3)
    };
    (0..3).flat_map(at).collect()
}

#[test]
fn search_finds_parts_of_secrets_in_each_form() {
    let secret = "fo1_Marker/of+a\"Secret-0123456789";
    let mut markers = Markers::default();
    markers.add("the token", secret);
    let search = markers.search();
    let json = serde_json::to_string(&format!("Bearer {secret}")).unwrap();
    let encoded = |before: &str| STANDARD_NO_PAD.encode(format!("{before}{secret} and more"));
    let basic = |before: &str| URL_SAFE_NO_PAD.encode(format!("{before}{secret}:"));
    let hex = |upper: bool| {
        let digits = secret.bytes().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        if upper { digits.to_uppercase() } else { digits }
    };
    let percent = secret.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"));
    let query = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
    for output in [
        format!("x {secret} y"),
        secret[..16].to_owned(),
        secret[13..].to_owned(),
        secret.to_uppercase(),
        json,
        encoded(""),
        encoded("a"),
        encoded("ab"),
        basic(""),
        basic("user:"),
        basic("me:"),
        hex(true),
        hex(false),
        percent,
        query,
        format!("{:?}", secret.as_bytes()),
        secret.chars().fold(String::new(), |text, c| text + &format!("\\u{:04X}", u32::from(c))),
    ] {
        assert_eq!(search.names_in(output.as_bytes()), ["the token"], "{output}");
    }
    for output in
        ["", "fo1_", "Marker of a secret", "0123456789", "fo1_Marker/o"].map(|text| &text[..text.len().min(11)])
    {
        assert_eq!(search.all_in(output.as_bytes()), [], "{output}");
    }
}
