//! The console: in Chromium against `gastown dev`, and its pages on both databases.

use std::path::Path;

use fly_sim::{Call, Effect, Fault};
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::client::http;
use crate::process::Gastown;
use crate::stage::{ALICE, Setup, Stage, until};

pub(crate) const TOKEN: &str = "canary-of-console-Lk2NdYt7PqRs9UvWx4Bz";
/// The token of the operator `eve`.
pub(crate) const TOKEN_OF_EVE: &str = "canary-of-operator-eve-Wc8Qm3TzRx5HbNk1Lp";

on_both! {
    pages_show_the_registry_to_the_token_only,
}

/// A name that is not a browser's markup only if it is escaped.
const HOSTILE: &str = "<b>mallory</b>";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn console_shows_and_acts_in_a_browser() {
    let Some(browser) = Browser::install() else { return };
    let home = tempfile::tempdir().unwrap();
    let settings = vec![("TMPDIR".to_owned(), home.path().to_str().unwrap().to_owned())];
    let arguments = ["dev", "--user", HOSTILE, "--json", "--timing", "fast", "--allow-actions"];
    let mut service = Gastown::spawn(&arguments, &settings);
    let announced: Value = serde_json::from_str(&service.first_line().await).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let variables = [
        ("CONSOLE_URL", text(&announced["consoleUrl"])),
        ("GASTOWN_URL", text(&announced["url"])),
        ("GASTOWN_TOKEN", text(&announced["users"][HOSTILE]["token"])),
        ("HOSTILE_USER", HOSTILE.to_owned()),
    ];
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/console.mjs");
    browser.run(&script, &variables.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    // A viewer does not delay the end.
    let _viewer = http().get(format!("{}/live", variables[0].1)).send().await.unwrap();
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.status.code(), Some(0));
}

/// Gets a page with the token. Returns its text.
pub(crate) async fn page(stage: &Stage, path: &str) -> String {
    let url = stage.replicas[0].console_url.as_ref().unwrap();
    let answer = http().get(format!("{url}{path}")).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.text().await.unwrap()
}

async fn pages_show_the_registry_to_the_token_only(mut setup: Setup) -> Stage {
    setup.changes.extend([("CONSOLE_LISTEN", "127.0.0.1:0".to_owned()), ("CONSOLE_TOKEN", TOKEN.to_owned())]);
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.sim.inject(Fault::at(Call::StopMachine, Effect::throttled()).always());
    let stop = stage.spawn_call(ALICE, "stopTown", json!({ "townId": town.id }));
    until("the stop is delayed", async || {
        stage.rows.operations().await.iter().any(|operation| operation.last_error.is_some())
    })
    .await;

    let path = format!("/towns/{}", town.id);
    for (path, texts) in [
        ("", &["1</b>running", "throttled", "power_off", "alice/mill"][..]),
        ("/towns?user=alice", &["mill", "alice", "running", "stop: "]),
        (path.as_str(), &["alice/mill", town.machine(), "stop, ", "attempt "]),
        ("/operations", &["power_off", "throttled", "inspection", "orphans"]),
        ("/orphans", &["No orphan is recorded."]),
        ("/events?action=create", &["alice/mill", "create", "done"]),
    ] {
        let page = page(&stage, path).await;
        for text in texts {
            assert!(page.contains(text), "{path} lacks {text}: {page}");
        }
        assert!(!page.contains("<form class=\"action\""), "{path} can act: {page}");
    }

    let url = stage.replicas[0].console_url.clone().unwrap();
    for path in ["", "/towns", &path, "/live"] {
        for token in ["", TOKEN.trim_start_matches("canary"), stage.token(ALICE)] {
            let answer = http().get(format!("{url}{path}")).bearer_auth(token).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
            let shown = answer.text().await.unwrap();
            assert!(!shown.contains("mill") && !shown.contains("alice"), "{path}: {shown}");
        }
    }
    // Many wrong tokens get few messages.
    let log = stage.replicas[0].log.text();
    assert_eq!(log.matches("console token refused").count(), 1, "{log}");
    let act = http().post(format!("{url}{path}/destroy")).bearer_auth(TOKEN).body("name=mill").send().await.unwrap();
    assert_eq!(act.status(), StatusCode::FORBIDDEN);
    // The address of users has no console.
    let beside = http().get(format!("{}/console", stage.url())).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(beside.status(), StatusCode::NOT_FOUND);
    stage.sim.clear_faults();
    stop.await.unwrap().unwrap();
    stage
}
