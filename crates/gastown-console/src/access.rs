//! The visitors of the console: operators with the token, or everyone on this machine in development.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::operators::{Known, Operators};
use crate::pages::Console;
use crate::session::LIFETIME;
use crate::view;

/// The name of the cookie.
const COOKIE: &str = "gastown_console";
/// The protocol of the client, as a proxy reports it.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The condition for every page.
#[derive(Debug, Clone)]
pub enum Access {
    /// A token of an operator.
    Operators(Operators),
    /// None, for a listener on a loopback address. The request must name that address. Otherwise a site could read the console
    /// under a name of its own.
    Loopback {
        /// The address of the console, which is shown to a request that names another.
        url: String,
    },
}

/// The reason why a request sees nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has neither a token nor a session that holds.
    SignedOut,
    /// Its bearer token is another one.
    WrongToken,
    /// It names another host than this machine.
    WrongHost {
        /// The address to use.
        url: String,
    },
}

impl Access {
    /// Returns the address to use, if the request names a host that is not this console's.
    pub fn other_host(&self, request: &mut Request) -> Option<&str> {
        name_host(request);
        match self {
            Self::Operators(_) => None,
            Self::Loopback { url } => (!names_loopback(request.headers())).then_some(url),
        }
    }

    /// Returns the actor of a request without a session, for its events. `None`: it has no right to anything here.
    pub fn actor(&self, headers: &HeaderMap) -> Option<String> {
        match self {
            Self::Operators(operators) => {
                operators.with_token(bearer(headers)?).map(|known| operators.actor(known).to_owned())
            }
            Self::Loopback { .. } => names_loopback(headers).then(|| "operator:console".to_owned()),
        }
    }
}

/// A visitor who may see the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visitor {
    /// The cookie of the session, or an empty text. Tokens of forms belong to it.
    pub(crate) session: String,
    /// True if the visitor can sign out.
    pub(crate) has_session: bool,
    operator: Known,
}

/// The condition with the keys of sessions.
pub(crate) struct Door {
    /// The address of a console without a token.
    loopback: Option<String>,
    operators: Operators,
}

impl Door {
    /// `random` is the key of forms without a token.
    pub(crate) fn new(access: Access, random: SecretString) -> Self {
        match access {
            Access::Operators(operators) => Self { loopback: None, operators },
            Access::Loopback { url } => Self { loopback: Some(url), operators: Operators::new([(None, random)]) },
        }
    }

    /// Returns the actor in the events of a visitor's actions.
    pub(crate) fn actor(&self, visitor: &Visitor) -> &str {
        self.operators.actor(visitor.operator)
    }

    /// Returns the token of the visitor's forms.
    pub(crate) fn form_token(&self, visitor: &Visitor) -> String {
        let sessions = self.operators.sessions(visitor.operator);
        sessions.map_or_else(String::new, |sessions| sessions.form_token(&visitor.session))
    }

    /// Returns true if the token is that of the visitor's forms.
    pub(crate) fn is_form_token(&self, visitor: &Visitor, given: &str) -> bool {
        let sessions = self.operators.sessions(visitor.operator);
        sessions.is_some_and(|sessions| sessions.is_form_token(&visitor.session, given))
    }

    /// Returns the visitor of a request, or why it sees nothing.
    pub(crate) fn visitor(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Result<Visitor, Refusal> {
        let without_session = |operator| Visitor { session: String::new(), has_session: false, operator };
        match &self.loopback {
            Some(_) if names_loopback(headers) => return Ok(without_session(Operators::first())),
            Some(url) => return Err(Refusal::WrongHost { url: url.clone() }),
            None => {}
        }
        let of_cookie = |value: &str| {
            let operator = self.operators.with_session(value, now)?;
            Some(Visitor { session: value.to_owned(), has_session: true, operator })
        };
        if let Some(visitor) = cookies(headers).find_map(of_cookie) {
            return Ok(visitor);
        }
        let token = bearer(headers).ok_or(Refusal::SignedOut)?;
        self.operators.with_token(token).map(without_session).ok_or(Refusal::WrongToken)
    }

    /// Returns the cookie of a new session if the token is right. Without a token, no one signs in.
    pub(crate) fn sign_in(&self, given: &str, headers: &HeaderMap, now: DateTime<Utc>, nonce: &str) -> Option<String> {
        let operator = self.operators.with_token(given).filter(|_| self.loopback.is_none())?;
        let session = self.operators.sessions(operator)?.issue(now, nonce);
        Some(cookie(&session, LIFETIME.num_seconds(), is_https(headers)))
    }

    /// Returns the cookie that ends a session in the browser.
    pub(crate) fn sign_out(headers: &HeaderMap) -> String {
        cookie("", 0, is_https(headers))
    }
}

/// Returns the bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, given) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(given)
}

fn cookie(value: &str, max_age: i64, is_https: bool) -> String {
    let secure = if is_https { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/console; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}")
}

/// Returns the values of our cookie. A browser may send several.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

fn is_https(headers: &HeaderMap) -> bool {
    headers.get(FORWARDED_PROTO).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// Returns true if the host of the request is a loopback address or `localhost`.
fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
        _ => host,
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Names the host of a request by HTTP/2 as one by HTTP/1.1 does.
fn name_host(request: &mut Request) {
    let authority = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(authority) = authority.filter(|_| !request.headers().contains_key(header::HOST)) {
        request.headers_mut().insert(header::HOST, authority);
    }
}

/// Answers 401 with the form to sign in, unless the request may see the console. In development it answers 421 with the address
/// to use.
pub(crate) async fn guard(State(console): State<Arc<Console>>, mut request: Request, next: Next) -> Response {
    name_host(&mut request);
    match console.visitor(request.headers()) {
        Ok(visitor) => {
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Err(Refusal::WrongHost { url }) => {
            (StatusCode::MISDIRECTED_REQUEST, Html(view::wrong_host(&url).into_string())).into_response()
        }
        Err(refusal @ (Refusal::SignedOut | Refusal::WrongToken)) => {
            if refusal == Refusal::WrongToken
                && let Some(refused) = console.wrong_tokens.count(console.sources.clock.now())
            {
                tracing::warn!(refused, "console token refused");
            }
            (StatusCode::UNAUTHORIZED, Html(view::sign_in(false).into_string())).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "operator-token-Zq7Lr5HkXe1BnVs4Gd8WzT";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    fn door() -> Door {
        Door::new(Access::Operators(Operators::new([(None, TOKEN.into())])), "unused".into())
    }

    const NOW: DateTime<Utc> = DateTime::<Utc>::UNIX_EPOCH;

    #[test]
    fn token_opens_as_bearer_or_with_a_session() {
        let door = door();
        for scheme in ["Bearer", "bearer"] {
            let sent = format!("{scheme} {TOKEN}");
            assert!(door.visitor(&headers(&[("authorization", &sent)]), NOW).is_ok(), "{sent}");
        }
        let cookie = door.sign_in(TOKEN, &headers(&[]), NOW, "a1").unwrap();
        let pair = cookie.split(';').next().unwrap();
        let other = format!("theme=dark; {COOKIE}=old; {pair}");
        for sent in [pair, &other] {
            let visitor = door.visitor(&headers(&[("cookie", sent)]), NOW).unwrap();
            assert_eq!(format!("{COOKIE}={}", visitor.session), pair);
        }
        assert_eq!(door.visitor(&headers(&[("cookie", pair)]), NOW + LIFETIME), Err(Refusal::SignedOut));
    }

    #[test]
    fn without_the_token_there_is_no_visitor() {
        let door = door();
        assert_eq!(door.sign_in("operator-token", &headers(&[]), NOW, "a1"), None);
        let almost = format!("Bearer {}", &TOKEN[1..]);
        for (sent, refusal) in [
            (&[][..], Refusal::SignedOut),
            (&[("authorization", TOKEN)], Refusal::SignedOut),
            (&[("authorization", &almost)], Refusal::WrongToken),
            (&[("authorization", "Bearer ")], Refusal::WrongToken),
            (&[("cookie", "gastown_console=")], Refusal::SignedOut),
            (&[("cookie", "gastown_console=99999999999.a1.AAAA")], Refusal::SignedOut),
            (&[("host", "localhost")], Refusal::SignedOut),
        ] {
            assert_eq!(door.visitor(&headers(sent), NOW), Err(refusal), "{sent:?}");
        }
        let mut binary = HeaderMap::new();
        binary.insert(header::AUTHORIZATION, HeaderValue::from_bytes(b"Bearer \xff").unwrap());
        assert_eq!(door.visitor(&binary, NOW), Err(Refusal::SignedOut));
    }

    #[test]
    fn cookies_are_strict_and_secure_behind_https() {
        let door = door();
        let plain = door.sign_in(TOKEN, &headers(&[]), NOW, "a1").unwrap();
        assert!(plain.ends_with("; Path=/console; Max-Age=43200; HttpOnly; SameSite=Strict"), "{plain}");
        let secure = door.sign_in(TOKEN, &headers(&[("x-forwarded-proto", "https")]), NOW, "a1").unwrap();
        assert!(secure.ends_with("SameSite=Strict; Secure"), "{secure}");
        assert!(!plain.contains(TOKEN));
        assert!(Door::sign_out(&headers(&[])).starts_with("gastown_console=; Path=/console; Max-Age=0;"));
    }

    #[test]
    fn actor_of_a_request_is_that_of_its_token() {
        let eve = (Some("eve".parse().unwrap()), "token-of-eve".into());
        let access = Access::Operators(Operators::new([(None, TOKEN.into()), eve]));
        let actor = |sent: &str| access.actor(&headers(&[("authorization", sent)]));
        assert_eq!(actor(&format!("Bearer {TOKEN}")).as_deref(), Some("operator:console"));
        assert_eq!(actor("bearer token-of-eve").as_deref(), Some("operator:eve"));
        for wrong in ["Bearer token-of-ev", "Bearer ", "token-of-eve", "Basic token-of-eve"] {
            assert_eq!(actor(wrong), None, "{wrong}");
        }
        // A session is for pages only.
        let cookie = door().sign_in(TOKEN, &headers(&[]), NOW, "a1").unwrap();
        assert_eq!(access.actor(&headers(&[("cookie", cookie.split(';').next().unwrap())])), None);
        let here = Access::Loopback { url: String::new() };
        assert_eq!(here.actor(&headers(&[("host", "127.0.0.1:1")])).as_deref(), Some("operator:console"));
        assert_eq!(here.actor(&headers(&[("host", "evil.example.com")])), None);
    }

    #[test]
    fn loopback_needs_its_own_name() {
        let url = "http://127.0.0.1:9464/console".to_owned();
        let door = Door::new(Access::Loopback { url: url.clone() }, "random".into());
        let elsewhere = Err(Refusal::WrongHost { url });
        for host in ["127.0.0.1:9464", "127.0.0.1", "[::1]:80", "localhost:1", "Localhost", "127.8.0.1:1"] {
            assert!(door.visitor(&headers(&[("host", host)]), NOW).is_ok(), "{host}");
        }
        for host in ["evil.example.com", "evil.example.com:9464", "10.0.0.1:80", "localhost.evil.com", "", "[::2]:80"] {
            assert_eq!(door.visitor(&headers(&[("host", host)]), NOW), elsewhere, "{host}");
        }
        assert_eq!(door.visitor(&headers(&[]), NOW), elsewhere);
        assert_eq!(door.sign_in("", &headers(&[("host", "localhost")]), NOW, "a1"), None);
    }
}
