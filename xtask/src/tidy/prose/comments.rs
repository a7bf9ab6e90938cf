//! Comments that stand on lines of their own, as the Markdown that they are.

use super::markdown::{self, Paragraph};

/// The markers that begin a comment.
pub(super) struct Markers {
    /// The markers of a line, the longest first.
    line: &'static [&'static str],
    /// Those among them that begin a doc comment.
    doc: &'static [&'static str],
    /// True where `/*` begins a comment of several lines.
    has_blocks: bool,
}

pub(super) const RUST: Markers = Markers { line: &["///", "//!", "//"], doc: &["///", "//!"], has_blocks: false };
pub(super) const SCRIPT: Markers = Markers { line: &["//"], doc: &[], has_blocks: true };
pub(super) const HASH: Markers = Markers { line: &["#"], doc: &[], has_blocks: false };

/// Returns the paragraphs of all comments. Comments of one kind on adjacent lines are one.
pub(super) fn paragraphs(text: &str, markers: &Markers) -> Vec<Paragraph> {
    let mut found = Vec::new();
    let mut comment: Vec<(usize, &str)> = Vec::new();
    let mut kind = None;
    let mut is_in_block = false;
    for (number, line) in markdown::numbered(text) {
        let read = markers.read(line.trim_start(), is_in_block);
        let marker = read.map(|(marker, _)| marker);
        if marker != kind {
            found.extend(markers.close(kind, &mut comment));
            kind = marker;
        }
        comment.extend(read.map(|(_, text)| (number, text)));
        is_in_block = markers.has_blocks && marker == Some(BLOCK) && !line.contains("*/");
    }
    found.extend(markers.close(kind, &mut comment));
    found
}

const BLOCK: &str = "/*";

impl Markers {
    /// Splits a line of a comment into its marker and its text.
    fn read<'line>(&self, line: &'line str, is_in_block: bool) -> Option<(&'static str, &'line str)> {
        if self.has_blocks && (is_in_block || line.starts_with(BLOCK)) {
            let text = line.trim_end().trim_end_matches("*/").trim_start_matches('/').trim_start_matches('*');
            return Some((BLOCK, text));
        }
        let marker = self.line.iter().find(|marker| line.starts_with(**marker))?;
        let text = &line[marker.len()..];
        // Lines such as `////` and `#!/bin/sh` are no prose.
        (!text.starts_with(['/', '!'])).then_some((*marker, text))
    }

    fn close(&self, kind: Option<&str>, comment: &mut Vec<(usize, &str)>) -> Vec<Paragraph> {
        let mut paragraphs = markdown::paragraphs(comment.drain(..));
        if let Some(first) = paragraphs.first_mut() {
            first.opens_doc = kind.is_some_and(|kind| self.doc.contains(&kind));
        }
        paragraphs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, markers: &Markers) -> Vec<(usize, String, bool)> {
        let found = paragraphs(text, markers);
        found.into_iter().map(|paragraph| (paragraph.line, paragraph.text, paragraph.opens_doc)).collect()
    }

    #[test]
    fn rust_comments_are_read_by_kind() {
        let text =
            "//! Module.\n\n/// Doc.\n///\n/// More.\n// Aside\n// again.\nlet x = 1; // not read\n//// nor this";
        let want = [(1, "Module.", true), (3, "Doc.", true), (5, "More.", false), (6, "Aside again.", false)];
        assert_eq!(texts(text, &RUST), want.map(|(line, text, doc)| (line, text.to_owned(), doc)));
    }

    #[test]
    fn scripts_have_blocks_too() {
        let text = "/** One\n * block. */\nrun() // no\n// two";
        assert_eq!(texts(text, &SCRIPT), [(1, "One block.".to_owned(), false), (4, "two".to_owned(), false)]);
    }

    #[test]
    fn a_shebang_is_no_comment() {
        assert_eq!(texts("#!/bin/sh\n\n# Runs.", &HASH), [(3, "Runs.".to_owned(), false)]);
    }
}
