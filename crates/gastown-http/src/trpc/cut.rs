//! Texts of the client in logs and answers.

/// The longest text of a client that is repeated, in bytes.
const MAX_BYTES: usize = 256;

/// Returns the start of a text of the client, short enough to be repeated.
pub(crate) fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("/trpc/a"), "/trpc/a");
        assert_eq!(cut(&"x".repeat(300)).len(), 256);
        assert_eq!(cut(&format!("{}ü", "x".repeat(255))), "x".repeat(255));
    }
}
