//! Patterns that take everything.

use std::collections::BTreeSet;

use syn::{Pat, PatIdent};

/// Returns the alternatives of `A | B`, or the pattern alone.
pub(super) fn alternatives(pattern: &Pat) -> Vec<&Pat> {
    match pattern {
        Pat::Or(or) => or.cases.iter().flat_map(alternatives).collect(),
        Pat::Paren(inner) => alternatives(&inner.pat),
        Pat::Reference(inner) => alternatives(&inner.pat),
        other => vec![other],
    }
}

/// Returns true where every value fits. A lone identifier binds, unless it is an imported variant.
pub(super) fn takes_everything(pattern: &Pat, variants: &BTreeSet<String>) -> bool {
    let takes_everything = |inner: &Pat| takes_everything(inner, variants);
    match pattern {
        Pat::Wild(_) | Pat::Rest(_) => true,
        Pat::Ident(PatIdent { subpat: Some((_, inner)), .. }) => takes_everything(inner),
        Pat::Ident(PatIdent { ident, .. }) => {
            let name = ident.to_string();
            name.starts_with(|c: char| c.is_lowercase() || c == '_') && !variants.contains(&name)
        }
        Pat::Paren(inner) => takes_everything(&inner.pat),
        Pat::Reference(inner) => takes_everything(&inner.pat),
        Pat::Or(or) => or.cases.iter().any(takes_everything),
        Pat::Tuple(tuple) => tuple.elems.iter().all(takes_everything),
        _ => false,
    }
}
