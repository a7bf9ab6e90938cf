//! Files of Rust and tests that the documentation names have to exist.

use std::collections::HashSet;
use std::path::Path;

use crate::workspace::SourceFile;

/// The pages that name tests.
const PROMISES: &[&str] = &["docs/reliability.md", "docs/security.md"];
/// The number of words from which on a name is taken for a test.
const WORDS_OF_A_TEST: usize = 4;

/// Returns references to missing files and tests. Decisions are left out, because they are never rewritten.
pub(super) fn offences(files: &[SourceFile]) -> Vec<String> {
    let sources = Sources::of(files);
    let pages = files.iter().filter(|file| has_extension(&file.path, "md") && is_ours(&file.path));
    pages.flat_map(|page| page.text.lines().enumerate().map(move |(at, line)| (page, at + 1, line))).fold(
        Vec::new(),
        |mut offences, (page, at, line)| {
            let nowhere = quoted(line).filter(|quoted| sources.lacks(quoted, PROMISES.contains(&page.path.as_str())));
            offences.extend(nowhere.map(|quoted| format!("{}:{at}: there is no {quoted}", page.path)));
            offences
        },
    )
}

fn is_ours(page: &str) -> bool {
    let in_docs = page.starts_with("docs/") && !page.starts_with("docs/decisions/");
    in_docs || matches!(page, "README.md" | "CONTRIBUTING.md" | "SECURITY.md")
}

fn has_extension(name: &str, wanted: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == wanted)
}

/// Returns the texts between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Every file of Rust and every function in them.
struct Sources<'a> {
    paths: Vec<&'a str>,
    functions: HashSet<&'a str>,
}

impl<'a> Sources<'a> {
    fn of(files: &'a [SourceFile]) -> Self {
        let rust = || files.iter().filter(|file| file.is_rust());
        let functions = rust().flat_map(|file| file.text.split("fn ").skip(1)).map(|rest| {
            let end = rest.find(|c: char| !is_of_a_name(c)).unwrap_or(rest.len());
            &rest[..end]
        });
        Self { paths: rust().map(|file| file.path.as_str()).collect(), functions: functions.collect() }
    }

    fn lacks(&self, quoted: &str, names_tests: bool) -> bool {
        if has_extension(quoted, "rs") && quoted.chars().all(|c| is_of_a_name(c) || "./-".contains(c)) {
            return !self.has_file(quoted);
        }
        let is_a_test = quoted.chars().all(is_of_a_name) && quoted.split('_').count() >= WORDS_OF_A_TEST;
        names_tests && is_a_test && !self.functions.contains(quoted)
    }

    /// Finds a file by the end of its path, or by the short name of its crate and the end, as in `fly/ports.rs`.
    fn has_file(&self, name: &str) -> bool {
        let ends =
            |path: &str, end: &str| path == end || path.strip_suffix(end).is_some_and(|rest| rest.ends_with('/'));
        self.paths.iter().any(|path| {
            let in_its_crate = name
                .split_once('/')
                .is_some_and(|(short, rest)| path.starts_with(&format!("crates/gastown-{short}/")) && ends(path, rest));
            ends(path, name) || in_its_crate
        })
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_files_and_tests_are_found() {
        let code = SourceFile::new("crates/gastown-fly/tests/it/ports.rs", "async fn a_lost_create_is_unknown() {}");
        let of = |page: &str, text: &str| offences(&[SourceFile::new(page, text), code_of(&code)]);
        for present in ["`fly/ports.rs`", "`it/ports.rs`", "`ports.rs`", "`a_lost_create_is_unknown`", "`last_error`"] {
            assert!(PROMISES.iter().all(|page| of(page, present).is_empty()), "{present}");
        }
        for gone in ["`server/ports.rs`", "`sports.rs`", "`a_lost_create_is_known`"] {
            assert!(PROMISES.iter().all(|page| of(page, gone).len() == 1), "{gone}");
        }
        assert_eq!(of("SECURITY.md", "`gone.rs`").len(), 1);
        assert_eq!(of("docs/operations.md", "first\nsee `gone.rs`"), ["docs/operations.md:2: there is no gone.rs"]);
        assert_eq!(
            of("docs/operations.md", "`last_r2_sync_at`"),
            Vec::<String>::new(),
            "not the page that names tests"
        );
        assert_eq!(of("docs/decisions/0001-x.md", "`gone.rs`"), Vec::<String>::new());
    }

    fn code_of(file: &SourceFile) -> SourceFile {
        SourceFile::new(&file.path, &file.text)
    }
}
