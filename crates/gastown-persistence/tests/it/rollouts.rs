//! Rollouts: one that has not ended, the turns of towns, and the image that each town has.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::{
    FigureLimits, Figures as _, HealthChecks, NewOperation, NewRollout, ObservedRollout, OperationResult,
    Operations as _, Operator as _, RolloutChanged, RolloutEnd, RolloutLimits, RolloutOrder, Rollouts as _, Touch,
    Touched, TownChange,
};
use gastown_domain::{
    Failure, HealthLimits, ImageRef, MaxUnavailable, Operation, OperationKind, Percent, Progress, Rejection, Rollout,
    RolloutNumber, RolloutState, StepName, TouchCounts, TouchOutcome, Town, TownId, TownImage, TownStatus,
};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::bed::{Bed, on_both, request};

on_both! {
    one_rollout_is_active_at_a_time,
    parallel_starts_start_one_rollout,
    a_paused_rollout_can_be_replaced,
    orders_change_the_state_as_it_allows,
    the_newest_rollout_that_includes_the_town_decides,
    an_undo_takes_back_all_shares_of_its_image,
    a_paused_share_is_not_replaced_by_a_smaller_one,
    a_finished_operation_records_the_image_that_it_gave,
    towns_that_need_the_image_are_ready,
    busy_capped_and_unhealthy_towns_are_not_ready,
    parallel_turns_of_a_town_give_it_one_restart,
    parallel_turns_never_exceed_the_unavailable_towns,
    a_turn_is_refused_once_the_waves_stop,
    turns_end_as_their_restarts_do,
    a_town_that_becomes_unhealthy_after_its_turn_has_failed,
    an_undo_brings_back_what_has_the_image,
    towns_that_a_failed_turn_has_stopped_are_started,
    a_restart_past_its_deadline_is_stuck,
    a_turn_counts_as_a_restart_and_discards_a_check_in_progress,
    restarts_of_a_rollout_have_its_name_in_the_history,
    the_towns_of_older_rollouts_are_forgotten,
    reports_and_figures_count_towns_by_image,
}

const LIMITS: RolloutLimits = RolloutLimits { soak: Duration::from_secs(600), health: HealthLimits::DEFAULT };

fn image(number: u32) -> ImageRef {
    format!("registry.example/town:{number}").parse().unwrap()
}

fn new(max_unavailable: u64) -> NewRollout {
    NewRollout {
        image: image(2),
        percent: Percent::ALL,
        only_stopped: false,
        max_unavailable: MaxUnavailable::try_from(max_unavailable).unwrap(),
        replace: false,
    }
}

fn done(changed: RolloutChanged) -> Rollout {
    match changed {
        RolloutChanged::Done(rollout) => *rollout,
        other => panic!("not done: {other:?}"),
    }
}

async fn started(bed: &Bed, new: &NewRollout) -> Rollout {
    done(bed.database.start(new, "operator:eve").await.unwrap())
}

async fn order(bed: &Bed, order: RolloutOrder) -> RolloutChanged {
    bed.database.order(order, "operator:eve").await.unwrap()
}

async fn observe(bed: &Bed) -> ObservedRollout {
    bed.database.observe(&image(1), &LIMITS).await.unwrap().unwrap()
}

fn turn(rollout: &Rollout, town: &Town) -> Touch {
    Touch {
        rollout: rollout.number,
        pass: rollout.state.pass(),
        town: town.id,
        restart: Some(request(town, OperationKind::Restart)),
        limits: HealthLimits::DEFAULT,
    }
}

/// Creates a running town whose machine has this image.
async fn having(bed: &Bed, name: &str, number: u32) -> Town {
    let town = bed.running("alice", name).await;
    bed.sql(&format!("UPDATE gastown_town_health SET image = '{}' WHERE {}", image(number), of(&town))).await;
    town
}

/// Returns the condition for the rows of a town, on both databases.
fn of(town: &Town) -> String {
    format!("town_id = (SELECT id FROM gastown_towns WHERE town_name = '{}')", town.name)
}

/// Ends the restart of a town. `given` is the image that it gave.
async fn end(bed: &Bed, town: &Town, given: Option<u32>, result: OperationResult) {
    let claimed = bed.claimed(town.id, "driver").await;
    let progress = Progress { image: given.map(image), image_confirmed: true, ..claimed.progress.clone() };
    let status = Some(TownStatus::Running);
    let change = TownChange { status: status.filter(|_| result.is_ok()), ..TownChange::default() };
    bed.database.finish(&Operation { progress, ..claimed }, result, &change).await.unwrap();
}

fn ready(observed: &ObservedRollout) -> Vec<TownId> {
    observed.ready.iter().map(|ready| ready.town).collect()
}

async fn one_rollout_is_active_at_a_time(bed: Bed) {
    assert!(!bed.database.is_active().await.unwrap());
    assert_eq!(bed.database.observe(&image(1), &LIMITS).await.unwrap(), None);
    assert_eq!(bed.database.report().await.unwrap(), None);
    let first = started(&bed, &new(5)).await;
    assert_eq!((first.number.get(), first.state, first.setting.clone()), (1, RolloutState::Running, None));
    assert!(bed.database.is_active().await.unwrap());
    let refused = bed.database.start(&new(5), "operator:eve").await.unwrap();
    assert_eq!(refused, RolloutChanged::Refused(Box::new(first.clone())));

    assert_eq!(observe(&bed).await.rollout.setting, Some(image(1)));
    let observed = bed.database.observe(&image(9), &LIMITS).await.unwrap().unwrap();
    assert_eq!(observed.rollout.setting, Some(image(1)), "the first observation records the setting");

    let end = RolloutEnd { from: RolloutState::Running, to: RolloutState::Finished, reason: None };
    assert!(bed.database.conclude(first.number, &end).await.unwrap());
    assert!(!bed.database.conclude(first.number, &end).await.unwrap(), "it is not running any more");
    assert!(!bed.database.is_active().await.unwrap());
    assert_eq!(started(&bed, &new(5)).await.number.get(), 2);
}

async fn parallel_starts_start_one_rollout(bed: Bed) {
    let bed = Arc::new(bed);
    let barrier = Arc::new(Barrier::new(4));
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let (bed, barrier) = (Arc::clone(&bed), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                bed.database.start(&new(5), "operator:eve").await.unwrap()
            })
        })
        .collect();
    let mut done = 0;
    for start in starts {
        done += usize::from(matches!(start.await.unwrap(), RolloutChanged::Done(_)));
    }
    assert_eq!(done, 1);
}

async fn a_paused_rollout_can_be_replaced(bed: Bed) {
    let replacing = NewRollout { replace: true, image: image(3), ..new(5) };
    started(&bed, &new(5)).await;
    let refused = bed.database.start(&replacing, "operator:eve").await.unwrap();
    assert!(matches!(refused, RolloutChanged::Refused(_)), "a running one is not replaced");
    done(order(&bed, RolloutOrder::Pause).await);
    assert_eq!(started(&bed, &replacing).await.number.get(), 2);
    let state = bed.number("SELECT COUNT(*) FROM gastown_rollouts WHERE state = 'undone' AND ended_at IS NOT NULL");
    assert_eq!(state.await, 1);
}

async fn orders_change_the_state_as_it_allows(bed: Bed) {
    assert_eq!(order(&bed, RolloutOrder::Pause).await, RolloutChanged::NotFound);
    started(&bed, &new(5)).await;
    assert!(matches!(order(&bed, RolloutOrder::Resume).await, RolloutChanged::Refused(_)));
    let paused = done(order(&bed, RolloutOrder::Pause).await);
    assert_eq!((paused.state, paused.reason.as_deref()), (RolloutState::Paused, Some("paused by operator:eve")));
    assert_eq!(done(order(&bed, RolloutOrder::Resume).await).reason, None);
    assert_eq!(done(order(&bed, RolloutOrder::Undo).await).state, RolloutState::Undoing);
    assert!(matches!(order(&bed, RolloutOrder::Undo).await, RolloutChanged::Refused(_)));
}

async fn the_newest_rollout_that_includes_the_town_decides(bed: Bed) {
    let town = |first: u32| TownId::new(Uuid::from_u128(u128::from(first) << 96));
    let (low, high) = (town(0), town(u32::MAX));
    let deciding = async |town| bed.database.deciding(town).await.unwrap().map(|rollout| rollout.number.get());
    assert_eq!(deciding(low).await, None);
    let finish = async |rollout: RolloutNumber| {
        let end = RolloutEnd { from: RolloutState::Running, to: RolloutState::Finished, reason: None };
        assert!(bed.database.conclude(rollout, &end).await.unwrap());
    };
    finish(started(&bed, &new(5)).await.number).await;
    let tenth = Percent::try_from(10).unwrap();
    finish(started(&bed, &NewRollout { percent: tenth, image: image(3), ..new(5) }).await.number).await;
    assert_eq!((deciding(low).await, deciding(high).await), (Some(2), Some(1)));
    done(order(&bed, RolloutOrder::Undo).await);
    assert_eq!((deciding(low).await, deciding(high).await), (Some(1), Some(1)), "one that is undone does not decide");
}

async fn an_undo_takes_back_all_shares_of_its_image(bed: Bed) {
    let low = TownId::new(Uuid::nil());
    let deciding = async || bed.database.deciding(low).await.unwrap().map(|rollout| rollout.number.get());
    let end = RolloutEnd { from: RolloutState::Running, to: RolloutState::Finished, reason: None };
    let share = |percent| NewRollout { percent: Percent::try_from(percent).unwrap(), ..new(5) };
    let before = started(&bed, &NewRollout { image: image(3), ..new(5) }).await;
    assert!(bed.database.conclude(before.number, &end).await.unwrap());
    // More shares than one read returns.
    for percent in 1..=10 {
        let rollout = started(&bed, &share(percent * 10)).await;
        assert!(bed.database.conclude(rollout.number, &end).await.unwrap());
    }
    assert_eq!(deciding().await, Some(11));
    for percent in [1, 99] {
        let refused = bed.database.start(&share(percent), "operator:eve").await.unwrap();
        assert!(matches!(&refused, RolloutChanged::SmallerShare(last) if last.number.get() == 11), "{refused:?}");
    }
    assert_eq!(bed.number("SELECT COUNT(*) FROM gastown_rollouts").await, 11);
    done(order(&bed, RolloutOrder::Undo).await);
    assert_eq!(deciding().await, Some(1));
    let replacing = NewRollout { replace: true, ..share(1) };
    assert!(matches!(bed.database.start(&replacing, "operator:eve").await.unwrap(), RolloutChanged::Refused(_)));
    done(order(&bed, RolloutOrder::Pause).await);
    assert_eq!(started(&bed, &replacing).await.number.get(), 12, "after an undo, shares begin again");
    assert_eq!(deciding().await, Some(12));
}

async fn a_paused_share_is_not_replaced_by_a_smaller_one(bed: Bed) {
    let share = |percent| NewRollout { percent: Percent::try_from(percent).unwrap(), replace: true, ..new(5) };
    started(&bed, &share(50)).await;
    let paused = done(order(&bed, RolloutOrder::Pause).await);
    let refused = bed.database.start(&share(10), "operator:eve").await.unwrap();
    assert_eq!(refused, RolloutChanged::SmallerShare(Box::new(paused.clone())));
    assert_eq!(bed.database.report().await.unwrap().unwrap().rollout, paused, "it was not ended");
    assert_eq!(started(&bed, &share(50)).await.number.get(), 2);
}

async fn a_finished_operation_records_the_image_that_it_gave(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    assert_eq!(bed.health(town.id).await.image, None);
    let begun = Progress::default().began(StepName::UpdateMachine, crate::bed::noon());
    for (given, confirmed, known) in
        [(Some(1), true, Some(1)), (None, false, Some(1)), (Some(2), true, Some(2)), (Some(3), false, None)]
    {
        bed.request(&town, OperationKind::Stop).await;
        let claimed = bed.claimed(town.id, "driver").await;
        let progress = Progress { image: given.map(image), image_confirmed: confirmed, ..claimed.progress.clone() };
        bed.database.finish(&Operation { progress, ..claimed }, Ok(()), &TownChange::default()).await.unwrap();
        assert_eq!(bed.health(town.id).await.image, known.map(image), "{given:?} {confirmed}");
    }
    bed.sql(&format!("UPDATE gastown_town_health SET image = '{}'", image(1))).await;
    bed.request(&town, OperationKind::Stop).await;
    let claimed = bed.claimed(town.id, "driver").await;
    bed.database.finish(&Operation { progress: begun, ..claimed }, Ok(()), &TownChange::default()).await.unwrap();
    assert_eq!(bed.health(town.id).await.image, None, "the update may have been applied");
}

async fn towns_that_need_the_image_are_ready(bed: Bed) {
    let old = having(&bed, "old", 1).await;
    let unknown = bed.running("alice", "unknown").await;
    having(&bed, "new", 2).await;
    let stopped = having(&bed, "stopped", 1).await;
    bed.sql(&format!("UPDATE gastown_towns SET status = 'stopped' WHERE town_name = '{}'", stopped.name)).await;
    let destroyed = having(&bed, "destroyed", 1).await;
    bed.destroy(&destroyed).await;
    let rollout = started(&bed, &new(5)).await;
    let observed = observe(&bed).await;
    assert_eq!(ready(&observed), [old.id, unknown.id]);
    assert!(observed.has_waiting && observed.since_last.is_none());

    assert_eq!(bed.database.touch(&turn(&rollout, &old)).await.unwrap(), Touched::Accepted);
    let observed = observe(&bed).await;
    assert_eq!((ready(&observed), observed.unavailable), (vec![unknown.id], 1));
    assert_eq!(observed.counts, TouchCounts { in_flight: 1, ..TouchCounts::default() });
    bed.sql("UPDATE gastown_rollouts SET only_stopped = TRUE").await;
    let observed = observe(&bed).await;
    assert_eq!((ready(&observed), observed.has_waiting), (Vec::new(), false));
    // The ids of these tests are in the first percent.
    bed.sql("UPDATE gastown_rollouts SET only_stopped = FALSE, percent = 1").await;
    assert_eq!(ready(&observe(&bed).await), [unknown.id]);
}

async fn busy_capped_and_unhealthy_towns_are_not_ready(bed: Bed) {
    let (busy, capped) = (having(&bed, "busy", 1).await, having(&bed, "capped", 1).await);
    let unhealthy = having(&bed, "unhealthy", 1).await;
    let rollout = started(&bed, &new(5)).await;
    bed.request(&busy, OperationKind::Start).await;
    let now = "2026-01-01T00:00:00+00:00";
    bed.sql(&format!(
        "UPDATE gastown_town_health SET restarts = 3, window_started_at = '2099-01-01T00:00:00+00:00' WHERE {}",
        of(&capped)
    ))
    .await;
    bed.sql(&format!("UPDATE gastown_town_health SET state = 'error', state_since = '{now}' WHERE {}", of(&unhealthy)))
        .await;
    let observed = observe(&bed).await;
    assert_eq!((ready(&observed), observed.has_waiting), (Vec::new(), true));
    for town in [&busy, &capped, &unhealthy] {
        assert_eq!(bed.database.touch(&turn(&rollout, town)).await.unwrap(), Touched::Refused, "{}", town.name);
    }
    assert_eq!(bed.number("SELECT COUNT(*) FROM gastown_rollout_towns").await, 0, "a refused turn leaves nothing");
    // An undo is the word of an operator, so it restarts towns that do not work.
    bed.sql(&format!("UPDATE gastown_town_health SET image = '{}'", image(2))).await;
    let undoing = done(order(&bed, RolloutOrder::Undo).await);
    assert_eq!(ready(&observe(&bed).await), [capped.id, unhealthy.id]);
    for town in [&capped, &unhealthy] {
        assert_eq!(bed.database.touch(&turn(&undoing, town)).await.unwrap(), Touched::Accepted);
    }
    assert_eq!(bed.health(capped.id).await.restarts, 4);
}

async fn parallel_turns_of_a_town_give_it_one_restart(bed: Bed) {
    let town = having(&bed, "mill", 1).await;
    let rollout = started(&bed, &new(5)).await;
    let results = parallel(&bed, vec![turn(&rollout, &town); 6]).await;
    assert_eq!(results.iter().filter(|touched| **touched == Touched::Accepted).count(), 1, "{results:?}");
    end(&bed, &town, Some(1), Ok(())).await;
    assert_eq!(bed.database.touch(&turn(&rollout, &town)).await.unwrap(), Touched::Refused, "it had its turn");
    assert_eq!(bed.number("SELECT COUNT(*) FROM gastown_rollout_towns").await, 1);
}

async fn parallel_turns_never_exceed_the_unavailable_towns(bed: Bed) {
    let mut turns = Vec::new();
    let rollout = started(&bed, &new(2)).await;
    for number in 0..6 {
        turns.push(turn(&rollout, &having(&bed, &format!("mill-{number}"), 1).await));
    }
    let results = parallel(&bed, turns).await;
    assert_eq!(results.iter().filter(|touched| **touched == Touched::Accepted).count(), 2, "{results:?}");
    assert_eq!(bed.number("SELECT COUNT(*) FROM gastown_operations").await, 2);
}

/// Gives these turns at the same time, each by a connection of its own.
async fn parallel(bed: &Bed, turns: Vec<Touch>) -> Vec<Touched> {
    let barrier = Arc::new(Barrier::new(turns.len()));
    let mut tasks = Vec::new();
    for mut turn in turns {
        if let Some(restart) = &mut turn.restart {
            *restart =
                NewOperation { id: gastown_domain::OperationId::new(crate::bed::fresh_uuid()), ..restart.clone() };
        }
        let (database, barrier) = (bed.again(|_| {}).await, Arc::clone(&barrier));
        tasks.push(tokio::spawn(async move {
            barrier.wait().await;
            database.touch(&turn).await.unwrap()
        }));
    }
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

async fn a_turn_is_refused_once_the_waves_stop(bed: Bed) {
    let town = having(&bed, "mill", 1).await;
    let rollout = started(&bed, &new(5)).await;
    done(order(&bed, RolloutOrder::Pause).await);
    assert_eq!(bed.database.touch(&turn(&rollout, &town)).await.unwrap(), Touched::Over);
    done(order(&bed, RolloutOrder::Undo).await);
    assert_eq!(bed.database.touch(&turn(&rollout, &town)).await.unwrap(), Touched::Over, "the other direction");
    let unknown = Touch { rollout: RolloutNumber::new(7), ..turn(&rollout, &town) };
    assert_eq!(bed.database.touch(&unknown).await.unwrap(), Touched::Over);
    assert_eq!(bed.number("SELECT COUNT(*) FROM gastown_operations").await, 0);
}

async fn turns_end_as_their_restarts_do(bed: Bed) {
    let rollout = started(&bed, &new(9)).await;
    let failed = || Err(Rejection::Failed(Failure::SandboxUnhealthy.into()));
    for (name, given, result, outcome) in [
        ("done", Some(2), Ok(()), TouchOutcome::Done),
        ("kept", Some(1), Ok(()), TouchOutcome::Skipped),
        ("failed", Some(2), failed(), TouchOutcome::Failed),
    ] {
        let town = having(&bed, name, 1).await;
        assert_eq!(bed.database.touch(&turn(&rollout, &town)).await.unwrap(), Touched::Accepted);
        assert_eq!(observe(&bed).await.unavailable, 1, "{name}");
        end(&bed, &town, given, result).await;
        assert_eq!(observe(&bed).await.unavailable, 0);
        let is = format!("SELECT COUNT(*) FROM gastown_rollout_towns WHERE outcome = '{}'", outcome.as_str());
        assert_eq!(bed.number(&is).await, 1, "{name}");
    }
    let stopped = having(&bed, "stopped", 1).await;
    bed.database.touch(&turn(&rollout, &stopped)).await.unwrap();
    bed.request(&stopped, OperationKind::Stop).await;
    let blocked = having(&bed, "blocked", 1).await;
    bed.database.touch(&Touch { restart: None, ..turn(&rollout, &blocked) }).await.unwrap();
    let observed = observe(&bed).await;
    assert_eq!(observed.counts, TouchCounts { in_flight: 0, done: 1, failed: 1, skipped: 3 });
    let failure = observed.last_failure.unwrap();
    assert_eq!((failure.name.as_str(), failure.failure), ("failed", Some(Failure::SandboxUnhealthy.into())));
    done(order(&bed, RolloutOrder::Pause).await);
    assert_eq!(done(order(&bed, RolloutOrder::Resume).await).known_failures, 1);
}

async fn a_town_that_becomes_unhealthy_after_its_turn_has_failed(bed: Bed) {
    let rollout = started(&bed, &new(9)).await;
    for (name, since) in [("later", "2099-01-01T00:00:00+00:00"), ("before", "2020-01-01T00:00:00+00:00")] {
        let town = having(&bed, name, 1).await;
        bed.database.touch(&turn(&rollout, &town)).await.unwrap();
        end(&bed, &town, Some(2), Ok(())).await;
        observe(&bed).await;
        bed.sql(&format!(
            "UPDATE gastown_town_health SET state = 'unhealthy', state_since = '{since}' WHERE {}",
            of(&town)
        ))
        .await;
    }
    let observed = observe(&bed).await;
    assert_eq!(observed.counts, TouchCounts { done: 1, failed: 1, ..TouchCounts::default() });
    let failure = observed.last_failure.unwrap();
    assert_eq!((failure.name.as_str(), failure.failure), ("later", None));
}

async fn an_undo_brings_back_what_has_the_image(bed: Bed) {
    let rollout = started(&bed, &new(9)).await;
    let touched = having(&bed, "touched", 1).await;
    bed.database.touch(&turn(&rollout, &touched)).await.unwrap();
    end(&bed, &touched, Some(2), Ok(())).await;
    let unknown = having(&bed, "unknown", 1).await;
    bed.database.touch(&turn(&rollout, &unknown)).await.unwrap();
    end(&bed, &unknown, None, Ok(())).await;
    bed.sql(&format!("UPDATE gastown_town_health SET image = NULL WHERE {}", of(&unknown))).await;
    let started_by_owner = having(&bed, "started", 2).await;
    having(&bed, "old", 1).await;
    bed.running("alice", "never-touched").await;
    observe(&bed).await;

    let undoing = done(order(&bed, RolloutOrder::Undo).await);
    let observed = observe(&bed).await;
    assert_eq!(ready(&observed), [touched.id, unknown.id, started_by_owner.id]);
    assert_eq!(observed.counts, TouchCounts::default(), "the pass has turns of its own");
    assert_eq!(bed.database.touch(&turn(&undoing, &touched)).await.unwrap(), Touched::Accepted);
    end(&bed, &touched, Some(1), Ok(())).await;
    assert_eq!(observe(&bed).await.counts.done, 1);
    assert_eq!(bed.database.touch(&turn(&undoing, &touched)).await.unwrap(), Touched::Refused);
}

async fn towns_that_a_failed_turn_has_stopped_are_started(bed: Bed) {
    let towns = [having(&bed, "left", 1).await, having(&bed, "used", 1).await, having(&bed, "forgotten", 1).await];
    let rollout = started(&bed, &new(5)).await;
    for town in &towns {
        assert_eq!(bed.database.touch(&turn(&rollout, town)).await.unwrap(), Touched::Accepted);
        end(&bed, town, None, Err(Rejection::Failed(Failure::MachineRefused.into()))).await;
    }
    let [left, used, forgotten] = towns;
    bed.sql("UPDATE gastown_towns SET status = 'stopped'").await;
    assert_eq!(ready(&observe(&bed).await), [], "its own pass does not touch them again");
    // The owner has stopped this town after its turn, and the events of that one are too old.
    bed.request(&used, OperationKind::Stop).await;
    end(&bed, &used, None, Err(Rejection::Preempted)).await;
    bed.sql(&format!("DELETE FROM gastown_town_events WHERE {}", of(&forgotten))).await;

    done(order(&bed, RolloutOrder::Pause).await);
    let undoing = done(order(&bed, RolloutOrder::Undo).await);
    let observed = observe(&bed).await;
    assert_eq!((ready(&observed), observed.ready[0].was_stopped, observed.has_waiting), (vec![left.id], true, true));
    assert_eq!(bed.database.report().await.unwrap().unwrap().waiting, 1);
    let start = |town| Touch { restart: Some(request(town, OperationKind::Start)), ..turn(&undoing, town) };
    for town in [&used, &forgotten] {
        assert_eq!(bed.database.touch(&start(town)).await.unwrap(), Touched::Refused, "{}", town.name);
    }
    assert_eq!(bed.database.touch(&turn(&undoing, &left)).await.unwrap(), Touched::Refused, "it does not run");

    // A rollout that replaces this one starts them too.
    done(order(&bed, RolloutOrder::Pause).await);
    let replacing = started(&bed, &NewRollout { replace: true, image: image(3), ..new(5) }).await;
    assert_eq!(ready(&observe(&bed).await), [left.id]);
    let given = Touch { rollout: replacing.number, pass: replacing.state.pass(), ..start(&left) };
    assert_eq!(bed.database.touch(&given).await.unwrap(), Touched::Accepted);
    end(&bed, &left, Some(3), Ok(())).await;
    let observed = observe(&bed).await;
    assert_eq!((ready(&observed), observed.counts), (Vec::new(), TouchCounts { done: 1, ..TouchCounts::default() }));
}

async fn a_restart_past_its_deadline_is_stuck(bed: Bed) {
    let town = having(&bed, "mill", 1).await;
    let rollout = started(&bed, &new(9)).await;
    bed.database.touch(&turn(&rollout, &town)).await.unwrap();
    assert_eq!(observe(&bed).await.stuck, None);
    bed.sql(
        "UPDATE gastown_operations SET deadline_at = '2020-01-01T00:00:00+00:00', last_error = 'provider_misconfigured'",
    )
    .await;
    let stuck = observe(&bed).await.stuck.unwrap();
    assert_eq!((stuck.name.as_str(), stuck.failure), ("mill", Some(Failure::ProviderMisconfigured.into())));
    done(order(&bed, RolloutOrder::Undo).await);
    let observed = observe(&bed).await;
    assert_eq!((observed.stuck, observed.unavailable), (None, 1), "a restart of the other pass does not stop the undo");
}

async fn a_turn_counts_as_a_restart_and_discards_a_check_in_progress(bed: Bed) {
    let town = having(&bed, "mill", 1).await;
    let rollout = started(&bed, &new(9)).await;
    let batch = bed.database.take(10, Duration::from_secs(3600), crate::bed::LEASE).await.unwrap().unwrap();
    assert_eq!(batch.checks.len(), 1);
    bed.database.touch(&turn(&rollout, &town)).await.unwrap();
    assert_eq!(bed.health(town.id).await.restarts, 1);
    let check = batch.checks.into_iter().next().unwrap();
    let record = gastown_domain::ports::HealthRecord {
        town: town.id,
        health: check.health,
        is_news: false,
        next_check_at: Some(batch.mark),
    };
    assert_eq!(HealthChecks::record(&bed.database, batch.mark, &[record]).await.unwrap(), []);
    assert_eq!(bed.health(town.id).await.restarts, 1);
}

async fn restarts_of_a_rollout_have_its_name_in_the_history(bed: Bed) {
    let town = having(&bed, "mill", 1).await;
    let rollout = started(&bed, &new(9)).await;
    bed.database.touch(&turn(&rollout, &town)).await.unwrap();
    end(&bed, &town, Some(2), Ok(())).await;
    let events = bed.database.town_details(town.id, &[], 10).await.unwrap().unwrap().events;
    let restarts = events.iter().filter(|event| event.action == "restart");
    let actors: Vec<_> = restarts.map(|event| (event.actor.as_str(), event.outcome.as_str())).collect();
    assert_eq!(actors, [("rollout", "done"), ("rollout", "accepted")]);
}

async fn the_towns_of_older_rollouts_are_forgotten(bed: Bed) {
    for (round, kept) in [1, 2, 2].into_iter().enumerate() {
        let rollout = started(&bed, &new(9)).await;
        let town = having(&bed, &format!("mill-{round}"), 1).await;
        bed.database.touch(&turn(&rollout, &town)).await.unwrap();
        assert_eq!(bed.number("SELECT COUNT(*) FROM gastown_rollout_towns").await, kept, "{round}");
        let end = RolloutEnd { from: RolloutState::Running, to: RolloutState::Finished, reason: None };
        bed.database.conclude(rollout.number, &end).await.unwrap();
    }
}

async fn reports_and_figures_count_towns_by_image(bed: Bed) {
    for (name, number) in [("old", 1), ("older", 1), ("new", 2)] {
        having(&bed, name, number).await;
    }
    bed.running("alice", "unknown").await;
    let unhealthy = having(&bed, "unhealthy", 1).await;
    bed.sql(&format!("UPDATE gastown_town_health SET state = 'error' WHERE {}", of(&unhealthy))).await;
    having(&bed, "stopped", 1).await;
    bed.sql("UPDATE gastown_towns SET status = 'stopped' WHERE town_name = 'stopped'").await;
    let limits = FigureLimits::alerting_after(15);
    let figures = bed.database.figures(limits).await.unwrap();
    assert_eq!((figures.images.len(), figures.rollouts.len()), (2, 0), "{:?}", figures.images);

    let rollout = started(&bed, &new(9)).await;
    let report = bed.database.report().await.unwrap().unwrap();
    assert_eq!(report.rollout, rollout);
    assert_eq!((report.waiting, report.unhealthy, report.stopped), (3, 1, 1));
    let name = |number| Some(image(number).to_string());
    let mut images = report.images;
    images.sort();
    assert_eq!(images, [(None, 1), (name(1), 4), (name(2), 1)]);
    let figures = bed.database.figures(limits).await.unwrap();
    let count = |wanted| figures.images.iter().find(|(image, _)| *image == Some(wanted)).map(|(_, towns)| *towns);
    assert_eq!(TownImage::ALL.map(count), [Some(1), Some(4), Some(1)]);
    assert_eq!(figures.rollouts, [(Some(RolloutState::Running), 1)]);
}
