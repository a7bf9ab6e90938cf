//! Texts of the client in logs and answers.

use http::Method;

/// The longest text of a client that is repeated, in bytes.
const MAX_BYTES: usize = 256;

/// The longest method that is repeated. The standard ones have at most seven characters.
const MAX_METHOD: usize = 16;

/// Returns the start of a method. A client may send any token as one.
pub(crate) fn cut_method(method: &Method) -> &str {
    let text = method.as_str();
    text.get(..MAX_METHOD).unwrap_or(text)
}

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
    use http::Method;

    use super::{cut, cut_method};

    #[test]
    fn long_method_is_cut() {
        let long = "A".repeat(30_000);
        assert_eq!(cut_method(&Method::from_bytes(long.as_bytes()).unwrap()), &long[..16]);
        assert_eq!(cut_method(&Method::OPTIONS), "OPTIONS");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("/trpc/a"), "/trpc/a");
        assert_eq!(cut(&"x".repeat(300)).len(), 256);
        assert_eq!(cut(&format!("{}ü", "x".repeat(255))), "x".repeat(255));
    }
}
