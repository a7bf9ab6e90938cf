//! Every reason that a procedure declares is one that its caller can receive. The client of all tests checks the other
//! direction. `declared_reasons.rs` in the tests of `gastown-http` provokes what the adapter refuses without the service.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use fly_sim::{Call, Effect, Fault};
use gastown_http::Reason;
use gastown_sandbox_sim::{SANDBOX_ADD_RIG, SANDBOX_SYNC};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Refusal, WIRE, call_home, http};
use crate::env::secret;
use crate::rows::Town;
use crate::stage::{ALICE, BOB, Setup, Stage, id_of, until};

on_both! {
    every_declared_reason_is_provoked,
}

const REPO: &str = "https://github.com/acme/app";
const NOWHERE: &str = "0190a1b2-c3d4-4e5f-8a9b-000000000001";

/// More changes than those that are to be refused for other reasons.
const CHANGES: NonZeroU32 = NonZeroU32::new(150).unwrap();

/// The failures of operations count as one reason of a procedure: each is a cause that the provider may have.
const FAILURE: &str = "a failure";

/// Pairs that only a double provokes, in the tests of `gastown-http`.
const BY_DOUBLES: [(&str, &str); 2] = [("refreshToken", "owner_unknown"), ("refreshToken", "secrets_unavailable")];

/// Returns the declared pairs of a procedure and a reason, without what the adapter alone refuses.
fn declared() -> BTreeSet<(String, String)> {
    let mut pairs = BTreeSet::new();
    let of_adapter = [Reason::InvalidToken, Reason::InvalidKey, Reason::InvalidInput];
    for procedure in &WIRE.procedures {
        let name = procedure.name.strip_prefix("gastown.").unwrap();
        let own = procedure.reasons.iter().filter(|reason| !of_adapter.contains(reason)).map(|reason| reason.word());
        let failure = procedure.may_fail.then_some(FAILURE);
        pairs.extend(own.chain(failure).map(|reason| (name.to_owned(), reason.to_owned())));
    }
    for (procedure, reason) in BY_DOUBLES {
        assert!(pairs.remove(&(procedure.to_owned(), reason.to_owned())), "{procedure} does not declare {reason}");
    }
    pairs
}

/// The pairs that were provoked.
struct Provoked<'a> {
    stage: &'a Stage,
    pairs: BTreeSet<(String, String)>,
}

impl<'a> Provoked<'a> {
    fn none(stage: &'a Stage) -> Self {
        Self { stage, pairs: BTreeSet::new() }
    }

    fn add(&mut self, procedure: &str, refusal: &Refusal) {
        let may_fail = WIRE.procedures.iter().any(|known| known.name.ends_with(procedure) && known.may_fail);
        let reason = if may_fail && refusal.data["failure"].is_string() { FAILURE } else { &refusal.reason };
        self.pairs.insert((procedure.to_owned(), reason.to_owned()));
    }

    /// Makes a call of a user that must be refused.
    async fn by(&mut self, user: &str, procedure: &str, input: Value) {
        let shown = input.to_string();
        let refusal = self.stage.call(user, procedure, input).await.expect_err(&format!("{procedure} {shown}"));
        self.add(procedure, &refusal);
    }

    async fn by_alice(&mut self, procedure: &str, input: Value) {
        self.by(ALICE, procedure, input).await;
    }
}

async fn every_declared_reason_is_provoked(mut setup: Setup) -> Stage {
    setup.policy.limits.towns_per_user = 2;
    setup.policy.limits.rigs_per_town = 2;
    setup.policy.limits.operations_per_user = 1;
    setup.policy.limits.sandbox_calls_per_minute = NonZeroU32::MIN;
    setup.policy.limits.changes_per_minute = CHANGES;
    // A refused stop is given up before its caller waits no longer.
    setup.policy.timeouts.stop = Duration::from_secs(2);
    setup.changes.push(("MAX_WATCHERS_PER_USER", "1".to_owned()));
    let mut stage = setup.start().await;
    let (mill, inn) = (stage.running("mill").await, second_town(&stage).await);
    let key = secret(&stage, mill.machine(), "INTERNAL_API_KEY");
    let mut got = Provoked::none(&stage);
    creates(&mut got).await;
    unknown_towns(&mut got).await;
    rigs(&mut got, &mill).await;
    configurations(&mut got, &mill).await;
    watchers(&mut got, &mill).await;
    home_calls(&mut got, &mill, &key).await;
    operations(&mut got, &mill, &inn).await;
    failures(&mut got, &mill).await;
    restores(&mut got, &mill, &inn).await;
    too_many_changes(&mut got, &mill).await;
    let before = got.pairs;
    let pairs = blocked(&mut stage, (&mill, &inn), &key).await;
    let got: BTreeSet<_> = before.into_iter().chain(pairs).collect();
    assert_eq!(got, declared());
    stage
}

/// Creates the town `inn`, with the idempotency key `k`.
async fn second_town(stage: &Stage) -> Town {
    let input = json!({"townName": "inn", "idempotencyKey": "k"});
    stage.rows.town(id_of(&stage.call(ALICE, "createTown", input).await.unwrap())).await
}

async fn creates(got: &mut Provoked<'_>) {
    let rig = |name: &str| json!({"rigName": name, "repoUrl": REPO});
    let rigs = json!([rig("a"), rig("b"), rig("c")]);
    for (input, reason) in [
        (json!({"townName": "forge", "idempotencyKey": "k"}), "idempotency_key_reused"),
        (json!({"townName": "forge", "region": "lhr"}), "region_not_offered"),
        (json!({"townName": "forge", "config": {"rigs": rigs}}), "too_many_rigs"),
        (json!({"townName": "forge"}), "too_many_towns"),
    ] {
        got.by_alice("createTown", input).await;
        assert!(got.pairs.contains(&("createTown".to_owned(), reason.to_owned())), "not {reason}: {:?}", got.pairs);
    }
    got.stage.call(BOB, "createTown", json!({"townName": "cellar"})).await.unwrap();
    got.by(BOB, "createTown", json!({"townName": "cellar"})).await;
}

async fn unknown_towns(got: &mut Provoked<'_>) {
    let input = json!({
        "townId": NOWHERE, "rigId": NOWHERE, "rigName": "app", "repoUrl": REPO, "config": {}, "configVersion": "v",
        "confirm": "mill",
    });
    let of_towns = declared().into_iter().filter(|(_, reason)| reason == "town_not_found");
    for (procedure, _) in of_towns {
        got.by_alice(&procedure, input.clone()).await;
    }
}

async fn rigs(got: &mut Provoked<'_>, town: &Town) {
    let stage = got.stage;
    let new = |name: &str, repo: &str| json!({"townId": town.id, "rigName": name, "repoUrl": repo});
    let of = |rig: &Value| json!({"townId": town.id, "rigId": rig});
    got.by_alice("getRig", of(&json!(NOWHERE))).await;
    got.by_alice("removeRig", of(&json!(NOWHERE))).await;
    got.by_alice("addRig", new("refused", "https://github.com/refused/app")).await;
    // A rig that is removed while its sandbox clones it is not found when the clone ends.
    stage.sim.inject(Fault::at(SANDBOX_ADD_RIG, Effect::Delay { millis: 3000 }));
    let slow = stage.spawn_call(ALICE, "addRig", new("slow", REPO));
    until("the slow rig is in the table", async || !stage.rows.rigs().await.is_empty()).await;
    let slow_id = json!(stage.rows.rigs().await[0].id);
    stage.call(ALICE, "removeRig", of(&slow_id)).await.unwrap();
    got.add("addRig", &slow.await.unwrap().unwrap_err());

    let used = stage.call(ALICE, "addRig", new("app", "https://github.com/unpushed/app")).await.unwrap();
    got.by_alice("addRig", new("App", REPO)).await;
    got.by_alice("removeRig", of(&used["rigId"])).await;
    stage.call(ALICE, "addRig", new("lib", REPO)).await.unwrap();
    got.by_alice("addRig", new("more", REPO)).await;
}

async fn configurations(got: &mut Provoked<'_>, town: &Town) {
    let read = got.stage.on_town("getTownStatus", town.id).await.unwrap();
    let large = json!({"large": "x".repeat(20_000)});
    let change =
        |config: Value, version: &Value| json!({"townId": town.id, "config": config, "configVersion": version});
    got.by_alice("updateTown", change(json!({"theme": "dark"}), &json!("another"))).await;
    let rigs = json!({"rigs": [{"rigName": "a", "repoUrl": REPO}]});
    got.by_alice("updateTown", change(rigs, &read["configVersion"])).await;
    let changed = got.stage.call(ALICE, "updateTown", change(large, &read["configVersion"])).await.unwrap();
    let more = json!({"more": "x".repeat(20_000)});
    got.by_alice("updateTown", change(more, &changed["configVersion"])).await;
}

/// Repeats each change until it is refused for its rate.
async fn too_many_changes(got: &mut Provoked<'_>, town: &Town) {
    let nothing = json!({
        "townId": town.id, "townName": "mill", "config": {}, "configVersion": "v", "rigId": NOWHERE, "rigName": "b",
        "repoUrl": REPO, "confirm": "mill",
    });
    for procedure in ["updateTown", "addRig", "removeRig", "createTown", "stopTown", "startTown", "restoreTown"] {
        let mut made = 0;
        let refusal = loop {
            match got.stage.call(ALICE, procedure, nothing.clone()).await {
                Err(refusal) if refusal.reason == "too_many_changes" => break refusal,
                Ok(_) | Err(_) => made += 1,
            }
            assert!(made < 10 * CHANGES.get(), "{made} calls of {procedure} are not refused");
        };
        got.add(procedure, &refusal);
    }
}

async fn watchers(got: &mut Provoked<'_>, town: &Town) {
    let url = format!("{}/trpc/gastown.watchTown", got.stage.url());
    let request = http().get(url).query(&[("input", json!({ "townId": town.id }).to_string())]);
    let mut open = request.bearer_auth(got.stage.token(ALICE)).send().await.unwrap();
    let mut text = String::new();
    // The place is taken once a value has arrived.
    while !text.contains("\"change\"") {
        text.push_str(std::str::from_utf8(&open.chunk().await.unwrap().unwrap()).unwrap());
    }
    got.by_alice("watchTown", json!({ "townId": town.id })).await;
    got.by_alice("watchTowns", json!({})).await;
}

/// The sandbox itself calls too, so the first call may be refused already.
async fn home_calls(got: &mut Provoked<'_>, town: &Town, key: &str) {
    for procedure in ["heartbeat", "refreshToken"] {
        for _ in 0..2 {
            let answer = call_home(got.stage.url(), key, procedure, json!({ "townId": town.id })).await;
            answer.err().iter().for_each(|refusal| got.add(procedure, refusal));
        }
    }
}

async fn operations(got: &mut Provoked<'_>, mill: &Town, inn: &Town) {
    let stage = got.stage;
    let of = |town: Uuid| json!({ "townId": town });
    stage.sim.inject(Fault::at(Call::StopMachine, Effect::throttled()).always());
    let stop = stage.spawn_call(ALICE, "stopTown", of(mill.id));
    until("the stop is in flight", async || !stage.rows.operations().await.is_empty()).await;
    got.by_alice("startTown", of(mill.id)).await;
    got.by_alice("stopTown", of(inn.id)).await;
    got.by_alice("destroyTown", of(inn.id)).await;
    stage.sim.clear_faults();
    stop.await.unwrap().unwrap();
    let start = held(stage, Call::StartMachine, "startTown", mill.id).await;
    got.by_alice("stopTown", of(mill.id)).await;
    got.by_alice("restoreTown", restore(mill.id, "mill")).await;
    record_loss(stage, "inn").await;
    got.by_alice("restoreTown", restore(inn.id, "inn")).await;
    forget_losses(stage).await;
    // A start of a running town is no operation, so the other town is stopped by its row.
    stage.rows.execute(&format!("UPDATE gastown_towns SET status = 'stopped' WHERE id = '{}'", inn.id)).await;
    got.by_alice("startTown", of(inn.id)).await;
    stage.rows.execute(&format!("UPDATE gastown_towns SET status = 'running' WHERE id = '{}'", inn.id)).await;
    stage.sim.clear_faults();
    start.await.unwrap().unwrap();
    creates_beside_a_removal(got).await;
}

/// Makes a call whose operation does not end before the faults are cleared.
async fn held(stage: &Stage, call: Call, procedure: &'static str, town: Uuid) -> tokio::task::JoinHandle<Answer> {
    stage.sim.inject(Fault::at(call, Effect::throttled()).always());
    let held = stage.spawn_call(ALICE, procedure, json!({ "townId": town }));
    until("the operation is in flight", async || !stage.rows.operations().await.is_empty()).await;
    held
}

type Answer = Result<Value, Refusal>;

/// Bob's town is being removed. Its configuration does not change, and he may not create another one meanwhile.
async fn creates_beside_a_removal(got: &mut Provoked<'_>) {
    let stage = got.stage;
    let cellar = stage.call(BOB, "listTowns", json!(null)).await.unwrap()[0].clone();
    stage.sim.inject(Fault::at(SANDBOX_SYNC, Effect::Delay { millis: 1500 }).always());
    let removal = json!({ "townId": cellar["townId"], "waitUntilGone": true });
    let destroy = stage.spawn_call(BOB, "destroyTown", removal);
    until("the destroy is in flight", async || !stage.rows.operations().await.is_empty()).await;
    let change = json!({
        "townId": cellar["townId"], "config": {"theme": "dark"}, "configVersion": cellar["configVersion"],
    });
    got.by(BOB, "updateTown", change).await;
    got.by(BOB, "createTown", json!({"townName": "attic"})).await;
    stage.sim.clear_faults();
    destroy.await.unwrap().unwrap();
}

fn restore(town: Uuid, confirm: &str) -> Value {
    json!({ "townId": town, "confirm": confirm })
}

/// Records that the volume of a town is lost and that its data was saved, as drift checks and syncs do.
async fn record_loss(stage: &Stage, town: &str) {
    let lost = "drift = 'volume_lost', drift_since = '2026-01-01T00:00:00+00:00'";
    let named = format!("(SELECT id FROM gastown_towns WHERE town_name = '{town}')");
    stage.rows.execute(&format!("UPDATE gastown_town_health SET {lost} WHERE town_id = {named}")).await;
    stage
        .rows
        .execute(&format!("UPDATE gastown_towns SET last_r2_sync_at = created_at WHERE town_name = '{town}'"))
        .await;
}

async fn forget_losses(stage: &Stage) {
    stage.rows.execute("UPDATE gastown_town_health SET drift = NULL, drift_since = NULL").await;
}

/// Provokes the refusals of a restore that has nothing to do with other operations, and its failure.
async fn restores(got: &mut Provoked<'_>, mill: &Town, inn: &Town) {
    let stage = got.stage;
    got.by_alice("restoreTown", restore(mill.id, "inn")).await;
    stage.rows.execute("UPDATE gastown_towns SET last_r2_sync_at = NULL WHERE town_name = 'inn'").await;
    got.by_alice("restoreTown", restore(inn.id, "inn")).await;
    got.by_alice("restoreTown", restore(mill.id, "mill")).await;
    record_loss(stage, "mill").await;
    stage.sim.inject(Fault::at(Call::CreateVolume, Effect::refusal(422, "invalid volume")));
    got.by_alice("restoreTown", restore(mill.id, "mill")).await;
    stage.idle().await;
    forget_losses(stage).await;
}

async fn failures(got: &mut Provoked<'_>, mill: &Town) {
    let stage = got.stage;
    let mill = json!({ "townId": mill.id });
    stage.sim.inject(Fault::at(Call::CreateVolume, Effect::refusal(422, "invalid volume")));
    got.by(BOB, "createTown", json!({"townName": "attic"})).await;
    stage.idle().await;
    stage.sim.inject(Fault::at(Call::StopMachine, Effect::refusal(422, "invalid stop")).always());
    got.by_alice("stopTown", mill.clone()).await;
    stage.sim.clear_faults();
    stage.idle().await;
    stage.call(ALICE, "stopTown", mill.clone()).await.unwrap();
    assert!(stage.sim.lose_volume(stage.rows.towns().await[0].volume()));
    got.by_alice("startTown", mill).await;
    stage.idle().await;
}

/// Blocks alice. A replica looks for the column when it starts.
async fn blocked(stage: &mut Stage, (mill, inn): (&Town, &Town), key: &str) -> BTreeSet<(String, String)> {
    stage.rows.execute("ALTER TABLE kilocode_users ADD COLUMN blocked_reason TEXT").await;
    stage.crash().await;
    stage.add_replica().await;
    stage.rows.execute("UPDATE kilocode_users SET blocked_reason = 'fraud' WHERE id = 'alice'").await;
    let mut got = Provoked::none(stage);
    got.by_alice("createTown", json!({"townName": "forge"})).await;
    got.by_alice("startTown", json!({ "townId": mill.id })).await;
    got.by_alice("restoreTown", restore(mill.id, "mill")).await;
    got.by_alice("addRig", json!({"townId": inn.id, "rigName": "app", "repoUrl": REPO})).await;
    got.by_alice("updateTown", json!({"townId": inn.id, "config": {"theme": "dark"}, "configVersion": "v"})).await;
    let refused = call_home(stage.url(), key, "refreshToken", json!({ "townId": mill.id })).await.unwrap_err();
    got.add("refreshToken", &refused);
    let pairs = got.pairs;
    // It has lost its volume, so it is no town that the stage accepts at the end.
    stage.on_town("destroyTown", mill.id).await.unwrap();
    pairs
}
