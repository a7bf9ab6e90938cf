//! Sanitizes texts of a sandbox for the town's owner: short, printable, without secrets.

/// The most characters of one text.
const MAX_CHARS: usize = 200;
/// The most texts of a list.
const MAX_TEXTS: usize = 10;

/// Sanitizes and truncates one text.
pub(crate) fn sanitize(text: &str) -> String {
    let printable = text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c });
    let words = printable.take(MAX_CHARS * 4).collect::<String>();
    let words: Vec<String> = words.split_whitespace().map(without_secrets).collect();
    words.join(" ").chars().take(MAX_CHARS).collect()
}

/// Sanitizes and truncates a list. Empty texts are dropped.
pub(crate) fn sanitize_all(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| sanitize(text)).filter(|text| !text.is_empty()).take(MAX_TEXTS).collect()
}

/// Replaces sealed values, tokens and the credentials of a URL.
fn without_secrets(word: &str) -> String {
    const HIDDEN: &str = "***";
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
            ("", ""),
        ] {
            assert_eq!(sanitize(text), want, "{text:?}");
        }
    }

    #[test]
    fn texts_are_truncated() {
        assert_eq!(sanitize(&"ü".repeat(10_000)).chars().count(), MAX_CHARS);
        let many = vec!["x".repeat(1000); 1000];
        let sanitized = sanitize_all(&many);
        assert_eq!((sanitized.len(), sanitized[0].len()), (MAX_TEXTS, MAX_CHARS));
        assert_eq!(sanitize_all(&[String::new(), " \n".to_owned()]), Vec::<String>::new());
    }
}
