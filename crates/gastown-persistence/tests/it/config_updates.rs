use gastown_domain::ports::{ConfigUpdated, Registry as _, TownState, UpdateTown};
use gastown_domain::{Change, ConfigPatch, ConfigRefusal, FirstRig, OperationKind, Town};
use serde_json::json;

use crate::bed::{Bed, on_both, user};

on_both! {
    configuration_is_changed_only_from_the_expected_version,
    keys_that_are_not_named_stay_as_they_are_stored,
    one_of_twenty_parallel_updates_from_one_version_wins,
    first_rigs_and_large_configurations_are_refused,
    only_the_owner_of_a_live_town_updates_it,
    town_that_is_being_removed_is_not_updated,
}

/// Returns an update of the town from the version that it has.
fn polecats(town: &Town, number: u32) -> UpdateTown {
    let config = ConfigPatch { max_polecats: Change::Set(number), ..ConfigPatch::default() };
    UpdateTown { town: town.id, config, expected: town.config.version() }
}

async fn done(bed: &Bed, update: &UpdateTown) -> TownState {
    match bed.database.update_config(&user("alice"), update).await.unwrap() {
        ConfigUpdated::Done(town) => *town,
        other => panic!("{other:?}"),
    }
}

const EVENTS: &str = "SELECT count(*) FROM gastown_town_events WHERE action = 'update_config' AND actor = 'alice'";

async fn configuration_is_changed_only_from_the_expected_version(bed: Bed) {
    let before = bed.running("alice", "mill").await;
    let after = done(&bed, &polecats(&before, 4)).await;
    assert_eq!((after.town.config.max_polecats, &after.operation), (Some(4), &None));
    assert_eq!(bed.database.load(before.id).await.unwrap().unwrap(), after.town);
    assert_eq!(after.town, Town { config: after.town.config.clone(), ..before.clone() });

    let late = bed.database.update_config(&user("alice"), &polecats(&before, 5)).await.unwrap();
    assert_eq!(late, ConfigUpdated::Changed);
    // A repeat, whose answer was perhaps lost, has no effect.
    assert_eq!(done(&bed, &polecats(&before, 4)).await, after);
    assert_eq!(bed.number(EVENTS).await, 1);
    assert_eq!(done(&bed, &polecats(&after.town, 5)).await.town.config.max_polecats, Some(5));
    assert_eq!(bed.number(EVENTS).await, 2);
}

async fn keys_that_are_not_named_stay_as_they_are_stored(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let stored =
        r#"{"rigs": [{"rigName": "app", "repoUrl": "https://github.com/a/b", "newer": 1}], "theme": {"a": [null]}}"#;
    bed.sql(&format!("UPDATE gastown_towns SET config = '{stored}'")).await;
    let town = bed.database.load(town.id).await.unwrap().unwrap();
    let mut update = polecats(&town, 4);
    update.config.rigs = Some(town.config.rigs.clone());
    update.config.other.insert("size".to_owned(), json!("small"));
    let after = done(&bed, &update).await.town.config;
    assert_eq!(
        (after.rigs, after.other),
        (town.config.rigs, json!({"theme": {"a": [null]}, "size": "small"}).as_object().unwrap().clone())
    );
    let kept = "SELECT count(*) FROM gastown_towns WHERE CAST(config AS text) LIKE '%newer%'";
    assert_eq!(bed.number(kept).await, 1, "what this version does not understand is kept");
}

async fn one_of_twenty_parallel_updates_from_one_version_wins(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let mut running = tokio::task::JoinSet::new();
    for number in 1..=20 {
        let (database, update) = (bed.database.clone(), polecats(&town, number));
        running.spawn(async move { database.update_config(&user("alice"), &update).await.unwrap() });
    }
    let answers = running.join_all().await;
    let winners: Vec<_> = answers.iter().filter(|answer| !matches!(answer, ConfigUpdated::Changed)).collect();
    let [ConfigUpdated::Done(winner)] = winners[..] else { panic!("{winners:?}") };
    assert_eq!(bed.database.load(town.id).await.unwrap().unwrap(), winner.town);
    assert_eq!(bed.number(EVENTS).await, 1);
}

async fn first_rigs_and_large_configurations_are_refused(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let first = FirstRig {
        rig_name: "app".parse().unwrap(),
        repo_url: "https://github.com/acme/app".parse().unwrap(),
        branch: None,
    };
    let rigs = ConfigPatch { rigs: Some(vec![first]), ..ConfigPatch::default() };
    let mut large = ConfigPatch::default();
    large.other.insert("text".to_owned(), json!("x".repeat(gastown_domain::MAX_CONFIG_BYTES)));
    for (config, refusal) in [(rigs, ConfigRefusal::FirstRigs), (large, ConfigRefusal::TooLarge)] {
        let update = UpdateTown { config, ..polecats(&town, 1) };
        let answer = bed.database.update_config(&user("alice"), &update).await.unwrap();
        assert_eq!(answer, ConfigUpdated::Refused(refusal));
    }
    assert_eq!(bed.database.load(town.id).await.unwrap().unwrap(), town);
}

async fn only_the_owner_of_a_live_town_updates_it(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let update = polecats(&town, 4);
    let other = bed.database.update_config(&user("bob"), &update).await.unwrap();
    assert_eq!(other, ConfigUpdated::NotFound);
    bed.destroy(&town).await;
    let gone = bed.database.update_config(&user("alice"), &update).await.unwrap();
    assert_eq!((gone, bed.number(EVENTS).await), (ConfigUpdated::NotFound, 0));
}

async fn town_that_is_being_removed_is_not_updated(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    bed.request(&town, OperationKind::Stop).await;
    let stopping = done(&bed, &polecats(&town, 4)).await;
    assert_eq!(stopping.operation.map(|operation| operation.kind), Some(OperationKind::Stop.into()));
    bed.request(&town, OperationKind::Destroy).await;
    let update = polecats(&stopping.town, 5);
    let busy = bed.database.update_config(&user("alice"), &update).await.unwrap();
    assert_eq!(busy, ConfigUpdated::Busy(OperationKind::Destroy.into()));
}
