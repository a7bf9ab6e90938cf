//! Resources of other users are not found, by any procedure.

use serde_json::json;

use crate::entry::user_procedures;
use crate::stage::{BOB, Setup, Stage};

on_both! {
    no_procedure_finds_another_users_town,
    rig_of_another_town_is_not_found,
}

async fn no_procedure_finds_another_users_town(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let rig = stage.add_rig(town.id, "app", "https://github.com/acme/app").await.unwrap();
    let before = (stage.rows.everything().await, format!("{:?}", stage.sim.all_machines()));
    let input = json!({
        "townId": town.id, "rigId": rig["rigId"], "rigName": "other", "repoUrl": "https://github.com/acme/other",
        "force": true, "config": {"theme": "dark"}, "configVersion": "v",
        "confirm": "mill",
    });
    let mut checked = 0;
    let without_a_town = ["createTown", "listRegions", "listTowns", "watchTowns"];
    for procedure in user_procedures().filter(|procedure| !without_a_town.contains(procedure)) {
        let refused = stage.call(BOB, procedure, input.clone()).await.unwrap_err();
        assert_eq!((refused.code.as_str(), refused.status), ("NOT_FOUND", 404), "{procedure}");
        // The same answer as for a town that does not exist.
        let mut nowhere = input.clone();
        nowhere["townId"] = json!("0190a1b2-c3d4-4e5f-8a9b-000000000001");
        assert_eq!(stage.call(BOB, procedure, nowhere).await.unwrap_err(), refused, "{procedure}");
        checked += 1;
    }
    assert!(checked >= 6, "{checked}");
    assert_eq!((stage.rows.everything().await, format!("{:?}", stage.sim.all_machines())), before);
    assert_eq!(stage.call(BOB, "listTowns", json!(null)).await.unwrap(), json!([]));
    let watched = stage.call(BOB, "watchTowns", json!({})).await.unwrap();
    assert_eq!(watched, json!({"isWhole": true, "towns": [], "gone": []}));
    stage
}

async fn rig_of_another_town_is_not_found(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let (mill, inn) = (stage.running("mill").await, stage.running("inn").await);
    let rig = stage.add_rig(mill.id, "app", "https://github.com/acme/app").await.unwrap();
    let input = json!({"townId": inn.id, "rigId": rig["rigId"], "force": true});
    let refused = stage.call(crate::stage::ALICE, "removeRig", input).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("NOT_FOUND", "Rig not found"));
    assert_eq!(stage.rows.rigs().await.len(), 1);
    stage
}
