//! Every fenced block of a page is run by a test, or `xtask/snippets.toml` says why it is not.

use std::collections::HashMap;

use anyhow::Context;
use serde::Deserialize;

use crate::markdown::{Block, blocks, is_markdown};
use crate::workspace::SourceFile;

/// The list of runners.
const LIST: &str = "xtask/snippets.toml";
/// Languages of blocks that nothing could run: outputs and diagrams.
const SHOWN_ONLY: &[&str] = &["text", "mermaid", ""];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// Blocks that a test runs, or compares with what is run.
    run: Vec<Run>,
    /// Blocks that nothing runs.
    not_run: Vec<NotRun>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    page: String,
    language: String,
    /// The number of these blocks. A new block changes it, so that its author looks at the test. Absent for a generated
    /// page, because its test runs all blocks.
    blocks: Option<usize>,
    /// The file of the test, which names the page.
    test: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotRun {
    page: String,
    /// The first line of the block.
    first: String,
    why: String,
}

/// Returns blocks without a runner, and entries of the list that fit no block.
pub(super) fn offences(files: &[SourceFile]) -> anyhow::Result<Vec<String>> {
    let list = files.iter().find(|file| file.path == LIST).with_context(|| format!("no {LIST}"))?;
    let list: List = toml::from_str(&list.text).context(LIST)?;
    let mut counts = HashMap::<(&str, &str), usize>::new();
    let mut offences = Vec::new();
    let mut used = vec![false; list.not_run.len()];
    for (page, block) in files.iter().filter(|file| is_page(file)).flat_map(blocks_of) {
        let first = first_line(&block);
        if let Some(at) = list.not_run.iter().position(|entry| entry.page == page && entry.first == first) {
            used[at] = true;
        } else if list.run.iter().any(|entry| entry.page == page && entry.language == block.language) {
            *counts.entry((page, block.language)).or_default() += 1;
        } else {
            offences.push(format!("snippets: {page}:{}: no entry of {LIST} says what runs this block", block.line));
        }
    }
    offences.extend(list.run.iter().flat_map(|entry| faults(entry, &counts, files)));
    let stale = list.not_run.iter().zip(used).filter(|(_, is_used)| !is_used);
    offences.extend(stale.map(|(entry, _)| format!("snippets: {LIST}: {} has no block `{}`", entry.page, entry.first)));
    let silent = list.not_run.iter().filter(|entry| entry.why.trim().is_empty());
    offences.extend(silent.map(|entry| format!("snippets: {LIST}: `{}` needs a reason", entry.first)));
    Ok(offences)
}

fn is_page(file: &SourceFile) -> bool {
    // The head is a part of the generated `docs/wire.md`.
    is_markdown(&file.path) && file.path != "xtask/src/codegen/wire/reference_head.md"
}

fn blocks_of(file: &SourceFile) -> impl Iterator<Item = (&str, Block<'_>)> {
    let of_the_page = blocks(&file.text).into_iter();
    of_the_page.filter(|block| !SHOWN_ONLY.contains(&block.language)).map(|block| (file.path.as_str(), block))
}

fn first_line<'page>(block: &Block<'page>) -> &'page str {
    block.text.trim_start().lines().next().unwrap_or_default().trim_end()
}

/// Returns what is wrong with an entry: a test that does not name the page, or another number of blocks.
fn faults(entry: &Run, counts: &HashMap<(&str, &str), usize>, files: &[SourceFile]) -> Vec<String> {
    let name = entry.page.rsplit('/').next().unwrap_or_default();
    let names_the_page = files.iter().any(|file| file.path == entry.test && file.text.contains(name));
    let found = counts.get(&(entry.page.as_str(), entry.language.as_str())).copied().unwrap_or_default();
    let nowhere = format!("snippets: {LIST}: {} does not name {name}", entry.test);
    let wanted = entry.blocks.unwrap_or(found.max(1));
    let changed = format!(
        "snippets: {}: {found} blocks in {}, and {LIST} has {wanted}; look whether {} runs each",
        entry.page, entry.language, entry.test
    );
    let faults = [(!names_the_page, nowhere), (found != wanted, changed)];
    faults.into_iter().filter(|(is_fault, _)| *is_fault).map(|(_, text)| text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: &str = r#"
        run = [{ page = "docs/a.md", language = "sh", blocks = 1, test = "crates/x/tests/it/a.rs" }]
        not_run = [{ page = "docs/a.md", first = "docker run x", why = "no Docker" }]
    "#;

    fn found(page: &str, test: &str) -> Vec<String> {
        let files = [
            SourceFile::new("docs/a.md", page),
            SourceFile::new("crates/x/tests/it/a.rs", test),
            SourceFile::new(LIST, ENTRIES),
        ];
        offences(&files).unwrap()
    }

    const PAGE: &str = "```sh\none\n```\n```text\nout\n```\n```sh\ndocker run x\n```\n";
    const TEST: &str = r#"include_str!("docs/a.md")"#;

    #[test]
    fn page_whose_blocks_all_have_entries_is_sound() {
        assert_eq!(found(PAGE, TEST), Vec::<String>::new());
    }

    #[test]
    fn new_blocks_are_found() {
        let more = format!("{PAGE}```ts\nlet a;\n```\n");
        assert_eq!(
            found(&more, TEST),
            ["snippets: docs/a.md:10: no entry of xtask/snippets.toml says what runs this block"]
        );
        let more = format!("{PAGE}```sh\ntwo\n```\n");
        assert!(found(&more, TEST)[0].starts_with("snippets: docs/a.md: 2 blocks in sh"));
    }

    #[test]
    fn stale_entries_are_found() {
        let one = "```sh\none\n```\n";
        assert_eq!(found(one, TEST), ["snippets: xtask/snippets.toml: docs/a.md has no block `docker run x`"]);
        assert!(found(PAGE, "fn other() {}")[0].ends_with("does not name a.md"));
        let only_docker = "```sh\ndocker run x\n```\n";
        let any_number = ENTRIES.replace(", blocks = 1", "");
        for list in [ENTRIES, &any_number] {
            let files = [("docs/a.md", only_docker), ("crates/x/tests/it/a.rs", TEST), (LIST, list)];
            let files: Vec<_> = files.iter().map(|(path, text)| SourceFile::new(path, text)).collect();
            assert!(offences(&files).unwrap()[0].starts_with("snippets: docs/a.md: 0 blocks in sh"));
        }
    }
}
