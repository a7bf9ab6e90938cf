//! The preprocessor of the book. Links that leave `docs` lead to the repository, and diagrams become pictures.

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

use super::diagram;
use crate::markdown::{blocks, links};
use crate::tidy::resolved;
use crate::workspace;

/// Returns the book that mdBook goes on with. The input is an array of its context and the book.
pub(super) fn answer(input: &str) -> anyhow::Result<String> {
    let (context, mut book): (Value, Value) = serde_json::from_str(input).context("the input is not that of mdBook")?;
    let here = format!("file://{}", workspace::root().display());
    let files_at = context["config"]["preprocessor"]["repository"]["files-at"].as_str().unwrap_or(&here);
    let is_file = |path: &str| workspace::root().join(path).is_file();
    let Some(items) = book["items"].as_array_mut() else { bail!("the book has no items: {input}") };
    change(items, &Target { files_at, is_file: &is_file })?;
    Ok(serde_json::to_string(&book)?)
}

/// The places that links lead to.
struct Target<'a> {
    /// The address of the repository's files.
    files_at: &'a str,
    is_file: &'a dyn Fn(&str) -> bool,
}

fn change(items: &mut [Value], target: &Target<'_>) -> anyhow::Result<()> {
    for chapter in items.iter_mut().filter_map(|item| item.get_mut("Chapter")) {
        if let (Some(content), Some(source)) = (chapter["content"].as_str(), chapter["source_path"].as_str()) {
            chapter["content"] = page(content, source, target)?.into();
        }
        if let Some(inner) = chapter["sub_items"].as_array_mut() {
            change(inner, target)?;
        }
    }
    Ok(())
}

/// Returns one page as the book has it.
fn page(content: &str, source: &str, target: &Target<'_>) -> anyhow::Result<String> {
    let mut changes = Vec::new();
    for link in links(content) {
        if let Some(address) = outside(link.target, source, target) {
            changes.push((link.place, address));
        }
    }
    for block in blocks(content).into_iter().filter(|block| block.language == "mermaid") {
        // The text begins in the line after the fence.
        let drawn = diagram::svg(block.text);
        changes
            .push((block.place, drawn.map_err(|error| anyhow!("{source}:{}: {error}", block.line + 1 + error.line))?));
    }
    changes.sort_by_key(|(place, _)| place.start);
    let mut text = content.to_owned();
    for (place, new) in changes.into_iter().rev() {
        text.replace_range(place, &new);
    }
    Ok(text)
}

/// Returns the address of a link that leads out of the book, and `None` for one that stays.
fn outside(link: &str, source: &str, target: &Target<'_>) -> Option<String> {
    if link.contains("://") || link.starts_with('#') || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_at(link.find('#').unwrap_or(link.len()));
    let path = resolved(&format!("docs/{source}"), path)?;
    // A folder has no page in the book.
    if path.starts_with("docs/") && (target.is_file)(&path) {
        return None;
    }
    // Not relative, because mdBook would take it for a page of its own.
    Some(format!("{}/{path}{anchor}", target.files_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(content: &str, source: &str) -> String {
        let is_file = |path: &str| path != "docs/deploy";
        page(content, source, &Target { files_at: "https://x.example/blob/1", is_file: &is_file }).unwrap()
    }

    #[test]
    fn links_that_leave_the_book_lead_to_the_repository() {
        let text = "[a](wire.md#x) ![b](console.png) [c](../README.md) [d](deploy) [e](https://x.example)";
        assert_eq!(
            changed(text, "a.md"),
            "[a](wire.md#x) ![b](console.png) [c](https://x.example/blob/1/README.md) \
             [d](https://x.example/blob/1/docs/deploy) [e](https://x.example)"
        );
        let deeper = changed("[c](../../README.md#x)", "decisions/0001.md");
        assert_eq!(deeper, "[c](https://x.example/blob/1/README.md#x)");
    }

    #[test]
    fn diagrams_are_drawn() {
        let drawn = changed("a\n```mermaid\nsequenceDiagram\n    A->>B: hello\n```\nb", "a.md");
        assert!(drawn.starts_with("a\n<div") && drawn.contains("<svg") && drawn.ends_with("</div>\nb"), "{drawn}");
    }

    #[test]
    fn what_cannot_be_drawn_is_named_by_file_and_line() {
        let target = Target { files_at: "https://x.example", is_file: &|_| true };
        let refused = |diagram: &str| {
            let content = format!("text\n\n```mermaid\n{diagram}\n```\n");
            page(&content, "a.md", &target).unwrap_err().to_string()
        };
        assert_eq!(refused("gantt"), "a.md:4: the book draws no diagram of the kind gantt");
        let broken = refused("flowchart LR\n    accTitle: A\n    a --> b\n    click a");
        assert_eq!(broken, "a.md:7: not a line of a flowchart: click a");
        let broken = refused("erDiagram\n    accTitle: A\n    a -> b");
        assert_eq!(broken, "a.md:6: not a line of a diagram of tables: a -> b");
        assert!(refused("sequenceDiagram\n    loop").starts_with("a.md:4: not a line of a sequence diagram"));
    }

    #[test]
    fn chapters_are_changed_at_every_depth() {
        let chapter = |inner: Value| serde_json::json!({ "Chapter": { "content": "[r](../R.md)", "source_path": "a.md", "sub_items": inner } });
        let book =
            serde_json::json!({ "items": ["Separator", chapter(serde_json::json!([chapter(serde_json::json!([]))]))] });
        let context =
            serde_json::json!({ "config": { "preprocessor": { "repository": { "files-at": "https://x" } } } });
        let answered = answer(&serde_json::json!([context, book]).to_string()).unwrap();
        assert_eq!(answered.matches("https://x/R.md").count(), 2, "{answered}");
        assert!(answer("{}").is_err());
    }
}
