//! Lists of machines and volumes, with entries that cannot be read.

use gastown_domain::ports::{Machines, ProviderError, Volumes};
use gastown_fly::api::Action;
use serde_json::{Value, json};

use crate::{
    script::Script,
    world::{MACHINE_NAME, OTHER_TOWN, TOWN, VOLUME_NAME, app, shared, town, volume_id},
};

/// Returns entries that are neither a machine nor a volume, and are not related to the town.
fn odd_ones() -> [Value; 5] {
    [
        json!("text"),
        json!(null),
        json!({ "id": 7, "name": "town-of-another" }),
        json!({ "name": "other", "config": { "metadata": { "gastown_town_id": OTHER_TOWN } } }),
        json!({ "id": "m2", "name": ["a"], "config": [7, true] }),
    ]
}

#[tokio::test]
async fn an_unreadable_entry_does_not_hide_the_others() {
    for odd in odd_ones() {
        let tag = json!({ "gastown_town_id": TOWN });
        let ours = json!({ "id": "148e", "name": MACHINE_NAME, "state": "started", "config": { "metadata": tag } });
        let machines = json!([odd, ours]);
        let (fly, script) = Script::new()
            .on_json(Action::ListMachines, &machines)
            .on_json(Action::ListMachines, &machines)
            .fly(shared());
        let found = fly.machines_of(&app(), town()).await.unwrap();
        assert_eq!(found.iter().map(|seen| seen.id.as_str()).collect::<Vec<_>>(), ["148e"], "{odd}");
        script.played();

        let volumes = json!([odd, { "id": "vol_1", "name": VOLUME_NAME, "state": "created", "region": "iad" }]);
        let (fly, _) = Script::new().on_json(Action::ListVolumes, &volumes).fly(shared());
        let found = fly.volumes_of(&app(), town()).await.unwrap();
        assert_eq!(found.iter().map(|seen| seen.id.as_str()).collect::<Vec<_>>(), ["vol_1"], "{odd}");

        // The second read that proves the loss of a volume.
        let (fly, _) = Script::new()
            .on_error(Action::GetVolume, 404, "volume not found")
            .on_json(Action::ListVolumes, &volumes)
            .fly(shared());
        assert_eq!(fly.volume(&app(), &volume_id()).await.unwrap(), None, "{odd}");
    }
}

#[tokio::test]
async fn an_unreadable_entry_that_mentions_the_town_is_an_error() {
    let name = MACHINE_NAME;
    for odd in [
        json!({ "id": 7, "name": name }),
        json!({ "name": name }),
        json!({ "id": null, "config": { "metadata": { "gastown_town_id": TOWN } } }),
        json!({ "id": "m1", "name": 7, "incomplete_config": { "metadata": { "gastown_town_id": TOWN } } }),
    ] {
        for answers in [[json!([odd]), json!([])], [json!([]), json!([odd])]] {
            let script = answers.iter().fold(Script::new(), |script, list| script.on_json(Action::ListMachines, list));
            let error = script.fly(shared()).0.machines_of(&app(), town()).await.unwrap_err();
            assert!(matches!(error, ProviderError::Unknown { .. }), "{odd}: {error:?}");
        }
    }
    let volumes = json!([{ "id": 7, "name": VOLUME_NAME, "state": "created" }]);
    let (fly, _) = Script::new().on_json(Action::ListVolumes, &volumes).fly(shared());
    let error = fly.volumes_of(&app(), town()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown { .. }), "{error:?}");

    let lost = json!([{ "id": volume_id().as_str(), "name": 7 }]);
    let (fly, _) = Script::new()
        .on_error(Action::GetVolume, 404, "volume not found")
        .on_json(Action::ListVolumes, &lost)
        .fly(shared());
    let error = fly.volume(&app(), &volume_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown { .. }), "{error:?}");
}

#[tokio::test]
async fn an_unreadable_entry_is_never_printed() {
    let env = json!({ "env": { "KILO_JWT": "secret-canary" } });
    let odd = json!([{ "id": 7, "name": MACHINE_NAME, "config": env }]);
    let (fly, _) = Script::new().on_json(Action::ListMachines, &odd).fly(shared());
    let printed = format!("{:?}", fly.machines_of(&app(), town()).await.unwrap_err());
    assert!(!printed.contains("canary"), "{printed}");
    let read: Vec<gastown_fly::api::Entry<gastown_fly::api::volumes::Volume>> = serde_json::from_value(odd).unwrap();
    assert!(!format!("{read:?}").contains("canary"), "{read:?}");
}
