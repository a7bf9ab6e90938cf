//! No wildcard over the enums that decide an operation: a new variant has to be decided wherever one is matched.

mod macros;
mod names;
mod patterns;

use std::collections::BTreeSet;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{ExprMatch, ItemImpl, Macro, Pat};

use super::syntax::Parsed;
use names::{Names, Variants};

/// The enums whose variants are spelled out.
const ENUMS: &[&str] = &["Step", "StepName", "StepEffect", "OperationKind", "Failure", "Phase"];
/// The code that matches them.
const FOLDERS: &[&str] = &["crates/gastown-domain/src/", "crates/gastown-orchestrator/src/"];

/// Returns every wildcard arm and every `matches!` over one of the enums.
pub(super) fn offences(parsed: &[Parsed<'_>]) -> Vec<String> {
    let watched = || parsed.iter().filter(|parsed| FOLDERS.iter().any(|folder| parsed.file.path.starts_with(folder)));
    let variants = Variants::of(watched().map(|parsed| parsed.file.text.as_str()));
    watched().flat_map(|parsed| in_file(parsed, &variants)).collect()
}

fn in_file(parsed: &Parsed<'_>, variants: &Variants) -> Vec<String> {
    let mut search = Search { names: Names::of(&parsed.tree, variants), found: BTreeSet::new() };
    search.visit_file(&parsed.tree);
    let path = &parsed.file.path;
    search.found.into_iter().map(|(line, found)| format!("exhaustive: {path}:{line}: {found}")).collect()
}

const ARM: &str = "this arm hides new variants of our own enum; name each variant";
const MATCHES: &str = "`matches!` hides new variants of our own enum; write an exhaustive `match`";

struct Search {
    names: Names,
    /// Lines with what is wrong there. A `match` in a macro is seen more than once.
    found: BTreeSet<(usize, &'static str)>,
}

impl Search {
    fn add(&mut self, at: Span, what: &'static str) {
        self.found.insert((at.start().line, what));
    }
}

impl<'tree> Visit<'tree> for Search {
    fn visit_item_impl(&mut self, item: &'tree ItemImpl) {
        let outer = self.names.enter(&item.self_ty);
        visit::visit_item_impl(self, item);
        self.names.leave(outer);
    }

    fn visit_expr_match(&mut self, expression: &'tree ExprMatch) {
        let arms: Vec<&Pat> = expression.arms.iter().flat_map(|arm| patterns::alternatives(&arm.pat)).collect();
        if arms.iter().any(|arm| self.names.are_in(arm)) {
            for arm in expression.arms.iter().filter(|arm| arm.guard.is_none()) {
                if patterns::alternatives(&arm.pat).iter().any(|pattern| self.names.are_hidden_by(pattern, &arms)) {
                    self.add(arm.pat.span(), ARM);
                }
            }
        }
        visit::visit_expr_match(self, expression);
    }

    fn visit_macro(&mut self, call: &'tree Macro) {
        if call.path.is_ident("matches") && self.names.are_in_matches(&call.tokens) {
            self.add(call.path.span(), MATCHES);
        }
        let inside = macros::inside(&call.tokens);
        for (at, tokens) in inside.matches {
            if self.names.are_in_matches(&tokens) {
                self.add(at, MATCHES);
            }
        }
        inside.expressions.iter().for_each(|expression| Search::visit_expr_match(self, expression));
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::parse;
    use super::*;
    use crate::workspace::SourceFile;

    const STEPS: &str = "pub enum Step { A, B(u8), C { id: u8 } }\n";

    fn found(code: &str) -> Vec<String> {
        let files = [
            SourceFile::new("crates/gastown-domain/src/step.rs", STEPS),
            SourceFile::new("crates/gastown-orchestrator/src/a.rs", code),
        ];
        offences(&parse(&files).0)
    }

    fn in_function(body: &str) -> Vec<String> {
        found(&format!("fn f() {{ {body} }}"))
    }

    #[test]
    fn the_line_of_the_arm_is_named() {
        let want = format!("exhaustive: crates/gastown-orchestrator/src/a.rs:3: {ARM}");
        assert_eq!(found("fn f() { match step {\nStep::A => 1,\n_ => 2 } }"), [want]);
    }

    #[test]
    fn arms_that_take_everything_are_caught() {
        for body in [
            "match step { Step::A => 1, _ => 2 }",
            "match step { Step::A => 1, other => 2 }",
            "match step { Step::A => 1, ref other => 2 }",
            "match step { Step::A => 1, all @ _ => 2 }",
            "match &step { &Step::B(_) => 1, &_ => 2 }",
            "match step { crate::plan::Step::C { .. } => 1, Step::A | _ => 2 }",
            "match (step, 1) { (Step::A, 1) => 1, _ => 2 }",
            "match (step, 1) { (Step::A, 1) => 1, (_, _) => 2 }",
            "match (step, 1) { (Step::A, 1) => 1, (..) => 2 }",
            "match (step, 1) { (Step::A, 1) => 1, (step, (_, one)) => 2 }",
            "match step { Some(Step::A) => 1, Some(_) => 2, None => 3 }",
            "match step { Some(Step::A) => 1, Some(other) => 2, None => 3 }",
            "let f = || match kind { OperationKind::Stop => 1, _ => 2 };",
            "use OperationKind as Kind; match kind { Kind::Stop => 1, _ => 2 }",
            "use Failure::NoCapacity; match failure { NoCapacity => 1, _ => 2 }",
            "use super::{Failure::{self, NoCapacity as Full}}; match failure { Full => 1, _ => 2 }",
            "use Step::*; match step { B(_) => 1, _ => 2 }",
        ] {
            assert_eq!(in_function(body).len(), 1, "{body}");
        }
    }

    #[test]
    fn arms_that_name_each_variant_pass() {
        for body in [
            "match step { Step::A => 1, Step::B(_) | Step::C { .. } => 2 }",
            "match step { Step::A => 1, _ if late => 2, Step::B(_) | Step::C { .. } => 3 }",
            "match (step, 1) { (Step::A, _) => 1, (Step::B(_) | Step::C { .. }, _) => 2 }",
            "match (step, power) { (Step::A, _) => 1, (_, On) => 2, (_, Off) => 3 }",
            "match step { Ok(Step::A) => 1, Ok(Step::B(_) | Step::C { .. }) => 2, Err(_) => 3 }",
            "match number { 1 => Step::A, _ => Step::B(2) }",
            "match other { Other::A => 1, _ => 2 }",
            "match word { A => 1, _ => 2 }",
            "match step { Step::A => match number { 1 => 1, _ => 2 }, Step::B(_) | Step::C { .. } => 3 }",
        ] {
            assert_eq!(in_function(body), Vec::<String>::new(), "{body}");
        }
    }

    #[test]
    fn the_enums_own_methods_are_held_too() {
        let method = |arm: &str| format!("impl Step {{ fn f(self) {{ match self {{ Self::A => 1, {arm} => 2 }} }} }}");
        assert_eq!(found(&method("_")).len(), 1);
        assert_eq!(found(&method("Self::B(_) | Self::C { .. }")), Vec::<String>::new());
        assert_eq!(found(&method("_").replace("impl Step", "impl Other")), Vec::<String>::new());
        assert_eq!(found(&method("_").replace("impl Step", "impl From<Step> for u8")), Vec::<String>::new());
    }

    #[test]
    fn matches_is_a_wildcard() {
        for body in [
            "matches!(step, Step::A | Step::B(_))",
            "matches!(f(a, b), Some(OperationKind::Stop) if late)",
            "assert!(!matches!(step, Step::A), \"{step:?}\")",
            "tokio::select! { _ = wait() => { if matches!(step, Step::A) {} } }",
        ] {
            assert_eq!(in_function(body).len(), 1, "{body}");
        }
        assert_eq!(in_function("matches!(step, Other::A)"), Vec::<String>::new());
        assert_eq!(in_function("matches!(Step::A, Other::A)"), Vec::<String>::new());
    }

    #[test]
    fn a_match_in_a_macro_is_seen() {
        let body = |arm: &str| format!("info!(code = match step {{ Step::A => 1, {arm} => 2 }}, \"done\");");
        assert_eq!(in_function(&body("_")).len(), 1);
        assert_eq!(in_function(&body("Step::B(_) | Step::C { .. }")), Vec::<String>::new());
    }

    #[test]
    fn tests_and_other_crates_are_not_held() {
        let arm = "match step { Step::A => 1, _ => 2 }";
        assert_eq!(found(&format!("#[cfg(test)] mod tests {{ fn f() {{ {arm} }} }}")), Vec::<String>::new());
        let elsewhere = [SourceFile::new("crates/gastown-http/src/a.rs", &format!("fn f() {{ {arm} }}"))];
        assert_eq!(offences(&parse(&elsewhere).0), Vec::<String>::new());
    }
}
