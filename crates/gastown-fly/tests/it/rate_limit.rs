//! The client's rate limiter against Fly's limits.

use std::{num::NonZeroU32, time::Duration};

use fly_sim::{FlySim, RateLimits, SimConfig};
use gastown_domain::ports::{Inventory, Machines};
use gastown_fly::{
    Fly, FlyClient, FlyError, QueueStats, Rate, RateLimiting, Rates, Refusal, Timeouts,
    api::{Action, machines},
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    script::Script,
    world::{app, machine_id, shared, town},
};

const MACHINE: &str = "148ed21a031189";
/// More calls than Fly accepts at once, which is ten.
const CALLS: usize = 12;
/// More calls than Fly accepts in several seconds.
const FAR_TOO_MANY: usize = 40;

async fn limited() -> FlySim {
    FlySim::start(SimConfig { rates: RateLimits::Fly, ..SimConfig::fast() }).await.unwrap()
}

fn client(sim: &FlySim, limiting: RateLimiting) -> FlyClient {
    let timeouts = Timeouts { connect: Duration::from_secs(10), call: Duration::from_secs(10) };
    FlyClient::new(sim.url().parse().unwrap(), &"token".into(), timeouts, limiting).unwrap()
}

/// Reads one machine `times` times at once, and returns the number of calls that Fly throttled.
async fn throttled(client: &FlyClient, times: usize) -> usize {
    let mut calls = JoinSet::new();
    for _ in 0..times {
        let client = client.clone();
        calls.spawn(async move { client.send(&machines::get("mill", MACHINE)).await });
    }
    let is_throttled = |error: &FlyError| matches!(error.refusal(), Some(Refusal::Throttled { .. }));
    calls.join_all().await.into_iter().filter_map(Result::err).filter(is_throttled).count()
}

#[tokio::test]
async fn queued_calls_are_not_throttled() {
    let sim = limited().await;
    assert!(
        throttled(&client(&sim, RateLimiting::Off), FAR_TOO_MANY).await > 0,
        "Fly throttles calls without a limiter"
    );

    let sim = limited().await;
    // Far fewer at once than Fly accepts, because calls that leave in order may arrive a second late and together.
    let [five, three] = [5, 3].map(|count| NonZeroU32::new(count).unwrap());
    let rates = Rates::default().with(Action::GetMachine, Rate::per_second(five, three));
    let limited_client = client(&sim, RateLimiting::On(rates));
    let watched = limited_client.clone();
    let watching = tokio::spawn(async move {
        loop {
            if let Some(queue) = watched.queue_stats().first() {
                return queue.clone();
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(throttled(&limited_client, CALLS).await, 0);
    let QueueStats { subject, foreground, .. } = watching.await.unwrap();
    assert_eq!((subject.as_str(), (1..=CALLS - 3).contains(&foreground)), (MACHINE, true), "{foreground}");
    assert_eq!(limited_client.queue_stats(), []);
    assert_eq!(sim.calls().len(), CALLS);
}

#[tokio::test(start_paused = true)]
async fn queue_stats_count_foreground_and_background_calls() {
    let script = (0..6).fold(Script::new(), |script, _| script.on(Action::StartMachine, 200, "{}"));
    let (client, _script) = script.client(RateLimiting::On(Rates::default()));
    let fly = Fly::new(client.clone(), shared());
    let start = async |fly: Fly| fly.start_machine(&app(), &machine_id()).await;
    for _ in 0..3 {
        start(fly.clone()).await.unwrap();
    }
    assert_eq!(fly.queue_stats(), [], "no call waits");
    let waiting = [fly.clone(), fly.clone(), fly.in_background()].map(|fly| tokio::spawn(start(fly)));
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_millis(400)).await;
    let queue = QueueStats {
        action: Action::StartMachine,
        subject: MACHINE.to_owned(),
        foreground: 2,
        background: 1,
        waited: Duration::from_millis(400),
        remaining: Duration::from_millis(2_600),
    };
    assert_eq!(fly.queue_stats(), [queue]);
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    assert_eq!(fly.queue_stats(), []);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_waits_for_foreground_calls() {
    let nothing = json!([]);
    let script = (0..6).fold(Script::new(), |script, _| script.on_json(Action::ListMachines, &nothing));
    let script = script.on_json(Action::ListVolumes, &nothing);
    let (client, script) = script.client(RateLimiting::On(Rates::default()));
    let fly = Fly::new(client.clone(), shared());
    for _ in 0..3 {
        client.send(&machines::list("mill", None)).await.unwrap();
    }
    let sweep = fly.clone();
    let sweep = tokio::spawn(async move { sweep.list(&app()).await });
    tokio::task::yield_now().await;
    assert_eq!(
        client.queue_stats().iter().map(|queue| (queue.foreground, queue.background)).collect::<Vec<_>>(),
        [(0, 1)]
    );
    fly.machines_of(&app(), town()).await.unwrap();
    assert!(!sweep.is_finished());
    assert!(sweep.await.unwrap().unwrap().is_whole);
    let calls = script.played();
    let lists: Vec<&str> = calls.lines().skip(3).collect();
    let tagged = format!("GET /apps/mill/machines?metadata.gastown_town_id={}", town());
    let summary = "GET /apps/mill/machines?summary=true";
    assert_eq!(lists, [tagged.as_str(), summary, "GET /apps/mill/machines", "GET /apps/mill/volumes"]);
}
