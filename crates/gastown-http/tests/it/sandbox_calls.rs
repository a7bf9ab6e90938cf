//! The calls of sandboxes.

use std::time::Duration;

use gastown_domain::{
    Failure, SandboxReport, TownId,
    ports::{GatewayToken, HomeError, MockHomeCalls, MockTowns, StoreError},
};
use mockall::predicate::{always, eq};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{
    fake_towns::moment,
    server::{Server, client},
    world::{answer, parts_with, serve},
};

const TOWN: &str = "0190a1b2-c3d4-7e5f-8a9b-000000000001";

fn town() -> TownId {
    TOWN.parse().unwrap()
}

async fn post(server: &Server, name: &str, input: Value) -> (u16, Value) {
    let request = client().post(server.url(&format!("/trpc/gastown.{name}"))).header("x-internal-api-key", "the key");
    answer(request.header("content-type", "application/json").body(input.to_string())).await
}

#[tokio::test]
async fn heartbeat_is_passed_on_with_its_key() {
    let mut home = MockHomeCalls::new();
    home.expect_heartbeat()
        .withf(|id, key, report, claimed_sync| {
            *id == town()
                && key.expose_secret() == "the key"
                && *report == SandboxReport::default()
                && claimed_sync.is_none()
        })
        .times(1)
        .returning(|_, _, _, _| Ok(()));
    let server = serve(parts_with(MockTowns::new(), home)).await;
    let got = post(&server, "heartbeat", json!({"townId": TOWN, "version": "more than we ask for"})).await;
    assert_eq!(got, (200, json!({"result": {"data": {"townId": TOWN, "recorded": true}}})));
}

#[tokio::test]
async fn heartbeat_has_what_the_sandbox_says_of_itself() {
    let mut home = MockHomeCalls::new();
    home.expect_heartbeat()
        .withf(|_, _, report, claimed_sync| {
            *report
                == SandboxReport {
                    gt_running: Some(true),
                    dolt_running: Some(false),
                    active_polecats: Some(3),
                    disk_used_bytes: Some(9_007_199_254_740_991),
                }
                && *claimed_sync == Some(moment())
        })
        .times(1)
        .returning(|_, _, _, _| Ok(()));
    let server = serve(parts_with(MockTowns::new(), home)).await;
    let input = json!({
        "townId": TOWN, "gtRunning": true, "doltRunning": false, "activePolecats": 3,
        "diskUsedBytes": 9_007_199_254_740_991_u64, "lastR2SyncAt": "2026-02-03T05:05:06.789123+01:00",
    });
    assert_eq!(post(&server, "heartbeat", input).await.0, 200);
}

#[tokio::test]
async fn what_a_sandbox_says_of_itself_is_checked() {
    let mut home = MockHomeCalls::new();
    home.expect_heartbeat().returning(|_, _, _, _| Ok(()));
    let server = serve(parts_with(MockTowns::new(), home)).await;
    for (name, value, is_valid) in [
        ("gtRunning", json!(null), true),
        ("gtRunning", json!("yes"), false),
        ("doltRunning", json!(1), false),
        ("activePolecats", json!(0), true),
        ("activePolecats", json!(-1), false),
        ("activePolecats", json!(100_001), false),
        ("activePolecats", json!(1.5), false),
        ("diskUsedBytes", json!(9_007_199_254_740_992_u64), false),
        ("diskUsedBytes", json!("1"), false),
        ("lastR2SyncAt", json!("yesterday"), false),
        ("lastR2SyncAt", json!(1_795_000_000), false),
        ("lastR2SyncAt", json!("2026-02-03T04:05:06Z"), true),
    ] {
        let (status, envelope) = post(&server, "heartbeat", json!({"townId": TOWN, name: value})).await;
        assert_eq!(status, if is_valid { 200 } else { 400 }, "{name}: {value}: {envelope}");
        let fields = &envelope["error"]["data"]["zodError"]["fieldErrors"];
        assert_eq!(fields.get(name).is_some(), !is_valid, "{envelope}");
    }
}

#[tokio::test]
async fn new_token_has_its_expiry() {
    let mut home = MockHomeCalls::new();
    home.expect_refresh_token()
        .with(eq(town()), always())
        .times(1)
        .returning(|_, _| Ok(GatewayToken { token: "fresh".into(), expires_at: moment() }));
    let server = serve(parts_with(MockTowns::new(), home)).await;
    let got = post(&server, "refreshToken", json!({"townId": TOWN})).await;
    let data = json!({"token": "fresh", "expiresAt": "2026-02-03T04:05:06.789Z"});
    assert_eq!(got, (200, json!({"result": {"data": data}})));
}

#[tokio::test]
async fn every_home_error_has_its_code() {
    type Make = fn() -> HomeError;
    // A heartbeat mints no token, so two cases are of the other procedure alone.
    let cases: [(Make, u16, &str); 6] = [
        (|| HomeError::Unauthorized, 401, "UNAUTHORIZED"),
        (|| HomeError::TooManyCalls { retry_after: Duration::from_secs(7) }, 429, "TOO_MANY_REQUESTS"),
        (|| HomeError::Overloaded { retry_after: Duration::from_secs(5) }, 503, "SERVICE_UNAVAILABLE"),
        (|| HomeError::NoToken(Failure::OwnerUnknown), 403, "FORBIDDEN"),
        (|| HomeError::NoToken(Failure::SecretsUnavailable), 500, "INTERNAL_SERVER_ERROR"),
        (|| HomeError::Store(StoreError::Unavailable { cause: "secret".into() }), 503, "SERVICE_UNAVAILABLE"),
    ];
    for (make, status, code) in cases {
        let mut home = MockHomeCalls::new();
        home.expect_refresh_token().returning(move |_, _| Err(make()));
        home.expect_heartbeat().returning(move |_, _, _, _| Err(make()));
        let server = serve(parts_with(MockTowns::new(), home)).await;
        let mints = matches!(make(), HomeError::NoToken(_));
        for name in ["refreshToken", "heartbeat"].into_iter().filter(|name| !mints || *name == "refreshToken") {
            let (got, envelope) = post(&server, name, json!({"townId": TOWN})).await;
            assert_eq!((got, &envelope["error"]["data"]["code"]), (status, &json!(code)), "{name}: {envelope}");
            assert!(!envelope.to_string().contains("secret\""), "{envelope}");
        }
    }
}

#[tokio::test]
async fn sandbox_must_name_its_town() {
    let server = serve(parts_with(MockTowns::new(), MockHomeCalls::new())).await;
    for name in ["refreshToken", "heartbeat"] {
        let (status, envelope) = post(&server, name, json!({})).await;
        let fields = &envelope["error"]["data"]["zodError"]["fieldErrors"];
        assert_eq!((status, fields), (400, &json!({"townId": ["Required"]})));
    }
}
