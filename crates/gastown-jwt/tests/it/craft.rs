//! Tokens made and read by hand, independently of the library under test.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use gastown_domain::ports::Clock;
use gastown_jwt::{TokenKeys, TokenMinter, TokenVerifier};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::Sha256;

/// The signing secret of these tests, and a secret that their verifiers do not have.
pub(crate) const SECRET: &str = "the-secret-of-the-host-application";
/// The id of [`SECRET`], computed with Python's `hmac`.
pub(crate) const KEY_ID: &str = "EDmz4HqqAbSfpVir";
pub(crate) const OTHER_SECRET: &str = "the-secret-of-another-application";
/// The time on the tests' clock: 2026-09-01T12:00:00Z.
pub(crate) const NOW: i64 = 1_788_264_000;

/// A stopped clock, 900 ms after a whole second.
struct StoppedClock(i64);

impl Clock for StoppedClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0, 900_000_000).unwrap()
    }
}

pub(crate) fn clock_at(seconds: i64) -> Arc<dyn Clock> {
    Arc::new(StoppedClock(seconds))
}

pub(crate) fn keys() -> TokenKeys {
    TokenKeys::new(&SecretString::from(SECRET)).unwrap()
}

pub(crate) fn minter() -> TokenMinter {
    TokenMinter::new(keys(), clock_at(NOW))
}

pub(crate) fn verifier() -> TokenVerifier {
    TokenVerifier::new(keys(), clock_at(NOW))
}

/// Returns the claims of a valid user token, with some of them replaced. `Value::Null` stays null.
pub(crate) fn user_claims(replaced: &Value) -> Value {
    let mut claims = json!({
        "kiloUserId": "user_abc123", "apiTokenPepper": "pepper", "version": 3, "iat": NOW, "exp": NOW + 60,
    });
    for (name, value) in replaced.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// Returns the claims of a valid user token without one of them.
pub(crate) fn user_claims_without(name: &str) -> Value {
    let mut claims = user_claims(&json!({}));
    claims.as_object_mut().unwrap().remove(name).unwrap();
    claims
}

/// Signs with HMAC-SHA256, regardless of the header.
pub(crate) fn sign(header: &Value, claims: &Value, secret: &str) -> SecretString {
    sign_text(header, &claims.to_string(), secret)
}

/// Signs claims that no JSON library would write.
pub(crate) fn sign_text(header: &Value, claims: &str, secret: &str) -> SecretString {
    let message = format!("{}.{}", part(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac(&message, secret);
    SecretString::from(format!("{message}.{signature}"))
}

/// Returns a token with a valid header and signature.
pub(crate) fn token(claims: &Value) -> SecretString {
    sign(&json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET)
}

/// Returns header and claims of a token, after comparing its signature with a new one.
pub(crate) fn opened(token: &str, secret: &str) -> (Value, Value) {
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(signature, hmac(&format!("{header}.{claims}"), secret));
    let read = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (read(header), read(claims))
}

pub(crate) fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn hmac(message: &str, secret: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    URL_SAFE_NO_PAD.encode(mac.chain_update(message).finalize().into_bytes())
}
