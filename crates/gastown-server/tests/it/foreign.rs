//! What belongs to another user does not exist, whatever is called.

use serde_json::json;

use crate::entry::user_procedures;
use crate::stage::{BOB, Setup, Stage};

on_both! {
    another_users_town_is_not_found_by_any_procedure,
    another_towns_rig_is_not_found,
}

async fn another_users_town_is_not_found_by_any_procedure(setup: Setup) -> Stage {
    let stage = setup.raise().await;
    let town = stage.running("mill").await;
    let rig = stage.add_rig(town.id, "app", "https://github.com/acme/app").await.unwrap();
    let before = (stage.rows.everything().await, format!("{:?}", stage.sim.all_machines()));
    let input = json!({
        "townId": town.id, "rigId": rig["rigId"], "rigName": "other", "repoUrl": "https://github.com/acme/other",
        "force": true,
    });
    let mut asked = 0;
    for procedure in user_procedures().filter(|procedure| !["createTown", "listTowns"].contains(procedure)) {
        let refused = stage.call(BOB, procedure, input.clone()).await.unwrap_err();
        assert_eq!((refused.code.as_str(), refused.status), ("NOT_FOUND", 404), "{procedure}");
        // Word for word what is said of a town that never was.
        let mut nowhere = input.clone();
        nowhere["townId"] = json!("0190a1b2-c3d4-4e5f-8a9b-000000000001");
        assert_eq!(stage.call(BOB, procedure, nowhere).await.unwrap_err(), refused, "{procedure}");
        asked += 1;
    }
    assert!(asked >= 6, "{asked}");
    assert_eq!((stage.rows.everything().await, format!("{:?}", stage.sim.all_machines())), before);
    assert_eq!(stage.call(BOB, "listTowns", json!(null)).await.unwrap(), json!([]));
    stage
}

async fn another_towns_rig_is_not_found(setup: Setup) -> Stage {
    let stage = setup.raise().await;
    let (mill, inn) = (stage.running("mill").await, stage.running("inn").await);
    let rig = stage.add_rig(mill.id, "app", "https://github.com/acme/app").await.unwrap();
    let input = json!({"townId": inn.id, "rigId": rig["rigId"], "force": true});
    let refused = stage.call(crate::stage::ALICE, "removeRig", input).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("NOT_FOUND", "Rig not found"));
    assert_eq!(stage.rows.rigs().await.len(), 1);
    stage
}
