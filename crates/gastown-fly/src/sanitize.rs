//! Texts of Fly's for operators: short, on one line, without secrets.

/// The most characters that are shown.
const MAX_CHARS: usize = 240;

/// The beginnings of secrets: sealed values, and tokens of each kind.
const SECRET_PREFIXES: [&str; 8] = ["nacl:v1:", "fm1r_", "fm1a_", "fm2_", "fo1_", "eyJ", "Bearer ", "FlyV1 "];

/// Returns the beginning of an error's body, on one line and with secrets replaced by `***`.
pub(crate) fn sanitize(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_CHARS * 4)]);
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
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
        ] {
            assert_eq!(sanitize(body.as_bytes()), want, "{body:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(sanitize("ü".repeat(5000).as_bytes()).chars().count(), MAX_CHARS + 1);
        assert_eq!(sanitize(&[0xff; 10_000]).chars().count(), MAX_CHARS + 1);
    }
}
