//! The reads of callers: what they show, whom they refuse, and what an unreadable row affects.

use gastown_domain::ports::{
    Caller, CallersTown, Operations as _, Registry, Rigs, StoreError, TownChange, TownReport, TownState, Users as _,
    VerifiedToken,
};
use gastown_domain::{
    Failure, HealthState, Operation, OperationKind, Recorded, Rejection, Rig, Town, TownId, TownStatus,
};

use crate::bed::{Bed, create_of, fresh_uuid, new_town, on_both, rig, user};

on_both! {
    report_shows_town_rigs_health_and_operation,
    report_without_rigs_is_complete,
    report_shows_the_last_end_as_it_was_requested,
    list_shows_each_operation,
    list_has_the_health_of_each_town,
    report_is_for_the_owner_of_a_live_town,
    reads_authorize_their_caller,
    blocked_users_are_known_by_the_column_of_the_host,
    trusted_caller_without_a_row_has_no_towns,
    unreadable_rig_is_left_out_of_a_report,
    unreadable_town_health_or_operation_fails_the_report,
}

fn alice() -> Caller {
    Caller::Trusted(user("alice"))
}

fn token(of: &str, pepper: Option<&str>) -> Caller {
    Caller::Token(VerifiedToken { user: user(of), pepper: pepper.map(Into::into) })
}

/// Returns the report of a town of alice. The read without rigs and health shows the same.
async fn report(bed: &Bed, town: TownId) -> TownReport {
    let shown = bed.database.report(&alice(), town).await.unwrap().unwrap();
    let state = TownState { town: shown.town.clone(), operation: shown.operation.clone() };
    let alone = CallersTown {
        state,
        owner_is_blocked: shown.owner_is_blocked,
        idle_stopped_at: shown.health.idle_stopped_at,
        use_is_recorded: shown.use_is_recorded,
    };
    assert_eq!(bed.database.callers_town(&alice(), town).await.unwrap(), Some(alone));
    shown
}

/// Creates a town of alice with a configuration and these rigs.
async fn with_rigs(bed: &Bed, names: &[&str]) -> (Town, Vec<Rig>) {
    let mut new = new_town("alice", "mill");
    new.config = serde_json::from_value(serde_json::json!({"later": {"kept": [1, null]}})).unwrap();
    new.rigs = names.iter().map(|name| rig(new.id, name)).collect();
    let create = create_of(new);
    bed.database.accept_create(&create).await.unwrap();
    (bed.database.load(create.town.id).await.unwrap().unwrap(), create.town.rigs)
}

async fn report_shows_town_rigs_health_and_operation(bed: Bed) {
    let (town, rigs) = with_rigs(&bed, &["zeta", "alpha", "mid"]).await;
    bed.sql("INSERT INTO gastown_town_health (town_id, failures, restarts) SELECT id, 2, 1 FROM gastown_towns").await;
    let shown = report(&bed, town.id).await;
    assert_eq!((shown.town, shown.rigs), (town.clone(), rigs), "oldest first, whatever their names");
    assert_eq!((shown.health.failures, shown.health.restarts), (2, 1));
    assert_eq!(shown.operation, bed.database.current(town.id).await.unwrap());
    assert_eq!(shown.operation.map(|operation| operation.kind), Some(OperationKind::Create.into()));
}

async fn report_without_rigs_is_complete(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    bed.running("alice", "forge").await;
    let shown = report(&bed, town.id).await;
    assert_eq!((&shown.town, shown.rigs.len(), shown.operation), (&town, 0, None));
    assert_eq!(Registry::list(&bed.database, &alice()).await.unwrap().len(), 2);
    bed.sql("UPDATE gastown_towns SET config = NULL").await;
    Rigs::insert(&bed.database, &user("alice"), &rig(town.id, "app"), u32::MAX).await.unwrap();
    Rigs::insert(&bed.database, &user("alice"), &rig(town.id, "lib"), u32::MAX).await.unwrap();
    let shown = report(&bed, town.id).await;
    assert_eq!((shown.town.config, shown.rigs.len()), (gastown_domain::TownConfig::default(), 2));
}

async fn report_shows_the_last_end_as_it_was_requested(bed: Bed) {
    let (town, _) = with_rigs(&bed, &["alpha", "mid"]).await;
    assert_eq!(report(&bed, town.id).await.last_outcome, None);
    let create = bed.claimed(town.id, "one").await;
    bed.database.finish(&create, Ok(()), &running()).await.unwrap();
    let ended = async || {
        let shown = report(&bed, town.id).await.last_outcome.unwrap();
        (shown.kind.to_string(), shown.failure.map(|failure| failure.to_string()))
    };
    assert_eq!(ended().await, ("create".to_owned(), None));
    for (result, failure) in [
        (Err(Rejection::Failed(Failure::Throttled.into())), Some("throttled")),
        (Err(Rejection::Failed(Recorded::Newer("of_the_future".to_owned()))), Some("of_the_future")),
        (Ok(()), None),
    ] {
        bed.request(&town, OperationKind::Stop).await;
        let stop = bed.claimed(town.id, "one").await;
        let before = report(&bed, town.id).await;
        assert!(before.operation.is_some() && before.last_outcome.is_some(), "the earlier end, while one is in flight");
        bed.database.finish(&stop, result, &TownChange::default()).await.unwrap();
        assert_eq!(ended().await, ("stop".to_owned(), failure.map(str::to_owned)));
    }
    // A failed start ends as the stop that undoes it.
    bed.request(&town, OperationKind::Start).await;
    let start = bed.claimed(town.id, "one").await;
    let undo = Operation { kind: OperationKind::Stop, ..start };
    bed.database
        .finish(&undo, Err(Rejection::Failed(Failure::NoCapacity.into())), &TownChange::default())
        .await
        .unwrap();
    assert_eq!(ended().await, ("start".to_owned(), Some("no_capacity".to_owned())));
    bed.sql("DELETE FROM gastown_town_events WHERE outcome = 'accepted'").await;
    bed.sql("UPDATE gastown_town_events SET action = 'roll_back' WHERE error = 'no_capacity'").await;
    assert_eq!(ended().await.0, "create", "a roll back undoes a create");
    bed.sql("DELETE FROM gastown_town_events").await;
    assert_eq!(report(&bed, town.id).await.last_outcome, None, "old history is removed");
}

fn running() -> TownChange {
    TownChange { status: Some(TownStatus::Running), ..TownChange::default() }
}

async fn list_shows_each_operation(bed: Bed) {
    let (mill, forge) = (bed.running("alice", "mill").await, bed.create("alice", "forge").await);
    bed.request(&mill, OperationKind::Stop).await;
    let inn = bed.running("alice", "inn").await;
    let listed = Registry::list(&bed.database, &alice()).await.unwrap();
    let kinds: Vec<_> = listed.iter().map(|town| town.state.operation.as_ref().map(|it| it.kind.to_string())).collect();
    assert_eq!(kinds, [Some("stop".to_owned()), Some("create".to_owned()), None]);
    assert_eq!(listed.iter().map(|town| town.state.town.id).collect::<Vec<_>>(), [mill.id, forge.id, inn.id]);
    assert_eq!(listed[0].state.operation, bed.database.current(mill.id).await.unwrap());
}

async fn list_has_the_health_of_each_town(bed: Bed) {
    let (mill, forge) = (bed.running("alice", "mill").await, bed.create("alice", "forge").await);
    bed.sql(
        "UPDATE gastown_town_health SET state = 'unhealthy', state_since = '2026-11-23T12:00:00+00:00' \
         WHERE town_id = (SELECT id FROM gastown_towns WHERE town_name = 'mill')",
    )
    .await;
    let listed = Registry::list(&bed.database, &alice()).await.unwrap();
    let health: Vec<_> = listed.into_iter().map(|town| (town.state.town.id, town.health, town.health_since)).collect();
    let unhealthy = (mill.id, HealthState::Unhealthy.into(), Some("2026-11-23T12:00:00Z".parse().unwrap()));
    assert_eq!(health, [unhealthy, (forge.id, HealthState::Unknown.into(), None)]);
}

async fn report_is_for_the_owner_of_a_live_town(bed: Bed) {
    let (mill, bobs) = (bed.running("alice", "mill").await, bed.running("bob", "mill").await);
    bed.destroy(&mill).await;
    for invisible in [mill.id, bobs.id, TownId::new(fresh_uuid())] {
        assert_eq!(bed.database.report(&alice(), invisible).await.unwrap(), None);
        assert_eq!(bed.database.callers_town(&alice(), invisible).await.unwrap(), None);
    }
    assert_eq!(Registry::list(&bed.database, &alice()).await.unwrap(), []);
    assert_eq!(Registry::list(&bed.database, &user("bob").into()).await.unwrap(), [TownState::idle(bobs).into()]);
}

async fn reads_authorize_their_caller(bed: Bed) {
    let (mill, forge) = (bed.running("alice", "mill").await, bed.running("bob", "forge").await);
    for (caller, own) in [(token("alice", Some("salt")), &mill), (token("bob", None), &forge)] {
        assert_eq!(bed.database.report(&caller, own.id).await.unwrap().map(|shown| shown.town).as_ref(), Some(own));
        assert_eq!(Registry::list(&bed.database, &caller).await.unwrap(), [TownState::idle(own.clone()).into()]);
    }
    for caller in [
        token("alice", Some("pepper")),
        token("alice", None),
        token("bob", Some("salt")),
        token("mallory", None),
        token("mallory", Some("salt")),
    ] {
        for town in [mill.id, forge.id, TownId::new(fresh_uuid())] {
            let refused = bed.database.report(&caller, town).await;
            assert!(matches!(refused, Err(StoreError::Unauthorized)), "{caller:?}: {refused:?}");
            let refused = bed.database.callers_town(&caller, town).await;
            assert!(matches!(refused, Err(StoreError::Unauthorized)), "{caller:?}: {refused:?}");
        }
        let refused = Registry::list(&bed.database, &caller).await;
        assert!(matches!(refused, Err(StoreError::Unauthorized)), "{caller:?}: {refused:?}");
    }
}

async fn blocked_users_are_known_by_the_column_of_the_host(bed: Bed) {
    let mill = bed.running("alice", "mill").await;
    let forge = bed.running("bob", "forge").await;
    let column = "blocked_reason".parse().unwrap();
    assert!(bed.database.clone().with_blocked_column(&column).await.unwrap().is_none(), "the table lacks it");
    let is_blocked = async |database: &gastown_persistence::Database, name: &str, town: TownId| {
        let caller = Caller::Trusted(user(name));
        let shown = database.report(&caller, town).await.unwrap().unwrap().owner_is_blocked;
        let alone = database.callers_town(&caller, town).await.unwrap().unwrap().owner_is_blocked;
        assert_eq!(alone, shown);
        assert_eq!(database.user(&user(name)).await.unwrap().unwrap().is_blocked, shown);
        shown
    };
    for (kind, free, blocked) in
        [("TEXT", "''", "'spam'"), ("BOOLEAN", "FALSE", "TRUE"), ("INTEGER", "0", "1"), ("TEXT", "NULL", "'x'")]
    {
        bed.sql(&format!("ALTER TABLE kilocode_users ADD COLUMN blocked_reason {kind}")).await;
        let database = bed.again(|_| {}).await.with_blocked_column(&column).await.unwrap().unwrap();
        bed.sql(&format!("UPDATE kilocode_users SET blocked_reason = {free}")).await;
        assert!(!is_blocked(&database, "alice", mill.id).await, "{kind} {free}");
        bed.sql(&format!("UPDATE kilocode_users SET blocked_reason = {blocked} WHERE id = 'alice'")).await;
        assert!(is_blocked(&database, "alice", mill.id).await, "{kind} {blocked}");
        assert!(!is_blocked(&database, "bob", forge.id).await);
        assert!(!is_blocked(&bed.database, "alice", mill.id).await, "a handle without the column");
        database.close().await.unwrap();
        bed.sql("ALTER TABLE kilocode_users DROP COLUMN blocked_reason").await;
    }
}

async fn trusted_caller_without_a_row_has_no_towns(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let unknown = Caller::Trusted(user("mallory"));
    assert_eq!(bed.database.report(&unknown, town.id).await.unwrap(), None);
    assert_eq!(Registry::list(&bed.database, &unknown).await.unwrap(), []);
}

async fn unreadable_rig_is_left_out_of_a_report(bed: Bed) {
    let (town, rigs) = with_rigs(&bed, &["alpha", "mid", "zeta"]).await;
    // The row of the first name carries the town's configuration.
    for (number, name) in ["alpha", "mid", "zeta"].into_iter().enumerate() {
        bed.sql(&format!("UPDATE gastown_rigs SET repo_url = '--upload-pack=x' WHERE rig_name = '{name}'")).await;
        let shown = report(&bed, town.id).await;
        assert_eq!((&shown.town, &shown.rigs[..]), (&town, &rigs[number + 1..]), "{name}");
    }
}

async fn unreadable_town_health_or_operation_fails_the_report(bed: Bed) {
    let (town, _) = with_rigs(&bed, &["alpha", "mid"]).await;
    bed.sql("INSERT INTO gastown_town_health (town_id) SELECT id FROM gastown_towns").await;
    for (table, damage, repair) in [
        ("gastown_towns", "fly_region = 'No Where'", "fly_region = 'iad'"),
        ("gastown_town_health", "failures = -1", "failures = 0"),
        ("gastown_operations", "attempt = -1", "attempt = 0"),
    ] {
        bed.sql(&format!("UPDATE {table} SET {damage}")).await;
        let refused = bed.database.report(&alice(), town.id).await;
        let StoreError::CorruptRow { table: blamed, id, .. } = refused.unwrap_err() else { panic!("{table}") };
        assert_eq!((blamed, id), (table, town.id.to_string()));
        bed.sql(&format!("UPDATE {table} SET {repair}")).await;
    }
    report(&bed, town.id).await;
}
