//! Product code as syntax trees, for the rules that a search for text cannot check.

use proc_macro2::TokenStream;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Block, ImplItem, Item, ItemImpl, ItemMod, Stmt};

use crate::workspace::SourceFile;

/// A file of product code, parsed. The tree has no items that only test builds have.
pub(super) struct Parsed<'file> {
    pub(super) file: &'file SourceFile,
    pub(super) tree: syn::File,
}

/// Parses every file of Rust below a `src` folder, without those that hold only tests. The second list names the files
/// that cannot be parsed.
pub(super) fn parse(files: &[SourceFile]) -> (Vec<Parsed<'_>>, Vec<String>) {
    let (mut parsed, mut offences) = (Vec::new(), Vec::new());
    for file in files.iter().filter(|file| is_product(file)) {
        match syn::parse_file(&file.text) {
            Ok(mut tree) => {
                TestRemover.visit_file_mut(&mut tree);
                parsed.push(Parsed { file, tree });
            }
            Err(error) => offences.push(format!("syntax: {}:{}: {error}", file.path, error.span().start().line)),
        }
    }
    (parsed, offences)
}

fn is_product(file: &SourceFile) -> bool {
    let is_test = file.name() == "tests.rs" || file.path.contains("/tests/");
    file.is_rust() && file.path.contains("/src/") && !is_test
}

/// Removes the items and methods that only test builds have.
struct TestRemover;

impl VisitMut for TestRemover {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        file.items.retain(|item| !is_test_item(item));
        visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_mod_mut(&mut self, module: &mut ItemMod) {
        if let Some((_, items)) = &mut module.content {
            items.retain(|item| !is_test_item(item));
        }
        visit_mut::visit_item_mod_mut(self, module);
    }

    fn visit_item_impl_mut(&mut self, item: &mut ItemImpl) {
        item.items.retain(|item| !is_test_method(item));
        visit_mut::visit_item_impl_mut(self, item);
    }

    fn visit_block_mut(&mut self, block: &mut Block) {
        block.stmts.retain(|statement| !matches!(statement, Stmt::Item(item) if is_test_item(item)));
        visit_mut::visit_block_mut(self, block);
    }
}

/// Returns true for an item that only test builds have.
fn is_test_item(item: &Item) -> bool {
    let attributes = match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return false,
    };
    is_for_tests(attributes)
}

/// Returns true for a method that only test builds have.
fn is_test_method(item: &ImplItem) -> bool {
    matches!(item, ImplItem::Fn(method) if is_for_tests(&method.attrs))
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_test = attribute.path().segments.last().is_some_and(|name| name.ident == "test");
        let only_in_tests = attribute.path().is_ident("cfg")
            && attribute.parse_args::<TokenStream>().is_ok_and(|condition| condition.to_string() == "test");
        is_test || only_in_tests
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_product_code_is_parsed() {
        let file = |path| SourceFile::new(path, "fn a() {}");
        let files = [
            "crates/a/src/a.rs",
            "crates/a/src/b/tests.rs",
            "crates/a/src/tests/c.rs",
            "crates/a/tests/it/d.rs",
            "e.md",
        ];
        let files = files.map(file);
        let (parsed, offences) = parse(&files);
        assert_eq!(parsed.iter().map(|parsed| parsed.file.path.as_str()).collect::<Vec<_>>(), ["crates/a/src/a.rs"]);
        assert_eq!(offences, Vec::<String>::new());
    }

    #[test]
    fn a_file_that_does_not_parse_is_named_with_its_line() {
        let files = [SourceFile::new("xtask/src/a.rs", "\nfn fn")];
        let (_, offences) = parse(&files);
        assert!(matches!(&offences[..], [one] if one.starts_with("syntax: xtask/src/a.rs:2: ")), "{offences:?}");
    }

    #[test]
    fn trees_have_no_tests_at_any_depth() {
        let tests = "#[cfg(test)] mod tests {} #[cfg(test)] fn for_tests() {}";
        let code =
            format!("{tests} mod a {{ {tests} fn b() {{ {tests} }} }} impl A {{ #[cfg(test)] fn for_tests() {{}} }}");
        let files = [SourceFile::new("xtask/src/a.rs", code.as_str())];
        let want: syn::File = syn::parse_str("mod a { fn b() {} } impl A {}").unwrap();
        assert!(parse(&files).0[0].tree == want);
    }

    #[test]
    fn test_items_are_known_by_their_attributes() {
        for (item, want) in [
            ("#[cfg(test)] mod tests {}", true),
            ("#[test] fn a() {}", true),
            ("#[tokio::test(start_paused = true)] async fn a() {}", true),
            ("#[cfg(feature = \"test\")] fn a() {}", false),
            ("#[cfg(any(test, feature = \"x\"))] fn a() {}", false),
            ("fn test() {}", false),
        ] {
            assert_eq!(is_test_item(&syn::parse_str(item).unwrap()), want, "{item}");
        }
    }
}
