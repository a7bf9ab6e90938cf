//! No printed value contains a secret.

use chrono::TimeDelta;
use gastown_domain::UserId;
use gastown_domain::ports::{GatewayGrant, TokenMint as _};
use gastown_jwt::{TokenKeys, TokenMinter, TokenVerifier};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::craft::{NOW, clock_at, sign};

const CANARY: &str = "canary-7f3a-canary-7f3a-canary-7f3a";

#[test]
fn no_printed_value_contains_a_secret_a_pepper_or_a_token() {
    let canary = SecretString::from(CANARY);
    let user: UserId = "alice".parse().unwrap();
    let keys = TokenKeys::new(&canary).unwrap();
    let minter = TokenMinter::new(keys.clone(), clock_at(NOW));
    let verifier = TokenVerifier::new(keys.clone(), clock_at(NOW));
    let user_token = minter.mint_user_token(&user, Some(&canary), TimeDelta::minutes(1)).unwrap();
    let town = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".parse().unwrap();
    let grant = GatewayGrant { user, town, organization: None, pepper: Some(canary) };
    let gateway = minter.mint(&grant).unwrap();
    let claims = json!({"version": CANARY, "exp": CANARY});
    let refused = verifier.verify_user(sign(&json!({"alg": "HS256"}), &claims, CANARY).expose_secret()).unwrap_err();

    let printed = [
        format!("{keys:?} {minter:?} {verifier:?} {grant:?}"),
        format!("{user_token:?} {gateway:?}"),
        format!("{:?}", verifier.verify_user(user_token.expose_secret()).unwrap()),
        format!("{:?}", verifier.verify_gateway(gateway.token.expose_secret()).unwrap()),
        format!("{refused} {refused:?}"),
    ];

    for text in printed {
        for secret in [CANARY, user_token.expose_secret(), gateway.token.expose_secret()] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
