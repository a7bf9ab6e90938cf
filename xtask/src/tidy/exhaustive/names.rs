//! The names by which a file calls the enums and their variants.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{ItemUse, Pat, PatIdent, Path, Type, UseTree};

use super::{ENUMS, macros, patterns};

/// The variants of each enum, for imports of all of them.
pub(super) struct Variants(BTreeMap<String, BTreeSet<String>>);

impl Variants {
    /// Reads every `enum Name { … }` in the tokens of the files, because some are defined inside a macro.
    pub(super) fn of<'file>(files: impl Iterator<Item = &'file str>) -> Self {
        let mut variants = BTreeMap::new();
        for tokens in files.filter_map(|file| file.parse().ok()) {
            read_enums(tokens, &mut variants);
        }
        Self(variants)
    }
}

fn read_enums(tokens: TokenStream, variants: &mut BTreeMap<String, BTreeSet<String>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        match at.checked_sub(2).map(|before| &tokens[before..at]) {
            Some([TokenTree::Ident(keyword), TokenTree::Ident(name)])
                if keyword == "enum" && ENUMS.iter().any(|wanted| name == wanted) =>
            {
                variants.insert(name.to_string(), variants_in(group.stream()));
            }
            _ => read_enums(group.stream(), variants),
        }
    }
}

/// Returns the identifiers that follow the beginning, a comma, or an attribute.
fn variants_in(body: TokenStream) -> BTreeSet<String> {
    let mut variants = BTreeSet::new();
    let mut begins = true;
    for token in body {
        match token {
            TokenTree::Ident(name) if begins => {
                variants.insert(name.to_string());
                begins = false;
            }
            TokenTree::Punct(mark) => begins = mark.as_char() == ',' || (begins && mark.as_char() == '#'),
            TokenTree::Group(group) => begins &= group.delimiter() == Delimiter::Bracket,
            TokenTree::Ident(_) | TokenTree::Literal(_) => begins = false,
        }
    }
    variants
}

/// The names that count in one file.
pub(super) struct Names {
    /// The enums, under their own names and under those that an import gives them.
    enums: BTreeSet<String>,
    /// Variants that are imported by name.
    variants: BTreeSet<String>,
    /// True inside an `impl` of one of the enums, where `Self` names it.
    in_enum: bool,
}

impl Names {
    pub(super) fn of(file: &syn::File, variants: &Variants) -> Self {
        let enums = ENUMS.iter().map(ToString::to_string).collect();
        let mut imports = Imports { names: Self { enums, variants: BTreeSet::new(), in_enum: false }, known: variants };
        imports.visit_file(file);
        imports.names
    }

    /// Enters an `impl` of a type, and returns what [`leave`](Self::leave) needs.
    pub(super) fn enter(&mut self, of: &Type) -> bool {
        let is_enum = matches!(of, Type::Path(path)
            if path.path.segments.last().is_some_and(|name| self.enums.contains(&name.ident.to_string())));
        std::mem::replace(&mut self.in_enum, is_enum)
    }

    pub(super) fn leave(&mut self, outer: bool) {
        self.in_enum = outer;
    }

    /// Returns true where the pattern names a variant of one of the enums.
    pub(super) fn are_in(&self, pattern: &Pat) -> bool {
        let mut mentions = Mentions { names: self, found: false };
        mentions.visit_pat(pattern);
        mentions.found
    }

    /// Returns true where the pattern takes every variant, given all patterns of the same `match`.
    pub(super) fn are_hidden_by(&self, pattern: &Pat, all: &[&Pat]) -> bool {
        if patterns::takes_everything(pattern, &self.variants) {
            return true;
        }
        // `Some(_)` hides what `Some(Step::A)` names.
        let Pat::TupleStruct(wrapper) = pattern else { return false };
        let hides = !wrapper.elems.is_empty()
            && wrapper.elems.iter().all(|element| patterns::takes_everything(element, &self.variants));
        hides
            && all.iter().any(|other| match other {
                Pat::TupleStruct(other) => {
                    other.path == wrapper.path && other.elems.iter().any(|element| self.are_in(element))
                }
                _ => false,
            })
    }

    /// Returns true where the arguments of a `matches!` name a variant in their pattern.
    pub(super) fn are_in_matches(&self, arguments: &TokenStream) -> bool {
        macros::pattern_of_matches(arguments).is_some_and(|pattern| self.are_in(&pattern))
    }

    fn is_variant(&self, path: &Path) -> bool {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        match names.as_slice() {
            [] => false,
            [name] => self.variants.contains(name),
            [.., of, _] => self.enums.contains(of) || (self.in_enum && of == "Self"),
        }
    }
}

struct Mentions<'names> {
    names: &'names Names,
    found: bool,
}

impl<'tree> Visit<'tree> for Mentions<'_> {
    fn visit_path(&mut self, path: &'tree Path) {
        self.found |= self.names.is_variant(path);
        visit::visit_path(self, path);
    }

    fn visit_pat_ident(&mut self, pattern: &'tree PatIdent) {
        self.found |= self.names.variants.contains(&pattern.ident.to_string());
        visit::visit_pat_ident(self, pattern);
    }
}

struct Imports<'known> {
    names: Names,
    known: &'known Variants,
}

impl Imports<'_> {
    fn read(&mut self, tree: &UseTree, of: Option<&str>) {
        match tree {
            UseTree::Path(path) => {
                let name = path.ident.to_string();
                self.read(&path.tree, ENUMS.contains(&name.as_str()).then_some(&name));
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.read(item, of)),
            UseTree::Name(name) if of.is_some() && name.ident != "self" => {
                self.names.variants.insert(name.ident.to_string());
            }
            UseTree::Rename(rename) if ENUMS.iter().any(|name| rename.ident == name) => {
                self.names.enums.insert(rename.rename.to_string());
            }
            UseTree::Rename(rename) if of.is_some() && rename.ident == "self" => {
                self.names.enums.insert(rename.rename.to_string());
            }
            UseTree::Rename(rename) if of.is_some() => {
                self.names.variants.insert(rename.rename.to_string());
            }
            UseTree::Glob(_) => {
                let all = of.and_then(|name| self.known.0.get(name));
                self.names.variants.extend(all.into_iter().flatten().cloned());
            }
            UseTree::Name(_) | UseTree::Rename(_) => {}
        }
    }
}

impl<'tree> Visit<'tree> for Imports<'_> {
    fn visit_item_use(&mut self, import: &'tree ItemUse) {
        self.read(&import.tree, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_read_inside_macros_too() {
        let file = "text_enum! { expected \"a step\";\n/// A step.\npub enum Step { /// First.\n A = \"a\", #[x] B(u8, u8), C { id: u8 }, } }
            enum Other { D }";
        let variants = Variants::of([file].into_iter());
        assert_eq!(variants.0["Step"], ["A", "B", "C"].map(ToOwned::to_owned).into());
        assert!(!variants.0.contains_key("Other"));
    }
}
