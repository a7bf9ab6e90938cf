//! Orphan records.

use gastown_domain::ports::{ObservedOrphan, Operator as _, Orphan, OrphanEnd, Orphans, StoreError};
use gastown_domain::{
    AppName, InventoryItem, MachineId, OperationKind, OrphanReason, Ownership, ResourceId, TownId, TownRecord,
    TownStatus, TownTag, ownership,
};

use crate::bed::{Bed, fresh_uuid, on_both};

on_both! {
    town_records_match_their_tags,
    thousands_of_tags_are_read_in_batches,
    unreadable_town_accounts_for_its_resources,
    repeated_observation_counts_and_new_reason_starts_anew,
    same_id_in_two_apps_or_kinds_is_two_resources,
    deletion_is_logged_once,
    deletion_without_an_orphan_record_is_refused,
    closed_record_is_deleted_and_recorded_as_an_event,
    volume_is_found_by_its_towns_name,
    town_details_include_orphans_with_a_name_of_the_town,
    unreadable_record_is_left_out,
}

fn app() -> AppName {
    "gastown".parse().unwrap()
}

fn machine(id: &str) -> ResourceId {
    ResourceId::Machine(id.parse().unwrap())
}

/// Returns a name that the provider's adapter could derive from the town's id.
fn name_of(town: TownId) -> String {
    format!("town-{}", town.as_uuid().simple())
}

/// Returns the tag of a shortened name, which matches the town and its neighbours.
fn range_around(town: TownId) -> TownTag {
    let high = town.as_uuid().as_u128() & !u128::from(u32::MAX);
    let id = |low: u32| TownId::new(uuid::Uuid::from_u128(high | u128::from(low)));
    TownTag::Range { first: id(0), last: id(u32::MAX) }
}

/// An orphaned machine with its town's name.
fn seen(town: TownId, id: &str, reason: OrphanReason) -> ObservedOrphan {
    let item = InventoryItem {
        resource: machine(id),
        name: name_of(town),
        tags: vec![TownTag::Whole(town)],
        made_at: None,
        held_by: None,
        destroying: false,
    };
    ObservedOrphan { app: app(), item, reason }
}

fn nowhere() -> TownId {
    TownId::new(fresh_uuid())
}

async fn record(bed: &Bed, sighting: &ObservedOrphan) -> Orphan {
    let mut recorded = bed.database.record_seen(std::slice::from_ref(sighting)).await.unwrap();
    assert_eq!(recorded.len(), 1);
    recorded.remove(0)
}

async fn list(bed: &Bed) -> Vec<Orphan> {
    bed.database.list().await.unwrap().0
}

async fn town_records_match_their_tags(bed: Bed) {
    let running = bed.running("alice", "mill").await;
    bed.sql("UPDATE gastown_towns SET fly_machine_id = 'm1', fly_volume_id = 'vol_1'").await;
    let busy = bed.running("bob", "busy").await;
    bed.request(&busy, OperationKind::Stop).await;
    let gone = bed.running("bob", "gone").await;
    bed.destroy(&gone).await;

    let tags = [
        range_around(running.id),
        TownTag::Whole(running.id),
        TownTag::Whole(busy.id),
        TownTag::Whole(gone.id),
        TownTag::Whole(nowhere()),
    ];
    let mut found = bed.database.town_records(&tags).await.unwrap();
    found.retain(|account| [running.id, busy.id, gone.id].contains(&account.town));
    found.sort_by_key(|account| account.town);
    let none =
        TownRecord { town: running.id, status: TownStatus::Running, machine: None, volume: None, in_flight: false };
    let mut expected = [
        TownRecord { machine: Some("m1".parse().unwrap()), volume: Some("vol_1".parse().unwrap()), ..none.clone() },
        TownRecord { town: busy.id, in_flight: true, ..none.clone() },
        TownRecord { town: gone.id, status: TownStatus::Destroyed, ..none },
    ];
    expected.sort_by_key(|account| account.town);
    assert_eq!(found, expected);
    assert_eq!(bed.database.town_records(&[TownTag::Whole(nowhere())]).await.unwrap(), []);
    assert_eq!(bed.database.town_records(&[]).await.unwrap(), []);
}

async fn thousands_of_tags_are_read_in_batches(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let unregistered = |number: u128| TownTag::Whole(TownId::new(uuid::Uuid::from_u128(number)));
    let tags: Vec<_> = (0..3000).map(unregistered).chain([TownTag::Whole(town.id); 3]).collect();
    let found = bed.database.town_records(&tags).await.unwrap();
    assert_eq!(found.into_iter().map(|account| account.town).collect::<Vec<_>>(), [town.id]);

    let many: Vec<_> = (0..450).map(|number| seen(nowhere(), &format!("m{number}"), OrphanReason::NoTown)).collect();
    assert_eq!(bed.database.record_seen(&many).await.unwrap().len(), 450);
    assert_eq!(list(&bed).await.len(), 450);
    assert_eq!(bed.database.record_seen(&[]).await.unwrap(), []);
}

async fn unreadable_town_accounts_for_its_resources(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    bed.sql("UPDATE gastown_towns SET fly_machine_id = '../x'").await;
    let accounts = bed.database.town_records(&[TownTag::Whole(town.id)]).await.unwrap();
    let item = seen(town.id, "m1", OrphanReason::Second).item;
    assert_eq!(ownership(&item, &accounts), Ownership::AccountedFor);
}

async fn repeated_observation_counts_and_new_reason_starts_anew(bed: Bed) {
    let town = nowhere();
    let first = record(&bed, &seen(town, "m1", OrphanReason::NoTown)).await;
    let expected = Orphan {
        app: app(),
        resource: machine("m1"),
        name: name_of(town),
        reason: OrphanReason::NoTown.into(),
        last_seen_at: first.first_seen_at,
        times_seen: 1,
        deletion_asked_at: None,
        ..first.clone()
    };
    assert_eq!(first, expected);

    bed.sql("UPDATE gastown_orphans SET first_seen_at = '2001-01-01T00:00:00+00:00'").await;
    let again = record(&bed, &seen(town, "m1", OrphanReason::NoTown)).await;
    assert_eq!((again.times_seen, again.first_seen_at.timestamp()), (2, 978_307_200));
    assert!(again.last_seen_at >= first.last_seen_at);
    bed.database.log_deletion(&app(), &machine("m1"), "control-plane").await.unwrap();
    assert!(record(&bed, &seen(town, "m1", OrphanReason::NoTown)).await.deletion_asked_at.is_some());

    let anew = record(&bed, &seen(town, "m1", OrphanReason::TownDestroyed)).await;
    assert_eq!(
        (anew.times_seen, anew.reason.known(), anew.deletion_asked_at),
        (1, Some(OrphanReason::TownDestroyed), None)
    );
    assert_eq!(anew.first_seen_at, anew.last_seen_at);
    let (book, now) = bed.database.list().await.unwrap();
    assert_eq!(book, std::slice::from_ref(&anew));
    assert!(now >= anew.last_seen_at);
}

async fn same_id_in_two_apps_or_kinds_is_two_resources(bed: Bed) {
    let sighting = seen(nowhere(), "x1", OrphanReason::NoTown);
    let mut elsewhere = sighting.clone();
    elsewhere.app = "gastown-2".parse().unwrap();
    let mut volume = sighting.clone();
    volume.item.resource = ResourceId::Volume("x1".parse().unwrap());
    // A resource that is twice in one list counts once.
    let noted = bed.database.record_seen(&[sighting.clone(), elsewhere, volume, sighting]).await.unwrap();
    assert_eq!(noted.iter().map(|orphan| orphan.times_seen).collect::<Vec<_>>(), [1, 1, 1]);
    Orphans::close(&bed.database, &app(), &machine("x1"), OrphanEnd::Gone).await.unwrap();
    assert_eq!(list(&bed).await.len(), 2);
}

async fn deletion_is_logged_once(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    bed.destroy(&town).await;
    for (id, town) in [("m1", town.id), ("m2", nowhere())] {
        record(&bed, &seen(town, id, OrphanReason::TownDestroyed)).await;
        for actor in ["operator:eve", "control-plane"] {
            bed.database.log_deletion(&app(), &machine(id), actor).await.unwrap();
        }
    }
    assert!(list(&bed).await.iter().all(|orphan| orphan.deletion_asked_at.is_some()));
    let event = bed.database.town_details(town.id, &[], 1).await.unwrap().unwrap().events.remove(0);
    assert_eq!((event.actor.as_str(), event.action.as_str()), ("operator:eve", "orphan_deleted"));
    assert_eq!(bed.number("SELECT count(*) FROM gastown_town_events WHERE action = 'orphan_deleted'").await, 1);
}

async fn deletion_without_an_orphan_record_is_refused(bed: Bed) {
    let refused = bed.database.log_deletion(&app(), &machine("m1"), "operator:eve").await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    assert_eq!(list(&bed).await, []);
}

async fn closed_record_is_deleted_and_recorded_as_an_event(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    for (id, end) in [("m1", OrphanEnd::AccountedFor), ("m2", OrphanEnd::Gone)] {
        record(&bed, &seen(town.id, id, OrphanReason::Second)).await;
        Orphans::close(&bed.database, &app(), &machine(id), end).await.unwrap();
        Orphans::close(&bed.database, &app(), &machine(id), end).await.unwrap();
        let event = bed.database.town_details(town.id, &[], 1).await.unwrap().unwrap().events.remove(0);
        assert_eq!((event.action.as_str(), event.outcome.as_str()), ("orphan_closed", end.as_str()));
    }
    assert_eq!(list(&bed).await, []);
    assert_eq!(bed.number("SELECT count(*) FROM gastown_town_events WHERE action = 'orphan_closed'").await, 2);
}

async fn volume_is_found_by_its_towns_name(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let name = name_of(town.id);
    let volume = InventoryItem {
        resource: ResourceId::Volume("vol_2".parse().unwrap()),
        tags: vec![range_around(town.id)],
        name,
        made_at: None,
        held_by: Some("m9".parse::<MachineId>().unwrap()),
        destroying: false,
    };
    // Only one of the towns whose ids begin alike is registered.
    let noted = record(&bed, &ObservedOrphan { app: app(), item: volume, reason: OrphanReason::Second }).await;
    let town_details = bed.database.town_details(town.id, &[], 10).await.unwrap().unwrap();
    assert_eq!(town_details.orphans, [noted]);
    bed.database.log_deletion(&app(), &ResourceId::Volume("vol_2".parse().unwrap()), "operator:eve").await.unwrap();
    assert_eq!(bed.number("SELECT count(*) FROM gastown_town_events WHERE action = 'orphan_deleted'").await, 1);
}

async fn town_details_include_orphans_with_a_name_of_the_town(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let orphan = record(&bed, &seen(nowhere(), "m1", OrphanReason::NoTown)).await;
    let by_id = bed.database.town_details(town.id, &[], 10).await.unwrap().unwrap();
    assert_eq!(by_id.orphans, []);
    let names = ["another".to_owned(), orphan.name.clone()];
    let by_name = bed.database.town_details(town.id, &names, 10).await.unwrap().unwrap();
    assert_eq!(by_name.orphans, [orphan]);
}

async fn unreadable_record_is_left_out(bed: Bed) {
    let good = record(&bed, &seen(nowhere(), "m1", OrphanReason::NoTown)).await;
    record(&bed, &seen(nowhere(), "m2", OrphanReason::NoTown)).await;
    for damage in ["times_seen = -1", "times_seen = 1, kind = 'balloon'"] {
        bed.sql(&format!("UPDATE gastown_orphans SET {damage} WHERE fly_id = 'm2'")).await;
        assert_eq!(list(&bed).await, std::slice::from_ref(&good), "{damage}");
    }
}
