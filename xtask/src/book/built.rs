//! The links of the built book lead to files, and to anchors in them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// More pages than the book will have. A search that goes on beyond them has left the book.
const MAX_PAGES: usize = 2_000;

/// Returns the number of pages, and each link that leads nowhere.
pub(super) fn check(folder: &Path) -> anyhow::Result<(usize, Vec<String>)> {
    let mut pages = HashMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "html") {
                let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                pages.insert(path, text);
                ensure!(pages.len() <= MAX_PAGES, "the book has more than {MAX_PAGES} pages");
            }
        }
    }
    Ok((pages.len(), faults(&pages)))
}

fn faults(pages: &HashMap<PathBuf, String>) -> Vec<String> {
    let anchors: HashMap<&Path, HashSet<&str>> =
        pages.iter().map(|(path, text)| (path.as_path(), values(text, "id").collect())).collect();
    let mut faults = Vec::new();
    // The page of errors is served at any address, and the table of contents is a part of the others.
    let of_the_book = |path: &Path| path.file_name().is_some_and(|name| name != "404.html" && name != "toc.html");
    for (path, text) in pages.iter().filter(|(path, _)| of_the_book(path)) {
        for link in values(text, "href").chain(values(text, "src")).filter(|link| is_ours(link)) {
            if let Some(why) = fault(path, link, &anchors) {
                faults.push(format!("{}: {why}: {link}", path.display()));
            }
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

fn is_ours(link: &str) -> bool {
    !link.is_empty() && !link.contains(':')
}

fn fault(page: &Path, link: &str, anchors: &HashMap<&Path, HashSet<&str>>) -> Option<&'static str> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { joined(page, file) };
    if !anchors.contains_key(target.as_path()) && !target.exists() {
        return Some("there is no such file");
    }
    // Anchors of files outside are those of their own site.
    let has = anchors.get(target.as_path()).is_none_or(|ids| ids.contains(anchor));
    (!anchor.is_empty() && !has).then_some("there is no such anchor")
}

/// Returns the path of a link, without `..`, so that it can be found among the pages.
fn joined(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().unwrap_or(page).to_owned();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
}

/// Returns the values of an attribute.
fn values<'page>(page: &'page str, attribute: &str) -> impl Iterator<Item = &'page str> {
    let begin = format!(" {attribute}=\"");
    let places: Vec<_> = page.match_indices(&begin).map(|(at, begin)| at + begin.len()).collect();
    places.into_iter().filter_map(|at| Some(page[at..].split_once('"')?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pages: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in pages {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let (count, faults) = check(folder.path()).unwrap();
        assert_eq!(count, pages.len());
        let prefix = format!("{}/", folder.path().display());
        faults.into_iter().map(|fault| fault.replace(&prefix, "")).collect()
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let target = ("d/b.html", r#"<h2 id="two">"#);
        for sound in ["d/b.html", "d/b.html#two", "https://x.example/y", "#here", "./a.html"] {
            let page = format!(r#"<p id="here"><a href="{sound}">"#);
            assert_eq!(found(&[("a.html", &page), target]), Vec::<String>::new(), "{sound}");
        }
        let page = r##"<a href="c.html"><a href="d/b.html#one"><img src="p.png"><a href="#no">"##;
        assert_eq!(
            found(&[("a.html", page), target]),
            [
                "a.html: there is no such anchor: #no",
                "a.html: there is no such anchor: d/b.html#one",
                "a.html: there is no such file: c.html",
                "a.html: there is no such file: p.png",
            ]
        );
    }
}
