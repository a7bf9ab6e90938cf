//! Towns without an operation that need one, because of rows of another service or an older version.

use fly_sim::{Call, Effect, Fault};
use serde_json::json;

use crate::stage::{ALICE, Setup, Stage, until};

on_both! {
    tombstone_with_ids_is_removed,
    provisioning_town_without_an_operation_is_created,
}

async fn tombstone_with_ids_is_removed(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for stopped in [false, true] {
        let town = stage.running("mill").await;
        if stopped {
            stage.on_town("stopTown", town.id).await.unwrap();
        }
        stage
            .rows
            .execute(&format!(
                "UPDATE gastown_towns SET status = 'destroyed', destroyed_at = '2026-01-01T00:00:00+00:00', \
                 sandbox_id = '{}~{}' WHERE destroyed_at IS NULL",
                town.sandbox_id, town.id
            ))
            .await;
        until("its resources are deleted", async || {
            let row = stage.rows.town(town.id).await;
            row.fly_machine_id.is_none() && row.fly_volume_id.is_none()
        })
        .await;
        assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
        stage.idle().await;
    }
    stage
}

async fn provisioning_town_without_an_operation_is_created(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::throttled()).always());
    let caller = stage.spawn_call(ALICE, "createTown", json!({ "townName": "mill" }));
    until("the machine is requested", async || {
        stage.sim.calls().iter().any(|record| record.call == Call::CreateMachine)
    })
    .await;
    stage.crash().await;
    assert!(caller.await.is_err());
    stage.sim.clear_faults();
    stage.rows.execute("DELETE FROM gastown_operations").await;
    stage.add_replica().await;
    until("it is running", async || stage.rows.towns().await[0].status == "running").await;
    assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (1, 1));
    stage
}
