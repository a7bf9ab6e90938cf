//! Texts of a newer version that are only shown: they are read as text, and fail no row (FM-59).

use gastown_domain::ports::{
    Alarm, DriftChecks, DriftRecord, ObservedOrphan, Operations as _, Operator as _, Orphans, SingletonJob,
    SingletonJobs, TownChange,
};
use gastown_domain::{InventoryItem, OrphanReason, Recorded, ResourceId, TownTag};

use crate::bed::{Bed, LEASE, fresh_uuid, noon, on_both, worker};

on_both! {
    unknown_drift_is_shown_and_kept,
    unknown_suspicion_counts_for_nothing,
    unknown_outcome_is_no_end_and_is_shown,
    unknown_orphan_reason_is_shown,
    orphan_of_an_unknown_kind_is_left_alone,
    unknown_alarm_is_shown,
}

fn newer<T>(text: &str) -> Recorded<T> {
    Recorded::Newer(text.to_owned())
}

async fn unknown_drift_is_shown_and_kept(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    bed.sql("UPDATE gastown_town_health SET drift = 'levitating', drift_since = checked_at").await;
    let health = bed.health(town.id).await;
    let (drift, since) = health.drift.unwrap();
    assert_eq!(drift, newer("levitating"));
    let details = bed.database.town_details(town.id, &[], 10).await.unwrap().unwrap();
    assert_eq!(details.health.unwrap().drift, Some((drift.clone(), since)));

    let (_, taken, taken_at) = crate::bed::take_due(&bed.database, 10, std::time::Duration::ZERO).await.remove(0);
    assert_eq!(taken.drift, Some((drift.clone(), since)));
    let kept = DriftRecord { taken_at, suspicion: None, drift: Some(drift.clone()), change: TownChange::default() };
    assert!(DriftChecks::record(&bed.database, &town, &kept).await.unwrap());
    assert_eq!(bed.health(town.id).await.drift, Some((drift, since)));
    assert_eq!(bed.number("SELECT count(*) FROM gastown_town_events WHERE action = 'drift'").await, 0);
}

async fn unknown_suspicion_counts_for_nothing(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    bed.sql("UPDATE gastown_town_health SET suspicion = 'levitating', suspicion_looks = 4").await;
    assert_eq!(bed.health(town.id).await.suspicion, None);
}

async fn unknown_outcome_is_no_end_and_is_shown(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let details = bed.database.town_details(town.id, &[], 10).await.unwrap().unwrap();
    let operation = details.events.iter().find(|event| event.outcome == "done").unwrap().operation.unwrap();
    assert_eq!(bed.database.outcome(operation).await.unwrap(), Some(Ok(())));
    let newer = "action = 'hibernate', outcome = 'half_done', error = 'too_hot'";
    bed.sql(&format!("UPDATE gastown_town_events SET {newer} WHERE outcome = 'done'")).await;
    assert_eq!(bed.database.outcome(operation).await.unwrap(), None);
    let details = bed.database.town_details(town.id, &[], 1).await.unwrap().unwrap();
    let event = &details.events[0];
    let texts = (event.action.as_str(), event.outcome.as_str(), event.error.as_deref());
    assert_eq!(texts, ("hibernate", "half_done", Some("too_hot")));
}

/// Records one orphan of a town.
async fn orphan(bed: &Bed, id: &str, reason: OrphanReason) -> ObservedOrphan {
    let town = gastown_domain::TownId::new(fresh_uuid());
    let item = InventoryItem {
        resource: ResourceId::Machine(id.parse().unwrap()),
        name: "mill".to_owned(),
        tags: vec![TownTag::Whole(town)],
        made_at: Some(noon()),
        destroying: false,
        held_by: None,
    };
    let seen = ObservedOrphan { app: "app-a".parse().unwrap(), item, reason };
    bed.database.record_seen(std::slice::from_ref(&seen)).await.unwrap();
    seen
}

async fn unknown_orphan_reason_is_shown(bed: Bed) {
    let seen = orphan(&bed, "m1", OrphanReason::NoTown).await;
    bed.sql("UPDATE gastown_orphans SET reason = 'evicted'").await;
    assert_eq!(Orphans::list(&bed.database).await.unwrap().0[0].reason, newer("evicted"));
    // What this version sees is another reason, so the record starts anew.
    let again = bed.database.record_seen(std::slice::from_ref(&seen)).await.unwrap();
    assert_eq!((again[0].reason.known(), again[0].times_seen), (Some(OrphanReason::NoTown), 1));
}

async fn orphan_of_an_unknown_kind_is_left_alone(bed: Bed) {
    orphan(&bed, "m1", OrphanReason::NoTown).await;
    orphan(&bed, "m2", OrphanReason::NoTown).await;
    bed.sql("UPDATE gastown_orphans SET kind = 'address' WHERE fly_id = 'm1'").await;
    let listed = Orphans::list(&bed.database).await.unwrap().0;
    assert_eq!(listed.iter().map(|orphan| orphan.resource.id()).collect::<Vec<_>>(), ["m2"]);
    assert_eq!(bed.number("SELECT count(*) FROM gastown_orphans").await, 2);
}

async fn unknown_alarm_is_shown(bed: Bed) {
    let every = std::time::Duration::ZERO;
    let job = SingletonJob::Orphans;
    let claim = SingletonJobs::claim(&bed.database, job, &worker("one"), LEASE, every).await.unwrap().unwrap();
    SingletonJobs::finish(&bed.database, claim, Some(Alarm::Refused)).await.unwrap();
    bed.sql("UPDATE gastown_passes SET alarm = 'eclipse'").await;
    bed.sql("INSERT INTO gastown_passes (pass, number, alarm) VALUES ('backups', 1, 'eclipse')").await;
    let states = bed.database.states().await.unwrap();
    assert_eq!(states.len(), SingletonJob::ALL.len(), "a job of a newer version is not shown");
    let shown = states.into_iter().find(|state| state.job == job).unwrap();
    assert_eq!(shown.alarm, Some(newer("eclipse")));
}
