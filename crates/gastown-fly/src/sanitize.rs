//! Texts of Fly's for operators: short, on one line, without secrets.

use gastown_domain::hide_keys;
use secrecy::{ExposeSecret, SecretString};

/// The most characters that are shown.
const MAX_CHARS: usize = 240;

/// The most bytes that are read. A secret that is cut there is not shown, because the rest is longer than the shown text.
const MAX_BYTES: usize = 16 * 1024;

/// The beginnings of secrets: sealed values, and tokens of each kind.
const SECRET_PREFIXES: [&str; 8] = ["nacl:v1:", "fm1r_", "fm1a_", "fm2_", "fo1_", "eyJ", "Bearer ", "FlyV1 "];

/// Returns the beginning of an error's body, on one line and with secrets replaced by `***`. The token is one of them, also
/// if its form is unknown.
pub(crate) fn sanitize(body: &[u8], token: Option<&SecretString>) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_BYTES)]);
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = match token.map(ExposeSecret::expose_secret) {
        Some(token) if !token.is_empty() => line.replace(token, "***"),
        Some(_) | None => line,
    };
    let line = hide_keys(&line);
    let scrubbed = SECRET_PREFIXES.iter().fold(line, |text, prefix| hide_secrets(&text, prefix));
    match scrubbed.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &scrubbed[..end]),
        None => scrubbed,
    }
}

/// Replaces each word that begins with the prefix.
fn hide_secrets(text: &str, prefix: &str) -> String {
    let mut pieces = text.split(prefix);
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end =
            piece.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '}' | ']')).unwrap_or(piece.len());
        shown.push_str("***");
        shown.push_str(&piece[end..]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_and_the_text_around_them_is_kept() {
        for (body, want) in [
            ("machine not found", "machine not found"),
            (r#"{"env":{"KILO_JWT":"nacl:v1:k1:c2VjcmV0"}}"#, r#"{"env":{"KILO_JWT":"***"}}"#),
            ("token fm2_abc,fm2_def refused", "token ****** refused"),
            ("Bearer fo1_x is bad", "*** is bad"),
            ("jwt eyJhbGciOi.x.y!", "jwt ***"),
            ("a\nb\tc\u{1b}[31m", "a b c [31m"),
            ("got a-token-of-unknown-form, refused", "got ***, refused"),
            (r#"{"KEY":"I5DHCQJFb1AESuSneeju3qZEKtkb1Gn5lDh+lOoiFIQ="}"#, r#"{"KEY":"***"}"#),
        ] {
            let token = SecretString::from("a-token-of-unknown-form");
            assert_eq!(sanitize(body.as_bytes(), Some(&token)), want, "{body:?}");
        }
        assert_eq!(sanitize(b"text", Some(&"".into())), "text");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(sanitize("ü".repeat(5000).as_bytes(), None).chars().count(), MAX_CHARS + 1);
        assert_eq!(sanitize(&[0xff; 10_000], None).chars().count(), MAX_CHARS + 1);
    }
}
