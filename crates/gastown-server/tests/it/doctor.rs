//! `gastown doctor`, and `gastown town list` with what Fly shows of keys and images.

use fly_sim::{Call, Effect, Fault};
use gastown_sandbox_sim::SANDBOX_HEALTH;
use gastown_secrets::SandboxKey;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::console::TOKEN_OF_EVE;
use crate::operator_api::{at_server, console_url, with_console};
use crate::process::{Ended, Gastown};
use crate::stage::{Setup, Stage};

on_both! {
    healthy_installation_passes_every_check,
    each_defect_is_named_with_its_repair,
    towns_with_old_keys_and_images_are_listed,
    server_is_examined_from_elsewhere,
}

/// Runs the binary with the settings of `serve`, changed. An empty value removes a setting.
async fn run(stage: &Stage, arguments: &[&str], changes: &[(&str, &str)]) -> Ended {
    let mut settings = stage.settings.clone();
    for (name, value) in changes {
        settings.retain(|(present, _)| present != name);
        settings.push(((*name).to_owned(), (*value).to_owned()));
    }
    Gastown::run(arguments, &settings).await
}

/// Returns the checks by their names.
async fn checks(stage: &Stage, arguments: &[&str], changes: &[(&str, &str)]) -> (Option<i32>, Value) {
    named(&run(stage, &[&["doctor", "--json"], arguments].concat(), changes).await)
}

fn named(ended: &Ended) -> (Option<i32>, Value) {
    assert!(!(ended.out.clone() + &ended.err).contains("canary"), "{}{}", ended.out, ended.err);
    let answer: Value = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}", ended.err));
    let mut named = json!({});
    for check in answer["checks"].as_array().unwrap() {
        named[check["name"].as_str().unwrap()] = check.clone();
    }
    assert_eq!(answer["ok"], json!(ended.status.success()));
    (ended.status.code(), named)
}

async fn healthy_installation_passes_every_check(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let (code, empty) = checks(&stage, &[], &[]).await;
    assert_eq!((code, &empty["sandboxes"]["state"]), (Some(0), &json!("skipped")), "{empty}");
    stage.running("mill").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandbox.key");
    std::fs::write(&file, stage.sandbox_key.to_secret().expose_secret()).unwrap();
    let (code, found) = checks(&stage, &["--private-key", file.to_str().unwrap()], &[]).await;
    assert_eq!(code, Some(0), "{found}");
    let names =
        ["settings", "database", "migrations", "clock", "Fly: token and app", "sandboxes' key", "private key file"];
    for name in names.into_iter().chain(["image", "sandboxes"]) {
        assert_eq!(found[name]["state"], "ok", "{name}: {found}");
    }
    let shown = run(&stage, &["doctor"], &[]).await;
    assert!(shown.out.contains("1 of 1 running towns") && shown.out.contains("pinned"), "{}", shown.out);
    stage
}

async fn each_defect_is_named_with_its_repair(setup: Setup) -> Stage {
    let stage = setup.start().await;
    stage.running("mill").await;
    let other = SandboxKey::generate();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.key");
    std::fs::write(&file, other.to_secret().expose_secret()).unwrap();
    let other_key = other.public_key().to_string();
    let no_server = "postgres://u@127.0.0.1:1/none?sslmode=disable";
    for (changes, name, state, mend) in [
        (&[("NEXTAUTH_SECRET", "short"), ("R2_BUCKET", "")][..], "settings", "failed", "config example"),
        (&[("DATABASE_URL", no_server)], "database", "failed", "DATABASE_URL"),
        (&[("FLY_API_TOKEN", "wrong-token-of-fly")], "Fly: token and app", "failed", "FLY_API_TOKEN"),
        (&[("FLY_APP_NAME", "no-such-app")], "Fly: token and app", "failed", "app"),
        (&[("SANDBOX_PUBLIC_KEY", other_key.as_str())], "sandboxes' key", "warning", "SANDBOX_PRIVATE_KEY"),
        (&[("FLY_IMAGE", "registry.example.com/gastown-sandbox:latest")], "image", "warning", "@sha256"),
        (
            &[("INTERNAL_API_SECRET", "another-secret-of-towns-a1b2c3d4e5f6")],
            "sandboxes",
            "failed",
            "INTERNAL_API_SECRET",
        ),
    ] {
        let (code, found) = checks(&stage, &[], changes).await;
        assert_eq!(found[name]["state"], state, "{changes:?}: {found}");
        assert!(found[name]["mend"].as_str().unwrap().contains(mend), "{changes:?}: {found}");
        assert_eq!(code, Some(i32::from(state == "failed")), "{changes:?}: {found}");
    }
    let (_, found) = checks(&stage, &["--private-key", file.to_str().unwrap()], &[]).await;
    assert_eq!(found["private key file"]["state"], "failed", "{found}");
    stage.sim.inject(Fault::at(SANDBOX_HEALTH, Effect::server_error()).always());
    let (code, found) = checks(&stage, &[], &[]).await;
    assert_eq!((code, &found["sandboxes"]["state"]), (Some(1), &json!("failed")), "{found}");
    stage.sim.clear_faults();
    stage.sim.inject(Fault::at(Call::GetApp, Effect::server_error()).always());
    let (_, found) = checks(&stage, &[], &[]).await;
    assert!(found["Fly: token and app"]["mend"].as_str().unwrap().contains("status page"), "{found}");
    stage.sim.clear_faults();
    stage
}

/// Returns the names of the listed towns.
async fn listed(stage: &Stage, arguments: &[&str], changes: &[(&str, &str)]) -> Vec<String> {
    let ended = run(stage, &[&["town", "list", "--json"], arguments].concat(), changes).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    let answer: Value = serde_json::from_str(&ended.out).unwrap();
    answer["towns"].as_array().unwrap().iter().map(|town| town["townName"].as_str().unwrap().to_owned()).collect()
}

async fn towns_with_old_keys_and_images_are_listed(setup: Setup) -> Stage {
    let mut stage = Setup { keeps_port: true, ..setup }.start().await;
    let (mill, old_image) = (
        stage.running("mill").await,
        "registry.example.com/gastown-sandbox@sha256:0123012301230123012301230123012301230123012301230123012301230123",
    );
    assert_eq!(listed(&stage, &["--key", "old"], &[]).await, Vec::<String>::new());
    assert_eq!(listed(&stage, &["--key", "current"], &[]).await, ["mill"]);

    // A rotation of the towns' keys, and another image.
    let image =
        "registry.example.com/gastown-sandbox@sha256:4567456745674567456745674567456745674567456745674567456745674567";
    let before = stage.settings.iter().find(|(name, _)| name == "INTERNAL_API_SECRET").unwrap().1.clone();
    stage.set(&[
        ("INTERNAL_API_SECRET", "canary-of-next-internal-Zx8Kq2Lm5Vb7Nc4T"),
        ("INTERNAL_API_SECRET_PREVIOUS", &before),
        ("FLY_IMAGE", image),
    ]);
    stage.replace(0).await;
    stage.running("inn").await;
    for (arguments, expected) in [
        (["--key", "old"], "mill"),
        (["--key", "current"], "inn"),
        (["--image", old_image], "mill"),
        (["--image", image], "inn"),
    ] {
        assert_eq!(listed(&stage, &arguments, &[]).await, [expected], "{arguments:?}");
    }
    let shown = run(&stage, &["town", "list", "--key", "old"], &[]).await.out;
    assert!(shown.contains("old") && shown.contains(old_image), "{shown}");
    let other = SandboxKey::generate().public_key().to_string();
    assert_eq!(listed(&stage, &["--key", "old"], &[("SANDBOX_PUBLIC_KEY", &other)]).await, ["inn", "mill"]);

    stage.on_town("stopTown", mill.id).await.unwrap();
    stage.on_town("startTown", mill.id).await.unwrap();
    assert_eq!(listed(&stage, &["--key", "old"], &[]).await, Vec::<String>::new());
    let missing = run(&stage, &["town", "list", "--key", "old"], &[("SANDBOX_PUBLIC_KEY", "")]).await;
    assert!(
        missing.status.code() == Some(1) && missing.err.contains("SANDBOX_PUBLIC_KEY is missing"),
        "{}",
        missing.err
    );
    stage
}

async fn server_is_examined_from_elsewhere(setup: Setup) -> Stage {
    let stage = with_console(setup, false).start().await;
    stage.created("mill").await;
    let (code, found) = named(&at_server(&stage, &["doctor", "--json"]).await);
    assert_eq!(code, Some(0), "{found}");
    let names =
        ["server", "operator's token", "clock here", "version", "settings", "image", "database", "migrations", "clock"];
    for name in names.into_iter().chain(["Fly: token and app", "sandboxes' key", "sandboxes"]) {
        assert_eq!(found[name]["state"], "ok", "{name}: {found}");
    }
    let settings = found["settings"]["detail"].as_str().unwrap();
    assert!(settings.contains("the app ") && settings.ends_with("actions not allowed"), "{settings}");
    let shown = at_server(&stage, &["doctor"]).await;
    assert!(
        shown.out.contains("1 of 1 running towns") && shown.out.contains("here and at the server"),
        "{}",
        shown.out
    );

    stage.sim.inject(Fault::at(Call::GetApp, Effect::server_error()).always());
    stage.sim.inject(Fault::at(SANDBOX_HEALTH, Effect::server_error()).always());
    let (code, found) = named(&at_server(&stage, &["doctor", "--json"]).await);
    stage.sim.clear_faults();
    assert_eq!((code, &found["sandboxes"]["state"]), (Some(1), &json!("failed")), "{found}");
    assert!(found["Fly: token and app"]["mend"].as_str().unwrap().contains("status page"), "{found}");

    let examine = async |url: &str, token: &str| {
        let token = [("GASTOWN_OPERATOR_TOKEN".to_owned(), token.to_owned())];
        named(&Gastown::run(&["doctor", "--json", "--server", url], &token).await)
    };
    let (code, found) = examine(console_url(&stage), "wrong-token-of-an-operator-Xk2").await;
    assert_eq!((code, &found["server"]["state"]), (Some(1), &json!("ok")), "{found}");
    assert_eq!((&found["operator's token"]["state"], found.get("database")), (&json!("failed"), None), "{found}");
    for url in ["http://127.0.0.1:1", stage.url()] {
        let (code, found) = examine(url, TOKEN_OF_EVE).await;
        assert_eq!((code, &found["server"]["state"]), (Some(1), &json!("failed")), "{found}");
        assert!(found["server"]["mend"].as_str().unwrap().contains("CONSOLE_LISTEN"), "{found}");
    }
    let both = at_server(&stage, &["doctor", "--private-key", "sandbox.key"]).await;
    assert_eq!(both.status.code(), Some(2), "{}", both.err);
    stage
}
