//! What stands in the tokens. The names are a contract with the gateway and the host application.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The `version` of every token this crate mints or takes; the host application's number for this layout.
pub(crate) const VERSION: i64 = 3;
/// The `type` of a gateway token. User tokens have no `type`, and so neither is ever taken for the other.
pub(crate) const GATEWAY_TYPE: &str = "gastown_sandbox";

/// Claims of the token with which a sandbox calls the gateway in its user's name.
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

/// What the verifiers of the gateway and of the host application demand of every token.
#[derive(Serialize)]
pub(crate) struct UserClaims<'a> {
    #[serde(rename = "kiloUserId")]
    pub(crate) user_id: &'a str,
    /// `null` for a user without one, but always there.
    #[serde(rename = "apiTokenPepper")]
    pub(crate) pepper: Option<&'a str>,
    pub(crate) version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) env: Option<&'a str>,
}

/// Claims of a user's token, as the host application mints them.
#[derive(Serialize)]
pub(crate) struct TimedUserClaims<'a> {
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    #[serde(flatten)]
    pub(crate) user: UserClaims<'a>,
}

/// The claims of a token from outside, of either kind; nothing is required yet, so that each rule has its own refusal.
/// No `Debug`: the pepper is a secret.
#[derive(Deserialize)]
pub(crate) struct ReadClaims {
    /// `Some(Null)` where the claim is there and null: a `type` of any value marks a token that is not a user's.
    #[serde(rename = "type", default, deserialize_with = "present")]
    pub(crate) kind: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) aud: Option<Value>,
    pub(crate) sub: Option<String>,
    pub(crate) town_id: Option<String>,
    pub(crate) organization_id: Option<String>,
    pub(crate) exp: Option<i64>,
    pub(crate) nbf: Option<i64>,
    #[serde(rename = "kiloUserId")]
    pub(crate) user_id: Option<String>,
    #[serde(rename = "apiTokenPepper", default, deserialize_with = "present")]
    pub(crate) pepper: Option<NullablePepper>,
    pub(crate) version: Option<i64>,
    pub(crate) env: Option<String>,
}

/// A pepper that is given, be it as null: the user has none.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct NullablePepper(pub(crate) Option<String>);

/// Keeps a null apart from a missing claim.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(claim: D) -> Result<Option<T>, D::Error> {
    T::deserialize(claim).map(Some)
}
