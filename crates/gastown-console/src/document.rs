//! The frame of every page, and the headers that keep a browser from running or loading anything else.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("console.css");
const SCRIPT: &str = include_str!("console.js");

/// Only our style and our script, by their hashes, and forms and calls to this console.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    let policy = format!(
        "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    policy.parse().ok()
});

fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// The pages in the navigation, with their addresses.
const PAGES: [(&str, &str); 6] = [
    ("Overview", "/console"),
    ("Towns", "/console/towns"),
    ("Operations", "/console/operations"),
    ("Rollout", "/console/rollout"),
    ("Orphans", "/console/orphans"),
    ("Events", "/console/events"),
];

/// The form to sign out.
pub(crate) struct SignOut {
    /// The token of the form.
    pub(crate) token: String,
    /// The operator who is signed in, as events name it.
    pub(crate) operator: String,
}

/// Returns a page. `at` is the address of the page in the navigation. Only visitors with a session can sign out.
pub(crate) fn page(title: &str, at: &str, sign_out: Option<&SignOut>, content: &Markup) -> Markup {
    framed(
        title,
        &html! {
            header {
                strong { "Gastown Cloud" }
                nav aria-label="Pages" {
                    @for (name, address) in PAGES {
                        a href=(address) aria-current=[(address == at).then_some("page")] { (name) }
                    }
                }
                span.quiet data-state { "not live" }
                @if let Some(SignOut { token, operator }) = sign_out {
                    span.quiet { (operator) }
                    form method="post" action="/console/logout" {
                        input type="hidden" name="form_token" value=(token);
                        button { "Sign out" }
                    }
                }
            }
            main { (content) }
            script { (PreEscaped(SCRIPT)) }
        },
    )
}

/// Returns a page with only this content, without a script.
pub(crate) fn framed(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Gastown Cloud" }
                style { (PreEscaped(STYLE)) }
            }
            body { (content) }
        }
    }
}

/// Adds the headers of security to every answer.
pub(crate) async fn secured(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    if let Some(policy) = POLICY.clone() {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
