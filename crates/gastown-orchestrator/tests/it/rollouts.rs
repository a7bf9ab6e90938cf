//! Rollouts of images: waves, failures, undo, and what owners do meanwhile.

use std::time::Duration;

use gastown_domain::ports::{Action, Clock as _, DestroyTown, NewRollout, RolloutChanged, RolloutOrder, Towns as _};
use gastown_domain::{
    HealthState, ImageRef, MaxUnavailable, Percent, Rollout, RolloutState, TouchOutcome, Town, TownId, TownStatus,
};
use gastown_orchestrator::RolloutPassReport;
use tokio::time::{Instant, sleep};

use crate::bench::{Bench, Replica, alice};
use crate::faults::{Fault, Query};

/// Longer than the period of the passes.
const EVERY: Duration = Duration::from_secs(11);
/// The passes within which every rollout of these tests ends. The last of them wait for the soak.
const PASSES: usize = 200;

fn image(number: u32) -> ImageRef {
    format!("registry.fly.io/gastown:{number}").parse().unwrap()
}

fn to(number: u32) -> NewRollout {
    NewRollout {
        image: image(number),
        percent: Percent::ALL,
        only_stopped: false,
        max_unavailable: MaxUnavailable::try_from(2).unwrap(),
        replace: false,
    }
}

fn start(bench: &Bench, rollout: &NewRollout) {
    let started = bench.store.rows().start_rollout(rollout, bench.store.clock.now());
    assert!(matches!(started, RolloutChanged::Done(_)), "{started:?}");
}

fn order(bench: &Bench, order: RolloutOrder) {
    let changed = bench.store.rows().order_rollout(order);
    assert!(matches!(changed, RolloutChanged::Done(_)), "{changed:?}");
}

fn newest(bench: &Bench) -> Rollout {
    bench.store.rows().rollouts.all.last().cloned().unwrap()
}

fn recorded(bench: &Bench, town: &Town) -> Option<ImageRef> {
    bench.store.rows().records.health_of(town.id).image
}

fn at_fly(bench: &Bench, town: &Town) -> ImageRef {
    bench.fly.world().machines_of(town.id)[0].image.clone()
}

fn outcomes(bench: &Bench) -> Vec<Option<TouchOutcome>> {
    bench.store.rows().rollouts.turns.values().map(|turn| turn.outcome).collect()
}

/// Asserts that no pass of a rollout touched a town twice.
fn assert_touched_once(bench: &Bench) {
    assert_eq!(bench.store.rows().rollouts.violations(), Vec::<String>::new());
}

async fn pass_with(replica: &Replica) -> Option<RolloutPassReport> {
    sleep(EVERY).await;
    replica.rollouts.pass().await.unwrap()
}

/// Makes a pass and a sweep with a new process, so that nothing but the rows is remembered.
async fn advance(bench: &Bench) {
    let replica = bench.replica();
    pass_with(&replica).await;
    let _ = replica.workers.sweep().await;
    replica.workers.idle().await;
}

/// Advances until the waves do not go on any more.
async fn until_still(bench: &Bench) -> RolloutState {
    for _ in 0..PASSES {
        advance(bench).await;
        if !newest(bench).state.is_driven() {
            break;
        }
    }
    newest(bench).state
}

async fn many(bench: &Bench, towns: usize) -> Vec<Town> {
    let mut all = Vec::new();
    for number in 0..towns {
        all.push(bench.running(&format!("mill-{number}")).await);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn running_towns_get_the_image_in_waves() {
    let bench = Bench::new();
    let towns = many(&bench, 5).await;
    for town in &towns {
        assert_eq!(recorded(&bench, town), Some(image(1)), "a create records its image");
    }
    start(&bench, &to(2));

    assert_eq!(until_still(&bench).await, RolloutState::Finished);
    for town in &towns {
        assert_eq!((recorded(&bench, town), at_fly(&bench, town)), (Some(image(2)), image(2)));
        assert_eq!(bench.store.town(town.id).status, TownStatus::Running);
    }
    let rows = bench.store.rows();
    assert_eq!(rows.rollouts.restarts.len(), 5);
    assert_eq!(rows.rollouts.most.values().max(), Some(&2), "never more than two at once");
    drop(rows);
    assert_eq!(bench.fly.count(Action::StopMachine), 5);
    assert_touched_once(&bench);
    bench.assert_invariants_and_history("rolled out");
}

#[tokio::test(start_paused = true)]
async fn a_bad_image_pauses_the_rollout_and_an_undo_brings_the_old_one_back() {
    let bench = Bench::new();
    let towns = many(&bench, 5).await;
    bench.fly.world().bad_images.insert(image(2));
    start(&bench, &to(2));

    assert_eq!(until_still(&bench).await, RolloutState::Paused);
    let reason = newest(&bench).reason.unwrap();
    assert!(reason.starts_with("the restart of town mill-") && reason.contains("sandbox"), "{reason}");
    assert_eq!(bench.store.rows().rollouts.restarts.len(), 2, "one wave was touched");
    for _ in 0..3 {
        advance(&bench).await;
    }
    assert_eq!(bench.store.rows().rollouts.restarts.len(), 2, "a paused rollout touches no town");

    order(&bench, RolloutOrder::Undo);
    assert_eq!(until_still(&bench).await, RolloutState::Undone);
    for town in &towns {
        assert_eq!((recorded(&bench, town), at_fly(&bench, town)), (Some(image(1)), image(1)));
    }
    assert_eq!(bench.store.rows().rollouts.restarts.len(), 4, "the undo touches what the rollout has touched");
    assert_touched_once(&bench);
    bench.recover().await;
    bench.assert_invariants_and_history("undone");
}

#[tokio::test(start_paused = true)]
async fn a_resumed_rollout_touches_no_town_twice_and_pauses_at_the_next_failure() {
    let bench = Bench::new();
    many(&bench, 5).await;
    bench.fly.world().bad_images.insert(image(2));
    start(&bench, &to(2));
    assert_eq!(until_still(&bench).await, RolloutState::Paused);
    order(&bench, RolloutOrder::Resume);
    assert_eq!(until_still(&bench).await, RolloutState::Paused);
    assert_eq!(bench.store.rows().rollouts.restarts.len(), 4);

    bench.fly.world().bad_images.clear();
    order(&bench, RolloutOrder::Resume);
    assert_eq!(until_still(&bench).await, RolloutState::Finished);
    assert_eq!(bench.store.rows().rollouts.restarts.len(), 5);
    assert_touched_once(&bench);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_read_pauses_the_rollout_and_an_undo_frees_its_towns() {
    let bench = Bench::new();
    let towns = many(&bench, 3).await;
    bench.fly.world().missing_images.insert(image(2));
    start(&bench, &to(2));

    assert_eq!(until_still(&bench).await, RolloutState::Paused);
    let reason = newest(&bench).reason.unwrap();
    assert!(reason.contains("does not end"), "{reason}");
    order(&bench, RolloutOrder::Undo);
    assert_eq!(until_still(&bench).await, RolloutState::Undone);
    bench.recover().await;
    for town in &towns {
        assert_eq!((recorded(&bench, town), at_fly(&bench, town)), (Some(image(1)), image(1)));
        assert_eq!(bench.store.town(town.id).status, TownStatus::Running);
    }
    bench.assert_invariants_and_history("freed");
}

#[tokio::test(start_paused = true)]
async fn an_undo_starts_the_towns_that_a_refused_image_has_stopped() {
    for is_replaced in [false, true] {
        let bench = Bench::new();
        let towns = many(&bench, 3).await;
        bench.fly.world().refused_images.insert(image(2));
        start(&bench, &to(2));
        assert_eq!(until_still(&bench).await, RolloutState::Paused);
        let is_stopped = |town: &&Town| bench.store.town(town.id).status == TownStatus::Stopped;
        assert_eq!(towns.iter().filter(is_stopped).count(), 2, "one wave was touched");
        let kept = if is_replaced {
            start(&bench, &NewRollout { replace: true, ..to(3) });
            assert_eq!(until_still(&bench).await, RolloutState::Finished);
            image(3)
        } else {
            order(&bench, RolloutOrder::Undo);
            assert_eq!(until_still(&bench).await, RolloutState::Undone);
            image(1)
        };
        for town in &towns {
            assert_eq!(bench.store.town(town.id).status, TownStatus::Running, "{}", town.name);
            assert_eq!((recorded(&bench, town), at_fly(&bench, town)), (Some(kept.clone()), kept.clone()));
        }
        assert_touched_once(&bench);
        bench.assert_invariants_and_history("started again");
    }
}

#[tokio::test(start_paused = true)]
async fn only_stopped_touches_no_running_town_and_each_start_gives_the_image() {
    let bench = Bench::new();
    let (running, stopped) = (bench.running("mill").await, bench.stopped("barn").await);
    start(&bench, &NewRollout { only_stopped: true, ..to(2) });

    assert_eq!(until_still(&bench).await, RolloutState::Finished);
    assert_eq!(at_fly(&bench, &running), image(1));
    let towns = bench.replica().towns;
    towns.start_town(&alice(), stopped.id).await.unwrap();
    towns.stop_town(&alice(), running.id).await.unwrap();
    towns.start_town(&alice(), running.id).await.unwrap();
    let new = bench.running("new").await;
    for town in [&running, &stopped, &new] {
        assert_eq!((recorded(&bench, town), at_fly(&bench, town)), (Some(image(2)), image(2)));
    }
    assert_eq!(bench.store.rows().rollouts.restarts, []);
}

#[tokio::test(start_paused = true)]
async fn the_owner_goes_first_and_the_town_is_skipped() {
    let bench = Bench::new();
    let towns = many(&bench, 2).await;
    start(&bench, &to(2));
    let replica = bench.replica();
    assert_eq!(pass_with(&replica).await.map(|report| report.touched), Some(2));
    replica.towns.stop_town(&alice(), towns[0].id).await.unwrap();
    replica.towns.destroy_town(&alice(), DestroyTown::until_gone(towns[1].id)).await.unwrap();

    assert_eq!(until_still(&bench).await, RolloutState::Finished);
    assert_eq!(outcomes(&bench), [Some(TouchOutcome::Skipped); 2]);
    assert_eq!(bench.store.town(towns[0].id).status, TownStatus::Stopped);
    replica.towns.start_town(&alice(), towns[0].id).await.unwrap();
    assert_eq!(recorded(&bench, &towns[0]), Some(image(2)), "the next start gives the image");
    bench.assert_nothing_left(towns[1].id);
}

#[tokio::test(start_paused = true)]
async fn a_town_of_a_blocked_owner_is_skipped_and_keeps_running() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    bench.store.rows().blocked.insert(town.owner.clone());
    start(&bench, &to(2));
    assert_eq!(until_still(&bench).await, RolloutState::Finished);
    assert_eq!(outcomes(&bench), [Some(TouchOutcome::Skipped)]);
    assert_eq!((bench.store.town(town.id).status, at_fly(&bench, &town)), (TownStatus::Running, image(1)));
}

#[tokio::test(start_paused = true)]
async fn a_town_that_becomes_unhealthy_after_its_restart_pauses_the_rollout() {
    let bench = Bench::new();
    let towns = many(&bench, 3).await;
    start(&bench, &NewRollout { max_unavailable: MaxUnavailable::try_from(1).unwrap(), ..to(2) });
    let is_done = |bench: &Bench| outcomes(bench).contains(&Some(TouchOutcome::Done));
    while !is_done(&bench) {
        advance(&bench).await;
    }
    let touched = bench.store.rows().rollouts.restarts[0].2;
    let now = bench.store.clock.now();
    {
        let mut rows = bench.store.rows();
        let health = rows.records.health.entry(touched).or_default();
        (health.state, health.since) = (HealthState::Unhealthy.into(), Some(now));
    }

    assert_eq!(until_still(&bench).await, RolloutState::Paused);
    let reason = newest(&bench).reason.unwrap();
    assert!(reason.contains("became unhealthy after its restart"), "{reason}");
    assert!(bench.store.rows().rollouts.restarts.len() < towns.len());
}

#[tokio::test(start_paused = true)]
async fn towns_that_the_monitor_restarts_are_left_to_it() {
    let bench = Bench::new();
    let towns = many(&bench, 3).await;
    let now = bench.store.clock.now();
    for (town, state, restarts) in [(0, HealthState::Error, 3), (1, HealthState::Unhealthy, 1)] {
        let mut rows = bench.store.rows();
        let health = rows.records.health.entry(towns[town].id).or_default();
        (health.state, health.restarts, health.window_started_at) = (state.into(), restarts, Some(now));
    }
    start(&bench, &to(2));
    assert_eq!(until_still(&bench).await, RolloutState::Finished);
    let touched: Vec<TownId> = bench.store.rows().rollouts.restarts.iter().map(|(.., town)| *town).collect();
    assert_eq!(touched, [towns[2].id]);
}

#[tokio::test(start_paused = true)]
async fn restarts_of_monitor_and_rollouts_share_their_cap() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let now = bench.store.clock.now();
    {
        let mut rows = bench.store.rows();
        let health = rows.records.health.entry(town.id).or_default();
        (health.state, health.restarts, health.window_started_at) = (HealthState::Healthy.into(), 3, Some(now));
    }
    start(&bench, &to(2));
    let began = Instant::now();
    assert_eq!(until_still(&bench).await, RolloutState::Finished);
    assert!(began.elapsed() >= Duration::from_secs(600), "the window of the restarts is over first");
    assert_eq!(bench.store.rows().records.health_of(town.id).restarts, 1);
    assert_eq!(recorded(&bench, &town), Some(image(2)));
}

#[tokio::test(start_paused = true)]
async fn two_replicas_touch_each_town_once() {
    let bench = Bench::new();
    let towns = many(&bench, 6).await;
    start(&bench, &to(2));
    let (one, other) = (bench.replica(), bench.replica());
    for _ in 0..PASSES {
        sleep(EVERY).await;
        let (first, second) = tokio::join!(one.rollouts.pass(), other.rollouts.pass());
        first.unwrap();
        second.unwrap();
        for replica in [&one, &other] {
            replica.workers.sweep().await.unwrap();
            replica.workers.idle().await;
        }
    }
    assert_eq!(newest(&bench).state, RolloutState::Finished);
    assert_eq!(bench.store.rows().rollouts.restarts.len(), towns.len());
    assert_touched_once(&bench);
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_answer_is_lost_is_not_given_again() {
    for fault in [Fault::ReplyLost, Fault::CrashAfter, Fault::CrashBefore, Fault::Contended] {
        for query in [Query::TouchTown, Query::ObserveRollout, Query::ConcludeRollout] {
            let bench = Bench::new();
            let towns = many(&bench, 3).await;
            start(&bench, &to(2));
            bench.store.schedule().next(crate::faults::Call::Store(query), 1, fault);
            for _ in 0..PASSES {
                let replica = bench.replica();
                sleep(EVERY).await;
                let pass = async { replica.rollouts.pass().await.is_ok() };
                replica.unless_crashed(pass).await;
                let replica = bench.replica();
                replica.workers.sweep().await.unwrap();
                replica.workers.idle().await;
            }
            assert_eq!(newest(&bench).state, RolloutState::Finished, "{fault:?} {query:?}");
            assert_eq!(bench.store.rows().rollouts.restarts.len(), towns.len());
            assert_touched_once(&bench);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_rollout_decides_until_the_settings_name_another_image() {
    let mut bench = Bench::new();
    let town = bench.stopped("mill").await;
    start(&bench, &to(2));
    assert_eq!(until_still(&bench).await, RolloutState::Finished);
    for (setting, given) in [(1, 2), (3, 3), (2, 2)] {
        bench.settings.machine.image = image(setting);
        let towns = bench.replica().towns;
        towns.start_town(&alice(), town.id).await.unwrap();
        assert_eq!(at_fly(&bench, &town), image(given), "the settings name {setting}");
        towns.stop_town(&alice(), town.id).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_after_shares_brings_back_the_image_of_before_the_first() {
    let bench = Bench::new();
    let towns = many(&bench, 5).await;
    start(&bench, &NewRollout { percent: Percent::try_from(50).unwrap(), ..to(3) });
    assert_eq!(until_still(&bench).await, RolloutState::Finished);
    let half = Percent::try_from(50).unwrap();
    for percent in [half, Percent::ALL] {
        start(&bench, &NewRollout { percent, ..to(2) });
        assert_eq!(until_still(&bench).await, RolloutState::Finished);
    }
    let smaller = bench.store.rows().start_rollout(&NewRollout { percent: half, ..to(2) }, bench.store.clock.now());
    assert!(matches!(smaller, RolloutChanged::SmallerShare(last) if last.number.get() == 3));

    order(&bench, RolloutOrder::Undo);
    assert_eq!(until_still(&bench).await, RolloutState::Undone, "{:?}", newest(&bench).reason);
    for town in &towns {
        let before = image(if half.includes(town.id) { 3 } else { 1 });
        assert_eq!((recorded(&bench, town), at_fly(&bench, town)), (Some(before.clone()), before), "{}", town.id);
    }
    assert_touched_once(&bench);
    bench.assert_invariants_and_history("undone after shares");
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_would_give_the_same_image_pauses_and_says_why() {
    let mut bench = Bench::new();
    let town = bench.running("mill").await;
    start(&bench, &to(2));
    assert_eq!(until_still(&bench).await, RolloutState::Finished);
    bench.settings.machine.image = image(2);
    order(&bench, RolloutOrder::Undo);
    assert_eq!(until_still(&bench).await, RolloutState::UndoPaused);
    assert!(newest(&bench).reason.unwrap().contains("the settings name it"));

    bench.settings.machine.image = image(1);
    order(&bench, RolloutOrder::Resume);
    assert_eq!(until_still(&bench).await, RolloutState::Undone);
    assert_eq!(recorded(&bench, &town), Some(image(1)));
}

#[tokio::test(start_paused = true)]
async fn creates_of_one_operation_have_one_image() {
    let bench = Bench::new();
    // The first create is applied, and its answer is lost. Then a rollout begins.
    bench.fly.schedule().next(crate::faults::Call::Fly(Action::CreateMachine), 1, Fault::ReplyLost);
    let replica = bench.replica();
    let (created, ()) = tokio::join!(bench.create("mill"), async {
        while bench.fly.count(Action::CreateMachine) == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        start(&bench, &NewRollout { only_stopped: true, ..to(2) });
    });
    let town = created.unwrap();
    assert_eq!(recorded(&bench, &town), Some(at_fly(&bench, &town)));
    drop(replica);
}
