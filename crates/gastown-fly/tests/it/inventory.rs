//! The inventory of an app, with entries that cannot be read.

use std::time::Duration;

use fly_sim::{AppAccess, Call, Effect, Fault, MachineSeed, VolumeSeed};
use gastown_domain::{
    AppName, InventoryItem, MachineId, ResourceId, TownTag,
    ports::{Inventory, Machines, ProviderError, Volumes},
};
use gastown_fly::{api::Action, tag_of_volume_name};
use serde_json::{Value, json};

use crate::{
    script::{Fault as Cut, Script},
    stage::World,
    world::{MACHINE_NAME, OTHER_TOWN, TOWN, VOLUME_NAME, app, own_apps, shared, town, volume_spec},
};

fn machine(id: &str, name: &str, tag: Option<&str>) -> Value {
    let metadata = tag.map_or(json!({}), |tag| json!({ "gastown_town_id": tag }));
    json!({
        "id": id, "name": name, "state": "started", "region": "iad", "host_status": "ok",
        "created_at": "2026-11-23T13:45:00Z", "config": { "image": "x", "metadata": metadata },
    })
}

fn volume(id: &str, name: &str) -> Value {
    json!({ "id": id, "name": name, "state": "created", "region": "iad", "created_at": "2026-11-23T13:45:00Z" })
}

async fn inventory_of(machines: &Value, volumes: &Value) -> (Vec<InventoryItem>, bool) {
    let (fly, _) =
        Script::new().on_json(Action::ListMachines, machines).on_json(Action::ListVolumes, volumes).fly(shared());
    let inventory = fly.list(&app()).await.unwrap();
    (inventory.items, inventory.is_whole)
}

fn ids(items: &[InventoryItem]) -> Vec<&str> {
    items.iter().map(|item| item.resource.id()).collect()
}

#[tokio::test]
async fn resources_with_our_metadata_or_name_are_listed() {
    let name = MACHINE_NAME;
    let machines = json!([
        machine("tagged", "renamed", Some(TOWN)),
        machine("named", name, None),
        machine("both", name, Some(TOWN)),
        machine("torn", name, Some(OTHER_TOWN)),
        machine("theirs", "mill", None),
    ]);
    let volumes = json!([volume("vol_ours", VOLUME_NAME), volume("vol_theirs", "data")]);
    let (items, is_whole) = inventory_of(&machines, &volumes).await;
    let ours = TownTag::Whole(town());
    let shown: Vec<(&str, &[TownTag])> = items.iter().map(|item| (item.resource.id(), item.tags.as_slice())).collect();
    let by_volume = tag_of_volume_name(VOLUME_NAME).unwrap();
    assert_eq!(
        shown,
        [
            ("tagged", [ours].as_slice()),
            ("named", &[ours]),
            ("both", &[ours]),
            ("torn", &[TownTag::Whole(OTHER_TOWN.parse().unwrap()), ours]),
            ("vol_ours", &[by_volume]),
        ]
    );
    assert!(is_whole);
}

#[tokio::test]
async fn destroyed_resources_are_left_out_and_those_being_destroyed_are_marked() {
    let name = MACHINE_NAME;
    let with = |mut thing: Value, field: &str, value: Value| {
        thing[field] = value;
        thing
    };
    let machines = json!([
        with(machine("gone", name, None), "state", json!("destroyed")),
        with(machine("going", name, None), "state", json!("destroying")),
        with(with(machine("flagged", name, None), "state", json!("destroyed")), "host_status", json!("unreachable")),
    ]);
    let volume_name = VOLUME_NAME;
    let volumes = json!([
        with(volume("vol_deleted", volume_name), "state", json!("pending_destroy")),
        with(volume("vol_going", volume_name), "state", json!("waiting_for_detach")),
        with(volume("vol_held", volume_name), "attached_machine_id", json!("148ed21a031189")),
    ]);
    let (items, _) = inventory_of(&machines, &volumes).await;
    let shown: Vec<(&str, bool)> = items.iter().map(|item| (item.resource.id(), item.destroying)).collect();
    assert_eq!(shown, [("going", true), ("flagged", true), ("vol_going", true), ("vol_held", false)]);
    assert_eq!(items[3].held_by.as_ref().map(MachineId::as_str), Some("148ed21a031189"));
    assert!(items.iter().all(|item| item.made_at.is_some()));
}

#[tokio::test]
async fn the_name_decides_when_a_host_is_down() {
    let mut away = machine("away", MACHINE_NAME, None);
    away["config"] = json!(null);
    away["host_status"] = json!("unreachable");
    let (items, is_whole) = inventory_of(&json!([away]), &json!([])).await;
    assert_eq!((ids(&items), is_whole), (vec!["away"], true));
    assert_eq!(items[0].tags, [TownTag::Whole(town())]);
}

#[tokio::test]
async fn an_unreadable_entry_makes_the_inventory_incomplete_and_keeps_the_others() {
    let name = MACHINE_NAME;
    let whole = json!([machine("ours", name, Some(TOWN))]);
    for odd in [
        json!("text"),
        json!(null),
        json!({ "name": name }),
        json!({ "id": 7, "name": name }),
        json!({ "id": "../x", "name": name, "state": "started" }),
        json!({ "id": "m2", "name": name, "config": { "metadata": { "gastown_town_id": "mill" } } }),
    ] {
        let (items, is_whole) = inventory_of(&json!([odd, whole[0]]), &json!([])).await;
        assert_eq!((ids(&items), is_whole), (vec!["ours"], false), "{odd}");
    }
    let nameless = json!({ "id": "../x", "name": VOLUME_NAME, "state": "created" });
    let (items, is_whole) = inventory_of(&whole, &json!([nameless])).await;
    assert_eq!((ids(&items), is_whole), (vec!["ours"], false));
    // A delete needs no region.
    let nowhere = json!({ "id": "vol_1", "name": VOLUME_NAME, "state": "created" });
    let (items, is_whole) = inventory_of(&whole, &json!([nowhere])).await;
    assert_eq!((ids(&items), is_whole), (vec!["ours", "vol_1"], true));
}

#[tokio::test]
async fn a_failed_list_is_an_error() {
    for (status, body, want) in [
        (404, r#"{"error":"app not found"}"#, "Misconfigured"),
        (404, "", "Misconfigured"),
        (400, r#"{"error":"could not find app \"mill\""}"#, "Misconfigured"),
        (403, r#"{"error":"unauthorized"}"#, "Misconfigured"),
        (503, "", "Unknown"),
        (200, "null", "Unknown"),
        (200, "{}", "Unknown"),
        (200, "", "Unknown"),
    ] {
        let (fly, script) = Script::new().on(Action::ListMachines, status, body).fly(shared());
        let error = fly.list(&app()).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(want), "{status} {body:?}: {error:?}");
        script.played();
        let (fly, _) =
            Script::new().on_json(Action::ListMachines, &json!([])).on(Action::ListVolumes, status, body).fly(shared());
        let error = fly.list(&app()).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(want), "{status} {body:?}: {error:?}");
    }
    let (fly, _) = Script::new().on_fault(Action::ListMachines, Cut::NotSent).fly(shared());
    assert!(matches!(fly.list(&app()).await, Err(ProviderError::NotSent { .. })));
}

#[tokio::test]
async fn a_shared_app_is_listed_without_a_call() {
    let (fly, script) = Script::new().fly(shared());
    assert_eq!(fly.apps().await.unwrap(), [app()]);
    script.played();
}

#[tokio::test]
async fn only_the_apps_of_users_are_listed() {
    let user = format!("gt-{}", "0a".repeat(10));
    let apps = json!({ "total_apps": 7, "apps": [
        { "id": "1", "name": user, "machine_count": 1, "volume_count": 1, "network": user },
        { "name": format!("gt-staging-{}", "0a".repeat(10)) },
        { "name": "gt-web" },
        { "name": format!("gt-{}", "0A".repeat(10)) },
        { "name": format!("gt{}", "0a".repeat(10)) },
        { "name": null },
        "text",
    ] });
    let (fly, script) = Script::new().on_json(Action::ListApps, &apps).fly(own_apps());
    assert_eq!(fly.apps().await.unwrap().iter().map(AppName::as_str).collect::<Vec<_>>(), [user]);
    assert_eq!(script.played(), "GET /apps?org_slug=kilo");
    for (status, body) in [(200, "[]"), (200, "{}"), (502, "")] {
        let (fly, _) = Script::new().on(Action::ListApps, status, body).fly(own_apps());
        assert!(matches!(fly.apps().await, Err(ProviderError::Unknown { .. })), "{status} {body:?}");
    }
}

#[tokio::test]
async fn the_inventory_of_a_running_app() {
    let world = World::new().await;
    let (spec, made) = world.running().await;
    let surplus = world.fly.create_volume(&volume_spec()).await.unwrap();
    let inventory = world.fly.list(&app()).await.unwrap();
    let shown: Vec<(&ResourceId, Option<&str>)> =
        inventory.items.iter().map(|item| (&item.resource, item.held_by.as_ref().map(MachineId::as_str))).collect();
    let (held, free) = (ResourceId::Volume(spec.volume.clone()), ResourceId::Volume(surplus.id.clone()));
    let machine = ResourceId::Machine(made.id.clone());
    assert_eq!(shown, [(&machine, None), (&held, Some(made.id.as_str())), (&free, None)]);
    assert!(inventory.is_whole && inventory.items.iter().all(|item| item.made_at.is_some() && !item.destroying));

    // A machine with another town's metadata carries both tags.
    world.set_town_tag(&made.id, OTHER_TOWN).await;
    let inventory = world.fly.list(&app()).await.unwrap();
    assert_eq!(inventory.items[0].tags.len(), 2);
    assert!(world.sim.set_host_down(made.id.as_str(), true));
    let inventory = world.fly.list(&app()).await.unwrap();
    assert_eq!((&inventory.items[0].resource, &inventory.items[0].tags), (&machine, &vec![TownTag::Whole(town())]));
    assert!(world.sim.set_host_down(made.id.as_str(), false));

    world.fly.delete_machine(&app(), &made.id).await.unwrap();
    world.fly.delete_volume(&app(), &surplus.id).await.unwrap();
    let inventory = world.fly.list(&app()).await.unwrap();
    assert!(!inventory.items.iter().any(|item| item.resource == free), "{inventory:?}");
    assert!(inventory.items.iter().all(|item| item.resource != machine || item.destroying), "{inventory:?}");
    world.assert_lawful();
}

#[tokio::test]
async fn a_stale_list_shows_what_it_contains() {
    let world = World::new().await;
    let first = world.fly.create_volume(&volume_spec()).await.unwrap();
    world.fly.create_volume(&volume_spec()).await.unwrap();
    world.sim.inject(Fault::at(Call::ListVolumes, Effect::StaleList));
    let inventory = world.fly.list(&app()).await.unwrap();
    assert_eq!(ids(&inventory.items), [first.id.as_str()]);
}

#[tokio::test]
async fn a_hidden_app_is_an_error_and_never_empty() {
    let world = World::new().await;
    let (spec, made) = world.running().await;
    for access in [AppAccess::NotFound, AppAccess::Forbidden] {
        assert!(world.sim.set_app_access("mill", access));
        for error in [
            world.fly.list(&app()).await.map(drop).unwrap_err(),
            world.fly.machine(&app(), &made.id).await.map(drop).unwrap_err(),
            world.fly.machines_of(&app(), town()).await.map(drop).unwrap_err(),
            world.fly.stop_machine(&app(), &made.id).await.unwrap_err(),
            world.fly.delete_machine(&app(), &made.id).await.unwrap_err(),
            world.fly.volume(&app(), &spec.volume).await.map(drop).unwrap_err(),
            world.fly.delete_volume(&app(), &spec.volume).await.unwrap_err(),
        ] {
            assert!(matches!(error, ProviderError::Misconfigured { .. }), "{access:?}: {error:?}");
        }
    }
    assert!(world.sim.set_app_access("mill", AppAccess::Open));
    assert_eq!(world.fly.list(&app()).await.unwrap().items.len(), 2);
    world.assert_lawful();
}

#[tokio::test]
async fn planted_resources_show_their_town_and_age() {
    let world = World::new().await;
    let age = Duration::from_secs(3600);
    let volume = world.sim.seed_volume(&VolumeSeed::new("mill", VOLUME_NAME).with_age(age)).unwrap();
    let tagged =
        MachineSeed::new("mill", "renamed").with_metadata("gastown_town_id", TOWN).with_volume(&volume).with_age(age);
    let tagged = world.sim.seed_machine(&tagged).unwrap();
    let named = world.sim.seed_machine(&MachineSeed::new("mill", MACHINE_NAME)).unwrap();
    world.sim.seed_machine(&MachineSeed::new("mill", "theirs").with_metadata("gastown_user_id", "u")).unwrap();
    let inventory = world.fly.list(&app()).await.unwrap();
    assert_eq!(
        (ids(&inventory.items), inventory.is_whole),
        (vec![tagged.as_str(), named.as_str(), volume.as_str()], true)
    );
    assert!(inventory.items.iter().all(|item| item.tags.iter().all(|tag| tag.names(town()))));
    let [old, new, disk] = inventory.items.as_slice() else { panic!("three") };
    assert!(new.made_at.unwrap() - old.made_at.unwrap() > chrono::TimeDelta::minutes(59), "{inventory:?}");
    assert_eq!(disk.held_by.as_ref().map(MachineId::as_str), Some(tagged.as_str()));

    world.sim.inject(Fault::at(Call::ListMachines, Effect::EmptyList));
    let inventory = world.fly.list(&app()).await.unwrap();
    assert_eq!(ids(&inventory.items), [volume.as_str()], "an empty list looks like a correct one");
    world.assert_lawful();
}

#[tokio::test]
async fn the_apps_of_users_are_found_on_the_simulator() {
    let world = World::empty(own_apps()).await;
    let user = format!("gt-{}", "1f".repeat(10));
    for name in [user.as_str(), "gt-web", "mill"] {
        world.sim.create_app(name).unwrap();
    }
    world.sim.create_foreign_app(&format!("gt-{}", "2f".repeat(10))).unwrap();
    assert_eq!(world.fly.apps().await.unwrap().iter().map(AppName::as_str).collect::<Vec<_>>(), [user]);
    let missing = world.fly.list(&"gone".parse().unwrap()).await.unwrap_err();
    assert!(matches!(missing, ProviderError::Misconfigured { .. }), "{missing:?}");
    world.assert_lawful();
}

#[tokio::test]
async fn short_lists_show_machines_on_their_volumes_like_single_reads() {
    let world = World::new().await;
    let (spec, made) = world.running().await;
    let spare = world.fly.create_volume(&volume_spec()).await.unwrap();
    let before = world.sim.calls().len();
    let lists = world.fly.lists(&app()).await.unwrap();
    assert_eq!(world.sim.calls().len() - before, 2, "one list of each");
    let [machine] = lists.machines.as_slice() else { panic!("{lists:?}") };
    assert_eq!(Some(machine), world.fly.machine(&app(), &made.id).await.unwrap().as_ref());
    assert_eq!(machine.volume.as_ref(), Some(&spec.volume));
    assert_eq!(lists.volumes.iter().map(|volume| &volume.id).collect::<Vec<_>>(), [&spec.volume, &spare.id]);

    // The summary shows the last known state and not the host.
    assert!(world.sim.set_host_down(made.id.as_str(), true));
    let lists = world.fly.lists(&app()).await.unwrap();
    assert_eq!((lists.machines.len(), lists.volumes.len()), (0, 1), "{lists:?}");
    assert!(world.sim.set_host_down(made.id.as_str(), false));
    world.assert_lawful();
}

#[tokio::test]
async fn short_lists_leave_out_what_is_not_certain() {
    let attached = |id: &str, machine: &str, host: &str| {
        let mut volume = volume(id, VOLUME_NAME);
        volume["attached_machine_id"] = json!(machine);
        volume["host_status"] = json!(host);
        volume
    };
    let mut destroying = attached("vol_leaving", "leaving", "ok");
    destroying["state"] = json!("scheduling_destroy");
    let volumes = json!([
        attached("vol_certain", "certain", "ok"),
        attached("vol_down", "down", "unreachable"),
        attached("vol_one", "twice", "ok"),
        attached("vol_two", "twice", "ok"),
        destroying,
        { "id": "vol_odd" },
        "text",
    ]);
    let shown = |id: &str| json!({ "id": id, "name": "mill", "state": "started", "region": "iad" });
    let machines = json!([shown("certain"), shown("down"), shown("twice"), shown("leaving"), shown("alone"), null, { "id": "../x" }]);
    let (fly, script) =
        Script::new().on_json(Action::ListVolumes, &volumes).on_json(Action::ListMachines, &machines).fly(shared());
    let lists = fly.lists(&app()).await.unwrap();
    assert_eq!(lists.machines.iter().map(|machine| machine.id.as_str()).collect::<Vec<_>>(), ["certain"]);
    let staying: Vec<_> = lists.volumes.iter().filter(|volume| !volume.destroying).collect();
    assert_eq!(
        staying.iter().map(|volume| volume.id.as_str()).collect::<Vec<_>>(),
        ["vol_certain", "vol_one", "vol_two"]
    );
    assert_eq!(script.played(), "GET /apps/mill/volumes\nGET /apps/mill/machines?summary=true");
}
