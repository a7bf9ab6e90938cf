//! Code in the arguments of macros, which the parser leaves as tokens.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser};
use syn::{Expr, ExprMatch, Pat, Token};

/// Relevant code in the arguments of a macro, at any depth.
#[derive(Default)]
pub(super) struct Inside {
    /// Each `match`, as far as it can be parsed.
    pub(super) expressions: Vec<ExprMatch>,
    /// The arguments of each `matches!`.
    pub(super) matches: Vec<(Span, TokenStream)>,
}

/// Searches the arguments of a macro.
pub(super) fn inside(arguments: &TokenStream) -> Inside {
    let mut inside = Inside::default();
    inside.read(arguments.clone());
    inside
}

impl Inside {
    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match (token, &tokens[at + 1..]) {
                (TokenTree::Ident(name), [TokenTree::Punct(mark), TokenTree::Group(arguments), ..])
                    if name == "matches" && mark.as_char() == '!' =>
                {
                    self.matches.push((name.span(), arguments.stream()));
                }
                (TokenTree::Ident(name), _) if name == "match" => {
                    let rest: TokenStream = tokens[at..].iter().cloned().collect();
                    self.expressions.extend(first_match.parse2(rest));
                }
                (TokenTree::Group(group), _) => self.read(group.stream()),
                _ => {}
            }
        }
    }
}

fn first_match(input: ParseStream<'_>) -> syn::Result<ExprMatch> {
    let expression = input.parse()?;
    input.parse::<TokenStream>()?;
    Ok(expression)
}

/// Parses `value, pattern if guard`.
pub(super) fn pattern_of_matches(arguments: &TokenStream) -> Option<Pat> {
    let parse = |input: ParseStream<'_>| {
        input.parse::<Expr>()?;
        input.parse::<Token![,]>()?;
        let pattern = Pat::parse_multi_with_leading_vert(input)?;
        input.parse::<TokenStream>()?;
        Ok(pattern)
    };
    parse.parse2(arguments.clone()).ok()
}
