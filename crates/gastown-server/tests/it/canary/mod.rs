//! The canary: every secret has a marker, everything is logged, and no readable output has a marker.
//!
//! The towns fail in many ways, and Fly and the sandboxes repeat all secrets that they know. Afterwards logs, answers,
//! machine configurations, commands and the whole database are searched for each marker, also in part and encoded.

mod life;
mod markers;

use std::fmt::Write as _;

use gastown_secrets::SandboxKey;
use gastown_server::Config;
use nix::sys::signal::Signal;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use self::life::{Seen, play};
use self::markers::{Markers, Search};
use crate::client;
use crate::console;
use crate::env::secret;
use crate::operator_api;
use crate::process::Gastown;
use crate::stage::{
    ALICE, BOB, Engine, FLY_TOKEN, R2_ACCESS_KEY, R2_SECRET_KEY, Setup, Stage, TOKEN_SECRET, TOWN_SECRET, pepper,
};

on_both! {
    no_readable_output_has_a_secret,
    process_at_trace_level_logs_no_secret,
}

const OLD_TOKEN_SECRET: &str = "canary-of-old-nextauth-Xw6PzKd9LmQe3BnVt7Rf";
const OLD_TOWN_SECRET: &str = "canary-of-old-internal-Uc5HsGj2YaZi8OoWk4Tb";
const METRICS_TOKEN: &str = "canary-of-metrics-Tq8WzLr5HkXe1BnVs4Gd";
const OTLP_KEY: &str = "canary-of-collector-Xp4GsVn9LdTb2JmZq7Hw";
const DATABASE_PASSWORD: &str = "canary-of-database-Nv1JxEq7SuIg0CpMy6Df";

/// The settings that are no secrets. Every other setting must have a marker.
const OPEN: [&str; 70] = [
    "BLOCKED_COLUMN",
    "CALLER_WAIT_SECONDS",
    "CALL_QUEUE_MILLISECONDS",
    "CHANGES_PER_MINUTE",
    "CONSOLE_LISTEN",
    "CORS_ALLOWED_ORIGINS",
    "CREATE_PATIENCE_SECONDS",
    "DATABASE_MAX_CONNECTIONS",
    "DATABASE_READ_CONNECTIONS",
    "EVENT_RETENTION_DAYS",
    "FLY_API_BASE_URL",
    "FLY_APP_NAME",
    "FLY_APP_PREFIX",
    "FLY_IMAGE",
    "FLY_ORG_SLUG",
    "FLY_RATE_LIMITS",
    "FLY_REGIONS",
    "GASTOWN_CLOUD_URL",
    "HOST",
    "HTTP_BATCH_CONCURRENCY",
    "HTTP_BODY_SECONDS",
    "HTTP_HEAD_SECONDS",
    "HTTP_IDLE_SECONDS",
    "HTTP_MAX_CONNECTIONS",
    "HTTP_MAX_CONNECTIONS_PER_ADDRESS",
    "HTTP_WRITE_SECONDS",
    "IDEMPOTENCY_KEY_RETENTION_DAYS",
    "INSPECT_SECONDS",
    "KILO_API_URL",
    "LEASE_SECONDS",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MAX_ANSWER_BYTES",
    "MAX_BODY_BYTES",
    "MAX_CHANGES",
    "MAX_CHANGES_PER_USER",
    "MAX_OPERATIONS_PER_USER",
    "MAX_READS",
    "MAX_READS_PER_USER",
    "MAX_RIGS_PER_TOWN",
    "MAX_TOWNS_PER_USER",
    "MAX_UNREAD_BYTES_PER_USER",
    "MAX_WAITING_CALLS",
    "MAX_WATCHERS",
    "MAX_WATCHERS_PER_USER",
    "METRICS_LISTEN",
    "METRICS_SECONDS",
    "MIGRATE_ON_START",
    "MONITOR_SECONDS",
    "ORPHAN_DELETE",
    "ORPHAN_GRACE_SECONDS",
    "ORPHAN_SWEEP_SECONDS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_TRACES_SAMPLER_ARG",
    "PORT",
    "R2_BUCKET",
    "R2_ENDPOINT",
    "REPLICAS",
    "RESTORE_PATIENCE_SECONDS",
    "RETENTION_SWEEP_SECONDS",
    "ROLLOUT_SECONDS",
    "SANDBOX_CALLS_PER_MINUTE",
    "SANDBOX_PUBLIC_KEY",
    "SANDBOX_URL",
    "SHUTDOWN_SECONDS",
    "START_PATIENCE_SECONDS",
    "STOP_PATIENCE_SECONDS",
    "SWEEP_SECONDS",
    "TOKEN_ENV",
    "TOMBSTONE_RETENTION_DAYS",
];

/// The settings with a secret, and the marker in it.
fn secret_settings() -> [(&'static str, &'static str); 12] {
    [
        ("CONSOLE_TOKEN", console::TOKEN),
        ("CONSOLE_TOKENS", console::TOKEN_OF_EVE),
        ("DATABASE_URL", DATABASE_PASSWORD),
        ("FLY_API_TOKEN", FLY_TOKEN),
        ("INTERNAL_API_SECRET", TOWN_SECRET),
        ("INTERNAL_API_SECRET_PREVIOUS", OLD_TOWN_SECRET),
        ("METRICS_TOKEN", METRICS_TOKEN),
        ("NEXTAUTH_SECRET", TOKEN_SECRET),
        ("NEXTAUTH_SECRET_PREVIOUS", OLD_TOKEN_SECRET),
        ("OTEL_EXPORTER_OTLP_HEADERS", OTLP_KEY),
        ("R2_ACCESS_KEY", R2_ACCESS_KEY),
        ("R2_SECRET_KEY", R2_SECRET_KEY),
    ]
}

#[test]
fn every_setting_has_a_marker_or_is_open() {
    let mut named: Vec<_> = secret_settings().iter().map(|(name, _)| *name).chain(OPEN).collect();
    named.sort_unstable();
    assert_eq!(named, Config::NAMES);
}

/// Starts a stage whose secrets all have markers, and returns these.
async fn stage_with_markers(setup: Setup) -> (Stage, Markers) {
    // A subscriber sees the records of the crate `log` through this tracer only.
    let _ = tracing_log::LogTracer::init();
    let changes = vec![
        ("NEXTAUTH_SECRET_PREVIOUS", OLD_TOKEN_SECRET.into()),
        ("INTERNAL_API_SECRET_PREVIOUS", OLD_TOWN_SECRET.into()),
        ("CONSOLE_LISTEN", "127.0.0.1:0".into()),
        ("CONSOLE_TOKEN", console::TOKEN.into()),
        ("CONSOLE_TOKENS", format!("eve:{}", console::TOKEN_OF_EVE)),
        ("METRICS_LISTEN", "127.0.0.1:0".into()),
        ("METRICS_TOKEN", METRICS_TOKEN.into()),
        ("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={OTLP_KEY}")),
    ];
    let mut stage = Setup { changes, log_filter: "trace", keeps_port: true, ..setup }.start().await;
    let mut markers = Markers::default();
    for (name, marker) in secret_settings() {
        markers.add(name, marker);
    }
    if stage.engine == Engine::Postgres {
        let mut url = url::Url::parse(stage.place.url()).unwrap();
        // A server that requires a password has its own marker.
        match url.password() {
            Some(password) => markers.add("password of the database", password),
            None => url.set_password(Some(DATABASE_PASSWORD)).unwrap(),
        }
        stage.set(&[("DATABASE_URL", url.as_str())]);
    }
    for (name, value) in secret_settings().into_iter().filter(|(name, _)| *name != "DATABASE_URL") {
        let has_marker = stage.settings.iter().any(|(own, given)| own == name && given.contains(value));
        assert!(has_marker, "{name} has no marker");
    }
    stage.replace(0).await;
    markers.add("SANDBOX_PRIVATE_KEY", stage.sandbox_key.to_secret().expose_secret());
    for user in [ALICE, BOB] {
        markers.add_token(&format!("token of {user}"), stage.token(user));
        markers.add(format!("pepper of {user}"), pepper(user).expose_secret());
    }
    (stage, markers)
}

async fn no_readable_output_has_a_secret(setup: Setup) -> Stage {
    let (stage, mut markers) = stage_with_markers(setup).await;
    let Seen { mut outputs, towns } = play(&stage, &mut markers).await;
    stage.idle().await;
    outputs.push(("machines at Fly", machines_at_fly(&stage).await));
    outputs.push(("calls to Fly", format!("{:#?}", stage.sim.calls())));
    for arguments in commands(&towns) {
        let ended = stage.gastown(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
        outputs.push(("command", ended.out + &ended.err));
    }
    for path in ["", "/towns", "/operations", "/orphans", "/events"] {
        outputs.push(("console", console::page(&stage, path).await));
    }
    for town in &towns {
        outputs.push(("console", console::page(&stage, &format!("/towns/{town}")).await));
    }
    for arguments in commands(&towns).into_iter().filter(|arguments| arguments[0] != "migrate") {
        let ended = operator_api::at_server(&stage, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {}", ended.err);
        outputs.push(("command at a server", ended.out + &ended.err));
    }
    let log = stage.replicas[0].log.text();
    for expected in ["TRACE", "hyper_util", "reqwest", "gastown_fly", "peculiar words"] {
        assert!(log.contains(expected), "the log is not the whole one, it has no {expected}");
    }
    outputs.push(("log", log));

    let search = markers.search();
    let mut hits = String::new();
    for (name, output) in &outputs {
        assert!(!output.is_empty(), "{name} is empty");
        for (secret, line) in search.all_in(output.as_bytes()) {
            writeln!(hits, "{name} has {secret}: {line}").unwrap();
        }
        let sealed = output.lines().find(|line| line.contains("nacl:v1:"));
        assert!(*name == "machines at Fly" || sealed.is_none(), "{name} has a sealed value: {sealed:?}");
    }
    assert_eq!(hits, "");
    database_has_only_peppers(&stage, &search).await;
    stage.replicas[0].log.take_errors();
    stage
}

/// Returns the configurations of all machines in all versions, as Fly shows them.
async fn machines_at_fly(stage: &Stage) -> String {
    let mut shown = stage.fly_get("machines?include_deleted=true").await.to_string();
    shown += &stage.fly_get("volumes").await.to_string();
    for machine in stage.sim.all_machines() {
        write!(shown, "\n{machine:?}").unwrap();
        if !machine.destroyed {
            for path in ["", "/versions", "/events", "/metadata"] {
                shown += &stage.fly_get(&format!("machines/{}{path}", machine.id)).await.to_string();
            }
        }
    }
    assert!(shown.contains("KILO_JWT") && shown.contains("nacl:v1:"), "no configuration was shown");
    shown
}

/// Returns the commands of operators that show something.
fn commands(towns: &[uuid::Uuid]) -> Vec<Vec<String>> {
    let owned = |arguments: &[&str]| arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>();
    let show = towns.iter().map(|town| owned(&["town", "show", &town.to_string(), "--json"]));
    show.chain([owned(&["operations"]), owned(&["operations", "--json"]), owned(&["migrate", "status"])]).collect()
}

/// Searches each table. The host's table has the peppers, which shows that the search finds what is there.
async fn database_has_only_peppers(stage: &Stage, search: &Search) {
    let tables = stage.rows.dump().await;
    assert!(tables.len() >= 9, "{:?}", tables.keys());
    for (table, rows) in &tables {
        let found = search.names_in(rows.as_bytes());
        let expected: &[&str] = if table == "kilocode_users" { &["pepper of alice", "pepper of bob"] } else { &[] };
        assert_eq!(found, expected, "in {table}");
        let sealed = rows.lines().find(|line| line.contains("nacl:v1:"));
        assert_eq!(sealed, None, "in {table}");
    }
    if stage.engine == Engine::Sqlite {
        let file = stage.place.url().strip_prefix("sqlite://").unwrap().split('?').next().unwrap();
        let mut bytes = std::fs::read(file).unwrap();
        // The log of SQLite has rows from before their last change.
        bytes.extend(std::fs::read(format!("{file}-wal")).unwrap_or_default());
        assert_eq!(search.names_in(&bytes), ["pepper of alice", "pepper of bob"], "in the file");
    }
}

async fn process_at_trace_level_logs_no_secret(setup: Setup) -> Stage {
    let (mut stage, mut markers) = stage_with_markers(setup).await;
    stage.crash().await;
    let mut settings = stage.settings.clone();
    settings.push(("LOG_LEVEL".to_owned(), "trace".to_owned()));
    let mut process = Gastown::spawn(&["serve"], &settings);
    let url = process.served_url().await;
    let call = async |procedure: &str, input: Value| client::call(&url, stage.token(ALICE), procedure, input).await;
    let made = call("createTown", json!({ "townName": "mill" })).await.unwrap();
    let town = stage.rows.town(crate::stage::id_of(&made)).await;
    markers.add_token("gateway token", &secret(&stage, town.machine(), "KILO_JWT"));
    let key = secret(&stage, town.machine(), "INTERNAL_API_KEY");
    client::call_home(&url, &key, "heartbeat", json!({ "townId": town.id })).await.unwrap();
    markers.add("key of the town", key);
    call("stopTown", json!({ "townId": town.id })).await.unwrap();
    call("destroyTown", json!({ "townId": town.id, "waitUntilGone": true })).await.unwrap();
    client::call(&url, OLD_TOKEN_SECRET, "listTowns", Value::Null).await.unwrap_err();
    process.signal(Signal::SIGTERM);
    let ended = process.ended().await;
    assert!(ended.status.success(), "{}", ended.err);
    // Records of `log` arrive too, not only those of `tracing`.
    for expected in ["\"TRACE\"", "hyper_util", "reqwest", "server stopped"] {
        assert!(ended.err.contains(expected), "the log is not the whole one, it has no {expected}");
    }
    let shown = ended.out + &ended.err;
    assert_eq!(markers.search().all_in(shown.as_bytes()), []);
    assert!(!shown.contains("nacl:v1:"));
    stage.add_replica().await;
    stage
}

#[test]
fn private_keys_in_both_texts_are_found() {
    let key = SandboxKey::generate().to_secret();
    let mut markers = Markers::default();
    markers.add("SANDBOX_PRIVATE_KEY", key.expose_secret());
    let words = format!("failed to read SANDBOX_PRIVATE_KEY={}", key.expose_secret());
    assert_eq!(markers.search().names_in(words.as_bytes()), ["SANDBOX_PRIVATE_KEY"]);
}
