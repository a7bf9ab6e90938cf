//! Gateway tokens: their claims, and the tokens that the gateway accepts.

use chrono::TimeDelta;
use gastown_domain::ports::{GatewayGrant, TokenMint as _};
use gastown_domain::{TownId, UserId};
use gastown_jwt::Rejection as R;
use gastown_jwt::{LifetimeTooLong, TokenMinter};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::craft::{KEY_ID, NOW, SECRET, clock_at, keys, minter, opened, token, user_claims, verifier};

const TOWN: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

fn town() -> TownId {
    TOWN.parse().unwrap()
}

fn alice() -> UserId {
    "alice".parse().unwrap()
}

fn full_grant() -> GatewayGrant {
    GatewayGrant { user: alice(), town: town(), organization: Some("org_7".into()), pepper: Some("p1".into()) }
}

/// Returns the claims of a valid gateway token, with some of them replaced.
fn gateway_claims(replaced: &Value) -> Value {
    let mut claims = user_claims(
        &json!({"type": "gastown_sandbox", "sub": "user_abc123", "town_id": TOWN, "organization_id": null}),
    );
    for (name, value) in replaced.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

#[test]
fn gateway_token_has_the_claims_of_the_contract() {
    let grant = full_grant();

    let minted = minter().in_env("production").mint(&grant).unwrap();

    let (header, claims) = opened(minted.token.expose_secret(), SECRET);
    assert_eq!(header, json!({"alg": "HS256", "typ": "JWT", "kid": KEY_ID}));
    let want = json!({
        "sub": "alice", "type": "gastown_sandbox", "town_id": TOWN, "organization_id": "org_7",
        "iat": NOW, "exp": NOW + 24 * 60 * 60,
        "kiloUserId": "alice", "apiTokenPepper": "p1", "version": 3, "env": "production",
    });
    assert_eq!(claims, want);
    assert_eq!(minted.expires_at.timestamp(), NOW + 24 * 60 * 60);
}

#[test]
fn absent_parts_of_a_grant_are_null_and_the_environment_is_absent() {
    let grant = GatewayGrant { organization: None, pepper: None, ..full_grant() };

    let minted = minter().with_gateway_lifetime(TimeDelta::minutes(1)).mint(&grant).unwrap();

    let (_, claims) = opened(minted.token.expose_secret(), SECRET);
    let want = json!({
        "sub": "alice", "type": "gastown_sandbox", "town_id": TOWN, "organization_id": null,
        "iat": NOW, "exp": NOW + 60, "kiloUserId": "alice", "apiTokenPepper": null, "version": 3,
    });
    assert_eq!(claims, want);
}

#[test]
fn minted_gateway_token_is_accepted_by_the_gateway_only() {
    let grant = full_grant();
    let minted = minter().mint(&grant).unwrap();

    let taken = verifier().verify_gateway(minted.token.expose_secret()).unwrap();

    assert_eq!((taken.user, taken.town, taken.organization.as_deref()), (alice(), town(), Some("org_7")));
    assert_eq!(taken.pepper.unwrap().expose_secret(), "p1");
    assert_eq!(verifier().verify_user(minted.token.expose_secret()).unwrap_err(), R::Type);
}

#[test]
fn invalid_gateway_token_is_rejected_with_its_reason() {
    let cases = [
        (json!({"type": null}), R::Type),
        (json!({"type": "stream_ticket"}), R::Type),
        (json!({"type": ["gastown_sandbox"]}), R::Type),
        (json!({"sub": null}), R::MissingClaim { claim: "sub" }),
        (json!({"sub": "bob"}), R::InvalidClaim { claim: "sub" }),
        (json!({"town_id": null}), R::MissingClaim { claim: "town_id" }),
        (json!({"town_id": "mill"}), R::InvalidClaim { claim: "town_id" }),
        (json!({"kiloUserId": null}), R::MissingClaim { claim: "kiloUserId" }),
        (json!({"version": 2}), R::Version),
        (json!({"exp": NOW - 5}), R::Expired),
    ];

    for (replaced, want) in cases {
        let refused = verifier().verify_gateway(token(&gateway_claims(&replaced)).expose_secret()).unwrap_err();
        assert_eq!(refused, want, "{replaced}");
    }
    assert!(verifier().verify_gateway(token(&gateway_claims(&json!({}))).expose_secret()).is_ok());
    assert_eq!(verifier().verify_gateway(token(&user_claims(&json!({}))).expose_secret()).unwrap_err(), R::Type);
}

#[test]
fn lifetime_out_of_range_is_an_error() {
    let grant = GatewayGrant { organization: None, pepper: None, ..full_grant() };
    let minter = TokenMinter::new(keys(), clock_at(NOW)).with_gateway_lifetime(TimeDelta::MAX);

    let error = minter.mint(&grant).unwrap_err();

    assert_eq!(error.cause.downcast_ref(), Some(&LifetimeTooLong { lifetime: TimeDelta::MAX }));
}
