//! `gastown migrate` and `gastown unseal`.

use gastown_secrets::{REQUIRED_VARIABLES, SandboxKey};
use sea_orm::ConnectionTrait as _;
use secrecy::{ExposeSecret as _, SecretString};

use crate::process::Gastown;
use crate::serve::empty;
use crate::stage::Engine;

fn pairs(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn schema_migrates_up_down_and_up_again() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let place = empty(engine).await;
        let settings = pairs(&[("DATABASE_URL", place.url())]);
        let run = async |arguments: &[&str]| {
            let ended = Gastown::run(arguments, &settings).await;
            assert_eq!(ended.status.code(), Some(0), "{engine:?} {arguments:?}: {}", ended.err);
            let count = |word: &str| ended.out.lines().filter(|line| line.starts_with(word)).count();
            (count("applied"), count("pending"))
        };
        let (all, pending) = run(&["migrate", "up"]).await;
        assert!(all >= 9 && pending == 0, "{all}");
        assert_eq!(run(&["migrate", "status"]).await, (all, 0), "{engine:?}");
        assert_eq!(run(&["migrate", "up"]).await, (all, 0), "{engine:?}");
        assert_eq!(run(&["migrate", "down", "--yes"]).await, (all - 1, 1), "{engine:?}");
        assert_eq!(run(&["migrate", "down", "--yes", "--steps", &(all - 1).to_string()]).await, (0, all), "{engine:?}");
        assert_eq!(run(&["migrate", "up"]).await, (all, 0), "{engine:?}");
    }
}

#[tokio::test]
async fn migrate_reports_its_changes() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let place = empty(engine).await;
        let settings = pairs(&[("DATABASE_URL", place.url())]);
        let last_line = async |arguments: &[&str]| {
            let out = Gastown::run(arguments, &settings).await.out;
            out.lines().last().unwrap_or_default().to_owned()
        };
        let first = last_line(&["migrate", "up"]).await;
        assert!(first.ends_with(" migrations were applied."), "{engine:?}: {first}");
        assert_eq!(last_line(&["migrate", "up"]).await, "The schema is up to date.", "{engine:?}");
        assert_eq!(last_line(&["migrate", "down", "--yes"]).await, "1 migration was undone.", "{engine:?}");
        assert_eq!(
            last_line(&["migrate", "down", "--yes", "--steps", "2"]).await,
            "2 migrations were undone.",
            "{engine:?}"
        );
        assert_eq!(last_line(&["migrate", "up"]).await, "3 migrations were applied.", "{engine:?}");
    }
}

#[tokio::test]
async fn migrate_down_requires_confirmation_and_an_unused_registry() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let place = empty(engine).await;
        let settings = pairs(&[("DATABASE_URL", place.url())]);
        let run = async |arguments: &[&str]| Gastown::run(arguments, &settings).await;
        assert_eq!(run(&["migrate", "up"]).await.status.code(), Some(0));
        let applied = async || run(&["migrate", "status"]).await.out;
        let before = applied().await;
        let refused = async |arguments: &[&str], why: &str| {
            let ended = run(arguments).await;
            assert_eq!((ended.status.code(), ended.out.as_str()), (Some(1), ""), "{engine:?} {arguments:?}");
            assert!(ended.err.contains(why), "{engine:?}: {}", ended.err);
            assert_eq!(applied().await, before, "{engine:?} {arguments:?}");
        };
        refused(&["migrate", "down"], "add --yes").await;

        let db = sea_orm::Database::connect(place.url()).await.unwrap();
        let (id, now) = ("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "2026-11-23T08:50:02.5+00:00");
        db.execute_unprepared("INSERT INTO kilocode_users (id) VALUES ('u1')").await.unwrap();
        let town = format!(
            "INSERT INTO gastown_towns (id, user_id, town_name, sandbox_id, fly_volume_id, created_at) \
             VALUES ('{id}', 'u1', 'mill', 's1', 'vol_1', '{now}')"
        );
        db.execute_unprepared(&town).await.unwrap();
        refused(&["migrate", "down", "--yes"], "in flight: 0, towns with a machine or volume at Fly: 1").await;
        let operation = format!(
            "INSERT INTO gastown_operations \
             (town_id, id, kind, requested_by, next_attempt_at, deadline_at, created_at, updated_at) \
             VALUES ('{id}', '{id}', 'stop', 'u1', '{now}', '{now}', '{now}', '{now}')"
        );
        db.execute_unprepared(&operation).await.unwrap();
        refused(&["migrate", "down", "--yes"], "in flight: 1, towns with a machine or volume at Fly: 1").await;
        refused(&["migrate", "down", "--even-with-towns"], "add --yes").await;
        let ended = run(&["migrate", "down", "--yes", "--even-with-towns"]).await;
        assert_eq!(ended.status.code(), Some(0), "{engine:?}: {}", ended.err);
    }
}

#[tokio::test]
async fn migrate_without_a_database_is_an_error() {
    let ended = Gastown::run(&["migrate", "up"], &[]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.contains("DATABASE_URL is missing"), "{}", ended.err);
    for url in ["postgres://user:canary@127.0.0.1:99999/none", "mysql://user:canary@127.0.0.1/none"] {
        let ended = Gastown::run(&["migrate", "status"], &pairs(&[("DATABASE_URL", url)])).await;
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.err.contains("URL") && !ended.err.contains("canary"), "{}", ended.err);
    }
}

/// Returns the environment of a town with one sealed value, and its key.
fn sealed(key: &SandboxKey) -> Vec<(String, String)> {
    let token = key.public_key().seal(&SecretString::from("it's $HOME")).unwrap().to_text();
    let private = key.to_secret();
    let mut settings =
        pairs(&[("TOKEN", &token), ("PLAIN", "as it was"), ("SANDBOX_PRIVATE_KEY", private.expose_secret())]);
    settings.extend(REQUIRED_VARIABLES.map(|name| (name.to_owned(), "set".to_owned())));
    settings
}

#[tokio::test]
async fn unseal_passes_the_opened_values_but_not_the_key() {
    let settings = sealed(&SandboxKey::generate());
    let script = "printf '%s|%s|%s' \"$TOKEN\" \"$PLAIN\" \"${SANDBOX_PRIVATE_KEY-gone}\"";
    let ended = Gastown::run(&["unseal", "--", "sh", "-c", script], &settings).await;
    assert_eq!((ended.status.code(), ended.out.trim_end()), (Some(0), "it's $HOME|as it was|gone"));
    // It ends with the status of the program.
    let ended = Gastown::run(&["unseal", "--", "sh", "-c", "exit 7"], &settings).await;
    assert_eq!(ended.status.code(), Some(7));
}

#[tokio::test]
async fn unseal_without_the_two_dashes_explains_them() {
    let settings = sealed(&SandboxKey::generate());
    let ended = Gastown::run(&["unseal", "env"], &settings).await;
    assert_eq!((ended.status.code(), ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains("unseal -- env"), "{}", ended.err);
}

#[tokio::test]
async fn unseal_opens_values_from_before_a_rotation() {
    let (old, new) = (SandboxKey::generate(), SandboxKey::generate());
    let mut settings = sealed(&old);
    settings.retain(|(name, _)| name != "SANDBOX_PRIVATE_KEY");
    settings.extend(pairs(&[
        ("SANDBOX_PRIVATE_KEY", new.to_secret().expose_secret()),
        ("SANDBOX_PRIVATE_KEY_PREVIOUS", old.to_secret().expose_secret()),
    ]));
    let script = "printf '%s|%s' \"$TOKEN\" \"${SANDBOX_PRIVATE_KEY_PREVIOUS-gone}\"";
    let ended = Gastown::run(&["unseal", "--", "sh", "-c", script], &settings).await;
    assert_eq!((ended.status.code(), ended.out.trim_end()), (Some(0), "it's $HOME|gone"));
}

#[tokio::test]
async fn unseal_without_a_program_prints_shell_lines() {
    let settings = sealed(&SandboxKey::generate());
    let binary = env!("CARGO_BIN_EXE_gastown");
    let script = format!("eval \"$({binary} unseal)\" && printf '%s' \"$TOKEN\"");
    let mut shell = tokio::process::Command::new("sh");
    let output = shell.args(["-c", &script]).env_clear().envs(settings).output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "it's $HOME");
}

#[tokio::test]
async fn unseal_names_a_value_that_cannot_be_opened_and_runs_nothing() {
    let (key, other) = (SandboxKey::generate(), SandboxKey::generate());
    let good = sealed(&key);
    let change = |name: &str, value: &str| {
        let others = good.iter().filter(|(other, _)| other != name).cloned();
        others.chain(pairs(&[(name, value)])).collect::<Vec<_>>()
    };
    let text = good[0].1.clone();
    for (settings, named) in [
        (change("SANDBOX_PRIVATE_KEY", other.to_secret().expose_secret()), "TOKEN"),
        (change("SANDBOX_PRIVATE_KEY", "canary-no-key"), "SANDBOX_PRIVATE_KEY"),
        (change("SANDBOX_PRIVATE_KEY", ""), "SANDBOX_PRIVATE_KEY is missing"),
        (change("TOKEN", &text[..text.len() - 8]), "TOKEN"),
        (change("TOKEN", "nacl:v2:canary"), "TOKEN"),
        (change("R2_BUCKET", ""), "R2_BUCKET is missing"),
        (change("TOWN_ID", " "), "TOWN_ID is missing"),
    ] {
        let ended = Gastown::run(&["unseal", "--", "sh", "-c", "echo it ran"], &settings).await;
        assert_eq!((ended.status.code(), ended.out.as_str()), (Some(1), ""), "{named}");
        assert!(ended.err.contains(named) && !ended.err.contains("canary"), "{named}: {}", ended.err);
    }
}

#[tokio::test]
async fn help_explains_town_names_and_zero_grace() {
    // The help is wrapped to the width of a terminal.
    let help = async |arguments: &[&str]| {
        let ended = Gastown::run(&[arguments, &["--help"]].concat(), &[]).await;
        ended.out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for command in ["show", "start", "stop", "retry", "destroy"] {
        let help = help(&["town", command]).await;
        assert!(help.contains("<TOWN>") && help.contains("the name of its machine"), "{help}");
    }
    let help = help(&["orphans"]).await;
    assert!(help.contains("ORPHAN_GRACE_SECONDS") && help.contains("0 deletes at once"), "{help}");
}
