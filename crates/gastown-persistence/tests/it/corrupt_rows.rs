//! Rows of other services that break a rule. They are named and do not affect other rows.

use gastown_domain::Recorded;
use gastown_domain::ports::{Operations as _, Registry, Rigs, StoreError};

use crate::bed::{Bed, on_both, rig, user};

on_both! {
    unreadable_town_is_named_and_left_out_of_lists,
    nullable_columns_may_be_null,
    unreadable_operations_and_rigs_are_named,
    unknown_steps_and_errors_are_kept_as_text,
}

/// Returns the row that an error names.
fn blamed<T: std::fmt::Debug>(done: Result<T, StoreError>) -> (&'static str, &'static str, String) {
    match done {
        Err(StoreError::CorruptRow { table, column, id, .. }) => (table, column, id),
        other => panic!("not a corrupt row: {other:?}"),
    }
}

async fn unreadable_town_is_named_and_left_out_of_lists(bed: Bed) {
    let cases = [
        ("town_name", "town_name = 'Bad Name'"),
        ("fly_machine_id", "fly_machine_id = '../x'"),
        ("fly_region", "fly_region = 'No Where'"),
        ("config", "config = '[1]'"),
        ("config", "config = '{\"rigs\": [{\"rigName\": \"app\", \"repoUrl\": \"file:///x\"}]}'"),
    ];
    for (number, (column, damage)) in cases.into_iter().enumerate() {
        let good = bed.create("alice", &format!("good-{number}")).await;
        let bad = bed.create("bob", "bad").await;
        bed.sql("UPDATE gastown_towns SET user_id = 'alice' WHERE town_name = 'bad'").await;
        bed.sql(&format!("UPDATE gastown_towns SET {damage} WHERE town_name = 'bad'")).await;
        assert_eq!(blamed(bed.database.load(bad.id).await), ("gastown_towns", column, bad.id.to_string()));
        assert_eq!(blamed(bed.database.callers_town(&user("alice").into(), bad.id).await).1, column);
        let living = Registry::list(&bed.database, &user("alice").into()).await.unwrap();
        assert!(
            living.iter().any(|it| it.state.town == good) && !living.iter().any(|it| it.state.town.id == bad.id),
            "{column}"
        );
        bed.sql("DELETE FROM gastown_operations").await;
        bed.sql("DELETE FROM gastown_town_events").await;
        bed.sql("DELETE FROM gastown_towns").await;
    }
}

async fn nullable_columns_may_be_null(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let app = rig(town.id, "app");
    Rigs::insert(&bed.database, &user("alice"), &app, u32::MAX).await.unwrap();
    bed.sql("UPDATE gastown_towns SET config = NULL, fly_region = NULL").await;
    bed.sql("UPDATE gastown_rigs SET config = NULL, branch = NULL").await;
    let found = bed.database.load(town.id).await.unwrap().unwrap();
    assert_eq!((found.config, found.region), (gastown_domain::TownConfig::default(), None));
    let listed = Rigs::list(&bed.database, town.id).await.unwrap();
    assert_eq!(listed, [gastown_domain::Rig { branch: None, ..app }]);
}

async fn unreadable_operations_and_rigs_are_named(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let app = rig(town.id, "app");
    Rigs::insert(&bed.database, &user("alice"), &app, u32::MAX).await.unwrap();
    bed.sql("UPDATE gastown_rigs SET repo_url = '--upload-pack=x'").await;
    let rig_id = app.id.to_string();
    assert_eq!(blamed(Rigs::find(&bed.database, town.id, app.id).await), ("gastown_rigs", "repo_url", rig_id));

    for (column, damage) in
        [("attempt", "attempt = -1"), ("requested_by", "requested_by = 'a b'"), ("progress", "progress = '3'")]
    {
        bed.sql(&format!("UPDATE gastown_operations SET {damage}")).await;
        let expected = ("gastown_operations", column, town.id.to_string());
        assert_eq!(blamed(bed.database.current(town.id).await), expected);
        bed.sql("UPDATE gastown_operations SET attempt = 0, requested_by = 'alice'").await;
    }
    let refused = bed.database.claim(town.id, &crate::bed::worker("one"), crate::bed::LEASE).await;
    assert_eq!(blamed(refused).1, "progress");
    assert_eq!(bed.number("SELECT fence FROM gastown_operations").await, 0, "an unreadable operation is not claimed");
}

async fn unknown_steps_and_errors_are_kept_as_text(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    bed.sql("UPDATE gastown_operations SET step = 'dance', last_error = 'too_tired'").await;
    let operation = bed.claimed(town.id, "one").await;
    assert_eq!(operation.step, Some(Recorded::Newer("dance".to_owned())));
    assert_eq!(operation.last_error, Some(Recorded::Newer("too_tired".to_owned())));
}
