//! Words of a sandbox that its town's owner may read: short, printable, without a secret.

/// The most characters of one text.
const LONGEST: usize = 200;
/// The most texts of a list.
const MOST: usize = 10;

/// Cuts and cleans one text.
pub(crate) fn clean(said: &str) -> String {
    let printable = said.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c });
    let words = printable.take(LONGEST * 4).collect::<String>();
    let words: Vec<String> = words.split_whitespace().map(without_secrets).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

/// Cuts and cleans a list; what is empty then is left out.
pub(crate) fn clean_all(said: &[String]) -> Vec<String> {
    said.iter().map(|text| clean(text)).filter(|text| !text.is_empty()).take(MOST).collect()
}

/// Hides a word that is a sealed value or a token, and the credentials inside a URL.
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

/// Characters that reorder or hide text when shown.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sandbox_says_is_cleaned() {
        for (said, want) in [
            ("branch 'x' not found", "branch 'x' not found"),
            ("a\n\n b\u{202e}c\u{1b}[31m\0", "a b c [31m"),
            ("fatal: https://user:pw@github.com/a/b not found", "fatal: https://***@github.com/a/b not found"),
            ("key ghp_abc123 refused", "key *** refused"),
            ("KILO_JWT=nacl:v1:k:xx", "***"),
            ("", ""),
        ] {
            assert_eq!(clean(said), want, "{said:?}");
        }
    }

    #[test]
    fn what_a_sandbox_says_is_short() {
        assert_eq!(clean(&"ü".repeat(10_000)).chars().count(), LONGEST);
        let many = vec!["x".repeat(1000); 1000];
        let cleaned = clean_all(&many);
        assert_eq!((cleaned.len(), cleaned[0].len()), (MOST, LONGEST));
        assert_eq!(clean_all(&[String::new(), " \n".to_owned()]), Vec::<String>::new());
    }
}
