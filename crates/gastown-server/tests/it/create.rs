//! `createTown`: first the row, then volume and machine, then `running`.

use fly_sim::{Call, Effect, Fault};
use gastown_domain::SandboxId;
use serde_json::json;

use crate::rows::Town;
use crate::stage::{ALICE, APP, BOB, Setup, Stage, id_of, until};

on_both! {
    row_is_written_before_any_resource_is_created,
    created_town_runs_and_its_row_names_its_resources,
    name_is_unique_for_each_user,
    requested_region_is_used_if_available,
    slow_create_is_answered_in_time_and_continues,
}

async fn row_is_written_before_any_resource_is_created(setup: Setup) -> Stage {
    let stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateVolume, Effect::throttled()).always());
    let create = stage.spawn_call(ALICE, "createTown", json!({ "townName": "mill" }));
    until("a volume is requested", async || {
        stage.rows.operations().await.iter().any(|operation| operation.last_error.as_deref() == Some("throttled"))
    })
    .await;

    let [row]: [Town; 1] = stage.rows.towns().await.try_into().unwrap();
    assert_eq!((row.status.as_str(), &row.fly_machine_id, &row.fly_volume_id), ("provisioning", &None, &None));
    let derived = SandboxId::derive(&"alice".parse().unwrap(), &"mill".parse().unwrap());
    assert_eq!((row.user_id.as_str(), row.sandbox_id.as_str()), (ALICE, derived.as_str()));
    let status = stage.on_town("getTownStatus", row.id).await.unwrap();
    assert_eq!((&status["status"], &status["operation"]["kind"]), (&json!("provisioning"), &json!("create")));
    assert_eq!(status["operation"]["step"], "ensure_volume");
    assert_eq!(status["operation"]["lastError"]["code"], "throttled");
    let listed = stage.call(ALICE, "listTowns", json!(null)).await.unwrap();
    assert_eq!(listed[0]["status"], "provisioning");

    stage.sim.clear_faults();
    let made = create.await.unwrap().unwrap();
    assert_eq!((id_of(&made), &made["status"]), (row.id, &json!("running")));
    stage
}

async fn created_town_runs_and_its_row_names_its_resources(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let config = json!({"max_polecats": 3, "models": {"mayor": "large"}, "ours": {"kept": [1, null]}});
    let input = json!({"townName": "mill", "config": config});
    let made = stage.call(ALICE, "createTown", input).await.unwrap();
    let row = stage.rows.town(id_of(&made)).await;
    assert_eq!((row.status.as_str(), row.fly_region.as_deref()), ("running", Some("iad")));
    for (key, value) in config.as_object().unwrap() {
        assert_eq!((&row.config[key], &made["config"][key]), (value, value), "{key}");
    }
    assert_eq!(made["flyMachineId"], row.machine());
    assert_eq!((&made["flyVolumeId"], &made["flyRegion"]), (&json!(row.volume()), &json!("iad")));
    assert_eq!((&made["townName"], &made["status"]), (&json!("mill"), &json!("running")));

    let [machine] = stage.sim.all_machines().try_into().unwrap();
    let [volume] = stage.sim.all_volumes().try_into().unwrap();
    let hex = row.id.simple().to_string();
    assert_eq!((machine.id.as_str(), volume.id.as_str()), (row.machine(), row.volume()));
    assert_eq!((machine.name, volume.name), (format!("town-{hex}"), format!("town_{}", &hex[..24])));
    assert_eq!((machine.app.as_str(), machine.region.as_str(), volume.region.as_str()), (APP, "iad", "iad"));
    assert_eq!((volume.size_gb, volume.encrypted, volume.attached_machine.as_deref()), (50, true, Some(row.machine())));
    let mounts = json!([{"volume": row.volume(), "path": "/home/gt/data"}]);
    for (key, value) in mounts[0].as_object().unwrap() {
        assert_eq!(&machine.config["mounts"][0][key], value);
    }
    let metadata = [
        ("gastown_sandbox_id", row.sandbox_id.clone()),
        ("gastown_town_id", row.id.to_string()),
        ("gastown_town_name", row.town_name.clone()),
        ("gastown_user_id", ALICE.to_owned()),
    ];
    for (key, value) in metadata {
        assert_eq!(machine.metadata.get(key), Some(&value));
    }
    stage
}

async fn name_is_unique_for_each_user(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let first = stage.running("mill").await;
    let refused = stage.call(ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.status), ("CONFLICT", 409));
    assert_eq!(refused.message, "A town with this name already exists");
    let bobs = stage.call(BOB, "createTown", json!({ "townName": "mill" })).await.unwrap();
    assert_ne!(id_of(&bobs), first.id);
    assert_eq!(stage.sim.all_machines().len(), 2);
    stage
}

async fn requested_region_is_used_if_available(setup: Setup) -> Stage {
    let stage = Setup { regions: "iad,fra", ..setup }.start().await;
    let made = stage.call(ALICE, "createTown", json!({"townName": "mill", "region": "fra"})).await.unwrap();
    assert_eq!(made["flyRegion"], "fra");
    assert_eq!(stage.sim.machines()[0].region, "fra");
    let refused = stage.call(ALICE, "createTown", json!({"townName": "inn", "region": "lhr"})).await.unwrap_err();
    assert_eq!(refused.code, "BAD_REQUEST");
    assert_eq!(refused.data["zodError"]["fieldErrors"]["region"], json!(["is not available"]));
    assert_eq!(stage.rows.towns().await.len(), 1);
    stage
}

async fn slow_create_is_answered_in_time_and_continues(mut setup: Setup) -> Stage {
    setup.policy.timeouts.caller = std::time::Duration::from_millis(50);
    let stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::throttled()).always());
    let made = stage.call(ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap();
    assert_eq!(made["status"], "provisioning");
    stage.sim.clear_faults();
    stage.idle().await;
    let status = stage.on_town("getTownStatus", id_of(&made)).await.unwrap();
    assert_eq!((&status["status"], &status["operation"]), (&json!("running"), &json!(null)));
    stage
}
