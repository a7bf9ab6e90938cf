//! Links, anchors and fenced blocks of Markdown pages.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

/// A link of a page, outside code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link<'page> {
    /// Its line, from 1.
    pub(crate) line: usize,
    /// The place of the target in the page, in bytes.
    pub(crate) place: Range<usize>,
    pub(crate) target: &'page str,
}

/// A fenced block of a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block<'page> {
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    pub(crate) language: &'page str,
    /// Everything between the fences.
    pub(crate) text: &'page str,
    /// The place of the whole block in the page, with both fences, in bytes.
    pub(crate) place: Range<usize>,
}

/// Returns true for the path of a page.
pub(crate) fn is_markdown(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "md")
}

/// Returns the inline links and images of a page. Reference links and raw HTML are not used on our pages.
pub(crate) fn links(page: &str) -> Vec<Link<'_>> {
    let prose = prose_lines(page);
    prose.flat_map(|(line, at, text)| links_of_line(text).map(move |(place, target)| (line, at, place, target))).fold(
        Vec::new(),
        |mut links, (line, at, place, target)| {
            links.push(Link { line, place: at + place.start..at + place.end, target });
            links
        },
    )
}

/// Returns the targets in one line, each with its place.
fn links_of_line(line: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let is_in_code = |at: usize| line[..at].matches('`').count() % 2 == 1;
    line.match_indices("](").filter(move |(at, _)| !is_in_code(*at)).filter_map(|(at, mark)| {
        let start = at + mark.len();
        let end = start + line[start..].find(')')?;
        Some((start..end, &line[start..end]))
    })
}

/// Returns the anchors of a page's headings, as both GitHub and mdBook name them.
pub(crate) fn anchors(page: &str) -> Vec<String> {
    let mut seen = HashMap::<String, usize>::new();
    let headings = prose_lines(page).filter_map(|(_, _, line)| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len() && text.starts_with(' ')).then(|| text.trim())
    });
    headings
        .map(|heading| {
            let slug = slug(heading);
            let before = seen.entry(slug.clone()).or_default();
            *before += 1;
            if *before == 1 { slug } else { format!("{slug}-{}", *before - 1) }
        })
        .collect()
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the fenced blocks of a page, also those within list items.
pub(crate) fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, usize, &str, usize)> = None;
    for (line, at, text) in lines(page) {
        let Some(rest) = text.trim().strip_prefix("```") else { continue };
        let after = at + text.len() + 1;
        open = match open {
            None => Some((line, at, rest, after)),
            Some((line, begin, language, inner)) => {
                let end = (at + text.len()).min(page.len());
                blocks.push(Block { line, language, text: &page[inner.min(at)..at], place: begin..end });
                None
            }
        };
    }
    blocks
}

/// Returns the lines outside fenced blocks, each with its number and its place.
fn prose_lines(page: &str) -> impl Iterator<Item = (usize, usize, &str)> {
    let mut is_in_code = false;
    lines(page).filter(move |(_, _, line)| {
        let is_fence = line.trim().starts_with("```");
        is_in_code ^= is_fence;
        !is_fence && !is_in_code
    })
}

fn lines(page: &str) -> impl Iterator<Item = (usize, usize, &str)> {
    let places = page.split_inclusive('\n').scan(0, |at, line| {
        let begin = *at;
        *at += line.len();
        Some((begin, line.trim_end_matches('\n')))
    });
    places.enumerate().map(|(number, (at, line))| (number + 1, at, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_outside_code_are_found_with_their_places() {
        let page = "See [a](a.md) and ![b](b.png).\n```sh\n[no](no.md)\n```\n`[no](no.md)` [c](c.md#d)\n";
        let found: Vec<_> = links(page).into_iter().map(|link| (link.line, link.target)).collect();
        assert_eq!(found, [(1, "a.md"), (1, "b.png"), (5, "c.md#d")]);
        assert!(links(page).iter().all(|link| &page[link.place.clone()] == link.target));
    }

    #[test]
    fn anchors_are_those_of_github() {
        let page = "# One page\n## `town list`: all, of them\n## A-b_c\n## A-b_c\n```sh\n# no\n```\n#no\n";
        assert_eq!(anchors(page), ["one-page", "town-list-all-of-them", "a-b_c", "a-b_c-1"]);
    }

    #[test]
    fn blocks_have_language_text_and_place() {
        let page = "a\n```sh\none\n```\n- b\n\n  ```\n  two\n  ```";
        let found = blocks(page);
        assert_eq!(
            found.iter().map(|block| (block.line, block.language, block.text)).collect::<Vec<_>>(),
            [(2, "sh", "one\n"), (7, "", "  two\n")]
        );
        assert_eq!(&page[found[0].place.clone()], "```sh\none\n```");
    }
}
