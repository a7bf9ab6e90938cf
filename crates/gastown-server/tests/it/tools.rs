//! Commands that need no database or only users: `keygen`, `token`, `config`, `completions`, `man`, `--version`.

use gastown_secrets::{PublicSealingKey, SandboxKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::process::{Ended, Gastown};
use crate::stage::{ALICE, Setup, Stage, TOKEN_SECRET};

on_both! {
    minted_token_is_accepted_and_inspected,
    refused_tokens_say_why,
}

const OPERATIONS: &str = include_str!("../../../../docs/operations.md");

/// Runs a command with the settings of `gastown token`.
async fn token(stage: &Stage, arguments: &[&str], changes: &[(&str, &str)]) -> Ended {
    let mut settings = vec![
        ("DATABASE_URL".to_owned(), stage.place.url().to_owned()),
        ("NEXTAUTH_SECRET".to_owned(), TOKEN_SECRET.to_owned()),
    ];
    for (name, value) in changes {
        settings.retain(|(present, _)| present != name);
        settings.push(((*name).to_owned(), (*value).to_owned()));
    }
    Gastown::run(&[&["token"], arguments].concat(), &settings).await
}

async fn minted_token_is_accepted_and_inspected(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let minted = token(&stage, &["mint", "--user", ALICE, "--lifetime", "10m"], &[]).await;
    assert_eq!(minted.status.code(), Some(0), "{}", minted.err);
    let minted = minted.out.trim();
    let listed = crate::client::call(stage.url(), minted, "listTowns", json!({})).await.unwrap();
    assert_eq!(listed, json!([]));
    let inspected = token(&stage, &["inspect", minted, "--json"], &[]).await;
    assert_eq!(inspected.status.code(), Some(0), "{}", inspected.err);
    let answer: Value = serde_json::from_str(&inspected.out).unwrap();
    assert_eq!((&answer["userId"], &answer["accepted"]), (&json!(ALICE), &json!(true)), "{answer}");
    assert!(answer["expiresAt"].is_string() && !inspected.out.contains("pepper"), "{answer}");
    let unknown = token(&stage, &["mint", "--user", "carol"], &[]).await;
    assert_eq!((unknown.status.code(), unknown.out.as_str()), (Some(1), ""));
    assert_eq!(unknown.err, "gastown: no such user: carol\n");
    stage
}

async fn refused_tokens_say_why(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let good = stage.token(ALICE).to_owned();
    let other_secret = [("NEXTAUTH_SECRET", "another-secret-of-nextauth-0123456789")];
    let (altered, other_env) = (format!("{}AAAA", &good[..good.len() - 4]), [("TOKEN_ENV", "staging")]);
    let in_env = token(&stage, &["mint", "--user", ALICE], &[("TOKEN_ENV", "production")]).await.out;
    for (given, changes, why) in [
        (good.as_str(), &other_secret[..], "NEXTAUTH_SECRET is not that of the host application"),
        (&altered, &[], "signature"),
        ("canary", &[], "malformed"),
        (in_env.trim(), &other_env, "TOKEN_ENV differs"),
    ] {
        let ended = token(&stage, &["inspect", given], changes).await;
        assert_eq!(ended.status.code(), Some(1), "{why}");
        assert!(ended.err.contains(why) && ended.out.contains("accepted no"), "{why}: {}{}", ended.out, ended.err);
        assert!(!(ended.out + &ended.err).contains("canary"), "{why}");
    }
    stage.rows.execute("UPDATE kilocode_users SET api_token_pepper = 'changed' WHERE id = 'alice'").await;
    let ended = token(&stage, &["inspect", &good], &[]).await;
    assert!(ended.status.code() == Some(1) && ended.err.contains("revoked"), "{}", ended.err);
    stage
        .rows
        .execute("UPDATE kilocode_users SET api_token_pepper = 'canary-pepper-of-alice' WHERE id = 'alice'")
        .await;
    stage
}

#[tokio::test]
async fn new_keys_fit_together() {
    let first = Gastown::run(&["keygen", "--json"], &[]).await;
    assert_eq!(first.status.code(), Some(0), "{}", first.err);
    let keys: Value = serde_json::from_str(&first.out).unwrap();
    let text = |name: &str| keys[name].as_str().unwrap().to_owned();
    let public: PublicSealingKey = text("SANDBOX_PUBLIC_KEY").parse().unwrap();
    let private = SandboxKey::parse(&text("SANDBOX_PRIVATE_KEY").into()).unwrap();
    let sealed = public.seal(&SecretString::from("token")).unwrap();
    assert_eq!(private.open(&sealed.to_text()).unwrap().expose_secret(), "token");
    assert_eq!(text("sandboxKeyId"), public.key_id().to_string());
    assert!(text("INTERNAL_API_SECRET").len() >= 32);
    let second = Gastown::run(&["keygen"], &[]).await.out;
    for name in ["SANDBOX_PUBLIC_KEY", "SANDBOX_PRIVATE_KEY", "INTERNAL_API_SECRET"] {
        assert!(second.contains(&format!("\n{name}=")) && !second.contains(&text(name)), "{name}:\n{second}");
    }
}

#[tokio::test]
async fn generated_token_of_an_operator_is_accepted_as_a_setting() {
    let made = Gastown::run(&["keygen", "--operator", "eve", "--json"], &[]).await;
    let made: Value = serde_json::from_str(&made.out).unwrap();
    let pair = ("CONSOLE_TOKENS".to_owned(), made["CONSOLE_TOKENS"].as_str().unwrap().to_owned());
    assert_eq!(pair.1, format!("eve:{}", made["token"].as_str().unwrap()));
    let checked = Gastown::run(&["config", "check"], &[pair]).await;
    assert!(checked.err.contains("FLY_API_TOKEN") && !checked.err.contains("CONSOLE"), "{}", checked.err);
    let shown = Gastown::run(&["keygen", "--operator", "eve"], &[]).await.out;
    for line in ["\nCONSOLE_TOKENS=eve:", "\nGASTOWN_OPERATOR_TOKEN="] {
        assert!(shown.contains(line), "{shown}");
    }
    assert_eq!(Gastown::run(&["keygen", "--operator", "Eve"], &[]).await.status.code(), Some(2));
}

#[tokio::test]
async fn example_of_settings_is_checked_by_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gastown.toml");
    let example = Gastown::run(&["config", "example"], &[]).await;
    assert_eq!(example.status.code(), Some(0), "{}", example.err);
    std::fs::write(&file, &example.out).unwrap();
    let path = file.to_str().unwrap();
    let checked = Gastown::run(&["--config", path, "config", "check"], &[]).await;
    assert_eq!((checked.status.code(), checked.out.as_str()), (Some(1), ""));
    assert!(checked.err.contains("FLY_API_TOKEN is missing"), "{}", checked.err);
}

/// Returns a cell of the page's table without links and code marks.
fn plain(cell: &str) -> String {
    let mut text = String::new();
    let mut rest = cell;
    while let Some((before, after)) = rest.split_once("](") {
        text += before;
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    (text + rest).replace(['[', ']', '`'], "")
}

#[test]
fn example_says_what_the_page_says() {
    let row = |name: &str| OPERATIONS.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap();
    for &gastown_server::Setting { name, default, meaning } in gastown_server::SETTINGS {
        let cells: Vec<_> = row(name).split(" | ").collect();
        assert_eq!(plain(cells[1]), meaning.replace(['[', ']'], ""), "{name}");
        let page = plain(cells[2].trim_end_matches(" |"));
        match default {
            gastown_server::SettingDefault::Value(value) if name != "LOG_FORMAT" => assert_eq!(page, value, "{name}"),
            _ => assert!(page.parse::<u64>().is_err(), "{name} has a default: {page}"),
        }
    }
}

#[tokio::test]
async fn completions_and_man_pages_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = Gastown::run(&["completions", shell], &[]).await;
        assert!(ended.status.success() && ended.out.contains("operations"), "{shell}: {}", ended.err);
    }
    let folder = tempfile::tempdir().unwrap();
    let ended = Gastown::run(&["man", "--dir", folder.path().to_str().unwrap()], &[]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    for (page, text) in [("gastown.1", "operations"), ("gastown-town-list.1", "status"), ("gastown-orphans.1", "grace")]
    {
        let written = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(written.contains(".TH") && written.contains(text), "{page}");
    }
    let printed = Gastown::run(&["man"], &[]).await.out;
    assert!(printed.contains(".TH gastown"), "{printed}");
    let nowhere = Gastown::run(&["man", "--dir", "/nowhere/at/all"], &[]).await;
    assert_eq!((nowhere.status.code(), nowhere.err.lines().count()), (Some(1), 1), "{}", nowhere.err);
}

#[tokio::test]
async fn version_is_that_of_the_crate() {
    let ended = Gastown::run(&["--version"], &[]).await;
    assert!(ended.out.starts_with(concat!("gastown ", env!("CARGO_PKG_VERSION"))), "{}", ended.out);
}
