//! Sentences, and the counts that the rules limit.

/// Abbreviations whose full stop ends no sentence.
const ABBREVIATIONS: &[&str] = &["e.g", "i.e", "etc", "vs", "cf"];

/// Returns the text as it is read: a code span or an address counts as one word, a link has no target.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (replacement, length) = code_span(rest)
            .or_else(|| link(rest))
            .or_else(|| address(rest))
            .or_else(|| abbreviation(rest, &plain))
            .unwrap_or((&rest[..first.len_utf8()], first.len_utf8()));
        plain.push_str(replacement);
        rest = &rest[length..];
    }
    plain
}

/// Reads `code`, between runs of backticks of the same length.
fn code_span(text: &str) -> Option<(&str, usize)> {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let (fence, rest) = text.split_at(ticks);
    let end = (ticks > 0).then(|| rest.find(fence)).flatten()?;
    Some(("CODE", ticks + end + ticks))
}

/// Reads the end of a link, `](target)`, as its bracket.
fn link(text: &str) -> Option<(&str, usize)> {
    let target = text.strip_prefix("](")?.find(')')?;
    Some(("]", "](".len() + target + ")".len()))
}

/// Reads an address up to the punctuation that follows it.
fn address(text: &str) -> Option<(&str, usize)> {
    let is_address = text.starts_with("http://") || text.starts_with("https://");
    let whole = is_address.then(|| text.split(char::is_whitespace).next()).flatten()?;
    Some(("URL", whole.trim_end_matches(['.', ',', ';', ':', '!', '?', ')']).len()))
}

/// Reads an abbreviation and its full stop, if no letter precedes it.
fn abbreviation<'text>(text: &'text str, before: &str) -> Option<(&'text str, usize)> {
    let begins = !before.ends_with(char::is_alphanumeric);
    let is_here = |short: &&&str| text.strip_prefix(**short).is_some_and(|rest| rest.starts_with('.'));
    let short = begins.then(|| ABBREVIATIONS.iter().find(is_here)).flatten()?;
    Some((short, short.len() + 1))
}

/// Splits after `.`, `!` or `?` where whitespace and the beginning of a sentence follow.
pub(super) fn of(plain: &str) -> impl Iterator<Item = &str> {
    let mut rest = plain;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (sentence, after) = rest.split_at(end_of_first(rest));
            rest = after;
            let sentence = sentence.trim();
            if !sentence.is_empty() {
                return Some(sentence);
            }
        }
        None
    })
}

fn end_of_first(text: &str) -> usize {
    let ends = text.match_indices(['.', '!', '?']).map(|(at, _)| at + 1);
    let mut ends = ends.filter_map(|end| {
        let after = text[end..].trim_start_matches([')', ']', '"', '\'', '*', '_']);
        let next = after.trim_start();
        let begins = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "\"'(*_`[".contains(c);
        (next.len() < after.len() && next.starts_with(begins)).then(|| text.len() - after.len())
    });
    ends.next().unwrap_or(text.len())
}

/// Counts the words: whatever stands between spaces and has a letter or a digit.
pub(super) fn words(sentence: &str) -> usize {
    sentence.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count()
}

/// Counts the words that end with a semicolon or a colon.
pub(super) fn colons(sentence: &str) -> usize {
    sentence.split_whitespace().filter(|word| word.ends_with([';', ':'])).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        of(&plain(text)).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn code_links_and_addresses_count_as_they_are_read() {
        for (text, want) in [
            ("runs `a b c` once", "runs CODE once"),
            ("runs ``a `b` c`` once", "runs CODE once"),
            ("see [the page](docs/a b.md)", "see [the page]"),
            ("see [`a b`](crate::Name)", "see [CODE]"),
            ("see [`Name`] and [other]", "see [CODE] and [other]"),
            ("at https://example.com/a.b?c. Then", "at URL. Then"),
            ("one ` tick", "one ` tick"),
        ] {
            assert_eq!(plain(text), want);
        }
    }

    #[test]
    fn sentences_end_before_the_beginning_of_another() {
        assert_eq!(split("One. Two! `three`? [four](x.md)."), ["One.", "Two!", "CODE?", "[four]."]);
        assert_eq!(split("(In brackets.) Next."), ["(In brackets.)", "Next."]);
        assert_eq!(
            split("Waits 0.5 s, e.g. Then vs. Now, at v1. of it."),
            ["Waits 0.5 s, e.g Then vs Now, at v1. of it."]
        );
        assert_eq!(split("It **ends.** Here."), ["It **ends.**", "Here."]);
        assert_eq!(split("  "), Vec::<String>::new());
    }

    #[test]
    fn words_and_colons_are_counted_between_spaces() {
        assert_eq!(words("a - b: `CODE`, 12 %"), 4);
        assert_eq!(colons("a: b; c::d at 10:30, e;"), 3);
    }
}
