use chrono::{TimeDelta, Timelike as _};
use gastown_domain::ports::{
    NewCreate, Operations as _, Readiness as _, Registry, Rigs, TownChange, TownHealth, TownState, Users as _,
};
use gastown_domain::{OperationKind, Phase, Progress, SandboxId, Town, TownId, TownStatus};
use secrecy::ExposeSecret as _;

use crate::bed::{Bed, assert_inserted, beat, create_of, fresh_uuid, keyed, new_town, noon, on_both, rig, user};

on_both! {
    accepted_town_is_stored_completely,
    times_are_kept_to_the_microsecond,
    queries_use_the_owner_and_exclude_tombstones,
    destroyed_town_releases_its_name_and_sandbox_id,
    owners_of_many_towns_are_read,
    heartbeats_only_move_forwards_and_only_for_live_towns,
    health_users_and_readiness_are_read,
    make_user_known_inserts_or_updates_the_pepper,
    one_connection_is_enough,
}

async fn accepted_town_is_stored_completely(bed: Bed) {
    let mut new = new_town("alice", "mill");
    let given = serde_json::json!({"models": {"mayor": "large"}, "max_polecats": 3, "later": {"kept": [1, null]}});
    new.config = serde_json::from_value(given).unwrap();
    new.rigs = vec![rig(new.id, "app"), rig(new.id, "lib")];
    let create = create_of(new);
    assert_inserted(&bed.database.accept_create(&create).await);
    let NewCreate { town: new, operation, .. } = create;

    let expected = Town {
        id: new.id,
        owner: new.owner.clone(),
        name: new.name.clone(),
        sandbox_id: SandboxId::derive(&new.owner, &new.name),
        machine_id: None,
        volume_id: None,
        region: Some(new.region.clone()),
        status: TownStatus::Provisioning,
        last_r2_sync_at: None,
        last_heartbeat_at: None,
        config: new.config.clone(),
        created_at: noon(),
        destroyed_at: None,
    };
    assert_eq!(bed.database.load(new.id).await.unwrap(), Some(expected));
    assert_eq!(Rigs::list(&bed.database, new.id).await.unwrap(), new.rigs);
    let in_flight = bed.database.current(new.id).await.unwrap().unwrap();
    assert_eq!(
        (in_flight.id, in_flight.kind, in_flight.phase),
        (operation.id, OperationKind::Create.into(), Phase::Begun.into())
    );
    assert_eq!((in_flight.created_at, in_flight.progress), (operation.at, Progress::default()));
    assert_eq!(
        bed.number("SELECT count(*) FROM gastown_town_events WHERE actor = 'alice' AND action = 'create'").await,
        1
    );
}

async fn owners_of_many_towns_are_read(bed: Bed) {
    let (mill, forge) = (bed.running("alice", "mill").await, bed.running("bob", "forge").await);
    let gone = bed.running("bob", "gone").await;
    bed.destroy(&gone).await;
    // More than one statement has place for.
    let mut asked: Vec<_> = (0..2500).map(|_| TownId::new(fresh_uuid())).collect();
    asked.extend([mill.id, forge.id, gone.id]);
    let mut owners = bed.database.owners(&asked).await.unwrap();
    owners.sort();
    let mut expected = [(mill.id, user("alice")), (forge.id, user("bob")), (gone.id, user("bob"))];
    expected.sort();
    assert_eq!(owners, expected);
    assert_eq!(bed.database.owners(&[]).await.unwrap(), []);
}

async fn times_are_kept_to_the_microsecond(bed: Bed) {
    let mut new = new_town("alice", "mill");
    new.created_at = noon().with_nanosecond(123_456_789).unwrap();
    let create = create_of(new);
    bed.database.accept_create(&create).await.unwrap();
    assert_eq!(bed.database.load(create.town.id).await.unwrap().unwrap().created_at, noon());
}

async fn queries_use_the_owner_and_exclude_tombstones(bed: Bed) {
    let mill = bed.running("alice", "mill").await;
    let forge = bed.running("alice", "forge").await;
    let bobs = bed.running("bob", "mill").await;
    let (alice, bob) = (user("alice"), user("bob"));
    let towns = &bed.database;
    assert_eq!(
        Registry::list(towns, &alice.clone().into()).await.unwrap(),
        [mill.clone(), forge.clone()].map(|town| TownState::idle(town).into())
    );
    let found = async |user: &gastown_domain::UserId, town: gastown_domain::TownId| {
        let found = towns.callers_town(&user.clone().into(), town).await.unwrap();
        found.map(|found| found.state.town)
    };
    assert_eq!(found(&bob, mill.id).await, None);
    assert_eq!(found(&bob, bobs.id).await, Some(bobs));

    bed.destroy(&mill).await;
    assert_eq!(Registry::list(towns, &alice.clone().into()).await.unwrap(), [TownState::idle(forge).into()]);
    assert_eq!(found(&alice, mill.id).await, None);
    assert!(towns.load(mill.id).await.unwrap().unwrap().is_tombstone());
}

async fn destroyed_town_releases_its_name_and_sandbox_id(bed: Bed) {
    let first = bed.running("alice", "mill").await;
    bed.destroy(&first).await;
    let second = bed.create("alice", "mill").await;
    assert_ne!(first.id, second.id);
    assert_eq!(first.sandbox_id, second.sandbox_id);

    let tombstone = bed.database.load(first.id).await.unwrap().unwrap();
    assert_eq!(tombstone.sandbox_id, first.sandbox_id.tombstone(first.id));
    assert_eq!((tombstone.status, tombstone.destroyed_at), (TownStatus::Destroyed, Some(noon())));
}

async fn heartbeats_only_move_forwards_and_only_for_live_towns(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let (sooner, later) = (noon(), noon() + TimeDelta::microseconds(1));
    for at in [later, sooner] {
        assert!(beat(&bed.database, town.id, at).await.unwrap());
    }
    let seen = bed.database.load(town.id).await.unwrap().unwrap();
    assert_eq!(seen.last_heartbeat_at, Some(later));
    assert_eq!(bed.health(town.id).await.last_report_at, Some(later));

    bed.destroy(&town).await;
    assert!(!beat(&bed.database, town.id, later + TimeDelta::days(1)).await.unwrap());
    assert!(!beat(&bed.database, gastown_domain::TownId::new(fresh_uuid()), later).await.unwrap());
    let seen = bed.database.load(town.id).await.unwrap().unwrap();
    assert_eq!(seen.last_heartbeat_at, Some(later));
}

async fn health_users_and_readiness_are_read(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    assert_eq!(bed.health(town.id).await, TownHealth::default());
    bed.sql("INSERT INTO gastown_town_health (town_id, failures, restarts) SELECT id, 2, 1 FROM gastown_towns").await;
    let health = bed.health(town.id).await;
    assert_eq!((health.failures, health.restarts), (2, 1));

    let alice = bed.database.user(&user("alice")).await.unwrap().unwrap();
    assert_eq!(alice.pepper.unwrap().expose_secret(), "salt");
    assert!(bed.database.user(&user("bob")).await.unwrap().unwrap().pepper.is_none());
    assert!(bed.database.user(&user("unknown")).await.unwrap().is_none());
    bed.database.ready().await.unwrap();
}

async fn make_user_known_inserts_or_updates_the_pepper(bed: Bed) {
    for pepper in ["first", "second"] {
        bed.database.make_user_known(&user("carol"), &pepper.into()).await.unwrap();
        let carol = bed.database.user(&user("carol")).await.unwrap().unwrap();
        assert_eq!(carol.pepper.unwrap().expose_secret(), pepper);
    }
}

async fn one_connection_is_enough(bed: Bed) {
    let narrow = bed.again(|settings| settings.max_connections = 1).await;
    let create = keyed(create_of(new_town("alice", "mill")), "k1");
    let town = &create.town;
    narrow.accept_create(&create).await.unwrap();
    let claim = narrow.claim(town.id, &crate::bed::worker("driver"), crate::bed::LEASE).await.unwrap().unwrap();
    let change = TownChange { status: Some(TownStatus::Running), ..TownChange::default() };
    narrow.finish(&claim, Ok(()), &change).await.unwrap();
    Rigs::insert(&narrow, &user("alice"), &rig(town.id, "app"), u32::MAX).await.unwrap();
    let rig = Rigs::list(&narrow, town.id).await.unwrap().remove(0);
    assert!(narrow.remove(town.id, rig.id, rig.status).await.unwrap());
}
