//! The longest files, which are the next candidates for a split.

use crate::workspace::SourceFile;

/// Shorter files are not listed. Lines of tests do not count.
const MIN_LINES: usize = 250;
const SHOWN: usize = 8;

/// Returns the longest hand-written files outside tests, longest first.
pub(super) fn longest(files: &[SourceFile]) -> Vec<String> {
    let elsewhere = |path: &str| ["/entity/", "/tests/"].iter().any(|folder| path.contains(folder));
    let written = files.iter().filter(|file| file.is_rust() && !elsewhere(&file.path));
    let sized = written.map(|file| (file.production_lines().count(), &file.path));
    let mut long: Vec<_> = sized.filter(|(lines, _)| *lines > MIN_LINES).collect();
    long.sort_by(|(a, a_path), (b, b_path)| b.cmp(a).then_with(|| a_path.cmp(b_path)));
    long.into_iter().take(SHOWN).map(|(lines, path)| format!("sizes: {lines} lines in {path}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_come_first_and_tests_do_not_count() {
        let file = |path, lines: usize, tests: usize| {
            SourceFile::new(path, &format!("{}#[cfg(test)]\n{}", "x\n".repeat(lines), "x\n".repeat(tests)))
        };
        let files = [
            file("a.rs", 300, 0),
            file("b.rs", 400, 9),
            file("c.rs", 200, 900),
            file("persistence/src/entity/d.rs", 999, 0),
            file("persistence/tests/it/d.rs", 999, 0),
            file("e.json", 999, 0),
        ];
        assert_eq!(longest(&files), ["sizes: 400 lines in b.rs", "sizes: 300 lines in a.rs"]);
    }
}
