//! The contents of the pages. Pure: values in, HTML out. `maud` escapes every text.

mod events;
mod operations;
mod orphans;
mod overview;
mod rollout;
#[cfg(test)]
mod tests;
mod texts;
mod town;
mod towns;

pub(crate) use events::events;
pub(crate) use operations::operations;
pub(crate) use orphans::orphans;
pub(crate) use overview::{Overview, overview};
pub(crate) use rollout::rollout;
pub(crate) use texts::{cause_of, is_failure};
pub(crate) use town::{Forms, town};
pub(crate) use towns::towns;

use maud::{Markup, html};

use crate::document::framed;

/// Returns the page with the form to sign in, which is all that a visitor without the token sees.
pub(crate) fn sign_in(was_refused: bool) -> Markup {
    let content = html! {
        form.sign-in method="post" action="/console/login" {
            h1 { "Gastown Cloud" }
            label for="token" { "Operator's token" }
            input #token type="password" name="token" required autocomplete="current-password" autofocus;
            button { "Sign in" }
            @if was_refused { p.bad role="alert" { "This is not the token." } }
        }
    };
    framed("Sign in", &content)
}

/// Returns the page for a request that names another host than this machine.
pub(crate) fn wrong_host(url: &str) -> Markup {
    let content = html! {
        h1 { "Wrong address" }
        p {
            "Without a token, this console answers only under the address of this machine. Open "
            a href=(url) { (url) } "."
        }
    };
    framed("Wrong address", &content)
}

/// Returns a page's content with one sentence.
pub(crate) fn sentence(title: &str, text: &str) -> Markup {
    html! { h1 { (title) } p { (text) } }
}
