use std::sync::Arc;

use gastown_domain::ports::{
    Caller, EventPage, NewOperation, OperationUpdate, Operations as _, Readiness as _, Registry as _, Requested,
    RestoreRefusal, TownChange,
};
use gastown_domain::{
    EventAction, EventCause, Failure, OperationKind, Phase, Progress, Rejection, StepName, TownStatus,
    UnconfirmedCreate,
};
use tokio::sync::Barrier;

use crate::bed::{Bed, accepted, is_fenced, noon, on_both, record, request, user};

on_both! {
    same_kind_joins_and_other_kinds_are_busy,
    foreign_towns_and_tombstones_are_not_found,
    destroy_preempts_and_keeps_the_progress,
    destroy_joins_a_roll_back,
    only_an_idle_running_town_is_restarted,
    stop_preempts_a_restart_and_start_joins_it,
    only_a_lost_and_saved_town_is_restored,
    destroy_preempts_the_undo_of_a_restore,
    one_of_parallel_requests_is_accepted_and_the_others_name_it,
}

fn kind_of(requested: &Requested) -> (&'static str, Option<OperationKind>) {
    match requested {
        Requested::Accepted(accepted) => ("accepted", accepted.operation.kind.known()),
        Requested::Joined(operation) => ("joined", operation.kind.known()),
        Requested::Busy(operation) => ("busy", operation.kind.known()),
        Requested::NotRestorable(_) => ("not restorable", None),
        Requested::NotFound => ("not found", None),
    }
}

async fn same_kind_joins_and_other_kinds_are_busy(bed: Bed) {
    use OperationKind::{Start, Stop};
    let town = bed.running("alice", "mill").await;
    let first = bed.request(&town, Stop).await;
    assert_eq!(kind_of(&first), ("accepted", Some(Stop)));
    let in_flight = bed.database.current(town.id).await.unwrap().unwrap();
    assert_eq!(accepted(first), in_flight);
    assert_eq!(bed.request(&town, Stop).await, Requested::Joined(in_flight.clone()));
    assert_eq!(bed.request(&town, Start).await, Requested::Busy(in_flight));
}

async fn foreign_towns_and_tombstones_are_not_found(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let mut foreign = request(&town, OperationKind::Destroy);
    foreign.requested_by = user("bob");
    assert_eq!(bed.database.request(&foreign).await.unwrap(), Requested::NotFound);

    bed.request(&town, OperationKind::Destroy).await;
    let destroy = bed.claimed(town.id, "driver").await;
    let mut hidden = record(StepName::SoftDelete);
    hidden.kind = OperationKind::Destroy;
    hidden.town.soft_deleted_at = Some(noon());
    bed.database.record(destroy.fence(), &hidden).await.unwrap();
    assert_eq!(kind_of(&bed.request(&town, OperationKind::Destroy).await), ("joined", Some(OperationKind::Destroy)));
    assert_eq!(bed.request(&town, OperationKind::Start).await, Requested::NotFound);

    bed.database.finish(&destroy, Ok(()), &TownChange::default()).await.unwrap();
    assert_eq!(bed.request(&town, OperationKind::Destroy).await, Requested::NotFound);
}

pub(crate) async fn destroy_preempts_and_keeps_the_progress(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let create = bed.claimed(town.id, "driver").await;
    let progress =
        Progress { unconfirmed_machine: UnconfirmedCreate::of_the_past(2), machine_made: true, ..Progress::default() };
    let mut step = record(StepName::CreateMachine);
    step.progress = progress.clone();
    (step.attempt, step.last_error) = (3, Some(Failure::Throttled.into()));
    bed.database.record(create.fence(), &step).await.unwrap();

    let destroy = accepted(bed.request(&town, OperationKind::Destroy).await);
    assert_ne!(destroy.id, create.id);
    assert_eq!((destroy.kind, destroy.progress), (OperationKind::Destroy.into(), progress));
    assert_eq!((destroy.step, destroy.attempt, destroy.last_error), (None, 0, None));
    assert!(destroy.fence > create.fence);
    assert_eq!(bed.database.outcome(create.id).await.unwrap(), Some(Err(Rejection::Preempted)));
    assert_eq!(bed.database.outcome(destroy.id).await.unwrap(), None);

    assert!(is_fenced(&bed.database.record(create.fence(), &step).await));
    assert!(is_fenced(&bed.database.finish(&create, Ok(()), &TownChange::default()).await));
    assert!(bed.claim(town.id, "another").await.is_some(), "the lease of the pre-empted driver is void");
}

async fn destroy_joins_a_roll_back(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let create = bed.claimed(town.id, "driver").await;
    let mut rolling_back = record(StepName::DeleteMachine);
    (rolling_back.kind, rolling_back.cause) = (OperationKind::RollBack, Some(Failure::MachineRefused.into()));
    bed.database.record(create.fence(), &rolling_back).await.unwrap();
    let joined = bed.request(&town, OperationKind::Destroy).await;
    assert_eq!(kind_of(&joined), ("joined", Some(OperationKind::RollBack)));
    assert_eq!(kind_of(&bed.request(&town, OperationKind::Start).await), ("busy", Some(OperationKind::RollBack)));
}

async fn only_an_idle_running_town_is_restarted(bed: Bed) {
    let (coming, stopped) = (bed.create("alice", "coming").await, bed.running("alice", "stopped").await);
    bed.sql("UPDATE gastown_towns SET status = 'stopped' WHERE town_name = 'stopped'").await;
    let running = bed.running("alice", "mill").await;
    let skipped = Progress { synced: Some(false), ..Progress::default() };
    for (town, is_accepted) in [(&coming, false), (&stopped, false), (&running, true), (&running, false)] {
        let restart = NewOperation { max_in_flight: None, ..request(town, OperationKind::Restart) };
        assert_eq!(bed.database.restart(&restart, &skipped, None).await.unwrap(), is_accepted, "{}", town.name);
    }
    let restart = bed.database.current(running.id).await.unwrap().unwrap();
    let expected = Progress { actor: Some("monitor".to_owned()), ..skipped };
    assert_eq!((restart.kind, restart.progress), (OperationKind::Restart.into(), expected));
    let actors = bed.texts("SELECT actor FROM gastown_town_events WHERE action = 'restart'").await;
    assert_eq!(actors, ["monitor"]);
    let stop = NewOperation { max_in_flight: Some(2), ..request(&stopped, OperationKind::Start) };
    assert_eq!(kind_of(&bed.database.request(&stop).await.unwrap()).0, "accepted", "a restart is not the user's");
}

async fn stop_preempts_a_restart_and_start_joins_it(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    assert!(bed.database.restart(&request(&town, OperationKind::Restart), &Progress::default(), None).await.unwrap());
    let restart = bed.claimed(town.id, "driver").await;
    let joined = bed.request(&town, OperationKind::Start).await;
    assert_eq!(kind_of(&joined), ("joined", Some(OperationKind::Restart)));

    let stop = accepted(bed.request(&town, OperationKind::Stop).await);
    assert_eq!((stop.kind, stop.phase), (OperationKind::Stop.into(), Phase::Begun.into()));
    assert_eq!(bed.database.outcome(restart.id).await.unwrap(), Some(Err(Rejection::Preempted)));
    assert!(is_fenced(&bed.database.record(restart.fence(), &record(StepName::StopMachine)).await));
    let ended = bed.texts("SELECT actor FROM gastown_town_events WHERE outcome = 'preempted'").await;
    assert_eq!(ended, ["monitor"]);
}

const LOST: &str = "UPDATE gastown_town_health SET drift = 'volume_lost', drift_since = '2026-11-23T12:00:00+00:00'";
const SAVED: &str = "UPDATE gastown_towns SET last_r2_sync_at = '2026-11-23T11:00:00+00:00', fly_volume_id = 'vol_old'";

async fn only_a_lost_and_saved_town_is_restored(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let refused = bed.request(&town, OperationKind::Restore).await;
    assert_eq!(refused, Requested::NotRestorable(RestoreRefusal::VolumeNotLost));
    bed.sql(LOST).await;
    let refused = bed.request(&town, OperationKind::Restore).await;
    assert_eq!(refused, Requested::NotRestorable(RestoreRefusal::NeverSaved));
    bed.sql(SAVED).await;

    let restore = accepted(bed.request(&town, OperationKind::Restore).await);
    let saved_at = bed.database.load(town.id).await.unwrap().unwrap().last_r2_sync_at;
    let progress = Progress {
        lost_volume: Some("vol_old".parse().unwrap()),
        lost_region: Some("iad".parse().unwrap()),
        saved_at,
        ..Progress::default()
    };
    assert_eq!((restore.kind.known(), &restore.progress), (Some(OperationKind::Restore), &progress));
    let claimed = bed.claimed(town.id, "driver").await;
    assert_eq!(claimed.progress, progress);

    // The history keeps the old id and says what was lost.
    let change = TownChange {
        volume: Some(Some("vol_new".parse().unwrap())),
        status: Some(TownStatus::Running),
        ..TownChange::default()
    };
    bed.database.finish(&claimed, Ok(()), &change).await.unwrap();
    assert_eq!(bed.health(town.id).await.drift, None);
    let lost = bed.texts("SELECT CAST(detail AS TEXT) FROM gastown_town_events WHERE action = 'fly_ids'").await;
    assert!(lost[0].contains("vol_old") && lost[0].contains("vol_new"), "{lost:?}");
    let page = EventPage { town: town.id, before: None, limit: 10 };
    let events = bed.database.events(&Caller::Trusted(user("alice")), page).await.unwrap().unwrap();
    let ends = events.iter().filter(|event| event.action == EventAction::Restore);
    let causes: Vec<_> = ends.map(|event| event.cause.as_ref().map(EventCause::code)).collect();
    assert_eq!(causes, [Some("saved_at"), Some("saved_at")]);
}

async fn destroy_preempts_the_undo_of_a_restore(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    bed.sql(LOST).await;
    bed.sql(SAVED).await;
    bed.request(&town, OperationKind::Restore).await;
    let claimed = bed.claimed(town.id, "driver").await;
    let undo = OperationUpdate {
        kind: OperationKind::UndoRestore,
        cause: Some(Failure::NoCapacity.into()),
        progress: claimed.progress.clone(),
        ..record(StepName::DeleteVolume)
    };
    bed.database.record(claimed.fence(), &undo).await.unwrap();
    let joined = bed.request(&town, OperationKind::Restore).await;
    assert_eq!(kind_of(&joined), ("joined", Some(OperationKind::UndoRestore)));
    let busy = bed.request(&town, OperationKind::Start).await;
    assert_eq!(kind_of(&busy), ("busy", Some(OperationKind::UndoRestore)));
    let destroy = accepted(bed.request(&town, OperationKind::Destroy).await);
    assert_eq!((destroy.kind.known(), destroy.progress), (Some(OperationKind::Destroy), claimed.progress));
}

pub(crate) async fn one_of_parallel_requests_is_accepted_and_the_others_name_it(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let start = Arc::new(Barrier::new(10));
    let mut running = tokio::task::JoinSet::new();
    for number in 0..10 {
        let kind = if number % 2 == 0 { OperationKind::Stop } else { OperationKind::Start };
        let (database, wish, start) = (bed.database.clone(), request(&town, kind), Arc::clone(&start));
        running.spawn(async move {
            database.ready().await.unwrap(); // each has its connection now
            start.wait().await;
            (kind, database.request(&wish).await.unwrap())
        });
    }
    let answers = running.join_all().await;
    let winner = bed.database.current(town.id).await.unwrap().unwrap();
    let accepted_answers = answers.iter().filter(|(_, answer)| matches!(answer, Requested::Accepted(_))).count();
    assert_eq!(accepted_answers, 1);
    for (kind, answer) in answers {
        match answer {
            Requested::Accepted(accepted) => {
                assert_eq!((accepted.operation.id, Some(kind)), (winner.id, winner.kind.known()));
            }
            Requested::Joined(operation) => {
                assert_eq!((operation.id, Some(kind)), (winner.id, winner.kind.known()));
            }
            Requested::Busy(operation) => assert!(operation.id == winner.id && winner.kind != kind),
            Requested::NotRestorable(_) | Requested::NotFound => panic!("the town is there"),
        }
    }
}
