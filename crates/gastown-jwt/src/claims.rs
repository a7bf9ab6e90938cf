//! The claims of the tokens. Their names are a contract with the gateway and the host application.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

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

/// The unchecked claims of a token of either kind. All are optional, so that each rule has its own rejection. There is no
/// `Debug`, because the pepper is a secret.
#[derive(Deserialize)]
pub(crate) struct ReadClaims {
    /// `Some(Null)` if the claim is null. A user's token must not have a `type` of any value.
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

/// The claim of the pepper. It is null for a user without one.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct NullablePepper(pub(crate) Option<String>);

/// Distinguishes a null claim from a missing one.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(claim: D) -> Result<Option<T>, D::Error> {
    T::deserialize(claim).map(Some)
}
