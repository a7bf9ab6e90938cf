//! The life of towns in which Fly and sandboxes repeat every secret that they know.

use std::fmt::Write as _;

use chrono::TimeDelta;
use fly_sim::{Call, Effect, Fault};
use gastown_domain::ports::TownKeys as _;
use gastown_jwt::{TokenKeys, TokenMinter};
use gastown_sandbox_sim::{SANDBOX_ADD_RIG, SANDBOX_REMOVE_RIG};
use gastown_secrets::DerivedTownKeys;
use gastown_system::SystemClock;
use reqwest::header::{AUTHORIZATION, COOKIE};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::markers::Markers;
use super::{OLD_TOKEN_SECRET, OLD_TOWN_SECRET};
use crate::client;
use crate::env::secret;
use crate::rows::Town;
use crate::stage::{ALICE, BOB, FLY_TOKEN, R2_ACCESS_KEY, R2_SECRET_KEY, Stage, minter, pepper};

/// A part of a repository's URL that no log may show.
const REPO_PASSWORD: &str = "canary-of-repository-Fj8KwLs3DaQx6ZcV";

/// The answers to users, and the towns that exist.
pub(super) struct Seen {
    pub(super) outputs: Vec<(&'static str, String)>,
    pub(super) towns: Vec<Uuid>,
}

/// Plays everything, and adds the secrets that are created on the way.
pub(super) async fn play(stage: &Stage, markers: &mut Markers) -> Seen {
    let mut answers = String::new();
    markers.add("password of a repository", REPO_PASSWORD);
    let town = stage.running("mill").await;
    let known = secrets_of(stage, &town, markers, "first start");
    users_call(stage, &town, &mut answers).await;
    sandbox_echoes(stage, &town, &known, &mut answers).await;
    fly_echoes(stage, &town, &mut answers).await;
    stage.on_town("stopTown", town.id).await.unwrap();
    stage.on_town("startTown", town.id).await.unwrap();
    let town = stage.rows.town(town.id).await;
    secrets_of(stage, &town, markers, "second start");
    strangers_call(stage, &town, markers, &mut answers).await;
    stage.sim.clear_faults();
    stage.idle().await;
    let other = stage.running("inn").await;
    secrets_of(stage, &other, markers, "inn");
    writeln!(answers, "{:?}", stage.on_town("destroyTown", other.id).await).unwrap();
    Seen { outputs: vec![("answers", answers)], towns: vec![town.id] }
}

/// Returns the secrets that a machine knows, and adds those of its town.
fn secrets_of(stage: &Stage, town: &Town, markers: &mut Markers, when: &str) -> Vec<String> {
    let key = secret(stage, town.machine(), "INTERNAL_API_KEY");
    let token = secret(stage, town.machine(), "KILO_JWT");
    markers.add(format!("key of the town, {when}"), &key);
    markers.add_token(&format!("gateway token, {when}"), &token);
    let private = stage.sandbox_key.to_secret().expose_secret().to_owned();
    vec![key, token, private, R2_ACCESS_KEY.to_owned(), R2_SECRET_KEY.to_owned()]
}

async fn users_call(stage: &Stage, town: &Town, answers: &mut String) {
    let with_password = format!("https://user:{REPO_PASSWORD}@github.com/acme/app");
    for (user, procedure, input) in [
        (ALICE, "addRig", json!({ "townId": town.id, "rigName": "app", "repoUrl": with_password })),
        (ALICE, "addRig", json!({ "townId": town.id, "rigName": "web", "repoUrl": "https://github.com/acme/web" })),
        (
            ALICE,
            "createTown",
            json!({ "townName": "x", "config": { "rigs": [{ "name": "a", "repoUrl": with_password }] } }),
        ),
        (ALICE, "getTownStatus", json!({ "townId": town.id })),
        (ALICE, "listTowns", Value::Null),
        (BOB, "getTownStatus", json!({ "townId": town.id })),
        (BOB, "destroyTown", json!({ "townId": town.id })),
    ] {
        writeln!(answers, "{procedure}: {:?}", stage.call(user, procedure, input).await).unwrap();
    }
}

/// Lets the sandbox answer with all secrets of its environment, in bodies of the API and in others.
async fn sandbox_echoes(stage: &Stage, town: &Town, known: &[String], answers: &mut String) {
    for secret in known {
        let words = format!("peculiar words: {secret} and x-internal-api-key:{secret}, KEY=\"{secret}\"");
        let problem = |code: &str| json!({ "error": { "code": code, "message": words, "inTheWay": [words, secret] } });
        let rig =
            |name: &str| json!({ "townId": town.id, "rigName": name, "repoUrl": "https://github.com/acme/other" });
        for (status, body) in [
            (422, problem("rig_refused")),
            (409, problem("rig_exists")),
            (200, json!({ "name": words, "repoUrl": words, "branch": words })),
            (200, json!(words)),
            (500, problem("broken")),
            (418, json!(words)),
        ] {
            stage.sim.inject(Fault::at(SANDBOX_ADD_RIG, Effect::Answer { status, body }));
            writeln!(answers, "{:?}", stage.call(ALICE, "addRig", rig("other")).await).unwrap();
        }
        let status = stage.on_town("getTownStatus", town.id).await.unwrap();
        for present in status["rigs"].as_array().unwrap() {
            let in_use = Effect::Answer { status: 409, body: problem("rig_in_use") };
            stage.sim.inject(Fault::at(SANDBOX_REMOVE_RIG, in_use));
            let input = json!({ "townId": town.id, "rigId": present["rigId"] });
            writeln!(answers, "{:?}", stage.call(ALICE, "removeRig", input).await).unwrap();
        }
        writeln!(answers, "{status}").unwrap();
    }
}

/// Lets Fly refuse calls with the headers and the body of the request.
async fn fly_echoes(stage: &Stage, town: &Town, answers: &mut String) {
    let env = stage.fly_get(&format!("machines/{}", town.machine())).await["config"]["env"].clone();
    let private = stage.sandbox_key.to_secret();
    let words = format!(
        "peculiar words: authorization: Bearer {FLY_TOKEN}, {FLY_TOKEN}, \"{FLY_TOKEN}\" \
         SANDBOX_PRIVATE_KEY={}",
        private.expose_secret()
    );
    let headers = json!({ "headers": { "authorization": format!("Bearer {FLY_TOKEN}") } });
    for (at, (status, body)) in [
        (400, json!({ "error": words, "env": env })),
        (401, json!(words)),
        (403, json!({ "error": words })),
        (404, headers.clone()),
        (409, json!({ "error": words })),
        (412, json!({ "error": words, "env": env })),
        (422, headers),
        (500, json!(words)),
        (200, json!({ "id": words, "name": words, "state": words, "region": words })),
    ]
    .into_iter()
    .enumerate()
    {
        for call in [Call::CreateVolume, Call::CreateMachine, Call::Wait] {
            let echo = Effect::Answer { status, body: body.clone() };
            stage.sim.inject(Fault::at(call, echo));
        }
        let name = format!("fails-{at}");
        writeln!(answers, "{:?}", stage.call(ALICE, "createTown", json!({ "townName": name })).await).unwrap();
        stage.sim.clear_faults();
        stage.idle().await;
        for gone in
            stage.rows.towns().await.into_iter().filter(|row| row.town_name == name && row.destroyed_at.is_none())
        {
            writeln!(answers, "{:?}", stage.on_town("destroyTown", gone.id).await).unwrap();
        }
    }
    for (call, procedure) in [(Call::StopMachine, "stopTown"), (Call::StartMachine, "startTown")] {
        stage.sim.inject(Fault::at(call, Effect::Answer { status: 422, body: json!({ "error": words }) }));
        writeln!(answers, "{:?}", stage.on_town(procedure, town.id).await).unwrap();
        stage.idle().await;
    }
}

/// Presents tokens and keys that are refused, in every place where a client may put them.
async fn strangers_call(stage: &Stage, town: &Town, markers: &mut Markers, answers: &mut String) {
    let user = ALICE.parse().unwrap();
    let expired = minter().mint_user_token(&user, Some(&pepper(ALICE)), TimeDelta::hours(-1)).unwrap();
    let forged = TokenKeys::new(&"a secret that this service does not have".into()).unwrap();
    let forged = TokenMinter::new(forged, std::sync::Arc::new(SystemClock));
    let forged = forged.mint_user_token(&user, Some(&pepper(ALICE)), TimeDelta::hours(1)).unwrap();
    let of_old_pepper = minter().mint_user_token(&user, Some(&"another-pepper".into()), TimeDelta::hours(1)).unwrap();
    let old_key = DerivedTownKeys::new(&OLD_TOWN_SECRET.into()).unwrap();
    let old_key = old_key.key_of(town.id.to_string().parse().unwrap()).expose_secret().to_owned();
    let key = secret(stage, town.machine(), "INTERNAL_API_KEY");
    for (name, token) in
        [("expired token", &expired), ("forged token", &forged), ("token with an old pepper", &of_old_pepper)]
    {
        markers.add_token(name, token.expose_secret());
    }
    markers.add("old key of the town", &old_key);
    let tokens =
        [expired.expose_secret(), forged.expose_secret(), of_old_pepper.expose_secret(), &key, OLD_TOKEN_SECRET];
    for presented in tokens {
        let refused = client::call(stage.url(), presented, "listTowns", Value::Null).await.unwrap_err();
        let input = json!({ "townId": town.id });
        let home = client::call_home(stage.url(), presented.trim_start_matches(&key), "heartbeat", input).await;
        writeln!(answers, "{refused:?} {home:?}").unwrap();
        let query = format!("{}/trpc/gastown.listTowns?token={presented}&input=%22{presented}", stage.url());
        let odd =
            client::http().get(query).header(AUTHORIZATION, format!("Basic {presented}")).header(COOKIE, presented);
        let odd = odd.header("x-api-key", presented).header("x-forwarded-authorization", presented);
        let answer = odd.send().await.unwrap();
        writeln!(answers, "{:?} {:?}", answer.headers().clone(), answer.text().await.unwrap()).unwrap();
    }
    // Before a rotation is over, the old key is good.
    let input = json!({ "townId": town.id });
    writeln!(answers, "{:?}", client::call_home(stage.url(), &old_key, "heartbeat", input.clone()).await).unwrap();
    let fresh = client::call_home(stage.url(), &old_key, "refreshToken", input).await.unwrap();
    markers.add_token("refreshed gateway token", fresh["token"].as_str().unwrap());
}
