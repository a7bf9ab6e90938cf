//! `destroyTown`: sync, soft delete, removal. The name is free afterwards, and a town of the same name is a new town.

use fly_sim::{Call, Effect, Fault};
use gastown_sandbox_sim::SANDBOX_SYNC;
use gastown_secrets::EnvValue;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::env::opened;
use crate::stage::{ALICE, Setup, Stage, id_of, until};

on_both! {
    destroyed_town_leaves_only_its_tombstone,
    town_of_the_same_name_is_a_new_town,
    stopped_town_is_destroyed_without_a_sync,
    destroy_continues_after_a_failed_sync,
    destroy_continues_after_an_outage_of_fly,
    destroy_waits_for_an_attached_volume,
    stale_lists_do_not_block_a_destroy,
}

async fn destroyed_town_leaves_only_its_tombstone(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.add_rig(town.id, "app", "https://github.com/acme/app").await.unwrap();
    let answer = stage.on_town("destroyTown", town.id).await.unwrap();
    let gone = (&answer["townId"], &answer["status"], &answer["operation"]);
    assert_eq!(gone, (&json!(town.id), &json!("destroyed"), &json!(null)));

    let row = stage.rows.town(town.id).await;
    assert_eq!(row.sandbox_id, format!("{}~{}", town.sandbox_id, town.id));
    assert!(row.destroyed_at.is_some() && row.last_r2_sync_at.is_some(), "{row:?}");
    assert_eq!((row.status.as_str(), row.fly_machine_id, row.fly_volume_id), ("destroyed", None, None));
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    let calls: Vec<_> = stage.sim.calls().into_iter().map(|record| record.call).collect();
    let at = |wanted| calls.iter().position(|call| *call == wanted).unwrap();
    assert!(at(SANDBOX_SYNC) < at(Call::DeleteMachine), "{calls:?}");
    assert!(at(Call::DeleteMachine) < at(Call::DeleteVolume), "{calls:?}");

    for procedure in ["getTownStatus", "startTown", "stopTown", "destroyTown"] {
        let refused = stage.on_town(procedure, town.id).await.unwrap_err();
        assert_eq!((refused.code.as_str(), refused.message.as_str()), ("NOT_FOUND", "Town not found"), "{procedure}");
    }
    assert_eq!(stage.call(ALICE, "listTowns", json!(null)).await.unwrap(), json!([]));
    stage
}

async fn town_of_the_same_name_is_a_new_town(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let old = stage.running("mill").await;
    let old_env = opened(&stage, old.machine());
    stage.on_town("destroyTown", old.id).await.unwrap();
    let new = stage.running("mill").await;
    let new_env = opened(&stage, new.machine());
    assert_ne!(old.id, new.id);
    assert_ne!(old.volume(), new.volume());
    assert_eq!(old.sandbox_id, new.sandbox_id);
    for name in ["TOWN_ID", "KILO_JWT", "INTERNAL_API_KEY"] {
        let text = |value: &EnvValue| match value {
            EnvValue::Opened(secret) => secret.expose_secret().to_owned(),
            EnvValue::Plain(text) => text.clone(),
        };
        assert_ne!(text(&old_env[name]), text(&new_env[name]), "{name}");
    }
    assert_eq!(stage.rows.towns().await.len(), 2);
    stage
}

async fn stopped_town_is_destroyed_without_a_sync(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.on_town("stopTown", town.id).await.unwrap();
    let syncs = |stage: &Stage| stage.sim.calls().iter().filter(|record| record.call == SANDBOX_SYNC).count();
    let before = syncs(&stage);
    stage.on_town("destroyTown", town.id).await.unwrap();
    assert_eq!(syncs(&stage), before);
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}

async fn destroy_continues_after_a_failed_sync(mut setup: Setup) -> Stage {
    setup.policy.timeouts.sync = std::time::Duration::from_millis(300);
    let stage = setup.start().await;
    for (name, effect) in [
        ("answers", Effect::server_error()),
        ("hangs-up", Effect::DropRequest),
        ("is-silent", Effect::Delay { millis: 60_000 }),
    ] {
        let town = stage.running(name).await;
        stage.sim.inject(Fault::at(SANDBOX_SYNC, effect).always());
        let answer = stage.on_town("destroyTown", town.id).await.unwrap();
        assert_eq!(answer["status"], "destroyed", "{name}");
        assert_eq!(stage.rows.town(town.id).await.last_r2_sync_at, None, "{name}");
        assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]), "{name}");
        stage.sim.clear_faults();
    }
    stage
}

async fn destroy_continues_after_an_outage_of_fly(mut setup: Setup) -> Stage {
    setup.policy.timeouts.caller = std::time::Duration::from_millis(400);
    let stage = setup.start().await;
    let town = id_of(&stage.call(ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap());
    stage.idle().await;
    let ids = stage.rows.town(town).await;
    stage.sim.inject(Fault::at_any(Effect::refusal(503, "upstream connect error")).always());
    stage.on_town("destroyTown", town).await.unwrap();
    until("an attempt has failed", async || {
        stage.rows.operations().await.iter().any(|op| op.last_error.as_deref() == Some("provider_unavailable"))
    })
    .await;
    // The ids of the paid resources and the operation are kept.
    let row = stage.rows.town(town).await;
    assert_eq!((row.fly_machine_id, row.fly_volume_id), (ids.fly_machine_id, ids.fly_volume_id));
    until("the town is soft-deleted", async || stage.rows.town(town).await.destroyed_at.is_some()).await;
    let shown = stage.on_town("getTownStatus", town).await.unwrap();
    assert_eq!((&shown["status"], &shown["operation"]["kind"]), (&json!("destroyed"), &json!("destroy")));
    assert_eq!(stage.sim.machines().len(), 1);

    stage.sim.clear_faults();
    stage.idle().await;
    assert_eq!(stage.on_town("getTownStatus", town).await.unwrap_err().code, "NOT_FOUND");
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}

async fn destroy_waits_for_an_attached_volume(mut setup: Setup) -> Stage {
    setup.sim.timing.volume_release = std::time::Duration::from_millis(1500);
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let answer = stage.on_town("destroyTown", town.id).await.unwrap();
    assert_eq!(answer["status"], "destroyed");
    assert_eq!(stage.sim.volumes(), []);
    let tries = stage.sim.calls().iter().filter(|record| record.call == Call::DeleteVolume).count();
    assert!(tries > 1, "the volume was never bound");
    stage
}

async fn stale_lists_do_not_block_a_destroy(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    for call in [Call::ListMachines, Call::ListVolumes] {
        stage.sim.inject(Fault::at(call, Effect::ListsDeleted).times(6));
    }
    let answer = stage.on_town("destroyTown", town.id).await.unwrap();
    assert_eq!(answer["status"], "destroyed");
    stage.idle().await;
    let row = stage.rows.town(town.id).await;
    assert_eq!((row.fly_machine_id, row.fly_volume_id), (None, None));
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}
