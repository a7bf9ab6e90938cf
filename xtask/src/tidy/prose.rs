//! Prose rules for comments and pages: plain words, short sentences, plain openings of doc comments.

mod banned;
mod comments;
mod markdown;
mod sentences;

use crate::workspace::SourceFile;
use comments::Markers;
use markdown::Paragraph;

/// The longest sentence that is allowed, in words.
const MAX_WORDS: usize = 25;
/// The most semicolons and colons that one sentence may have.
const MAX_COLONS: usize = 1;
/// Words that a doc comment does not open with.
const OPENERS: &[&str] = &["What", "Whether", "Who", "Where", "Of", "So"];

/// Returns each line or sentence that breaks a prose rule, as `file:line: rule: text`.
pub(super) fn offences(files: &[SourceFile]) -> Vec<String> {
    files.iter().flat_map(in_file).collect()
}

fn in_file(file: &SourceFile) -> Vec<String> {
    let Some(kind) = Kind::of(file) else { return Vec::new() };
    let mut found = banned::lines(&file.text);
    for paragraph in kind.paragraphs(&file.text) {
        found.extend(in_paragraph(&paragraph).into_iter().map(|offence| (paragraph.line, offence)));
    }
    found.sort_by_key(|(line, _)| *line);
    found.into_iter().map(|(line, offence)| format!("{}:{line}: {offence}", file.path)).collect()
}

fn in_paragraph(paragraph: &Paragraph) -> Vec<String> {
    let mut found = Vec::new();
    if paragraph.opens_doc && opens_badly(&paragraph.text) {
        found.push(format!("opener: {}", paragraph.text));
    }
    let plain = sentences::plain(&paragraph.text);
    for sentence in sentences::of(&plain) {
        let (words, colons) = (sentences::words(sentence), sentences::colons(sentence));
        if words > MAX_WORDS {
            found.push(format!("long: ({words} words) {sentence}"));
        }
        if colons > MAX_COLONS {
            found.push(format!("colons: {sentence}"));
        }
    }
    found
}

fn opens_badly(text: &str) -> bool {
    let first = text.split(|c: char| !c.is_alphanumeric()).next();
    first.is_some_and(|first| OPENERS.contains(&first))
}

/// The ways in which a file holds prose.
#[derive(Clone, Copy)]
enum Kind {
    Markdown,
    Comments(&'static Markers),
    /// Snapshots: only the words are checked.
    Text,
}

impl Kind {
    fn of(file: &SourceFile) -> Option<Self> {
        match file.name().rsplit_once('.')?.1 {
            "md" => Some(Self::Markdown),
            "rs" => Some(Self::Comments(&comments::RUST)),
            "mjs" | "js" | "ts" => Some(Self::Comments(&comments::SCRIPT)),
            "toml" | "yaml" | "yml" | "sh" => Some(Self::Comments(&comments::HASH)),
            "snap" => Some(Self::Text),
            _ => None,
        }
    }

    fn paragraphs(self, text: &str) -> Vec<Paragraph> {
        match self {
            Self::Markdown => markdown::paragraphs(markdown::numbered(text)),
            Self::Comments(markers) => comments::paragraphs(text, markers),
            Self::Text => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        offences(&[SourceFile::new(path, text)])
    }

    #[test]
    fn each_rule_names_file_line_and_sentence() {
        let long = format!("Word{}.", " word".repeat(MAX_WORDS));
        assert_eq!(found("a.rs", &format!("// Short.\n// {long}")), [format!("a.rs:1: long: (26 words) {long}")]);
        assert_eq!(found("a.md", "\nOne: two; three."), ["a.md:2: colons: One: two; three."]);
        assert_eq!(found("a.rs", "/// What it does."), ["a.rs:1: opener: What it does."]);
        let banned = concat!("run for", "_ever()");
        assert_eq!(found("a.rs", banned), [format!("a.rs:1: banned: {banned}")]);
    }

    #[test]
    fn only_the_first_paragraph_of_a_doc_comment_is_an_opening() {
        assert_eq!(found("a.rs", "/// Returns it.\n///\n/// What is missing is `None`."), Vec::<String>::new());
        assert_eq!(found("a.rs", "// What is missing is `None`."), Vec::<String>::new());
        assert_eq!(found("a.rs", "/// Whatever it does, `Of` and Wholes."), Vec::<String>::new());
        assert_eq!(found("a.rs", "//! So it goes.").len(), 1);
    }

    #[test]
    fn every_kind_of_file_is_read_by_its_own_markers() {
        for (path, marker) in [("a.toml", "# "), ("a.yml", "  # "), ("a.sh", "# "), ("a.mjs", "// "), ("a.md", "- ")] {
            assert_eq!(found(path, &format!("{marker}one: two; three")).len(), 1, "{path}");
        }
        assert_eq!(found("a.json", "# one: two; three"), Vec::<String>::new());
        assert_eq!(found("a.snap", concat!("no", "body")).len(), 1);
    }
}
