//! A piece of an answer that may be shown to operators: short, one line, without what looks like a secret.

/// The most characters that are shown.
const LONGEST: usize = 240;

/// What stands before a secret in texts of Fly's and ours: sealed values, tokens of each kind.
const MARKS: [&str; 8] = ["nacl:v1:", "fm1r_", "fm1a_", "fm2_", "fo1_", "eyJ", "Bearer ", "FlyV1 "];

/// Cuts and scrubs the body of an error.
pub(crate) fn sanitize(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST * 4)]);
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let scrubbed = MARKS.iter().fold(line, |text, mark| hide_after(&text, mark));
    match scrubbed.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &scrubbed[..end]),
        None => scrubbed,
    }
}

fn hide_after(text: &str, mark: &str) -> String {
    let mut pieces = text.split(mark);
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
    fn secrets_are_hidden_and_the_words_around_them_kept() {
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
    fn it_is_cut_wherever_its_characters_begin() {
        assert_eq!(sanitize("ü".repeat(5000).as_bytes()).chars().count(), LONGEST + 1);
        assert_eq!(sanitize(&[0xff; 10_000]).chars().count(), LONGEST + 1);
    }
}
