//! `gastown dev`: one command, and a client can start.

use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::client;
use crate::process::Gastown;
use crate::replica::SHUTDOWN;
use crate::stage::{Engine, database, id_of};

/// Returns settings with a temporary folder of the test, so that left-over files can be detected.
fn settings(folder: &tempfile::TempDir) -> Vec<(String, String)> {
    vec![("TMPDIR".to_owned(), folder.path().to_str().unwrap().to_owned())]
}

const ARGUMENTS: [&str; 8] = ["dev", "--user", "alice", "--user", "bob", "--json", "--timing", "fast"];

async fn lives(announced: &Value) {
    let url = announced["url"].as_str().unwrap();
    let token = |user: &str| announced["users"][user]["token"].as_str().unwrap().to_owned();
    let made = client::call(url, &token("alice"), "createTown", json!({ "townName": "mill" })).await.unwrap();
    assert_eq!(made["status"], "running");
    let town = json!({ "townId": id_of(&made) });
    let foreign = client::call(url, &token("bob"), "getTownStatus", town.clone()).await.unwrap_err();
    assert_eq!(foreign.code, "NOT_FOUND");
    let fly = announced["flyUrl"].as_str().unwrap();
    let machines = format!("{fly}/v1/apps/{}/machines", announced["flyApp"].as_str().unwrap());
    let machines = client::http().get(machines).bearer_auth("any").send().await.unwrap();
    let machines: Vec<Value> = machines.json().await.unwrap();
    assert_eq!((machines.len(), &machines[0]["id"]), (1, &made["flyMachineId"]));
    for (procedure, want) in [("stopTown", "stopped"), ("startTown", "running"), ("destroyTown", "destroyed")] {
        let answer = client::call(url, &token("alice"), procedure, town.clone()).await.unwrap();
        assert_eq!(answer["status"], want);
    }
}

/// A site under a name of its own reads nothing, neither by its pages nor by the operators' API.
async fn console_is_for_this_host(announced: &Value) {
    let console = announced["consoleUrl"].as_str().unwrap();
    for path in ["", "/api/v1/towns"] {
        let get = |host: &str| client::http().get(format!("{console}{path}")).header("host", host).send();
        assert_eq!(get("localhost").await.unwrap().status(), 200, "{path}");
        let answer = get("evil.example.com").await.unwrap();
        assert_eq!(answer.status(), 421, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(console) && !text.contains("mill"), "{text}");
        assert!(path.is_empty() || text.contains("\"wrong_host\""), "{text}");
    }
}

#[tokio::test]
async fn first_line_is_enough_for_a_client() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Gastown::spawn(&ARGUMENTS, &settings(&folder));
    let announced: Value = serde_json::from_str(&process.first_line().await).unwrap();
    let users: Vec<_> = announced["users"].as_object().unwrap().keys().collect();
    assert_eq!(users, ["alice", "bob"]);
    lives(&announced).await;
    console_is_for_this_host(&announced).await;
    let signalled = Instant::now();
    process.signal(Signal::SIGTERM);
    let ended = process.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(signalled.elapsed() < SHUTDOWN, "took {:?}", signalled.elapsed());
    assert_eq!(ended.out.lines().count(), 1, "{}", ended.out);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn dev_runs_on_a_given_postgres() {
    let (folder, place) = (tempfile::tempdir().unwrap(), database(Engine::Postgres).await);
    let mut settings = settings(&folder);
    settings.push(("DATABASE_URL".to_owned(), place.url().to_owned()));
    let mut process = Gastown::spawn(&ARGUMENTS, &settings);
    let announced: Value = serde_json::from_str(&process.first_line().await).unwrap();
    lives(&announced).await;
    // It may contain a password.
    assert_eq!(announced["databaseUrl"], Value::Null);
    process.signal(Signal::SIGTERM);
    assert_eq!(process.ended().await.status.code(), Some(0));
    let rows = crate::rows::Rows::of(place.url()).await;
    assert_eq!(rows.towns().await.len(), 1);
}

#[tokio::test]
async fn interrupt_with_a_running_town_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Gastown::spawn(&ARGUMENTS, &settings(&folder));
    let announced: Value = serde_json::from_str(&process.first_line().await).unwrap();
    let token = announced["users"]["alice"]["token"].as_str().unwrap();
    let input = json!({ "townName": "mill" });
    client::call(announced["url"].as_str().unwrap(), token, "createTown", input).await.unwrap();
    process.signal(Signal::SIGINT);
    let ended = process.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn printed_curl_line_works() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Gastown::spawn(&["dev", "--timing", "fast"], &settings(&folder));
    process.first_line().await;
    crate::stage::until("it has printed everything", async || process.out().contains("gastown sandbox env --town"))
        .await;
    let out = process.out();
    assert!(out.contains("@trpc/client") && out.contains("Token of dev:"), "{out}");
    let curl: String = out.split_once("curl -s ").unwrap().1.split("\n\n").next().unwrap().replace("\\\n", " ");
    let url = curl.split_whitespace().next().unwrap();
    assert!(url.ends_with("/trpc/gastown.createTown"), "{curl}");
    let token = curl.split("Bearer ").nth(1).unwrap().split('\'').next().unwrap();
    let base = url.strip_suffix("/trpc/gastown.createTown").unwrap();
    client::call(base, token, "createTown", json!({ "townName": "mill" })).await.unwrap();
    let database = out.lines().find_map(|line| line.strip_prefix("DATABASE_URL=")?.strip_suffix(" gastown operations"));
    let operator = [("DATABASE_URL".to_owned(), database.expect("no line for operators").to_owned())];
    let seen = Gastown::run(&["operations", "--json"], &operator).await;
    assert_eq!(seen.status.code(), Some(0), "{}", seen.err);
    // The lines for authors of images are a script.
    let script = out.split_once("a town's sandbox\n").expect("no lines for authors").1;
    let binary = env!("CARGO_BIN_EXE_gastown");
    let script = script.replace("gastown sandbox", &format!("{binary} sandbox")).replace("USER/NAME", "dev/mill");
    let printed = tokio::process::Command::new("/bin/sh").args(["-euc", &script]).env_clear().output().await.unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains("INTERNAL_API_KEY=") && printed.contains("SANDBOX_ADDRESS=http://"), "{printed}");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.ended().await.status.code(), Some(0));
}
