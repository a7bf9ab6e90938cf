//! The client's own limits against Fly's.

use std::{num::NonZeroU32, time::Duration};

use fly_sim::{FlySim, RateLimits, SimConfig};
use gastown_domain::ports::{Inventory, Line, Lines, Machines};
use gastown_fly::{
    Fly, FlyClient, FlyError, Pacing, Queue, Rate, Rates, Refusal, Timeouts,
    api::{Action, machines},
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    script::Script,
    world::{app, machine_id, shared, town},
};

const MACHINE: &str = "148ed21a031189";
/// More than Fly takes at once, which is ten.
const CALLS: usize = 12;
/// More than it takes in several seconds.
const FAR_TOO_MANY: usize = 40;

async fn limited() -> FlySim {
    FlySim::start(SimConfig { rates: RateLimits::Fly, ..SimConfig::fast() }).await.unwrap()
}

fn client(sim: &FlySim, pacing: Pacing) -> FlyClient {
    let timeouts = Timeouts { connect: Duration::from_secs(10), call: Duration::from_secs(10) };
    FlyClient::new(sim.url().parse().unwrap(), &"token".into(), timeouts, pacing).unwrap()
}

/// Reads one machine so many times at once; how many of these Fly refused as too many.
async fn refused(client: &FlyClient, times: usize) -> usize {
    let mut calls = JoinSet::new();
    for _ in 0..times {
        let client = client.clone();
        calls.spawn(async move { client.tell(&machines::get("mill", MACHINE)).await });
    }
    let throttled = |error: &FlyError| matches!(error.refusal(), Some(Refusal::Throttled { .. }));
    calls.join_all().await.into_iter().filter_map(Result::err).filter(throttled).count()
}

#[tokio::test]
async fn calls_that_wait_their_turn_are_not_refused() {
    let sim = limited().await;
    assert!(refused(&client(&sim, Pacing::Off), FAR_TOO_MANY).await > 0, "Fly refuses whoever does not wait");

    let sim = limited().await;
    // Far less at once than Fly takes: calls that leave in good order may arrive a second late, and then many together.
    let [five, three] = [5, 3].map(|count| NonZeroU32::new(count).unwrap());
    let rates = Rates { get_machine: Rate::per_second(five, three), ..Rates::default() };
    let paced = client(&sim, Pacing::On(rates));
    let watched = paced.clone();
    let watching = tokio::spawn(async move {
        loop {
            if let Some(queue) = watched.queues().first() {
                return queue.clone();
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(refused(&paced, CALLS).await, 0);
    let Queue { subject, foreground, .. } = watching.await.unwrap();
    assert_eq!((subject.as_str(), (1..=CALLS - 3).contains(&foreground)), (MACHINE, true), "{foreground}");
    assert_eq!(paced.queues(), []);
    assert_eq!(sim.calls().len(), CALLS);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_in_the_domains_words() {
    let script = (0..6).fold(Script::new(), |script, _| script.on(Action::StartMachine, 200, "{}"));
    let (client, _script) = script.client(Pacing::On(Rates::default()));
    let fly = Fly::new(client.clone(), shared());
    let start = async |fly: Fly| fly.start_machine(&app(), &machine_id()).await;
    for _ in 0..3 {
        start(fly.clone()).await.unwrap();
    }
    assert_eq!(fly.lines(), [], "nobody waits");
    let waiting = [fly.clone(), fly.clone(), fly.in_background()].map(|fly| tokio::spawn(start(fly)));
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_millis(400)).await;
    let line = Line {
        action: gastown_domain::ports::Action::StartMachine,
        subject: MACHINE.to_owned(),
        foreground: 2,
        background: 1,
        waited: Duration::from_millis(400),
        ahead: Duration::from_millis(2_600),
    };
    assert_eq!(fly.lines(), [line]);
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    assert_eq!(fly.lines(), []);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_lists_after_whoever_is_waited_for() {
    let nothing = json!([]);
    let script = (0..6).fold(Script::new(), |script, _| script.on_json(Action::ListMachines, &nothing));
    let script = script.on_json(Action::ListVolumes, &nothing);
    let (client, script) = script.client(Pacing::On(Rates::default()));
    let fly = Fly::new(client.clone(), shared());
    for _ in 0..3 {
        client.tell(&machines::list("mill", None)).await.unwrap();
    }
    let sweep = fly.clone();
    let sweep = tokio::spawn(async move { sweep.stock(&app()).await });
    tokio::task::yield_now().await;
    assert_eq!(client.queues().iter().map(|queue| (queue.foreground, queue.background)).collect::<Vec<_>>(), [(0, 1)]);
    fly.machines_of(&app(), town()).await.unwrap();
    assert!(!sweep.is_finished());
    assert!(sweep.await.unwrap().unwrap().is_whole);
    let asked = script.played();
    let lists: Vec<&str> = asked.lines().skip(3).collect();
    let tagged = format!("GET /apps/mill/machines?metadata.gastown_town_id={}", town());
    let summary = "GET /apps/mill/machines?summary=true";
    assert_eq!(lists, [tagged.as_str(), summary, "GET /apps/mill/machines", "GET /apps/mill/volumes"]);
}
