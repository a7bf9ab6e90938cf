//! The environment of a machine at Fly: its variables, with sealed secrets.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gastown_domain::ports::TownKeys as _;
use gastown_jwt::TokenVerifier;
use gastown_secrets::{DerivedTownKeys, EnvValue, SandboxKey, open_env};
use gastown_system::SystemClock;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::stage::{ALICE, R2_ACCESS_KEY, R2_SECRET_KEY, Setup, Stage, TOWN_SECRET, pepper, token_keys};

on_both! {
    machine_has_its_variables_and_secrets_are_sealed,
    answers_of_fly_contain_no_secret,
    token_of_the_sandbox_is_accepted_by_the_gateway,
    started_town_has_a_new_token,
    towns_have_different_keys,
}

/// Returns the environment of a machine, opened as its sandbox does.
pub(crate) fn opened(stage: &Stage, machine: &str) -> BTreeMap<String, EnvValue> {
    let machine = stage.sim.all_machines().into_iter().find(|found| found.id == machine).unwrap();
    let key = SandboxKey::parse(&stage.sandbox_key.to_secret()).unwrap();
    open_env(&[key], machine.env).unwrap().into_iter().collect()
}

/// Returns one secret variable of it.
pub(crate) fn secret(stage: &Stage, machine: &str, name: &str) -> String {
    match &opened(stage, machine)[name] {
        EnvValue::Opened(secret) => secret.expose_secret().to_owned(),
        EnvValue::Plain(_) => panic!("{name} is not sealed"),
    }
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

async fn machine_has_its_variables_and_secrets_are_sealed(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let machine = stage.fly_get(&format!("machines/{}", town.machine())).await;
    let env = machine["config"]["env"].as_object().unwrap();
    for name in ["KILO_JWT", "INTERNAL_API_KEY", "R2_ACCESS_KEY", "R2_SECRET_KEY"] {
        assert!(env[name].as_str().unwrap().starts_with("nacl:v1:"), "{name}");
    }
    let plain: BTreeMap<_, _> =
        env.iter().filter(|(_, value)| !value.as_str().unwrap().starts_with("nacl:v1:")).collect();
    let want = json!({
        "GASTOWN_CLOUD_URL": stage.url(), "KILO_API_URL": "https://kilo.example.com", "R2_BUCKET": "towns",
        "TOWN_ID": town.id, "INTERNAL_API_KEY_ID": DerivedTownKeys::new(&TOWN_SECRET.into()).unwrap().key_id(),
    });
    assert_eq!(json!(plain), want);
    assert_eq!(secret(&stage, town.machine(), "R2_ACCESS_KEY"), R2_ACCESS_KEY);
    assert_eq!(secret(&stage, town.machine(), "R2_SECRET_KEY"), R2_SECRET_KEY);
    // The sandbox has opened them, or it would not serve.
    assert!(stage.sim.machines()[0].serving);
    stage
}

async fn answers_of_fly_contain_no_secret(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.on_town("stopTown", town.id).await.unwrap();
    stage.on_town("startTown", town.id).await.unwrap();
    let mut shown = String::new();
    for path in [
        format!("machines/{}", town.machine()),
        format!("machines/{}/versions", town.machine()),
        format!("machines/{}/events", town.machine()),
        format!("volumes/{}", town.volume()),
        "machines?include_deleted=true".to_owned(),
        "volumes".to_owned(),
    ] {
        shown += &stage.fly_get(&path).await.to_string();
    }
    assert!(shown.contains("KILO_JWT"), "nothing was shown: {shown}");
    let secrets = ["KILO_JWT", "INTERNAL_API_KEY"].map(|name| secret(&stage, town.machine(), name));
    for canary in secrets.iter().map(String::as_str).chain(["canary"]) {
        assert!(!shown.contains(canary), "{shown}");
    }
    stage
}

async fn token_of_the_sandbox_is_accepted_by_the_gateway(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let token = secret(&stage, town.machine(), "KILO_JWT");
    let grant = TokenVerifier::new(token_keys(), std::sync::Arc::new(SystemClock)).verify_gateway(&token).unwrap();
    assert_eq!((grant.user.as_str(), grant.town.as_uuid(), grant.organization), (ALICE, town.id, None));
    let claims = claims(&token);
    let iat = claims["iat"].as_i64().unwrap();
    let want = json!({
        "sub": ALICE, "type": "gastown_sandbox", "town_id": town.id, "organization_id": null, "iat": iat,
        "exp": iat + 24 * 60 * 60, "kiloUserId": ALICE, "apiTokenPepper": pepper(ALICE).expose_secret(), "version": 3,
    });
    assert_eq!(claims, want);
    stage
}

async fn started_town_has_a_new_token(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.on_town("stopTown", town.id).await.unwrap();
    let old = secret(&stage, town.machine(), "KILO_JWT");
    // A rotated pepper invalidates every older token.
    stage.rows.execute("UPDATE kilocode_users SET api_token_pepper = 'rotated' WHERE id = 'alice'").await;
    let token = crate::stage::minter()
        .mint_user_token(&ALICE.parse().unwrap(), Some(&"rotated".into()), chrono::TimeDelta::hours(1))
        .unwrap();
    let input = json!({ "townId": town.id });
    crate::client::call(stage.url(), token.expose_secret(), "startTown", input).await.unwrap();
    let new = secret(&stage, stage.rows.town(town.id).await.machine(), "KILO_JWT");
    assert_eq!(claims(&old)["apiTokenPepper"], pepper(ALICE).expose_secret());
    assert_eq!(claims(&new)["apiTokenPepper"], "rotated");
    stage
}

async fn towns_have_different_keys(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let (mill, inn) = (stage.running("mill").await, stage.running("inn").await);
    let key_of = |town: &crate::rows::Town| secret(&stage, town.machine(), "INTERNAL_API_KEY");
    assert_ne!(key_of(&mill), key_of(&inn));
    // A sandbox cannot call for another town.
    let url = stage.url();
    let input = json!({ "townId": inn.id });
    let refused = crate::client::call_home(url, &key_of(&mill), "refreshToken", input.clone()).await.unwrap_err();
    assert_eq!(refused.code, "UNAUTHORIZED");
    crate::client::call_home(url, &key_of(&inn), "refreshToken", input).await.unwrap();
    stage
}
