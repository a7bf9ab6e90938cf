//! The lengths of functions, from the line of `fn` to that of the closing brace.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, ItemFn, Signature, TraitItemFn};

use super::syntax::Parsed;

/// The longest function that is allowed, in lines.
const MAX_LINES: usize = 50;
/// The median of what is shipped stays below this, in lines.
const MEDIAN_BELOW: usize = 10;

/// Every function of product code. Those of `xtask` and `migration` are not shipped, and count only for the limit.
pub(super) struct Functions(Vec<Function>);

struct Function {
    name: String,
    /// `path:line`
    place: String,
    lines: usize,
    is_shipped: bool,
}

impl Functions {
    pub(super) fn of(parsed: &[Parsed<'_>]) -> Self {
        Self(parsed.iter().flat_map(in_file).collect())
    }

    /// Returns the functions that are too long, and the median if it is.
    pub(super) fn offences(&self) -> Vec<String> {
        let long = self.0.iter().filter(|function| function.lines > MAX_LINES);
        let long = long.map(|Function { name, place, lines, .. }| {
            format!("functions: {place}: `{name}` has {lines} lines, at most {MAX_LINES} are allowed")
        });
        let median = self.median().filter(|median| *median >= MEDIAN_BELOW);
        let median =
            median.map(|median| format!("functions: the median is {median} lines, it must be below {MEDIAN_BELOW}"));
        long.chain(median).collect()
    }

    /// Returns the median and the longest function of what is shipped, as one line.
    pub(super) fn summary(&self) -> Option<String> {
        let Function { name, place, lines, .. } = self.shipped().max_by_key(|function| function.lines)?;
        let median = self.median()?;
        Some(format!("functions: median {median} lines, longest {lines} lines: `{name}` in {place}"))
    }

    fn shipped(&self) -> impl Iterator<Item = &Function> {
        self.0.iter().filter(|function| function.is_shipped)
    }

    fn median(&self) -> Option<usize> {
        let mut lines: Vec<usize> = self.shipped().map(|function| function.lines).collect();
        lines.sort_unstable();
        lines.get(lines.len() / 2).copied()
    }
}

fn in_file(parsed: &Parsed<'_>) -> Vec<Function> {
    let path = &parsed.file.path;
    let mut search = Search { path, is_shipped: path.starts_with("crates/"), found: Vec::new() };
    search.visit_file(&parsed.tree);
    search.found
}

struct Search<'path> {
    path: &'path str,
    is_shipped: bool,
    found: Vec<Function>,
}

impl Search<'_> {
    fn add(&mut self, signature: &Signature, body: &Block) {
        let line = |span: Span| span.start().line;
        let (first, last) = (line(signature.fn_token.span), line(body.brace_token.span.close()));
        let (name, place) = (signature.ident.to_string(), format!("{}:{first}", self.path));
        self.found.push(Function { name, place, lines: last - first + 1, is_shipped: self.is_shipped });
    }
}

impl<'tree> Visit<'tree> for Search<'_> {
    fn visit_item_fn(&mut self, function: &'tree ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, method: &'tree ImplItemFn) {
        self.add(&method.sig, &method.block);
        visit::visit_impl_item_fn(self, method);
    }

    fn visit_trait_item_fn(&mut self, method: &'tree TraitItemFn) {
        if let Some(body) = &method.default {
            self.add(&method.sig, body);
        }
        visit::visit_trait_item_fn(self, method);
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::parse;
    use super::*;
    use crate::workspace::SourceFile;

    fn function(name: &str, lines: usize) -> String {
        format!("fn {name}() {{\n{}}}\n", "();\n".repeat(lines - 2))
    }

    fn functions(path: &str, code: &str) -> Functions {
        Functions::of(&parse(&[SourceFile::new(path, code)]).0)
    }

    #[test]
    fn lines_run_from_fn_to_the_closing_brace() {
        let code = format!("/// Doc.\n#[inline]\n{}", function("a", MAX_LINES));
        assert_eq!(functions("xtask/src/a.rs", &code).offences(), Vec::<String>::new());
        let code = format!("/// Doc.\n#[inline]\n{}", function("a", MAX_LINES + 1));
        let want = "functions: xtask/src/a.rs:3: `a` has 51 lines, at most 50 are allowed";
        assert_eq!(functions("xtask/src/a.rs", &code).offences(), [want]);
    }

    #[test]
    fn methods_count_and_tests_do_not() {
        let long = function("a", MAX_LINES + 1);
        for code in [format!("impl A {{ {long} }}"), format!("trait A {{ {long} }}"), format!("mod b {{ {long} }}")] {
            assert_eq!(functions("migration/src/a.rs", &code).offences().len(), 1, "{code}");
        }
        for code in [format!("#[cfg(test)] mod tests {{ {long} }}"), format!("impl A {{ #[cfg(test)] {long} }}")] {
            assert_eq!(functions("migration/src/a.rs", &code).offences(), Vec::<String>::new(), "{code}");
        }
    }

    #[test]
    fn the_median_is_that_of_what_is_shipped() {
        let code = [3, MEDIAN_BELOW, MEDIAN_BELOW + 1].map(|lines| function("a", lines)).concat();
        let shipped = functions("crates/a/src/a.rs", &code);
        assert_eq!(shipped.offences(), ["functions: the median is 10 lines, it must be below 10"]);
        let want = "functions: median 10 lines, longest 11 lines: `a` in crates/a/src/a.rs:14";
        assert_eq!(shipped.summary().as_deref(), Some(want));
        let other = functions("xtask/src/a.rs", &code);
        assert_eq!((other.offences(), other.summary()), (Vec::new(), None));
    }
}
