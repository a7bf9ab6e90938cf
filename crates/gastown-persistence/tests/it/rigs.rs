use chrono::TimeDelta;
use gastown_domain::ports::{Operations as _, Operator as _, Rigs, StoreError, TownChange};
use gastown_domain::{OperationKind, RigId, RigStatus};

use crate::bed::{Bed, fresh_uuid, noon, on_both, rig, user};

on_both! {
    rigs_are_inserted_changed_and_removed,
    only_a_rig_of_the_expected_status_is_removed_and_the_event_names_the_actor,
    refused_rigs_are_kept_with_their_reasons,
    a_confirmed_rig_learns_its_branch_once,
    one_of_twenty_parallel_rigs_of_one_name_wins,
    only_the_owner_of_a_live_town_adds_rigs,
    unapplied_rigs_are_found_in_running_idle_towns,
    rigs_of_a_town_are_limited,
}

pub(crate) async fn rigs_are_inserted_changed_and_removed(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let alice = user("alice");
    let mut app = rig(town.id, "app");
    app.config.insert("kept".to_owned(), serde_json::json!([1, null]));
    let mut older = rig(town.id, "lib");
    older.created_at = noon() - TimeDelta::seconds(1);
    Rigs::insert(&bed.database, &alice, &app, u32::MAX).await.unwrap();
    Rigs::insert(&bed.database, &alice, &older, u32::MAX).await.unwrap();
    assert_eq!(Rigs::list(&bed.database, town.id).await.unwrap(), [older.clone(), app.clone()]);

    let change = |from, to| bed.database.set_status(town.id, app.id, from, to);
    assert!(!change(RigStatus::Active, RigStatus::Removing).await.unwrap());
    assert!(change(RigStatus::Pending, RigStatus::Active).await.unwrap());
    app.status = RigStatus::Active;
    assert_eq!(Rigs::find(&bed.database, town.id, app.id).await.unwrap(), Some(app.clone()));

    let other = bed.running("alice", "forge").await;
    assert_eq!(Rigs::find(&bed.database, other.id, app.id).await.unwrap(), None);
    assert!(!bed.database.remove(other.id, app.id, RigStatus::Active).await.unwrap());
    assert!(bed.database.remove(town.id, app.id, RigStatus::Active).await.unwrap());
    assert!(!bed.database.remove(town.id, app.id, RigStatus::Active).await.unwrap());
    assert_eq!(Rigs::list(&bed.database, town.id).await.unwrap(), [older]);
    assert_eq!(bed.number("SELECT count(*) FROM gastown_town_events WHERE action LIKE '%_rig'").await, 3);
}

async fn only_a_rig_of_the_expected_status_is_removed_and_the_event_names_the_actor(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let (pending, removing) = (rig(town.id, "pending"), rig(town.id, "removing"));
    for rig in [&pending, &removing] {
        Rigs::insert(&bed.database, &user("alice"), rig, u32::MAX).await.unwrap();
    }
    bed.database.set_status(town.id, removing.id, RigStatus::Pending, RigStatus::Removing).await.unwrap();
    for rig in [&pending, &removing] {
        let wrong = RigStatus::ALL.into_iter().filter(|status| match *status {
            RigStatus::Pending => rig.id != pending.id,
            RigStatus::Removing => rig.id != removing.id,
            RigStatus::Active => true,
        });
        for from in wrong {
            assert!(!bed.database.remove(town.id, rig.id, from).await.unwrap(), "{} {from:?}", rig.name);
        }
    }
    assert!(!bed.database.refuse(town.id, removing.id, "no").await.unwrap());
    assert!(bed.database.refuse(town.id, pending.id, "no").await.unwrap());
    assert!(bed.database.remove(town.id, removing.id, RigStatus::Removing).await.unwrap());
    let said = |actor: &str, action: &str| {
        format!("SELECT count(*) FROM gastown_town_events WHERE actor = '{actor}' AND action = '{action}'")
    };
    assert_eq!(bed.number(&said("control-plane", "rig_refused")).await, 1);
    assert_eq!(bed.number(&said("alice", "remove_rig")).await, 1);
}

async fn refused_rigs_are_kept_with_their_reasons(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let refuse = async |name: &str, reason: &str| {
        let rig = rig(town.id, name);
        Rigs::insert(&bed.database, &user("alice"), &rig, u32::MAX).await.unwrap();
        assert!(bed.database.refuse(town.id, rig.id, reason).await.unwrap());
        assert!(!bed.database.refuse(town.id, rig.id, reason).await.unwrap(), "it is refused once");
    };
    refuse("app", "first").await;
    let health = bed.health(town.id).await;
    assert_eq!(health.refused_rigs[0].repo_url.as_str(), "https://github.com/acme/app");
    refuse("lib", "no such branch").await;
    refuse("App", "second").await;
    let kept = |health: &gastown_domain::ports::TownHealth| -> Vec<(String, String)> {
        health.refused_rigs.iter().map(|rig| (rig.rig_name.to_string(), rig.reason.clone())).collect()
    };
    let (lib, app) = (("lib".to_owned(), "no such branch".to_owned()), ("App".to_owned(), "second".to_owned()));
    assert_eq!(kept(&bed.health(town.id).await), [lib, app]);
    for number in 0..12 {
        refuse(&format!("more{number}"), "no").await;
    }
    let health = bed.health(town.id).await;
    assert_eq!((health.refused_rigs.len(), health.refused_rigs[9].rig_name.as_str()), (10, "more11"));
    let event = bed.database.town_details(town.id, &[], 1).await.unwrap().unwrap().events.remove(0);
    assert_eq!(event.action, "rig_refused");
    assert_eq!(bed.number("SELECT count(*) FROM gastown_town_events WHERE action = 'rig_refused'").await, 15);
}

async fn a_confirmed_rig_learns_its_branch_once(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let detected = gastown_domain::Rig { branch: None, ..rig(town.id, "app") };
    Rigs::insert(&bed.database, &user("alice"), &detected, u32::MAX).await.unwrap();
    let found = async || Rigs::find(&bed.database, town.id, detected.id).await.unwrap().unwrap();
    assert_eq!(found().await.branch, None);
    let branch = |name: &str| Some(name.parse().unwrap());
    bed.database.confirm(town.id, detected.id, None).await.unwrap();
    assert_eq!((found().await.status, found().await.branch), (RigStatus::Active, None));
    bed.database.confirm(town.id, detected.id, branch("trunk")).await.unwrap();
    bed.database.confirm(town.id, detected.id, branch("other")).await.unwrap();
    assert_eq!(found().await.branch, branch("trunk"));
    bed.database.set_status(town.id, detected.id, RigStatus::Active, RigStatus::Removing).await.unwrap();
    bed.database.confirm(town.id, detected.id, branch("trunk")).await.unwrap();
    assert_eq!(found().await.status, RigStatus::Removing);
}

pub(crate) async fn one_of_twenty_parallel_rigs_of_one_name_wins(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let mut running = tokio::task::JoinSet::new();
    for number in 0..20 {
        let database = bed.database.clone();
        let name = ["app", "App", "APP", "aPp"][number % 4];
        let rig = rig(town.id, name);
        running.spawn(async move { Rigs::insert(&database, &user("alice"), &rig, u32::MAX).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = running.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|l| matches!(l, Err(StoreError::RigNameTaken))), "{lost:?}");
    assert_eq!(bed.number("SELECT count(*) FROM gastown_rigs").await, 1);
}

async fn only_the_owner_of_a_live_town_adds_rigs(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let missing = gastown_domain::TownId::new(fresh_uuid());
    bed.running("alice", "gone").await;
    bed.sql("UPDATE gastown_towns SET destroyed_at = '2026-11-23T12:00:00+00:00' WHERE town_name = 'gone'").await;
    let alice = user("alice");
    for (owner, town) in [(user("bob"), town.id), (alice.clone(), missing)] {
        let refused = Rigs::insert(&bed.database, &owner, &rig(town, "app"), u32::MAX).await;
        assert!(matches!(refused, Err(StoreError::TownNotFound)), "{refused:?}");
    }
    let tombstone = bed.running("alice", "dead").await;
    bed.request(&tombstone, OperationKind::Destroy).await;
    let destroy = bed.claimed(tombstone.id, "driver").await;
    let hide = TownChange { soft_deleted_at: Some(noon()), ..TownChange::default() };
    bed.database.finish(&destroy, Ok(()), &hide).await.unwrap();
    let refused = Rigs::insert(&bed.database, &alice, &rig(tombstone.id, "app"), u32::MAX).await;
    assert!(matches!(refused, Err(StoreError::TownNotFound)), "{refused:?}");
}

async fn unapplied_rigs_are_found_in_running_idle_towns(bed: Bed) {
    let alice = user("alice");
    let settled = bed.running("alice", "settled").await;
    let open = bed.running("alice", "open").await;
    let destroying = bed.running("alice", "leaving").await;
    let busy = bed.running("alice", "busy").await;
    let new = bed.create("alice", "new").await;
    bed.running("alice", "empty").await;
    for town in [&settled, &open, &destroying, &busy, &new] {
        let rig = rig(town.id, "app");
        Rigs::insert(&bed.database, &alice, &rig, u32::MAX).await.unwrap();
        if town.id == settled.id || town.id == destroying.id {
            bed.database.set_status(town.id, rig.id, RigStatus::Pending, RigStatus::Active).await.unwrap();
        }
        if town.id == destroying.id {
            bed.database.set_status(town.id, rig.id, RigStatus::Active, RigStatus::Removing).await.unwrap();
        }
    }
    bed.request(&busy, OperationKind::Stop).await;
    let mut found = bed.database.towns_with_unapplied_rigs(10).await.unwrap();
    found.sort();
    assert_eq!(found, [open.id, destroying.id]);
    assert_eq!(bed.database.towns_with_unapplied_rigs(1).await.unwrap().len(), 1);
    assert_eq!(Rigs::find(&bed.database, open.id, RigId::new(fresh_uuid())).await.unwrap(), None);
}

async fn rigs_of_a_town_are_limited(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let other = bed.running("alice", "inn").await;
    let add = async |town, name| Rigs::insert(&bed.database, &user("alice"), &rig(town, name), 2).await;
    for (town, name) in [(town.id, "app"), (town.id, "lib"), (other.id, "app")] {
        add(town, name).await.unwrap();
    }
    let refused = add(town.id, "doc").await;
    assert!(matches!(refused, Err(StoreError::TooManyRigs { limit: 2 })), "{refused:?}");
    assert!(matches!(add(town.id, "APP").await, Err(StoreError::RigNameTaken)), "a repeat is refused for its name");
    assert_eq!(Rigs::list(&bed.database, town.id).await.unwrap().len(), 2);
}
