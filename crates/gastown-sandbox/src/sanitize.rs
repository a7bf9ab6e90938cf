//! Sanitizes texts of a sandbox for the town's owner: short, printable, without secrets.

use gastown_domain::hide_keys;
use secrecy::{ExposeSecret as _, SecretString};

/// The most characters of one text.
const MAX_CHARS: usize = 200;
/// The most texts of a list.
const MAX_TEXTS: usize = 10;

/// The replacement of a secret.
const HIDDEN: &str = "***";

/// Sanitizes and truncates one text. The secrets that the sandbox has from us are masked wherever they stand.
pub(crate) fn sanitize(text: &str, secrets: &[SecretString]) -> String {
    let printable = text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c });
    // Before the text is cut, because half a key is still a secret.
    let masked = secrets.iter().fold(printable.collect(), |text: String, key| without_key(&text, key.expose_secret()));
    let masked = hide_keys(&masked);
    let words = masked.chars().take(MAX_CHARS * 4).collect::<String>();
    let words: Vec<String> = words.split_whitespace().map(without_secrets).collect();
    words.join(" ").chars().take(MAX_CHARS).collect()
}

/// Sanitizes and truncates a list. Empty texts are dropped.
pub(crate) fn sanitize_all(texts: &[String], secrets: &[SecretString]) -> Vec<String> {
    texts.iter().map(|text| sanitize(text, secrets)).filter(|text| !text.is_empty()).take(MAX_TEXTS).collect()
}

/// Replaces a key, in upper or lower case.
fn without_key(text: &str, key: &str) -> String {
    if key.is_empty() {
        return text.to_owned();
    }
    let (folded, key) = (text.to_ascii_lowercase(), key.to_ascii_lowercase());
    let mut masked = String::with_capacity(text.len());
    let mut kept = 0;
    for (at, found) in folded.match_indices(&key) {
        masked.push_str(&text[kept..at]);
        masked.push_str(HIDDEN);
        kept = at + found.len();
    }
    masked.push_str(&text[kept..]);
    masked
}

/// Replaces sealed values, tokens and the credentials of a URL.
fn without_secrets(word: &str) -> String {
    if ["nacl:", "eyJ", "ghp_", "gho_", "github_pat_", "glpat-"].iter().any(|mark| word.contains(mark)) {
        return HIDDEN.to_owned();
    }
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}{path}"),
        None => word.to_owned(),
    }
}

/// Returns true for characters that reorder or hide text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_sanitized() {
        for (text, want) in [
            ("branch 'x' not found", "branch 'x' not found"),
            ("a\n\n b\u{202e}c\u{1b}[31m\0", "a b c [31m"),
            ("fatal: https://user:pw@github.com/a/b not found", "fatal: https://***@github.com/a/b not found"),
            ("key ghp_abc123 refused", "key *** refused"),
            ("KILO_JWT=nacl:v1:k:xx", "***"),
            ("KEY=\"I5DHCQJFb1AESuSneeju3qZEKtkb1Gn5lDh+lOoiFIQ=\", no", "KEY=\"***\", no"),
            ("", ""),
        ] {
            assert_eq!(sanitize(text, &[]), want, "{text:?}");
        }
    }

    #[test]
    fn texts_are_truncated() {
        assert_eq!(sanitize(&"ü".repeat(10_000), &[]).chars().count(), MAX_CHARS);
        let many = vec!["x".repeat(1000); 1000];
        let sanitized = sanitize_all(&many, &[]);
        assert_eq!((sanitized.len(), sanitized[0].len()), (MAX_TEXTS, MAX_CHARS));
        assert_eq!(sanitize_all(&[String::new(), " \n".to_owned()], &[]), Vec::<String>::new());
    }

    #[test]
    fn a_key_is_masked_before_the_text_is_cut() {
        let key = "k3y".repeat(12);
        let keys = [key.clone().into()];
        for before in [0, 1, MAX_CHARS - 20, MAX_CHARS - 4] {
            let shown = sanitize(&format!("{}{key}", "x".repeat(before)), &keys);
            assert!(!shown.contains("k3y"), "{before}: {shown}");
        }
        assert_eq!(sanitize(&format!("ü{}ü", key.to_uppercase()), &keys), "ü***ü");
        assert_eq!(sanitize("k3y", &[String::new().into()]), "k3y");
    }
}
