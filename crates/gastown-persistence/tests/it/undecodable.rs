//! Values that the driver cannot decode: on SQLite invalid JSON or times, on Postgres `infinity`.
//!
//! Such a value fails only its own row in every query for many rows.

use std::time::Duration;

use gastown_domain::ports::{ObservedOrphan, Operations as _, Orphans, Registry, Rigs};
use gastown_domain::{InventoryItem, OrphanReason, ResourceId, TownId, TownTag};
use sea_orm::DbBackend;

use crate::bed::{Bed, on_both, rig, user};

on_both! {
    undecodable_town_does_not_affect_other_towns_of_its_owner,
    undecodable_stranded_town_does_not_affect_others,
    undecodable_town_or_health_does_not_affect_other_checks,
    undecodable_rig_does_not_affect_other_rigs,
    undecodable_orphan_record_does_not_affect_others,
}

/// Returns assignments that make a row undecodable, by its time in `column` or its `config`.
fn damages(bed: &Bed, column: &str, has_config: bool) -> Vec<String> {
    let no_time = match bed.raw.get_database_backend() {
        DbBackend::Sqlite => "noon",
        _ => "infinity",
    };
    let mut damages = vec![format!("{column} = '{no_time}'")];
    if has_config && bed.raw.get_database_backend() == DbBackend::Sqlite {
        damages.push("config = '{'".to_owned());
    }
    damages
}

/// Runs `check` with each of these changes to the town "bad", and repairs it afterwards.
async fn with_bad_town(bed: &Bed, check: impl AsyncFn(&str)) {
    for damage in damages(bed, "created_at", true) {
        bed.sql(&format!("UPDATE gastown_towns SET {damage} WHERE town_name = 'bad'")).await;
        check(&damage).await;
        bed.sql("UPDATE gastown_towns SET created_at = '2026-11-23T12:00:00+00:00', config = '{}'").await;
    }
}

async fn undecodable_town_does_not_affect_other_towns_of_its_owner(bed: Bed) {
    let good = bed.create("alice", "good").await;
    bed.create("alice", "bad").await;
    with_bad_town(&bed, async |damage| {
        let found = Registry::list(&bed.database, &user("alice").into()).await.unwrap();
        assert_eq!(found.into_iter().map(|town| town.state.town.id).collect::<Vec<_>>(), [good.id], "{damage}");
    })
    .await;
}

async fn undecodable_stranded_town_does_not_affect_others(bed: Bed) {
    let good = bed.create("alice", "good").await;
    bed.create("alice", "bad").await;
    bed.sql("DELETE FROM gastown_operations").await;
    with_bad_town(&bed, async |damage| {
        let found = bed.database.stranded(10).await.unwrap();
        assert_eq!(found.into_iter().map(|town| town.id).collect::<Vec<_>>(), [good.id], "{damage}");
    })
    .await;
}

async fn undecodable_town_or_health_does_not_affect_other_checks(bed: Bed) {
    const EVERY: Duration = Duration::from_secs(60);
    let take = async || -> Vec<TownId> {
        crate::bed::take_due(&bed.database, 10, EVERY).await.into_iter().map(|(town, ..)| town.id).collect()
    };
    let unseen = async || bed.sql("UPDATE gastown_town_health SET checked_at = NULL").await;
    let good = bed.running("alice", "good").await;
    let bad = bed.running("alice", "bad").await;
    with_bad_town(&bed, async |damage| {
        unseen().await;
        assert_eq!(take().await, [good.id], "{damage}");
        assert_eq!(bed.number("SELECT count(*) FROM gastown_town_health WHERE checked_at IS NULL").await, 0);
    })
    .await;

    let of_bad = "town_id = (SELECT id FROM gastown_towns WHERE town_name = 'bad')";
    for damage in damages(&bed, "last_report_at", false) {
        bed.sql(&format!("UPDATE gastown_town_health SET {damage} WHERE {of_bad}")).await;
        unseen().await;
        assert_eq!(take().await, [good.id], "unreadable health is not treated as missing");
    }
    bed.destroy(&bad).await;
    assert!(bed.database.load(bad.id).await.unwrap().unwrap().is_tombstone(), "an operation still ends");
}

async fn undecodable_rig_does_not_affect_other_rigs(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let (good, bad) = (rig(town.id, "good"), rig(town.id, "bad"));
    for rig in [&good, &bad] {
        Rigs::insert(&bed.database, &user("alice"), rig, u32::MAX).await.unwrap();
    }
    for (number, damage) in damages(&bed, "created_at", true).into_iter().enumerate() {
        bed.sql(&format!("UPDATE gastown_rigs SET {damage} WHERE rig_name = 'bad'")).await;
        assert_eq!(Rigs::list(&bed.database, town.id).await.unwrap()[0], good, "{damage}");
        let another = rig(town.id, &format!("another{number}"));
        Rigs::insert(&bed.database, &user("alice"), &another, u32::MAX).await.unwrap();
        let found = Rigs::list(&bed.database, town.id).await.unwrap();
        assert!(found.contains(&another) && !found.iter().any(|rig| rig.id == bad.id), "{damage}");
    }
}

async fn undecodable_orphan_record_does_not_affect_others(bed: Bed) {
    let sighting = |id: &str| ObservedOrphan {
        app: "gastown".parse().unwrap(),
        item: InventoryItem {
            resource: ResourceId::Machine(id.parse().unwrap()),
            name: "town-0190".to_owned(),
            tags: vec![TownTag::Whole(TownId::new(crate::bed::fresh_uuid()))],
            made_at: None,
            held_by: None,
            destroying: false,
        },
        reason: OrphanReason::NoTown,
    };
    let seen = [sighting("good"), sighting("bad")];
    let good = bed.database.record_seen(&seen).await.unwrap().remove(1);
    for damage in damages(&bed, "first_seen_at", false) {
        bed.sql(&format!("UPDATE gastown_orphans SET {damage} WHERE fly_id = 'bad'")).await;
        assert_eq!(Orphans::list(&bed.database).await.unwrap().0, std::slice::from_ref(&good), "{damage}");
        let noted = bed.database.record_seen(&seen).await.unwrap();
        assert_eq!(noted.iter().map(|entry| &entry.resource).collect::<Vec<_>>(), [&good.resource], "{damage}");
        assert_eq!(noted[0].times_seen, 2);
    }
}
