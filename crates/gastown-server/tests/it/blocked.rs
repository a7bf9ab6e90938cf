//! A user whom the host application has blocked (FM-17).

use serde_json::json;

use crate::process::Gastown;
use crate::stage::{ALICE, BOB, Setup, Stage, id_of};

on_both! {
    blocked_user_only_reads_stops_and_destroys,
    missing_blocked_column_is_a_mistake_at_start,
}

async fn blocked_user_only_reads_stops_and_destroys(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    let (mill, inn) = (stage.running("mill").await, stage.running("inn").await);
    stage.on_town("stopTown", inn.id).await.unwrap();
    let key = crate::env::secret(&stage, mill.machine(), "INTERNAL_API_KEY");
    stage.rows.execute("ALTER TABLE kilocode_users ADD COLUMN blocked_reason TEXT").await;
    stage.crash().await;
    stage.add_replica().await;
    let refresh = async |stage: &Stage| {
        let input = json!({ "townId": mill.id });
        crate::client::call_home(stage.url(), &key, "refreshToken", input).await
    };
    refresh(&stage).await.unwrap();
    let rig =
        |town: uuid::Uuid, name: &str| json!({ "townId": town, "rigName": name, "repoUrl": "https://github.com/a/b" });
    let added = stage.call(ALICE, "addRig", rig(mill.id, "kept")).await.unwrap();
    stage.rows.execute("UPDATE kilocode_users SET blocked_reason = 'canary-reason' WHERE id = 'alice'").await;

    for (procedure, input) in [
        ("createTown", json!({ "townName": "forge" })),
        ("startTown", json!({ "townId": inn.id })),
        ("addRig", rig(mill.id, "more")),
        ("addRig", rig(inn.id, "more")),
    ] {
        let refused = stage.call(ALICE, procedure, input).await.unwrap_err();
        assert_eq!((refused.code.as_str(), refused.status), ("FORBIDDEN", 403), "{procedure}");
        assert_eq!(refused.message, "The account is blocked; contact support");
    }
    let refused = refresh(&stage).await.unwrap_err();
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(stage.call(ALICE, "listTowns", json!(null)).await.unwrap().as_array().unwrap().len(), 2);
    assert_eq!(stage.on_town("getTownStatus", mill.id).await.unwrap()["status"], "running");
    let removal = json!({ "townId": mill.id, "rigId": added["rigId"] });
    assert_eq!(stage.call(ALICE, "removeRig", removal).await.unwrap()["removed"], true);
    stage.on_town("stopTown", mill.id).await.unwrap();
    for town in [mill.id, inn.id] {
        assert_eq!(stage.on_town("destroyTown", town).await.unwrap()["status"], "destroyed");
    }
    // Another user is not affected, and an unblocked one may go on.
    let bobs = stage.call(BOB, "createTown", json!({ "townName": "mill" })).await.unwrap();
    assert_eq!(
        stage.call(BOB, "destroyTown", json!({ "townId": id_of(&bobs), "waitUntilGone": true })).await.unwrap()["status"],
        "destroyed"
    );
    stage.rows.execute("UPDATE kilocode_users SET blocked_reason = NULL").await;
    stage.running("mill").await;
    stage
}

async fn missing_blocked_column_is_a_mistake_at_start(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let mut settings = stage.settings.clone();
    settings.push(("BLOCKED_COLUMN".to_owned(), "banned_at".to_owned()));
    let ended = Gastown::run(&["serve"], &settings).await;
    assert!(!ended.status.success());
    assert!(ended.err.contains("no column banned_at; correct BLOCKED_COLUMN"), "{}", ended.err);
    stage
}
