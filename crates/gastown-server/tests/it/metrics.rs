//! The metrics of a real server: what was done is what is counted.

use std::collections::HashMap;

use fly_sim::{Call, Effect, Fault};
use prometheus_parse::{Scrape, Value as Sample};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::client;
use crate::stage::{ALICE, BOB, Setup, Stage, until};

on_both! {
    operations_and_calls_of_a_server_are_counted,
    figures_of_the_registry_are_shown,
    no_label_names_a_town_or_a_user,
}

/// Returns a setup with metrics on a free port.
fn measured(mut setup: Setup) -> Setup {
    setup.changes.extend([("METRICS_LISTEN", "127.0.0.1:0".to_owned()), ("METRICS_SECONDS", "1".to_owned())]);
    setup
}

/// Reads the metrics as a scraper does.
async fn scrape(stage: &Stage) -> Scrape {
    let url = stage.replicas[0].metrics_url.as_ref().unwrap();
    let answer = client::http().get(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.text().await.unwrap();
    Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap()
}

/// Returns the value of a series. `None` if there is no such series.
fn value(scrape: &Scrape, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: HashMap<_, _> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sample = scrape.samples.iter().find(|sample| sample.metric == metric && *sample.labels == labels)?;
    match &sample.value {
        Sample::Counter(value) | Sample::Gauge(value) | Sample::Untyped(value) => Some(*value),
        Sample::Histogram(counts) => counts.last().map(|bucket| bucket.count),
        Sample::Summary(_) => None,
    }
}

/// A metric, its labels and its value.
type Wanted<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

fn assert_values(scrape: &Scrape, wanted: &[Wanted<'_>]) {
    for (metric, labels, want) in wanted {
        let found = value(scrape, metric, labels);
        assert!(
            found.is_some_and(|found| (found - want).abs() < f64::EPSILON),
            "{metric} {labels:?}: {found:?}, not {want}"
        );
    }
}

async fn operations_and_calls_of_a_server_are_counted(setup: Setup) -> Stage {
    let stage = measured(setup).start().await;
    let town = stage.running("mill").await;
    stage.on_town("stopTown", town.id).await.unwrap();
    stage.on_town("startTown", town.id).await.unwrap();
    stage.on_town("destroyTown", town.id).await.unwrap();
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::refusal(422, "invalid machine")).always());
    stage.call(ALICE, "createTown", json!({ "townName": "forge" })).await.unwrap_err();
    stage.call(BOB, "getTownStatus", json!({ "townId": town.id })).await.unwrap_err();
    client::call(stage.url(), "no-token", "listTowns", Value::Null).await.unwrap_err();
    stage.idle().await;
    let metrics = scrape(&stage).await;
    let ended = "gastown_operations_ended_total";
    assert_values(
        &metrics,
        &[
            (ended, &[("kind", "create"), ("outcome", "succeeded")], 1.0),
            (ended, &[("kind", "stop"), ("outcome", "succeeded")], 1.0),
            (ended, &[("kind", "start"), ("outcome", "succeeded")], 1.0),
            (ended, &[("kind", "destroy"), ("outcome", "succeeded")], 1.0),
            (ended, &[("kind", "roll_back"), ("outcome", "rolled_back")], 1.0),
            ("gastown_operation_duration_seconds", &[("kind", "create"), ("outcome", "succeeded")], 1.0),
            ("gastown_calls_total", &[("procedure", "gastown.createTown"), ("code", "OK")], 1.0),
            ("gastown_calls_total", &[("procedure", "gastown.createTown"), ("code", "BAD_GATEWAY")], 1.0),
            ("gastown_calls_total", &[("procedure", "gastown.getTownStatus"), ("code", "NOT_FOUND")], 1.0),
            ("gastown_calls_total", &[("procedure", "gastown.listTowns"), ("code", "UNAUTHORIZED")], 1.0),
            ("gastown_call_duration_seconds", &[("procedure", "gastown.createTown")], 2.0),
            ("gastown_provider_calls_total", &[("action", "create_volume"), ("result", "succeeded")], 2.0),
            ("gastown_provider_calls_total", &[("action", "create_machine"), ("result", "succeeded")], 1.0),
            ("gastown_provider_calls_total", &[("action", "create_machine"), ("result", "refused")], 1.0),
            ("gastown_step_duration_seconds", &[("step", "ensure_machine"), ("result", "failed")], 1.0),
            ("gastown_claims_lost_total", &[("kind", "create")], 0.0),
        ],
    );
    for (metric, labels) in [
        ("gastown_provider_wait_seconds", &[("action", "create_volume")][..]),
        ("gastown_provider_call_duration_seconds", &[("action", "create_volume")]),
        ("gastown_database_wait_seconds", &[]),
        ("process_resident_memory_bytes", &[]),
        ("process_open_fds", &[]),
        ("process_start_time_seconds", &[]),
    ] {
        assert!(value(&metrics, metric, labels).is_some_and(|value| value > 0.0), "{metric}");
    }
    stage
}

async fn figures_of_the_registry_are_shown(setup: Setup) -> Stage {
    let stage = measured(setup).start().await;
    let town = stage.running("mill").await;
    stage.running("forge").await;
    stage.on_town("stopTown", town.id).await.unwrap();
    until("the towns are counted", async || {
        let metrics = scrape(&stage).await;
        value(&metrics, "gastown_towns", &[("status", "stopped")]) == Some(1.0)
    })
    .await;
    let pool = [("pool", "others")];
    assert_values(
        &scrape(&stage).await,
        &[
            ("gastown_towns", &[("status", "running")], 1.0),
            ("gastown_towns", &[("status", "provisioning")], 0.0),
            ("gastown_operations", &[("kind", "create")], 0.0),
            ("gastown_operations_due", &[], 0.0),
            ("gastown_operations_stuck", &[], 0.0),
            ("gastown_operations_left_to_newer", &[], 0.0),
            ("gastown_orphans", &[], 0.0),
            ("gastown_job_alarms", &[("job", "orphans")], 0.0),
            ("gastown_database_up", &[], 1.0),
            ("gastown_database_max_connections", &pool, 6.0),
        ],
    );
    stage
}

/// The text of a scrape contains neither ids nor names of towns, nor users, nor secrets.
async fn no_label_names_a_town_or_a_user(setup: Setup) -> Stage {
    let stage = measured(setup).start().await;
    let town = stage.running("a-mill-of-their-own").await;
    let url = stage.replicas[0].metrics_url.clone().unwrap();
    let text = client::http().get(url).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("gastown_operations_ended_total"), "{text}");
    let (id, machine) = (town.id.to_string(), town.machine().to_owned());
    for private in [&*id, &*machine, "a-mill-of-their-own", ALICE, "canary", stage.place.url()] {
        assert!(!text.contains(private), "{private} in {text}");
    }
    stage
}
