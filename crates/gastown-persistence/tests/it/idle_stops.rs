//! Idle stops: the facts that are recorded, the towns that are listed, and the stop, which judges again under locks.

use std::sync::Arc;

use ephemeral_db::PostgresProxy;
use gastown_domain::ports::{
    Accepted, Caller, EventPage, NewOperation, Operations as _, Registry, Requested, Rigs as _, StoreError, TownChange,
    UpdateTown,
};
use gastown_domain::{
    Change, ConfigPatch, EventAction, EventActor, Heartbeat, IdleMinutes, IdleStop, IdleVerdict, KeepReason,
    OperationKind, Phase, SandboxReport, StepName, Town, TownId, TownStatus,
};
use gastown_persistence::{Database, DatabaseSettings};
use tokio::sync::Barrier;

use crate::bed::{Bed, accepted, create_of, new_town, noon, on_both, record, request, rig, user};

on_both! {
    every_fact_is_read_again_by_the_stop,
    reports_count_as_idle_without_a_gap_only,
    operation_ends_the_idle_time,
    use_is_recorded_by_the_clock_of_the_database,
    setting_and_its_copy_change_together,
    setting_decides_and_its_copy_does_not,
    one_of_parallel_stops_is_accepted,
    use_or_report_before_the_stop_wins,
    start_before_the_machine_is_stopped_is_a_start,
    start_after_the_machine_may_be_stopped_is_a_restart,
    stop_and_destroy_of_the_owner_end_an_idle_stop,
    idle_stop_is_shown_until_the_town_is_used,
    rig_starts_a_town_that_was_stopped_idle_and_no_other,
    idle_stop_is_no_operation_of_its_owner,
}

const AGO: &str = "2001-01-01T00:00:00+00:00";

fn minutes() -> IdleMinutes {
    IdleMinutes::new(30).unwrap()
}

fn stop_of(town: &Town) -> NewOperation {
    request(town, OperationKind::Stop)
}

async fn beat(database: &Database, town: TownId, polecats: Option<u32>) {
    let report = SandboxReport { active_polecats: polecats, ..SandboxReport::default() };
    let beat = Heartbeat::received(town, chrono::DateTime::UNIX_EPOCH, report, None);
    assert_eq!(database.record_heartbeats(&[beat]).await.unwrap(), [town]);
}

async fn configured(bed: &Bed, town: &Town, change: Change<IdleMinutes>) -> Town {
    let expected = bed.database.load(town.id).await.unwrap().unwrap().config.version();
    let config = ConfigPatch { idle_stop_minutes: change, ..ConfigPatch::default() };
    bed.database.update_config(&town.owner, &UpdateTown { town: town.id, config, expected }).await.unwrap();
    bed.database.load(town.id).await.unwrap().unwrap()
}

/// Lets all recorded times be long ago, apart from that of the last report.
async fn time_passes(bed: &Bed) {
    bed.sql(&format!("UPDATE gastown_town_health SET last_user_call_at = '{AGO}'")).await;
    bed.sql(&format!("UPDATE gastown_town_health SET idle_since = '{AGO}' WHERE idle_since IS NOT NULL")).await;
}

/// Returns a running town that is idle.
pub(crate) async fn idle(bed: &Bed, name: &str) -> Town {
    let town = bed.running("alice", name).await;
    let town = configured(bed, &town, Change::Set(minutes())).await;
    beat(&bed.database, town.id, Some(0)).await;
    bed.sql("UPDATE gastown_town_health SET state = 'healthy'").await;
    time_passes(bed).await;
    town
}

async fn listed(bed: &Bed) -> Vec<TownId> {
    bed.database.idle_towns(10).await.unwrap().into_iter().map(|(town, _)| town).collect()
}

async fn is_recorded(bed: &Bed, town: &Town) -> bool {
    bed.database.callers_town(&town.owner.clone().into(), town.id).await.unwrap().unwrap().use_is_recorded
}

async fn idle_stop(bed: &Bed, town: &Town) -> Option<IdleStop> {
    let caller: Caller = town.owner.clone().into();
    let report = bed.database.report(&caller, town.id).await.unwrap().unwrap();
    let alone = bed.database.callers_town(&caller, town.id).await.unwrap().unwrap();
    let list = Registry::list(&bed.database, &caller).await.unwrap();
    let in_list = list.into_iter().find(|summary| summary.state.town.id == town.id).unwrap();
    assert_eq!((alone.idle_stop(), in_list.idle_stop()), (report.idle_stop(), report.idle_stop()));
    report.idle_stop()
}

async fn stop(bed: &Bed, town: &Town) -> IdleVerdict {
    bed.database.stop_idle(&stop_of(town)).await.unwrap()
}

/// Accepts the idle stop of a town and drives it to its end.
async fn stopped_idle(bed: &Bed, name: &str) -> Town {
    let town = idle(bed, name).await;
    assert!(matches!(stop(bed, &town).await, IdleVerdict::Idle { .. }));
    finish(bed, &town, TownStatus::Stopped).await
}

async fn finish(bed: &Bed, town: &Town, status: TownStatus) -> Town {
    let operation = bed.claimed(town.id, "driver").await;
    let change = TownChange { status: Some(status), ..TownChange::default() };
    bed.database.finish(&operation, Ok(()), &change).await.unwrap()
}

async fn every_fact_is_read_again_by_the_stop(bed: Bed) {
    let town = idle(&bed, "mill").await;
    assert_eq!(bed.database.idle_towns(10).await.unwrap(), [(town.id, user("alice"))]);
    let health = |change: &str| format!("UPDATE gastown_town_health SET {change}");
    let lately = "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '-29 minutes')";
    let lately = if bed.is_postgres() { "now() - interval '29 minutes'" } else { lately };
    let rig_waits = "UPDATE gastown_rigs SET status = 'pending'";
    bed.database.insert(&town.owner, &rig(town.id, "app"), 10).await.unwrap();
    bed.sql("UPDATE gastown_rigs SET status = 'active'").await;
    let table = [
        (health(&format!("last_user_call_at = {lately}")), KeepReason::Used),
        (health("last_user_call_at = NULL"), KeepReason::UseUnknown),
        (health(&format!("idle_since = {lately}")), KeepReason::WorkedLately),
        (health("idle_since = NULL"), KeepReason::WorkedLately),
        (health(&format!("heard_at = '{AGO}'")), KeepReason::Silent),
        (health("heard_at = NULL"), KeepReason::Silent),
        (health("active_polecats = 1"), KeepReason::Working),
        (health("active_polecats = NULL"), KeepReason::Working),
        (health("state = 'unhealthy'"), KeepReason::NotHealthy),
        (health("state = NULL"), KeepReason::NotHealthy),
        (health("drift = 'machine_missing', drift_since = '2001-01-01T00:00:00+00:00'"), KeepReason::Changed),
        (rig_waits.to_owned(), KeepReason::RigsWaiting),
        ("UPDATE gastown_towns SET status = 'stopped'".to_owned(), KeepReason::NotRunning),
        ("UPDATE gastown_towns SET config = '{}'".to_owned(), KeepReason::Off),
    ];
    for (change, reason) in table {
        bed.sql(&change).await;
        assert_eq!(stop(&bed, &town).await, IdleVerdict::Keep(reason), "{change}");
        // The row of the town is only read by the stop.
        let is_of_town = matches!(reason, KeepReason::Off | KeepReason::NotRunning);
        assert_eq!(listed(&bed).await.is_empty(), !is_of_town, "{change}");
        bed.sql("UPDATE gastown_towns SET status = 'running', config = '{\"idle_stop_minutes\": 30}'").await;
        bed.sql("UPDATE gastown_town_health SET state = 'healthy', drift = NULL, drift_since = NULL").await;
        bed.sql("UPDATE gastown_rigs SET status = 'active'").await;
        beat(&bed.database, town.id, Some(0)).await;
        time_passes(&bed).await;
    }
    bed.request(&town, OperationKind::Start).await;
    assert_eq!(stop(&bed, &town).await, IdleVerdict::Keep(KeepReason::Busy));
    assert_eq!(listed(&bed).await, []);
    bed.destroy(&town).await;
    assert_eq!(stop(&bed, &town).await, IdleVerdict::Keep(KeepReason::NotRunning));
    assert_eq!(bed.number("SELECT count(*) FROM gastown_town_events WHERE actor = 'idle'").await, 0);
}

async fn reports_count_as_idle_without_a_gap_only(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let since = "SELECT count(*) FROM gastown_town_health WHERE idle_since IS NOT NULL";
    let long = format!("{since} AND idle_since < '2002-01-01T00:00:00+00:00'");
    let age = async || bed.sql(&format!("UPDATE gastown_town_health SET idle_since = '{AGO}'")).await;
    beat(&bed.database, town.id, Some(0)).await;
    assert_eq!((bed.number(since).await, bed.number(&long).await), (1, 0), "it is idle from now on");
    age().await;
    beat(&bed.database, town.id, Some(0)).await;
    assert_eq!(bed.number(&long).await, 1, "it stays idle");
    for busy in [Some(2), None] {
        beat(&bed.database, town.id, busy).await;
        assert_eq!(bed.number(since).await, 0, "{busy:?}");
        beat(&bed.database, town.id, Some(0)).await;
        assert_eq!((bed.number(since).await, bed.number(&long).await), (1, 0), "{busy:?}");
    }
    age().await;
    bed.sql("UPDATE gastown_town_health SET active_polecats = 1").await;
    beat(&bed.database, town.id, Some(0)).await;
    assert_eq!((bed.number(since).await, bed.number(&long).await), (1, 0), "an older version has written work");
    age().await;
    bed.sql(&format!("UPDATE gastown_town_health SET heard_at = '{AGO}'")).await;
    beat(&bed.database, town.id, Some(0)).await;
    assert_eq!((bed.number(since).await, bed.number(&long).await), (1, 0), "nothing is known of the gap");
}

async fn operation_ends_the_idle_time(bed: Bed) {
    let town = idle(&bed, "mill").await;
    bed.request(&town, OperationKind::Start).await;
    let start = bed.claimed(town.id, "driver").await;
    bed.database.finish(&start, Ok(()), &TownChange::default()).await.unwrap();
    assert_eq!(stop(&bed, &town).await, IdleVerdict::Keep(KeepReason::WorkedLately));
    beat(&bed.database, town.id, Some(0)).await;
    assert_eq!(stop(&bed, &town).await, IdleVerdict::Keep(KeepReason::WorkedLately));
}

async fn use_is_recorded_by_the_clock_of_the_database(bed: Bed) {
    let town = idle(&bed, "mill").await;
    assert!(!is_recorded(&bed, &town).await);
    bed.database.record_use(town.id, minutes()).await.unwrap();
    assert!(is_recorded(&bed, &town).await);
    assert_eq!(stop(&bed, &town).await, IdleVerdict::Keep(KeepReason::Used));
    // It never goes back.
    bed.sql("UPDATE gastown_town_health SET last_user_call_at = '2999-01-01T00:00:00+00:00'").await;
    bed.database.record_use(town.id, minutes()).await.unwrap();
    let future = "SELECT count(*) FROM gastown_town_health WHERE last_user_call_at > '2998-01-01T00:00:00+00:00'";
    assert_eq!(bed.number(future).await, 1);
    // A town without a row of health gets one.
    bed.sql("DELETE FROM gastown_town_health").await;
    assert!(!is_recorded(&bed, &town).await);
    bed.database.record_use(town.id, minutes()).await.unwrap();
    assert!(is_recorded(&bed, &town).await);
}

async fn setting_and_its_copy_change_together(bed: Bed) {
    let copy = async || bed.number("SELECT coalesce(max(idle_stop_minutes), 0) FROM gastown_town_health").await;
    let mut new = new_town("alice", "mill");
    new.config.idle_stop_minutes = Some(minutes());
    let town = new.row();
    bed.database.accept_create(&create_of(new)).await.unwrap();
    assert_eq!(copy().await, 30);
    assert!(is_recorded(&bed, &town).await, "a create is a use");
    time_passes(&bed).await;
    configured(&bed, &town, Change::Set(IdleMinutes::new(60).unwrap())).await;
    assert_eq!(copy().await, 60);
    assert!(is_recorded(&bed, &town).await, "turning it on is a use");
    configured(&bed, &town, Change::Remove).await;
    assert_eq!(copy().await, 0);
}

/// An older version writes the setting as a key that it does not know, and no copy.
async fn setting_decides_and_its_copy_does_not(bed: Bed) {
    let town = idle(&bed, "mill").await;
    bed.sql("UPDATE gastown_towns SET config = '{}'").await;
    assert_eq!(stop(&bed, &town).await, IdleVerdict::Keep(KeepReason::Off));
    bed.sql("UPDATE gastown_towns SET config = '{\"idle_stop_minutes\": 30}'").await;
    bed.sql("UPDATE gastown_town_health SET idle_stop_minutes = NULL").await;
    assert_eq!(listed(&bed).await, []);
    assert!(!is_recorded(&bed, &town).await);
    bed.database.record_use(town.id, minutes()).await.unwrap();
    time_passes(&bed).await;
    assert_eq!(listed(&bed).await, [town.id], "the next use of the town writes the copy");
}

async fn one_of_parallel_stops_is_accepted(bed: Bed) {
    let town = idle(&bed, "mill").await;
    let start = Arc::new(Barrier::new(8));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (database, stop, start) = (bed.database.clone(), stop_of(&town), Arc::clone(&start));
        running.spawn(async move {
            start.wait().await;
            database.stop_idle(&stop).await.unwrap()
        });
    }
    let verdicts = running.join_all().await;
    let stops = verdicts.iter().filter(|verdict| matches!(verdict, IdleVerdict::Idle { .. })).count();
    let busy = verdicts.iter().filter(|verdict| **verdict == IdleVerdict::Keep(KeepReason::Busy)).count();
    assert_eq!((stops, busy), (1, 7));
    assert_eq!(bed.number("SELECT count(*) FROM gastown_town_events WHERE actor = 'idle'").await, 1);
}

/// A replica has listed the town. Whatever is recorded before its stop wins.
async fn use_or_report_before_the_stop_wins(bed: Bed) {
    for round in 0..6 {
        let town = idle(&bed, &format!("mill-{round}")).await;
        assert_eq!(listed(&bed).await, [town.id]);
        let reason = match round % 3 {
            0 => {
                bed.database.record_use(town.id, minutes()).await.unwrap();
                KeepReason::Used
            }
            1 => {
                beat(&bed.database, town.id, Some(1)).await;
                KeepReason::Working
            }
            _ => {
                bed.database.insert(&town.owner, &rig(town.id, "app"), 10).await.unwrap();
                KeepReason::RigsWaiting
            }
        };
        assert_eq!(stop(&bed, &town).await, IdleVerdict::Keep(reason));
        bed.destroy(&town).await;
    }
    // At the same time, one of both comes first, and neither is lost.
    for round in 0..10 {
        let town = idle(&bed, &format!("barn-{round}")).await;
        let (operation, used) = (stop_of(&town), bed.database.record_use(town.id, minutes()));
        let (verdict, used) = tokio::join!(bed.database.stop_idle(&operation), used);
        used.unwrap();
        assert!(is_recorded(&bed, &town).await);
        let is_stopped = matches!(verdict.unwrap(), IdleVerdict::Idle { .. });
        assert_eq!(bed.database.current(town.id).await.unwrap().is_some(), is_stopped);
        bed.destroy(&town).await;
    }
}

fn replaced(requested: Requested) -> Accepted {
    let Requested::Accepted(accepted) = requested else { panic!("not accepted: {requested:?}") };
    assert!(accepted.replaced);
    *accepted
}

async fn start_before_the_machine_is_stopped_is_a_start(bed: Bed) {
    for step in [None, Some(StepName::ObserveAgain), Some(StepName::FinalSync)] {
        let town = idle(&bed, "mill").await;
        stop(&bed, &town).await;
        let stop = bed.claimed(town.id, "driver").await;
        if let Some(step) = step {
            let progress = stop.progress.clone().began(step, noon());
            let update = gastown_domain::ports::OperationUpdate { kind: OperationKind::Stop, progress, ..record(step) };
            bed.database.record(stop.fence(), &update).await.unwrap();
        }
        let started = replaced(bed.request(&town, OperationKind::Start).await).operation;
        assert_eq!(started.kind.known(), Some(OperationKind::Start), "{step:?}");
        assert_eq!((started.progress.idle_since, started.progress.by_owner), (None, false));
        let late = bed.database.record(stop.fence(), &record(StepName::StopMachine)).await;
        assert!(matches!(late, Err(StoreError::Fenced { .. })), "the driver of the stop sends no call any more");
        assert_eq!(idle_stop(&bed, &town).await, None);
        bed.destroy(&town).await;
    }
}

async fn start_after_the_machine_may_be_stopped_is_a_restart(bed: Bed) {
    let town = idle(&bed, "mill").await;
    stop(&bed, &town).await;
    let stop = bed.claimed(town.id, "driver").await;
    let progress = stop.progress.clone().began(StepName::StopMachine, noon());
    let update = gastown_domain::ports::OperationUpdate {
        kind: OperationKind::Stop,
        phase: Phase::Prepared,
        progress,
        ..record(StepName::StopMachine)
    };
    bed.database.record(stop.fence(), &update).await.unwrap();
    let restart = replaced(bed.request(&town, OperationKind::Start).await).operation;
    assert_eq!((restart.kind.known(), restart.phase.known()), (Some(OperationKind::Restart), Some(Phase::Begun)));
    assert_eq!((restart.progress.idle_since, restart.progress.by_owner), (None, true));
    let again = bed.request(&town, OperationKind::Start).await;
    assert!(matches!(&again, Requested::Joined(joined) if joined.id == restart.id), "{again:?}");
    finish(&bed, &town, TownStatus::Running).await;
    let page = EventPage { town: town.id, before: None, limit: 10 };
    let events = bed.database.events(&town.owner.clone().into(), page).await.unwrap().unwrap();
    let told = |action, outcome: &str| {
        let event = events.iter().find(|event| event.action == action && event.outcome.to_string() == outcome).unwrap();
        (event.actor, event.message())
    };
    let idle = "The stop of the idle town ended, because its owner started, stopped or destroyed it";
    assert_eq!(told(EventAction::Stop, "accepted").0, EventActor::Idle);
    assert_eq!(told(EventAction::Stop, "preempted"), (EventActor::Idle, idle.to_owned()));
    assert_eq!(told(EventAction::Restart, "accepted").0, EventActor::User);
    assert_eq!(told(EventAction::Restart, "done"), (EventActor::User, "The town was restarted".to_owned()));
}

async fn stop_and_destroy_of_the_owner_end_an_idle_stop(bed: Bed) {
    let town = idle(&bed, "mill").await;
    stop(&bed, &town).await;
    let owners = replaced(bed.request(&town, OperationKind::Stop).await).operation;
    assert!(!owners.is_idle_stop());
    finish(&bed, &town, TownStatus::Stopped).await;
    assert_eq!(idle_stop(&bed, &town).await, None, "the owner has stopped it");
    let barn = idle(&bed, "barn").await;
    stop(&bed, &barn).await;
    let destroy = replaced(bed.request(&barn, OperationKind::Destroy).await).operation;
    assert_eq!((destroy.kind.known(), destroy.progress.idle_since), (Some(OperationKind::Destroy), None));
}

async fn idle_stop_is_shown_until_the_town_is_used(bed: Bed) {
    let town = idle(&bed, "mill").await;
    assert_eq!(idle_stop(&bed, &town).await, None);
    stop(&bed, &town).await;
    assert!(matches!(idle_stop(&bed, &town).await, Some(IdleStop::Stopping { .. })));
    finish(&bed, &town, TownStatus::Stopped).await;
    assert!(matches!(idle_stop(&bed, &town).await, Some(IdleStop::Stopped { .. })));
    // A start that fails leaves it as it was.
    bed.request(&town, OperationKind::Start).await;
    let start = bed.claimed(town.id, "driver").await;
    let failed = Err(gastown_domain::Rejection::Failed(gastown_domain::Failure::NoCapacity.into()));
    bed.database.finish(&start, failed, &TownChange::default()).await.unwrap();
    assert!(matches!(idle_stop(&bed, &town).await, Some(IdleStop::Stopped { .. })));
    bed.request(&town, OperationKind::Start).await;
    finish(&bed, &town, TownStatus::Running).await;
    bed.request(&town, OperationKind::Stop).await;
    finish(&bed, &town, TownStatus::Stopped).await;
    assert_eq!(idle_stop(&bed, &town).await, None, "a stop of the owner");
}

async fn rig_starts_a_town_that_was_stopped_idle_and_no_other(bed: Bed) {
    let add = async |town: &Town, name: &str| {
        let start = request(town, OperationKind::Start);
        bed.database.insert_starting(&town.owner, &rig(town.id, name), 10, &start).await
    };
    let town = stopped_idle(&bed, "mill").await;
    assert!(matches!(add(&town, "app").await.unwrap(), Some(IdleStop::Stopped { .. })));
    let start = bed.database.current(town.id).await.unwrap().unwrap();
    assert_eq!((start.kind.known(), start.requested_by), (Some(OperationKind::Start), user("alice")));
    assert_eq!(add(&town, "web").await.unwrap(), None, "it is starting");
    assert!(matches!(add(&town, "App").await, Err(StoreError::RigNameTaken)));

    let barn = idle(&bed, "barn").await;
    assert_eq!(add(&barn, "app").await.unwrap(), None, "it runs");
    bed.sql("UPDATE gastown_rigs SET status = 'active'").await;
    stop(&bed, &barn).await;
    assert!(matches!(add(&barn, "web").await.unwrap(), Some(IdleStop::Stopping { .. })));
    assert_eq!(bed.database.current(barn.id).await.unwrap().unwrap().kind.known(), Some(OperationKind::Start));

    let forge = bed.running("alice", "forge").await;
    bed.request(&forge, OperationKind::Stop).await;
    let forge = finish(&bed, &forge, TownStatus::Stopped).await;
    assert_eq!(add(&forge, "app").await.unwrap(), None, "its owner has stopped it");
    assert_eq!(bed.database.current(forge.id).await.unwrap(), None);
    // A rig that is refused starts nothing.
    let inn = stopped_idle(&bed, "inn").await;
    let start = request(&inn, OperationKind::Start);
    let refused = bed.database.insert_starting(&inn.owner, &rig(inn.id, "app"), 0, &start).await;
    assert!(matches!(refused, Err(StoreError::TooManyRigs { limit: 0 })));
    assert_eq!(bed.database.current(inn.id).await.unwrap(), None);
}

async fn idle_stop_is_no_operation_of_its_owner(bed: Bed) {
    let (mill, barn) = (idle(&bed, "mill").await, idle(&bed, "barn").await);
    stop(&bed, &mill).await;
    let one = NewOperation { max_in_flight: Some(1), ..request(&barn, OperationKind::Stop) };
    accepted(bed.database.request(&one).await.unwrap());
    let forge = bed.running("alice", "forge").await;
    let two = NewOperation { max_in_flight: Some(1), ..request(&forge, OperationKind::Stop) };
    assert!(matches!(bed.database.request(&two).await, Err(StoreError::TooManyOperations { limit: 1 })));
}

/// Counts the statements of towns with and without the setting.
#[tokio::test]
async fn towns_without_the_setting_cost_no_statement() {
    let bed = Bed::postgres().await;
    let (off, on) = (bed.running("alice", "mill").await, idle(&bed, "barn").await);
    let proxy = PostgresProxy::in_front_of(bed.place.url()).await.unwrap();
    let database = Database::connect(&DatabaseSettings::at(proxy.url())).await.unwrap();
    let update = |town: &Town, number| {
        let config = ConfigPatch { max_polecats: Change::Set(number), ..ConfigPatch::default() };
        UpdateTown { town: town.id, config, expected: town.config.version() }
    };
    // The first calls connect and prepare.
    let (mut uses, mut lists) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let before = proxy.statements();
        database.record_use(on.id, minutes()).await.unwrap();
        let between = proxy.statements();
        database.idle_towns(10).await.unwrap();
        uses.push(between - before);
        lists.push(proxy.statements() - between);
    }
    assert_eq!((uses.into_iter().min(), lists.into_iter().min()), (Some(1), Some(1)));
    let mut costs = Vec::new();
    for town in [&off, &on, &off, &on] {
        let town = database.load(town.id).await.unwrap().unwrap();
        let number = u32::try_from(costs.len()).unwrap() + 1;
        let before = proxy.statements();
        database.update_config(&town.owner, &update(&town, number)).await.unwrap();
        costs.push(proxy.statements() - before);
    }
    assert_eq!(costs[2], costs[3], "an update that leaves the setting");
}
