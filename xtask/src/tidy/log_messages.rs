//! Every log message of the product stands in one table of `docs/operations.md`, with its level.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::Macro;
use syn::spanned::Spanned as _;
use syn::visit::Visit;

use super::syntax::Parsed;
use crate::workspace::SourceFile;

const PAGE: &str = "docs/operations.md";
const SECTION: &str = "## Log messages";
const LEVELS: &[&str] = &["error", "warn", "info", "debug"];
/// The crates that log as part of the service.
const PRODUCT: &str = "crates/gastown";
/// The crate of that name that is for tests only.
const SIMULATED: &str = "crates/gastown-sandbox-sim/";

/// A message and its level.
type Entry = (String, String);

/// Returns messages that the table lacks, rows without a message, and messages of the wrong form.
pub(super) fn offences(files: &[SourceFile], parsed: &[Parsed<'_>]) -> Vec<String> {
    let mut logged = BTreeMap::new();
    let mut offences = Vec::new();
    let is_product = |path: &str| path.starts_with(PRODUCT) && !path.starts_with(SIMULATED);
    for file in parsed.iter().filter(|parsed| is_product(&parsed.file.path)) {
        let mut search = Search { path: &file.file.path, logged: &mut logged, offences: &mut offences };
        search.visit_file(&file.tree);
    }
    let explained: BTreeSet<Entry> =
        files.iter().find(|file| file.path == PAGE).map(|page| rows(&page.text)).unwrap_or_default();
    for (entry, place) in &logged {
        if !explained.contains(entry) {
            let (message, level) = entry;
            offences.push(format!("logs: {place}: {PAGE} does not explain `{message}` ({level})"));
        }
    }
    for (message, level) in explained.iter().filter(|entry| !logged.contains_key(*entry)) {
        offences.push(format!("logs: {PAGE}: no code logs `{message}` ({level})"));
    }
    offences
}

/// Returns the messages and levels of the table. Its first column has the message as code, the second the level.
fn rows(page: &str) -> BTreeSet<Entry> {
    let section = page.split_once(SECTION).map_or("", |(_, rest)| rest);
    let section = section.split("\n## ").next().unwrap_or_default();
    section.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Entry> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    let message = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    let level = cells.next().filter(|level| LEVELS.contains(level))?;
    Some((message.to_owned(), level.to_owned()))
}

struct Search<'a> {
    path: &'a str,
    logged: &'a mut BTreeMap<Entry, String>,
    offences: &'a mut Vec<String>,
}

impl Search<'_> {
    fn add(&mut self, level: &str, line: usize, arguments: &TokenStream) {
        let place = format!("{}:{line}", self.path);
        let Some(message) = message(arguments) else {
            self.offences.push(format!("logs: {place}: this log call has no constant message"));
            return;
        };
        let starts_well = message.chars().next().is_some_and(|first| first.is_lowercase() || first.is_ascii_digit());
        if !starts_well || message.ends_with('.') || message.contains('{') {
            self.offences
                .push(format!("logs: {place}: write `{message}` in lower case, without a full stop and values"));
        }
        self.logged.entry((message, level.to_owned())).or_insert(place);
    }
}

impl Search<'_> {
    /// Searches the arguments of a macro such as `select!`, which the parser leaves as tokens.
    fn search_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            if let TokenTree::Group(group) = token {
                self.search_tokens(group.stream());
            }
            if let (TokenTree::Ident(from), [_, _, TokenTree::Ident(level), _, TokenTree::Group(arguments), ..]) =
                (token, &tokens[at + 1..])
                && from == "tracing"
                && LEVELS.iter().any(|known| level == known)
            {
                self.add(&level.to_string(), from.span().start().line, &arguments.stream());
            }
        }
    }
}

impl<'tree> Visit<'tree> for Search<'_> {
    fn visit_macro(&mut self, call: &'tree Macro) {
        let names: Vec<String> = call.path.segments.iter().map(|name| name.ident.to_string()).collect();
        if let [from, level] = names.as_slice()
            && from == "tracing"
            && LEVELS.contains(&level.as_str())
        {
            self.add(level, call.path.span().start().line, &call.tokens);
        }
        self.search_tokens(call.tokens.clone());
    }
}

/// Returns the message of a log call: the first string that is an argument, not the value of a field.
fn message(arguments: &TokenStream) -> Option<String> {
    let mut starts_argument = true;
    for token in arguments.clone() {
        match token {
            TokenTree::Literal(literal) if starts_argument => {
                let text: syn::LitStr = syn::parse2(TokenTree::Literal(literal).into()).ok()?;
                return Some(text.value());
            }
            TokenTree::Punct(mark) => starts_argument = mark.as_char() == ',',
            TokenTree::Group(_) | TokenTree::Ident(_) | TokenTree::Literal(_) => starts_argument = false,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::syntax::parse;
    use super::*;

    const TABLE: &str = "## Log messages\n\n| Message | Level | Meaning |\n| --- | --- | --- |\n| `town created` | info | x |\n\n## Next\n";

    fn found(body: &str) -> Vec<String> {
        let files = [
            SourceFile::new("crates/gastown-server/src/a.rs", format!("fn f() {{ {body} }}").as_str()),
            SourceFile::new(PAGE, TABLE),
        ];
        offences(&files, &parse(&files).0)
    }

    #[test]
    fn an_explained_message_passes_with_its_level_only() {
        for ok in [
            r#"tracing::info!("town created");"#,
            r#"tracing::info!(town.id = %id, name = "x", error = &error as &dyn Error, "town created");"#,
            r#"tokio::select! { () = a => { tracing::info!(%id, "town created"); } }"#,
        ] {
            assert_eq!(found(ok), Vec::<String>::new(), "{ok}");
        }
        assert_eq!(found(r#"tracing::warn!("town created");"#).len(), 2);
    }

    #[test]
    fn an_unexplained_message_and_a_row_without_one_are_found() {
        let found = found(r#"tracing::warn!(%id, "town lost");"#);
        assert_eq!(
            found,
            [
                "logs: crates/gastown-server/src/a.rs:1: docs/operations.md does not explain `town lost` (warn)",
                "logs: docs/operations.md: no code logs `town created` (info)",
            ]
        );
    }

    #[test]
    fn messages_have_one_form() {
        for bad in ["Town created", "town created.", "town {id} created"] {
            let found = found(&format!("tracing::info!(\"{bad}\");"));
            assert!(found.iter().any(|line| line.contains("in lower case")), "{bad}: {found:?}");
        }
        assert!(found("tracing::info!(%id);")[0].contains("no constant message"));
    }
}
