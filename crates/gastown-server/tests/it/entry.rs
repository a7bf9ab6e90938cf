//! Unauthenticated callers are rejected everywhere. The tests iterate over the list of procedures, which includes new ones.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::{
    Clock, GatewayGrant, MockHomeCalls, MockReadiness, MockTowns, MockUserTokens, NoMetrics, TokenMint as _,
};
use gastown_http::{HandlerRuntime, HttpParts, HttpSettings, procedures, trpc};
use gastown_jwt::{TokenKeys, TokenMinter};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::client::{call_home, call_with};
use crate::env::secret;
use crate::rows::Town;
use crate::stage::{ALICE, Setup, Stage, minter, pepper, token_keys};

on_both! {
    bad_tokens_are_rejected_everywhere,
    wrong_keys_are_rejected_for_sandboxes,
}

const HOME: [&str; 2] = ["heartbeat", "refreshToken"];

/// Returns every procedure, without its prefix.
pub(crate) fn all_procedures() -> Vec<&'static str> {
    let parts = HttpParts {
        towns: Arc::new(MockTowns::new()),
        home: Arc::new(MockHomeCalls::new()),
        tokens: Arc::new(MockUserTokens::new()),
        readiness: Arc::new(MockReadiness::new()),
        metrics: Arc::new(NoMetrics),
        tasks: TaskTracker::new(),
        handlers: HandlerRuntime::of_connections(),
        settings: HttpSettings {
            trpc: trpc::Settings {
                max_body_bytes: 1,
                body_timeout: Duration::ZERO,
                batching: false,
                max_batch_size: 1,
                batch_concurrency: 1,
                max_answer_bytes: 1,
                max_untaken_bytes: 1,
                time_limit: Duration::ZERO,
                stream_ping: None,
                reads: none_admitted(),
                changes: none_admitted(),
                watchers: trpc::WatcherLimits::default(),
            },
            allowed_origins: Vec::new(),
            readiness_limit: Duration::ZERO,
            readiness_max_age: Duration::ZERO,
        },
    };
    procedures(&parts).procedures().map(|(name, _)| name.strip_prefix("gastown.").unwrap()).collect()
}

fn none_admitted() -> trpc::AdmissionLimits {
    trpc::AdmissionLimits { max_running: 0, max_running_per_caller: 0, max_waiting: 0, max_wait: Duration::ZERO }
}

/// Returns the procedures of users.
pub(crate) fn user_procedures() -> impl Iterator<Item = &'static str> {
    all_procedures().into_iter().filter(|name| !HOME.contains(name))
}

/// A clock at another time.
struct Standing(DateTime<Utc>);

impl Clock for Standing {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

fn text(token: &SecretString) -> String {
    token.expose_secret().to_owned()
}

/// Returns a token with the claims of a valid one, another header and another signature.
fn forged(good: &str, header: &Value, signature: &str) -> String {
    let claims = good.split('.').nth(1).unwrap();
    format!("{}.{claims}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(header.to_string()))
}

/// Returns headers that must be rejected, each with its fault.
fn bad_headers(stage: &Stage, town: &Town) -> Vec<(&'static str, Option<(&'static str, String)>)> {
    let alice = ALICE.parse().unwrap();
    let good = stage.token(ALICE);
    let hour = TimeDelta::hours(1);
    let past = Standing("2020-01-01T00:00:00Z".parse().unwrap());
    let past = TokenMinter::new(token_keys(), Arc::new(past));
    let other_keys = TokenKeys::new(&"the secret of another host, as long".into()).unwrap();
    let other_key = TokenMinter::new(other_keys, Arc::new(gastown_system::SystemClock));
    let grant = GatewayGrant {
        user: ALICE.parse().unwrap(),
        town: town.id.to_string().parse().unwrap(),
        organization: None,
        pepper: Some(pepper(ALICE)),
    };
    let (head, signature) = good.rsplit_once('.').unwrap();
    let tokens = [
        ("garbage", "garbage".to_owned()),
        ("empty parts", "..".to_owned()),
        ("expired", text(&past.mint_user_token(&alice, Some(&pepper(ALICE)), hour).unwrap())),
        ("of another key", text(&other_key.mint_user_token(&alice, Some(&pepper(ALICE)), hour).unwrap())),
        ("of an old pepper", text(&minter().mint_user_token(&alice, Some(&"old".into()), hour).unwrap())),
        ("without a pepper", text(&minter().mint_user_token(&alice, None, hour).unwrap())),
        ("of a stranger", text(&minter().mint_user_token(&"mallory".parse().unwrap(), None, hour).unwrap())),
        ("alg none", forged(good, &json!({"alg": "none", "typ": "JWT"}), "")),
        ("alg none, signed", forged(good, &json!({"alg": "none", "typ": "JWT"}), signature)),
        ("alg HS512", forged(good, &json!({"alg": "HS512", "typ": "JWT"}), signature)),
        ("unsigned", format!("{head}.")),
        ("of a sandbox, minted", text(&minter().mint(&grant).unwrap().token)),
        ("of a sandbox, found in it", secret(stage, town.machine(), "KILO_JWT")),
    ];
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let mut headers: Vec<_> = tokens.iter().map(|(what, token)| (*what, Some(bearer(token)))).collect();
    headers.push(("nothing", None));
    headers.push(("another scheme", Some(("authorization", format!("Basic {good}")))));
    headers.push((
        "the key of a sandbox",
        Some(("x-internal-api-key", secret(stage, town.machine(), "INTERNAL_API_KEY"))),
    ));
    headers
}

async fn bad_tokens_are_rejected_everywhere(mut setup: Setup) -> Stage {
    // No sweep calls the sandbox.
    setup.policy.backoff.sweep_every = Duration::from_secs(60 * 60);
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let rig = stage.add_rig(town.id, "app", "https://github.com/acme/app").await.unwrap();
    let before = stage.rows.everything().await;
    let calls = stage.sim.calls().len();
    let input = json!({
        "townId": town.id, "townName": "inn", "rigId": rig["rigId"], "rigName": "other",
        "repoUrl": "https://github.com/acme/other", "config": {}, "configVersion": "v", "confirm": "mill",
    });
    let (mut checked, url) = (0, stage.url());
    for (what, header) in bad_headers(&stage, &town) {
        for procedure in user_procedures() {
            let answer = call_with(url, header.clone(), procedure, input.clone()).await;
            let refused = answer.expect_err(&format!("{procedure} with {what}"));
            let got = (refused.code.as_str(), refused.status, refused.message.as_str());
            assert_eq!(got, ("UNAUTHORIZED", 401, "Missing or invalid bearer token"), "{procedure} with {what}");
            checked += 1;
        }
    }
    assert!(checked >= 8 * 16, "{checked}");
    assert_eq!(stage.rows.everything().await, before);
    assert_eq!(stage.sim.calls().len(), calls, "Fly or a sandbox was called");
    stage
}

async fn wrong_keys_are_rejected_for_sandboxes(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let (mill, inn) = (stage.running("mill").await, stage.running("inn").await);
    let before = stage.rows.everything().await;
    let others = secret(&stage, inn.machine(), "INTERNAL_API_KEY");
    let input = json!({ "townId": mill.id });
    let token = secret(&stage, mill.machine(), "KILO_JWT");
    for procedure in HOME {
        for key in [others.as_str(), "garbage", crate::stage::TOWN_SECRET, &token, &mill.id.to_string()] {
            let refused = call_home(stage.url(), key, procedure, input.clone()).await.unwrap_err();
            assert_eq!((refused.code.as_str(), refused.status), ("UNAUTHORIZED", 401), "{procedure}");
        }
        for header in [None, Some(("authorization", format!("Bearer {}", stage.token(ALICE))))] {
            let refused = call_with(stage.url(), header, procedure, input.clone()).await.unwrap_err();
            assert_eq!(refused.message, "Missing or invalid internal API key", "{procedure}");
        }
        // A town that does not exist gets the same answer.
        let nowhere = json!({ "townId": "0190a1b2-c3d4-4e5f-8a9b-000000000001" });
        let refused = call_home(stage.url(), &others, procedure, nowhere).await.unwrap_err();
        assert_eq!(refused.message, "Missing or invalid internal API key", "{procedure}");
    }
    assert_eq!(stage.rows.everything().await, before);
    stage
}
