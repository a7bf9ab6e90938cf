//! Words that plain sentences do not need.

/// The banned words, spelled in parts so that this file has none.
const BANNED: &[&str] = &[
    concat!("who", "ever"),
    concat!("no", "body"),
    concat!("some", "body"),
    concat!("for", " ever"),
    concat!("by", " itself"),
    concat!("is", " told"),
    concat!("a", " word"),
];

/// Returns the lines with such words, in identifiers too, with their numbers. A phrase across two lines counts for the
/// first.
pub(super) fn lines(text: &str) -> Vec<(usize, String)> {
    let mut next = text.lines().skip(1);
    text.lines()
        .enumerate()
        .filter(|(_, line)| {
            let joint = format!("{} {}", last_word(line), first_word(next.next().unwrap_or_default()));
            has_banned(line) || has_banned(&joint)
        })
        .map(|(at, line)| (at + 1, format!("banned: {}", line.trim())))
        .collect()
}

fn last_word(line: &str) -> &str {
    let line = line.trim_end_matches(['\\', ' ']);
    let word = line.rsplit(' ').next().unwrap_or_default();
    // A banned word on its own is already found in its line.
    if has_banned(word) { "" } else { word }
}

/// Returns the first word of a line, without the marker of a comment, quote or string.
fn first_word(line: &str) -> &str {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || "/!#*>\"".contains(c));
    let word = line.split(' ').next().unwrap_or_default();
    if has_banned(word) { "" } else { word }
}

fn has_banned(line: &str) -> bool {
    let line = line.to_lowercase().replace('_', " ");
    BANNED.iter().any(|banned| {
        line.match_indices(banned).any(|(at, found)| {
            let is_inside = |c: char| c.is_alphanumeric();
            !line[..at].ends_with(is_inside) && !line[at + found.len()..].starts_with(is_inside)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whole_in_any_case_and_in_identifiers() {
        for text in [concat!("No", "body."), concat!("runs_for", "_ever_after"), concat!("(a", " word)")] {
            assert_eq!(lines(text).len(), 1, "{text}");
        }
        for text in [concat!("no", "bodys"), concat!("a", " wording"), concat!("media", " word"), "forever"] {
            assert_eq!(lines(text), [], "{text}");
        }
    }

    #[test]
    fn a_phrase_across_two_lines_counts_for_the_first() {
        let text = concat!("/// It runs for", "\n    /// ever, and ends.");
        assert_eq!(lines(text), [(1, "banned: /// It runs for".to_owned())]);
        let whole = concat!("it\n// no", "body\n// else");
        assert_eq!(lines(whole).len(), 1);
    }
}
