//! The rotation of each key, from before it to after it, with two replicas that are replaced one at a time.
//!
//! During the overlap nothing of a user's breaks, on any replica. `docs/operations.md` has the steps that are played here.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use gastown_jwt::{TokenKeys, TokenMinter, TokenVerifier};
use gastown_sandbox_sim::SimulatedSandboxes;
use gastown_secrets::{EnvValue, SandboxKey, SealedValue, open_env};
use gastown_system::SystemClock;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{call, call_home};
use crate::env::secret;
use crate::rows::Town;
use crate::stage::{ALICE, APP, Setup, Stage, TOKEN_SECRET, TOWN_SECRET, pepper, until};

on_both! {
    tokens_are_accepted_during_their_rotation,
    towns_keep_their_keys_during_a_rotation,
    sealed_values_are_opened_during_a_rotation,
}

const NEW_TOKEN_SECRET: &str = "another-secret-of-tokens-Yr5TbNq8WkXe2VmZ";
const NEW_TOWN_SECRET: &str = "another-secret-of-towns-Lp3HcJd6GsFa9UoI";

/// Starts two replicas. Sandboxes send a heartbeat every 20 milliseconds.
async fn two_replicas(mut setup: Setup) -> Stage {
    let sandboxes = SimulatedSandboxes::default().with_heartbeat(Duration::from_millis(20));
    setup.sim.workload = sandboxes.into_workload();
    setup.keeps_port = true;
    let mut stage = setup.start().await;
    stage.add_replica().await;
    stage
}

/// Rolls new settings out, one replica after the other. `check` runs after each.
async fn roll_out(stage: &mut Stage, changes: &[(&str, &str)], check: impl AsyncFn(&Stage)) {
    stage.set(changes);
    for at in 0..stage.replicas.len() {
        stage.replace(at).await;
        check(stage).await;
    }
}

fn token_of(secret: &str) -> String {
    let minter = TokenMinter::new(TokenKeys::new(&secret.into()).unwrap(), std::sync::Arc::new(SystemClock));
    let token = minter.mint_user_token(&ALICE.parse().unwrap(), Some(&pepper(ALICE)), TimeDelta::hours(1)).unwrap();
    token.expose_secret().to_owned()
}

/// Returns the status that each replica answers to a token.
async fn statuses(stage: &Stage, token: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for replica in &stage.replicas {
        let answer = call(&replica.url, token, "listTowns", Value::Null).await;
        statuses.push(answer.map_or_else(|refused| refused.status, |_| 200));
    }
    statuses
}

/// Returns the status that each replica answers to the calls of a sandbox with this key.
async fn home_statuses(stage: &Stage, key: &str, town: Uuid) -> Vec<u16> {
    let mut statuses = Vec::new();
    for replica in &stage.replicas {
        for procedure in ["heartbeat", "refreshToken"] {
            let answer = call_home(&replica.url, key, procedure, json!({ "townId": town })).await;
            statuses.push(answer.map_or_else(|refused| refused.status, |_| 200));
        }
    }
    statuses
}

/// Returns true if a gateway with this secret accepts the token.
fn gateway_accepts(secret: &str, token: &str) -> bool {
    let keys = TokenKeys::new(&secret.into()).unwrap();
    TokenVerifier::new(keys, std::sync::Arc::new(SystemClock)).verify_gateway(token).is_ok()
}

/// Adds and removes a rig by each replica, which the sandbox must confirm at once, and waits for the next heartbeat.
async fn works(stage: &Stage, town: Uuid) {
    for at in 0..stage.replicas.len() {
        let rig = json!({ "townId": town, "rigName": "spare", "repoUrl": "https://github.com/acme/spare" });
        let added = stage.call_at(at, ALICE, "addRig", rig).await.unwrap();
        assert_eq!(added["status"], "active", "{added}");
        let input = json!({ "townId": town, "rigId": added["rigId"] });
        stage.call_at(at, ALICE, "removeRig", input).await.unwrap();
    }
    let status = stage.on_town("getTownStatus", town).await.unwrap();
    assert_eq!((&status["status"], &status["rigs"][0]["rigName"]), (&json!("running"), &json!("app")), "{status}");
    let heard = stage.rows.town(town).await.last_heartbeat_at;
    until("another heartbeat is recorded", async || stage.rows.town(town).await.last_heartbeat_at > heard).await;
}

/// Creates a town with a rig.
async fn town_with_rig(stage: &Stage, name: &str) -> Town {
    let town = stage.running(name).await;
    stage.add_rig(town.id, "app", "https://github.com/acme/app").await.unwrap();
    town
}

async fn restart(stage: &Stage, town: Uuid) -> Town {
    stage.on_town("stopTown", town).await.unwrap();
    assert_eq!(stage.on_town("startTown", town).await.unwrap()["status"], "running");
    stage.rows.town(town).await
}

async fn tokens_are_accepted_during_their_rotation(setup: Setup) -> Stage {
    let mut stage = two_replicas(setup).await;
    let mill = town_with_rig(&stage, "mill").await;
    let (old, new) = (token_of(TOKEN_SECRET), token_of(NEW_TOKEN_SECRET));
    assert_eq!((statuses(&stage, &old).await, statuses(&stage, &new).await), (vec![200; 2], vec![401; 2]));

    // First, all replicas accept the new secret. Nothing signs with it yet.
    let accept = [("NEXTAUTH_SECRET_PREVIOUS", NEW_TOKEN_SECRET)];
    roll_out(&mut stage, &accept, async |stage| {
        assert_eq!(statuses(stage, &old).await, [200; 2]);
        works(stage, mill.id).await;
    })
    .await;
    assert_eq!(statuses(&stage, &new).await, [200; 2]);
    let minted = secret(&stage, mill.machine(), "KILO_JWT");
    assert!(gateway_accepts(TOKEN_SECRET, &minted));

    // Second, they sign with it. The host application may sign with either.
    let switch = [("NEXTAUTH_SECRET", NEW_TOKEN_SECRET), ("NEXTAUTH_SECRET_PREVIOUS", TOKEN_SECRET)];
    roll_out(&mut stage, &switch, async |stage| {
        assert_eq!((statuses(stage, &old).await, statuses(stage, &new).await), (vec![200; 2], vec![200; 2]));
        works(stage, mill.id).await;
    })
    .await;
    let key = secret(&stage, mill.machine(), "INTERNAL_API_KEY");
    let fresh = call_home(stage.url(), &key, "refreshToken", json!({ "townId": mill.id })).await.unwrap();
    assert!(gateway_accepts(NEW_TOKEN_SECRET, fresh["token"].as_str().unwrap()));
    let inn = town_with_rig(&stage, "inn").await;
    let mill = restart(&stage, mill.id).await;
    for town in [&mill, &inn] {
        assert!(gateway_accepts(NEW_TOKEN_SECRET, &secret(&stage, town.machine(), "KILO_JWT")));
    }

    // Third, the old secret is over.
    stage.tokens.insert(ALICE, new.clone().into());
    roll_out(&mut stage, &[("NEXTAUTH_SECRET_PREVIOUS", "")], async |stage| works(stage, mill.id).await).await;
    assert_eq!((statuses(&stage, &old).await, statuses(&stage, &new).await), (vec![401; 2], vec![200; 2]));
    stage
}

async fn towns_keep_their_keys_during_a_rotation(setup: Setup) -> Stage {
    let mut stage = two_replicas(setup).await;
    let (mill, late) = (town_with_rig(&stage, "mill").await, town_with_rig(&stage, "late").await);
    let old_key = |town: &Town| secret(&stage, town.machine(), "INTERNAL_API_KEY");
    let (old, old_of_late) = (old_key(&mill), old_key(&late));

    let accept = [("INTERNAL_API_SECRET_PREVIOUS", NEW_TOWN_SECRET)];
    let both_work = async |stage: &Stage| {
        assert_eq!(home_statuses(stage, &old, mill.id).await, [200; 4]);
        works(stage, mill.id).await;
        works(stage, late.id).await;
    };
    roll_out(&mut stage, &accept, both_work).await;
    assert_eq!(secret(&stage, restart(&stage, mill.id).await.machine(), "INTERNAL_API_KEY"), old);

    let switch = [("INTERNAL_API_SECRET", NEW_TOWN_SECRET), ("INTERNAL_API_SECRET_PREVIOUS", TOWN_SECRET)];
    roll_out(&mut stage, &switch, async |stage| {
        both_work(stage).await;
        // The first replica derives from the new secret already. Towns that it creates work on both.
        let inn = stage.running("inn").await;
        let key = secret(stage, inn.machine(), "INTERNAL_API_KEY");
        assert_eq!(home_statuses(stage, &key, inn.id).await, [200; 4]);
        stage.on_town("destroyTown", inn.id).await.unwrap();
    })
    .await;
    let key_id = |stage: &Stage, town: &Town| {
        let machine = stage.sim.machines().into_iter().find(|found| found.id == town.machine()).unwrap();
        machine.env["INTERNAL_API_KEY_ID"].clone()
    };
    let old_id = key_id(&stage, &mill);
    let mill = restart(&stage, mill.id).await;
    let new = secret(&stage, mill.machine(), "INTERNAL_API_KEY");
    assert_ne!(new, old);
    assert_ne!(key_id(&stage, &mill), old_id);
    assert_eq!(
        (home_statuses(&stage, &new, mill.id).await, home_statuses(&stage, &old, mill.id).await),
        (vec![200; 4], vec![200; 4])
    );
    works(&stage, mill.id).await;
    // The logs name the towns that still have an old key.
    let log = stage.replicas[0].log.text();
    let behind = |town: &Town| {
        let town = town.id.to_string();
        log.lines().any(|line| line.contains("sandbox has a key from before a rotation") && line.contains(&town))
    };
    assert!(behind(&late), "{log}");

    roll_out(&mut stage, &[("INTERNAL_API_SECRET_PREVIOUS", "")], async |stage| works(stage, mill.id).await).await;
    for (town, key) in [(&mill, &old), (&late, &old_of_late)] {
        assert_eq!(home_statuses(&stage, key, town.id).await, [401; 4]);
    }
    // A town that was forgotten gets its key when it is stopped and started.
    let late = restart(&stage, late.id).await;
    works(&stage, late.id).await;
    stage
}

/// Returns the environment of a machine with the ids of the keys that its values are sealed for.
fn sealed_for(stage: &Stage, machine: &str) -> Vec<gastown_secrets::KeyId> {
    let machine = stage.sim.machines().into_iter().find(|found| found.id == machine).unwrap();
    let mut ids: Vec<_> =
        machine.env.values().filter_map(|value| Some(value.parse::<SealedValue>().ok()?.key_id())).collect();
    assert!(ids.len() >= 3, "{ids:?}");
    ids.dedup();
    ids
}

async fn sealed_values_are_opened_during_a_rotation(setup: Setup) -> Stage {
    let mut stage = two_replicas(setup).await;
    let (mill, late) = (town_with_rig(&stage, "mill").await, town_with_rig(&stage, "late").await);
    let (old, new) = (stage.sandbox_key.key_id(), SandboxKey::generate());
    assert_eq!(sealed_for(&stage, mill.machine()), [old]);

    // First, the app has both private keys. Values are still sealed for the old one.
    stage.sim.set_app_secret(APP, "SANDBOX_PRIVATE_KEY_PREVIOUS", stage.sandbox_key.to_secret()).unwrap();
    stage.sim.set_app_secret(APP, "SANDBOX_PRIVATE_KEY", new.to_secret()).unwrap();
    let mill = restart(&stage, mill.id).await;
    assert_eq!(sealed_for(&stage, mill.machine()), [old]);
    works(&stage, mill.id).await;

    // Second, values are sealed for the new one.
    let public = new.public_key().to_string();
    roll_out(&mut stage, &[("SANDBOX_PUBLIC_KEY", &public)], async |stage| {
        works(stage, mill.id).await;
        works(stage, late.id).await;
        for at in 0..stage.replicas.len() {
            let made = stage.call_at(at, ALICE, "createTown", json!({ "townName": "inn" })).await.unwrap();
            assert_eq!(made["status"], "running", "{made}");
            stage.on_town("destroyTown", crate::stage::id_of(&made)).await.unwrap();
        }
    })
    .await;
    // Machines that Fly restarts boot with the values and keys of their version.
    for town in [&mill, &late] {
        stage.at_fly(Method::POST, &format!("machines/{}/restart", town.machine()), json!({})).await;
        until("the sandbox serves again", async || {
            stage.sim.machines().iter().any(|machine| machine.id == town.machine() && machine.serving)
        })
        .await;
        works(&stage, town.id).await;
    }
    let inn = town_with_rig(&stage, "inn").await;
    let mill = restart(&stage, mill.id).await;
    for town in [&mill, &inn] {
        assert_eq!(sealed_for(&stage, town.machine()), [new.key_id()]);
        works(&stage, town.id).await;
    }
    assert_eq!(sealed_for(&stage, late.machine()), [old]);

    // Third, the old private key is over. A town that was forgotten is sealed again when it is started.
    stage.at_fly(Method::DELETE, "secrets/SANDBOX_PRIVATE_KEY_PREVIOUS", json!({})).await;
    let late = restart(&stage, late.id).await;
    assert_eq!(sealed_for(&stage, late.machine()), [new.key_id()]);
    works(&stage, late.id).await;
    let env = stage.sim.machines().into_iter().find(|machine| machine.id == late.machine()).unwrap().env;
    let opened: BTreeMap<_, _> = open_env(&[new], env.clone()).unwrap().into_iter().collect();
    assert!(matches!(&opened["KILO_JWT"], EnvValue::Opened(_)));
    assert!(open_env(&[SandboxKey::parse(&stage.sandbox_key.to_secret()).unwrap()], env).is_err());
    stage
}
