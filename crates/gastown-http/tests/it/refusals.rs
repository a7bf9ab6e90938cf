//! A refused mutation was not made, and a made one is not refused.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gastown_domain::ports::{GatewayToken, MockHomeCalls, MockTowns};
use gastown_http::{
    procedures,
    trpc::{AdmissionLimits, Kind, Router, Settings},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};

use crate::{
    fake_towns::{FakeTowns, moment},
    probe::{self, Anybody},
    server::{Server, client},
    world::{ALICE, answer, parts, parts_with, serve},
};

const MEBIBYTE: usize = 1024 * 1024;

/// Sends a mutation, with a token and a key. Returns status and body.
async fn post(server: &Server, path: &str, input: &Value) -> (u16, Value) {
    let request = client().post(server.url(path)).bearer_auth(ALICE).header("x-internal-api-key", "key");
    answer(request.header("content-type", "application/json").body(input.to_string())).await
}

/// Returns a router whose mutation `probe.make` counts its runs and returns this many bytes.
fn making(bytes: usize) -> (Router, Arc<AtomicUsize>) {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let router = Router::new().mutation("probe.make", Anybody, move |(), ()| {
        count.fetch_add(1, Ordering::SeqCst);
        async move { Ok("x".repeat(bytes)) }
    });
    (router, made)
}

/// Returns a router whose mutation `probe.hold` counts its runs and waits for a permit.
fn holding(gate: &Arc<Semaphore>) -> (Router, Arc<AtomicUsize>) {
    let (gate, begun) = (Arc::clone(gate), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&begun);
    let router = Router::new().mutation("probe.hold", Anybody, move |(), ()| {
        let (gate, count) = (Arc::clone(&gate), Arc::clone(&count));
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            let _permit = gate.acquire().await.unwrap();
            Ok(1)
        }
    });
    (router, begun)
}

#[tokio::test]
async fn made_mutations_are_answered_beyond_the_limit_of_size() {
    let (router, made) = making(MEBIBYTE);
    let settings = Settings { max_answer_bytes: 10, max_untaken_bytes: 10, batch_concurrency: 1, ..probe::settings() };
    let server = probe::serve(router, settings).await;
    let (status, single) = post(&server, "/trpc/probe.make", &Value::Null).await;
    assert_eq!((status, single["result"]["data"].as_str().map(str::len)), (200, Some(MEBIBYTE)));
    let (status, batch) = post(&server, "/trpc/probe.make,probe.make?batch=1", &json!({})).await;
    // The first output counts as unread until the whole answer is read, so the second mutation is refused and not made.
    assert_eq!((status, batch[0]["result"]["data"].as_str().map(str::len)), (207, Some(MEBIBYTE)));
    assert_eq!(batch[1]["error"]["data"]["code"], "TOO_MANY_REQUESTS");
    assert_eq!(made.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn caller_with_unread_answers_is_refused_before_a_mutation_is_made() {
    let (router, made) = making(16 * MEBIBYTE);
    let settings = Settings { max_untaken_bytes: 16 * MEBIBYTE, ..probe::settings() };
    let server = probe::serve(router, settings).await;
    let mut reader = TcpStream::connect(server.address()).await.unwrap();
    let head =
        b"POST /trpc/probe.make HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n";
    reader.write_all(head).await.unwrap();
    reader.read_exact(&mut [0; 12]).await.unwrap();
    let (status, refused) = post(&server, "/trpc/probe.make", &Value::Null).await;
    assert_eq!((status, &refused["error"]["data"]["retryAfter"]), (429, &json!(1)), "{refused}");
    assert_eq!(made.load(Ordering::SeqCst), 1, "a refused mutation was made");
}

/// The procedures of users in the order of a town's life, each with its input.
fn life(town: &Value, rig: &Value) -> Vec<(&'static str, Value)> {
    let (of_town, of_rig) = (json!({ "townId": town }), json!({ "townId": town, "rigId": rig }));
    vec![
        ("gastown.stopTown", of_town.clone()),
        ("gastown.startTown", of_town.clone()),
        ("gastown.restoreTown", json!({ "townId": town, "confirm": "mill" })),
        ("gastown.heartbeat", of_town.clone()),
        ("gastown.refreshToken", of_town.clone()),
        ("gastown.getTownStatus", of_town.clone()),
        ("gastown.updateTown", json!({ "townId": town, "config": {}, "configVersion": "v" })),
        ("gastown.listEvents", of_town.clone()),
        ("gastown.watchTown", of_town.clone()),
        ("gastown.listTowns", Value::Null),
        ("gastown.watchTowns", json!({})),
        ("gastown.listRegions", Value::Null),
        ("gastown.getRig", of_rig.clone()),
        ("gastown.removeRig", of_rig),
        ("gastown.destroyTown", of_town),
    ]
}

#[tokio::test]
async fn size_of_answers_limits_every_query_and_no_mutation() {
    let mut home = MockHomeCalls::new();
    home.expect_heartbeat().returning(|_, _, _, _| Ok(()));
    home.expect_refresh_token().returning(|_, _| Ok(GatewayToken { token: "t".into(), expires_at: moment() }));
    let mut parts_of_all = parts_with(FakeTowns::default(), home);
    parts_of_all.settings.trpc.max_answer_bytes = 1;
    let server = serve(parts_of_all).await;
    let config = json!({ "large": "x".repeat(30_000) });
    let (_, town) = post(&server, "/trpc/gastown.createTown", &json!({ "townName": "mill", "config": config })).await;
    let town = &town["result"]["data"]["townId"];
    let rig = json!({ "townId": town, "rigName": "app", "repoUrl": "https://github.com/a/b", "config": config });
    let (_, rig) = post(&server, "/trpc/gastown.addRig", &rig).await;
    let rig = &rig["result"]["data"]["rigId"];
    assert!(town.is_string() && rig.is_string(), "{town} {rig}");
    let list = procedures(&parts(MockTowns::new()));
    let kinds: Vec<_> = list.procedures().collect();
    let mut called = BTreeSet::from(["gastown.createTown", "gastown.addRig"]);
    for (name, input) in life(town, rig) {
        called.insert(name);
        let kind = kinds.iter().find(|(known, _)| *known == name).unwrap().1;
        let (status, answer) = match kind {
            Kind::Mutation => post(&server, &format!("/trpc/{name}"), &input).await,
            Kind::Query | Kind::Subscription => crate::world::call(&server, kind.method(), name, ALICE, &input).await,
        };
        assert_eq!(status, if kind == Kind::Query { 413 } else { 200 }, "{name}: {answer}");
    }
    assert_eq!(called, kinds.iter().map(|(name, _)| *name).collect(), "a procedure has no case");
}

#[tokio::test]
async fn call_of_a_batch_that_never_started_says_so() {
    for accept in ["application/json", "application/jsonl"] {
        let gate = Arc::new(Semaphore::new(0));
        let (router, begun) = holding(&gate);
        let settings = Settings { batch_concurrency: 1, time_limit: Duration::from_millis(300), ..probe::settings() };
        let server = probe::serve(router, settings).await;
        let request = client().post(server.url("/trpc/probe.hold,probe.hold?batch=1")).header("trpc-accept", accept);
        let request = request.header("content-type", "application/json").body("{}");
        let text = request.send().await.unwrap().text().await.unwrap();
        let goes_on = "The request timed out; the operation continues in the background";
        let never = "The request timed out before this call started; nothing was done and you may repeat it";
        for (message, started) in [(goes_on, true), (never, false)] {
            assert_eq!(text.matches(message).count(), 1, "{text}");
            assert_eq!(text.matches(&format!("\"started\":{started}")).count(), 1, "{text}");
        }
        assert!(text.find(goes_on) < text.find(never), "{text}");
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn mutation_that_waits_for_its_place_beyond_the_time_out_is_never_made() {
    let gate = Arc::new(Semaphore::new(0));
    let (router, begun) = holding(&gate);
    let max_wait = Duration::from_secs(20);
    let changes = AdmissionLimits { max_running: 1, max_running_per_caller: 1, max_waiting: 10, max_wait };
    let settings = Settings { changes, time_limit: Duration::from_millis(300), ..probe::settings() };
    let server = probe::serve(router, settings).await;
    let (first, second) =
        tokio::join!(post(&server, "/trpc/probe.hold", &Value::Null), post(&server, "/trpc/probe.hold", &Value::Null));
    let started = |(status, answer): &(u16, Value)| (*status, answer["error"]["data"]["started"].clone());
    let mut both = [started(&first), started(&second)];
    both.sort_by_key(|(_, started)| started.as_bool());
    assert_eq!(both, [(408, json!(false)), (408, json!(true))], "{first:?} {second:?}");
    gate.add_permits(100);
    let third = timeout(Duration::from_secs(10), post(&server, "/trpc/probe.hold", &Value::Null)).await.unwrap();
    assert_eq!(third.0, 200, "{third:?}");
    assert_eq!(begun.load(Ordering::SeqCst), 2, "the second call was made after its answer");
}
