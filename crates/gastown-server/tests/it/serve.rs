//! `gastown serve`: requires a complete configuration, and shuts down gracefully.

use std::time::Instant;

use ephemeral_db::TestDatabase;
use fly_sim::{Call, Effect, Fault};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client;
use crate::process::Gastown;
use crate::replica::SHUTDOWN;
use crate::stage::{ALICE, Engine, Setup, Stage, id_of, until};

on_both! {
    process_serves_and_stops_on_a_signal,
    shutdown_answers_the_request_in_flight,
    stopped_process_releases_its_claims,
    abandoned_call_is_answered_before_the_end,
}

/// Replaces the replica of the stage by a process.
async fn replace_replica(stage: &mut Stage) -> (Gastown, String) {
    stage.replicas.pop().unwrap().stop().await;
    let mut process = Gastown::spawn(&["serve"], &stage.settings);
    let url = process.served_url().await;
    (process, url)
}

async fn process_serves_and_stops_on_a_signal(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (process, url) = replace_replica(&mut stage).await;
        let name = format!("mill-{}", signal as i32);
        let made = client::call(&url, stage.token(ALICE), "createTown", json!({ "townName": name })).await.unwrap();
        assert_eq!(made["status"], "running");
        let signalled = Instant::now();
        process.signal(signal);
        let ended = process.ended().await;
        assert_eq!(ended.status.code(), Some(0), "{signal}:\n{}", ended.err);
        assert!(signalled.elapsed() < SHUTDOWN, "{signal}: took {:?}", signalled.elapsed());
        assert!(!ended.err.contains("canary") && !ended.err.contains(" ERROR "), "{}", ended.err);
        let lines = ended.err.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let answered: Vec<_> = lines.filter(|line| line["message"] == "request answered").collect();
        assert!(answered.len() == 1 && answered[0]["request_id"].is_string(), "{}", ended.err);
        stage.add_replica().await;
    }
    stage
}

async fn shutdown_answers_the_request_in_flight(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    let (process, url) = replace_replica(&mut stage).await;
    stage.sim.inject(Fault::at(Call::CreateVolume, Effect::Delay { millis: 500 }));
    let token = stage.token(ALICE).to_owned();
    let create = {
        let url = url.clone();
        tokio::spawn(async move { client::call(&url, &token, "createTown", json!({ "townName": "mill" })).await })
    };
    until("the request is in flight", async || {
        stage.sim.calls().iter().any(|record| record.call == Call::CreateVolume)
    })
    .await;
    let signalled = Instant::now();
    process.signal(Signal::SIGTERM);
    let made = create.await.expect("the connection was cut").unwrap();
    let ended = process.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(signalled.elapsed() < SHUTDOWN, "took {:?}", signalled.elapsed());

    stage.add_replica().await;
    stage.idle().await;
    assert_eq!(stage.rows.town(id_of(&made)).await.status, "running");
    assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (1, 1));
    stage
}

async fn stopped_process_releases_its_claims(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    stage.settings.push(("SHUTDOWN_SECONDS".to_owned(), "1".to_owned()));
    let (process, url) = replace_replica(&mut stage).await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::throttled()).always());
    let token = stage.token(ALICE).to_owned();
    let create =
        tokio::spawn(async move { client::call(&url, &token, "createTown", json!({ "townName": "mill" })).await });
    let held = |record: &fly_sim::CallRecord| record.call == Call::CreateMachine;
    until("the operation is delayed", async || stage.sim.calls().iter().any(held)).await;
    process.signal(Signal::SIGTERM);
    let made = create.await.expect("the connection was cut").unwrap();
    assert_eq!(made["status"], "provisioning");
    assert_eq!(process.ended().await.status.code(), Some(0));
    // The next process can claim the operation at once.
    assert_eq!(stage.rows.operations().await[0].owner, None);
    stage.sim.clear_faults();
    stage.add_replica().await;
    stage.idle().await;
    assert_eq!(stage.rows.town(id_of(&made)).await.status, "running");
    stage
}

/// Starts a call with an incomplete body, which the process has begun to read.
async fn start_call(url: &str, token: &str) -> TcpStream {
    let mut call = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /trpc/gastown.createTown HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
    );
    call.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    call.read_exact(&mut go_on).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&go_on), "HTTP/1.1 100 Continue\r\n\r\n");
    call
}

async fn abandoned_call_is_answered_before_the_end(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    stage.settings.push(("SHUTDOWN_SECONDS".to_owned(), "1".to_owned()));
    let (process, url) = replace_replica(&mut stage).await;
    let mut call = start_call(&url, stage.token(ALICE)).await;
    process.signal(Signal::SIGTERM);
    until("the grace period is over", async || process.err().contains("grace period over")).await;
    call.write_all(b"{}").await.expect("the connection was cut");
    let mut answer = String::new();
    call.read_to_string(&mut answer).await.expect("the connection was cut");
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("townName"), "{answer:?}");
    assert_eq!(process.ended().await.status.code(), Some(0));
    stage.add_replica().await;
    stage
}

/// The required settings without a default.
const REQUIRED: [&str; 10] = [
    "DATABASE_URL",
    "FLY_API_TOKEN",
    "FLY_APP_NAME",
    "FLY_IMAGE",
    "INTERNAL_API_SECRET",
    "KILO_API_URL",
    "NEXTAUTH_SECRET",
    "R2_ACCESS_KEY",
    "R2_BUCKET",
    "SANDBOX_PUBLIC_KEY",
];

#[tokio::test]
async fn serve_names_all_missing_settings() {
    let ended = Gastown::run(&["serve"], &[]).await;
    assert_eq!(ended.status.code(), Some(1));
    for name in REQUIRED {
        assert!(ended.err.contains(&format!("{name} is missing")), "{name}:\n{}", ended.err);
    }
    assert_eq!(ended.err.matches(" is missing").count(), REQUIRED.len(), "{}", ended.err);
}

#[tokio::test]
async fn serve_names_invalid_settings_without_values() {
    let wrong = ["DATABASE_URL", "SANDBOX_PUBLIC_KEY", "NEXTAUTH_SECRET", "FLY_REGIONS", "PORT", "FLY_API_BASE_URL"];
    let settings: Vec<_> = wrong.iter().map(|name| ((*name).to_owned(), "canary!".to_owned())).collect();
    let ended = Gastown::run(&["serve"], &settings).await;
    assert_eq!(ended.status.code(), Some(1));
    for name in wrong {
        assert!(ended.err.contains(&format!("{name} is invalid")), "{name}:\n{}", ended.err);
    }
    assert!(!ended.err.contains("canary") && ended.out.is_empty(), "{}{}", ended.err, ended.out);
}

#[tokio::test]
async fn serve_names_mistakes_in_the_address_of_the_database() {
    for (url, expected) in [
        ("postgres://u:canary@h.example/db?schema=x", "has the parameter schema, which is not supported"),
        ("postgres://u:canary@h.example/db?channel_binding=require", "invalid value of the parameter channel_binding"),
        ("postgres://u:canary@h.example/db?sslpassword=canary", "has the parameter sslpassword"),
        ("postgres://u:canary@a.example,b.example/db", "has several hosts"),
        ("postgres://u:canary@ss#w/rd?1@h.example/db", "percent-encode the password"),
    ] {
        let settings = [("DATABASE_URL".to_owned(), url.to_owned()), ("LOG_LEVEL".to_owned(), "trace".to_owned())];
        for arguments in [&["serve"][..], &["migrate", "status", "--verbose"], &["operations", "--verbose"]] {
            let ended = Gastown::run(arguments, &settings).await;
            assert_eq!(ended.status.code(), Some(1), "{arguments:?}");
            assert!(ended.err.contains("DATABASE_URL is invalid") && ended.err.contains(expected), "{}", ended.err);
            let shown = ended.err + &ended.out;
            assert!(!["canary", ".example", "rd?1"].iter().any(|part| shown.contains(part)), "{shown}");
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn password_files_are_neither_read_nor_logged() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pgpass");
    std::fs::write(&file, "h.example:5432:canary\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let pairs = [
        ("DATABASE_URL", "postgres://u@127.0.0.1:1/db"),
        ("PGPASSFILE", file.to_str().unwrap()),
        ("LOG_LEVEL", "trace"),
    ];
    let settings = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let ended = Gastown::run(&["migrate", "status", "--verbose"], &settings).await;
    let shown = ended.err + &ended.out;
    assert!(shown.contains("no database server listens at this host and port"), "{shown}");
    assert!(!shown.contains("canary") && !shown.contains("pgpass"), "{shown}");
}

#[tokio::test]
async fn database_that_cannot_be_reached_is_explained() {
    let stage = Setup::sqlite().start().await;
    let closed = "postgres://u:canary@127.0.0.1:1/db";
    let settings = with(&stage.settings, "DATABASE_URL", closed);
    for arguments in [&["serve"][..], &["migrate", "status"]] {
        let ended = Gastown::run(arguments, &settings).await;
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.err.contains("no database server listens at this host and port"), "{}", ended.err);
        assert!(!ended.err.contains("timed out") && !ended.err.contains("canary"), "{}", ended.err);
    }
    stage.check_invariants().await;
}

#[tokio::test]
async fn plain_requests_to_fly_use_no_proxy() {
    let stage = Setup::sqlite().start().await;
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let mut settings = with(&stage.settings, "FLY_API_BASE_URL", "http://fly.internal:1");
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        settings.push((name.to_owned(), address.clone()));
    }
    let ended = Gastown::run(&["orphans"], &settings).await;
    assert!(ended.out.contains("Failed to check"), "{ended:?}");
    let asked = tokio::time::timeout(std::time::Duration::from_millis(50), proxy.accept()).await;
    assert!(asked.is_err(), "the proxy was used");
    stage.check_invariants().await;
}

#[tokio::test]
async fn process_listens_on_a_name() {
    let mut stage = Setup::sqlite().start().await;
    stage.settings = with(&stage.settings, "HOST", "localhost");
    let (process, url) = replace_replica(&mut stage).await;
    assert_eq!(client::http().get(format!("{url}/healthz")).send().await.unwrap().status(), 200);
    process.signal(Signal::SIGTERM);
    assert_eq!(process.ended().await.status.code(), Some(0));
    stage.settings = with(&stage.settings, "HOST", "not-a-name-of-this-machine.invalid");
    let ended = Gastown::run(&["serve"], &stage.settings).await;
    assert!(ended.err.contains("failed to listen on not-a-name-of-this-machine.invalid:0"), "{}", ended.err);
}

#[tokio::test]
async fn database_without_schema_is_an_error_with_instructions() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (stage, empty) = (Setup::on(engine).start().await, empty(engine).await);
        let settings = with(&stage.settings, "DATABASE_URL", empty.url());
        let ended = Gastown::run(&["serve"], &settings).await;
        assert_eq!(ended.status.code(), Some(1), "{engine:?}");
        assert!(ended.err.contains("run `gastown migrate up`"), "{engine:?}:\n{}", ended.err);
        stage.check_invariants().await;
    }
}

#[tokio::test]
async fn serve_migrates_and_reads_a_file() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (stage, empty) = (Setup::on(engine).start().await, empty(engine).await);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gastown.toml");
        let settings = with(&stage.settings, "DATABASE_URL", empty.url());
        let text = settings.iter().fold(String::new(), |text, (name, value)| text + &format!("{name} = {value:?}\n"));
        std::fs::write(&file, text).unwrap();
        let arguments = ["--config", file.to_str().unwrap(), "serve", "--migrate"];
        let mut process = Gastown::spawn(&arguments, &[]);
        let url = process.served_url().await;
        for probe in ["healthz", "readyz"] {
            let answer = client::http().get(format!("{url}/{probe}")).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{engine:?} {probe}");
        }
        // It has its own database, without the users of the stage.
        let refused = client::call(&url, stage.token(ALICE), "listTowns", json!(null)).await.unwrap_err();
        assert_eq!(refused.code, "UNAUTHORIZED", "{engine:?}");
        process.signal(Signal::SIGTERM);
        assert_eq!(process.ended().await.status.code(), Some(0), "{engine:?}");
        stage.check_invariants().await;
    }
}

/// Returns a database without tables.
pub(crate) async fn empty(engine: Engine) -> TestDatabase {
    match engine {
        Engine::Sqlite => TestDatabase::empty_sqlite().unwrap(),
        Engine::Postgres => TestDatabase::empty_postgres().await.unwrap(),
    }
}

#[tokio::test]
async fn serve_creates_no_database_at_a_mistyped_path() {
    let stage = Setup::sqlite().start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gastwon.db");
    let settings = with(&stage.settings, "DATABASE_URL", &format!("sqlite://{}", path.display()));
    let ended = Gastown::run(&["serve"], &settings).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.contains("there is no database file at DATABASE_URL, and none was created"), "{}", ended.err);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Returns the settings with one replaced.
fn with(settings: &[(String, String)], name: &str, value: &str) -> Vec<(String, String)> {
    let others = settings.iter().filter(|(other, _)| other != name).cloned();
    others.chain([(name.to_owned(), value.to_owned())]).collect()
}
