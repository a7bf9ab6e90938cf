//! Tokens: nothing is accepted that was not minted.

use std::sync::Arc;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::{Clock, GatewayGrant, TokenMint as _};
use gastown_jwt::{TokenKeys, TokenMinter, TokenVerifier};
use secrecy::ExposeSecret as _;

use super::{Outcome, Run, Target, hold};

/// User tokens and gateway tokens. In an input, `USER` and `GATEWAY` stand for a valid one.
pub(super) const TOKENS: Target = Target {
    name: "tokens",
    start,
    words: &["USER", "GATEWAY", ".", "=", "eyJhbGciOiJub25lIn0", "-", "_", "eyJhbGciOiJIUzI1NiIsImNyaXQiOltdfQ"],
    memory: (32 * 1024, 64),
};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_788_264_000, 0).unwrap_or_default()
    }
}

fn start() -> anyhow::Result<Run> {
    let keys = TokenKeys::new(&"the secret of this target, of 32 bytes or more".into())?;
    let minter = TokenMinter::new(keys.clone(), Arc::new(Noon));
    let user: gastown_domain::UserId = "alice".parse().context("a user")?;
    let token = minter.mint_user_token(&user, Some(&"pepper".into()), TimeDelta::hours(1))?.expose_secret().to_owned();
    let town = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".parse().context("a town")?;
    let grant = GatewayGrant { user, town, organization: None, pepper: Some("pepper".into()) };
    let gateway = minter.mint(&grant)?.token.expose_secret().to_owned();
    let verifier = TokenVerifier::new(keys, Arc::new(Noon));
    Ok(Box::new(move |input| {
        let input = String::from_utf8_lossy(input).replacen("USER", &token, 4).replacen("GATEWAY", &gateway, 4);
        check(&verifier, &input, &token, &gateway)
    }))
}

fn check(verifier: &TokenVerifier, input: &str, token: &str, gateway: &str) -> Outcome {
    let as_user = verifier.verify_user(input);
    let as_gateway = verifier.verify_gateway(input);
    hold(as_user.is_err() || input == token, "a user's token was accepted that was not minted")?;
    hold(as_gateway.is_err() || input == gateway, "a gateway token was accepted that was not minted")?;
    hold(input != token || as_user.is_ok(), "a minted token was refused")?;
    let reason = |rejection: String| rejection.split([' ', '{']).next().unwrap_or_default().to_owned();
    let user = as_user.map_or_else(|rejection| reason(format!("{rejection:?}")), |_| "accepted".to_owned());
    let gateway = as_gateway.map_or_else(|rejection| reason(format!("{rejection:?}")), |_| "accepted".to_owned());
    Ok(format!("{user} {gateway}"))
}
