//! The claims of the tokens. Their names are a contract with the gateway and the host application.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::rejection::Rejection;

/// The `version` of every token that this crate mints or accepts. The host application numbers its layouts.
pub(crate) const VERSION: i64 = 3;
/// The `type` of a gateway token. User tokens have no `type`, so the two kinds cannot be confused.
pub(crate) const GATEWAY_TYPE: &str = "gastown_sandbox";

/// The claims of the token with which a sandbox calls the gateway on behalf of its user.
#[derive(Serialize)]
pub(crate) struct GatewayClaims<'a> {
    pub(crate) sub: &'a str,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) town_id: String,
    pub(crate) organization_id: Option<&'a str>,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    #[serde(flatten)]
    pub(crate) user: UserClaims<'a>,
}

/// The claims that the gateway and the host application require in every token.
#[derive(Serialize)]
pub(crate) struct UserClaims<'a> {
    #[serde(rename = "kiloUserId")]
    pub(crate) user_id: &'a str,
    /// Always present, `null` for a user without a pepper.
    #[serde(rename = "apiTokenPepper")]
    pub(crate) pepper: Option<&'a str>,
    pub(crate) version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) env: Option<&'a str>,
}

/// The claims of a user's token, as minted by the host application.
#[derive(Serialize)]
pub(crate) struct TimedUserClaims<'a> {
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    #[serde(flatten)]
    pub(crate) user: UserClaims<'a>,
}

/// The unchecked claims of a token of either kind. Each is optional and of any type until a rule uses it. There is no
/// `Debug`, because the pepper is a secret.
#[derive(Deserialize)]
pub(crate) struct ReadClaims {
    /// `Some(Null)` if the claim is null. A user's token must not have a `type` of any value.
    #[serde(rename = "type", default, deserialize_with = "present")]
    pub(crate) kind: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) aud: Option<Value>,
    pub(crate) sub: Option<Value>,
    pub(crate) town_id: Option<Value>,
    pub(crate) organization_id: Option<Value>,
    pub(crate) exp: Option<Value>,
    pub(crate) nbf: Option<Value>,
    #[serde(rename = "kiloUserId")]
    pub(crate) user_id: Option<Value>,
    #[serde(rename = "apiTokenPepper", default, deserialize_with = "present")]
    pub(crate) pepper: Option<Value>,
    pub(crate) version: Option<Value>,
    pub(crate) env: Option<Value>,
}

/// Returns the claim, or the rejection that names it.
pub(crate) fn required(name: &'static str, claim: Option<Value>) -> Result<Value, Rejection> {
    claim.ok_or(Rejection::MissingClaim { claim: name })
}

/// Returns a claim that must be a text.
pub(crate) fn text(name: &'static str, claim: Value) -> Result<String, Rejection> {
    match claim {
        Value::String(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(Rejection::InvalidClaim { claim: name })
        }
    }
}

/// Returns a numeric date ([RFC 7519, section 2](https://www.rfc-editor.org/rfc/rfc7519#section-2)) in microseconds since
/// 1970. It is a number of seconds, and may have a fraction and an exponent. The range is that of 64-bit seconds.
pub(crate) fn numeric_date(name: &'static str, claim: &Value) -> Result<i128, Rejection> {
    const MICROS: i128 = 1_000_000;
    let invalid = Rejection::InvalidClaim { claim: name };
    if let Some(seconds) = claim.as_i64() {
        return Ok(i128::from(seconds) * MICROS);
    }
    let seconds = claim.as_f64().filter(|seconds| seconds.abs() < MAX_SECONDS).ok_or(invalid)?;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked, and less than a microsecond is dropped")]
    let micros = (seconds * 1e6) as i128;
    Ok(micros)
}

/// 2 to the power of 63. Larger dates do not fit into 64-bit seconds.
const MAX_SECONDS: f64 = 9_223_372_036_854_775_808.0;

/// Distinguishes a null claim from a missing one.
fn present<'de, D: Deserializer<'de>>(claim: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(claim).map(Some)
}
