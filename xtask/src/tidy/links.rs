//! Links of pages lead to files of the repository and to headings in them, and each page of `docs` is in the book.

use std::collections::HashSet;

use crate::markdown::{Link, anchors, is_markdown, links};
use crate::workspace::SourceFile;

/// The contents of the book.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Returns links that lead nowhere, and pages that the book lacks.
pub(super) fn offences(files: &[SourceFile], names: &[String]) -> Vec<String> {
    let names: HashSet<&str> = names.iter().map(String::as_str).collect();
    let mut offences = Vec::new();
    for page in files.iter().filter(|file| is_page(&file.path)) {
        for link in links(&page.text) {
            if let Some(why) = fault(page, &link, files, &names) {
                offences.push(format!("links: {}:{}: {why}: {}", page.path, link.line, link.target));
            }
        }
    }
    offences.extend(missing_in_the_book(files));
    offences
}

fn is_page(path: &str) -> bool {
    is_markdown(path) && path != "xtask/src/codegen/wire/reference_head.md"
}

/// Returns what is wrong with a link, if anything is. Other sites are not asked.
fn fault(page: &SourceFile, link: &Link<'_>, files: &[SourceFile], names: &HashSet<&str>) -> Option<&'static str> {
    if link.target.contains("://") || link.target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.target.split_once('#').unwrap_or((link.target, ""));
    let Some(path) = resolved(&page.path, path) else { return Some("it leaves the repository") };
    let folder = format!("{path}/");
    if !names.contains(path.as_str()) && !names.iter().any(|name| name.starts_with(&folder)) {
        return Some("there is no such file");
    }
    let target = files.iter().find(|file| file.path == path);
    let has = |target: &SourceFile| !is_markdown(&path) || anchors(&target.text).iter().any(|found| found == anchor);
    (!anchor.is_empty() && !target.is_some_and(has)).then_some("there is no such heading")
}

/// Returns the path that a link on a page means, relative to the root.
pub(crate) fn resolved(page: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(page.to_owned());
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Returns the pages of `docs` that the contents do not name.
fn missing_in_the_book(files: &[SourceFile]) -> Vec<String> {
    let Some(summary) = files.iter().find(|file| file.path == SUMMARY) else { return Vec::new() };
    let named: HashSet<_> = links(&summary.text).iter().filter_map(|link| resolved(SUMMARY, link.target)).collect();
    let pages = files.iter().filter(|file| file.path.starts_with("docs/") && is_page(&file.path));
    let missing = pages.filter(|file| file.path != SUMMARY && !named.contains(&file.path));
    missing.map(|file| format!("links: {SUMMARY}: the book lacks {}", file.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pages: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = pages.iter().map(|(path, text)| SourceFile::new(path, text)).collect();
        let names: Vec<_> = pages.iter().map(|(path, _)| (*path).to_owned()).collect();
        offences(&files, &names)
    }

    #[test]
    fn links_to_missing_files_and_headings_are_found() {
        let target = ("docs/b.md", "# One heading");
        let of = |text: &str| found(&[("docs/a.md", text), target, ("crates/x/README.md", "")]);
        for sound in
            ["[b](b.md)", "[b](b.md#one-heading)", "[x](../crates/x)", "[s](https://x.example/y)", "# C\n[c](#c)"]
        {
            assert_eq!(of(sound), Vec::<String>::new(), "{sound}");
        }
        assert_eq!(of("\n[b](c.md)"), ["links: docs/a.md:2: there is no such file: c.md"]);
        assert_eq!(of("[b](b.md#two)"), ["links: docs/a.md:1: there is no such heading: b.md#two"]);
        assert_eq!(of("[b](../../b.md)"), ["links: docs/a.md:1: it leaves the repository: ../../b.md"]);
    }

    #[test]
    fn page_that_the_book_lacks_is_found() {
        let summary = (SUMMARY, "- [A](a.md)\n- [D](decisions/d.md)");
        let pages = [summary, ("docs/a.md", ""), ("docs/decisions/d.md", "")];
        assert_eq!(found(&pages), Vec::<String>::new());
        let more = [&pages[..], &[("docs/new.md", "")]].concat();
        assert_eq!(found(&more), ["links: docs/SUMMARY.md: the book lacks docs/new.md"]);
    }
}
