//! A replica of this version beside an operation of a newer version (FM-59). The newer version is played by SQL. The tests
//! in `rolling_upgrade` play two versions at work.

use serde_json::json;

use crate::rows::Town;
use crate::stage::{ALICE, Engine, Setup, Stage};

on_both! {
    newer_operation_is_shown_refuses_others_and_gives_way_to_a_destroy,
    operator_sees_a_newer_operation_and_may_only_destroy_it,
}

/// Starts a stage with a running town on which a newer version has begun to hibernate it.
async fn restarting(setup: Setup) -> (Stage, Town) {
    let accept_newer = match setup.engine {
        Engine::Sqlite => {
            "PRAGMA writable_schema = ON; \
             UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (\"kind\" IN', 'CHECK (1 OR \"kind\" IN'); \
             PRAGMA writable_schema = RESET; CREATE TABLE reread (x int); DROP TABLE reread"
        }
        Engine::Postgres => "ALTER TABLE gastown_operations DROP CONSTRAINT gastown_operations_kind_check",
    };
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.rows.execute(accept_newer).await;
    let columns = "town_id, id, kind, step, requested_by, next_attempt_at, deadline_at, created_at, updated_at";
    let (past, never) = ("'2000-01-01T00:00:00+00:00'", "'3000-01-01T00:00:00+00:00'");
    let values = format!("id, id, 'hibernate', 'warm_up', user_id, {past}, {never}, {past}, {past}");
    let restart = format!("INSERT INTO gastown_operations ({columns}) SELECT {values} FROM gastown_towns");
    stage.rows.execute(&restart).await;
    (stage, town)
}

async fn newer_operation_is_shown_refuses_others_and_gives_way_to_a_destroy(setup: Setup) -> Stage {
    let (stage, town) = restarting(setup).await;
    let shown = stage.on_town("getTownStatus", town.id).await.unwrap();
    assert_eq!((&shown["operation"]["kind"], &shown["operation"]["step"]), (&json!("hibernate"), &json!("warm_up")));
    for procedure in ["startTown", "stopTown"] {
        let refused = stage.on_town(procedure, town.id).await.unwrap_err();
        assert_eq!(refused.code, "CONFLICT", "{procedure}");
        assert_eq!(refused.message, "Another operation is in progress on this town: hibernate");
    }
    let added = stage.add_rig(town.id, "app", "https://github.com/acme/app").await.unwrap();
    assert_eq!(added["status"], "pending", "the sandbox may be about to change");
    // Several sweeps have left the operation alone.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let untouched = stage.rows.operations().await;
    assert_eq!(untouched.iter().map(|it| (it.kind.as_str(), &it.owner)).collect::<Vec<_>>(), [("hibernate", &None)]);
    assert_eq!(stage.rows.town(town.id).await.status, "running");

    let destroyed = stage.call(ALICE, "destroyTown", json!({ "townId": town.id })).await.unwrap();
    assert_eq!(destroyed["status"], "destroyed");
    stage.idle().await;
    let ended = stage.rows.events().await;
    assert!(ended.iter().any(|event| event.action == "hibernate" && event.outcome == "preempted"), "{ended:?}");
    stage
}

async fn operator_sees_a_newer_operation_and_may_only_destroy_it(setup: Setup) -> Stage {
    let (stage, town) = restarting(setup).await;
    let id = town.id.to_string();
    for arguments in [&["operations"][..], &["town", "show", &id]] {
        let printed = stage.gastown(arguments).await.out;
        assert!(printed.contains("hibernate") && printed.contains("warm_up"), "{arguments:?}: {printed}");
        assert!(!printed.contains("cannot be read"), "{arguments:?}: {printed}");
    }
    let listed = stage.gastown_json(&["operations"]).await;
    let operation = &listed["operations"][0];
    assert_eq!((&operation["kind"], &operation["mark"]), (&json!("hibernate"), &json!("begun")));
    let before = stage.rows.everything().await;
    let retried = stage.gastown(&["town", "retry", &id]).await;
    assert_eq!(retried.status.code(), Some(1));
    assert!(retried.err.contains("the hibernate of town") && retried.err.contains("newer version"), "{}", retried.err);
    assert_eq!(stage.rows.everything().await, before);

    let destroyed = stage.gastown_json(&["town", "destroy", &id, "--yes", "--wait", "20"]).await;
    assert_eq!(destroyed["gone"], true);
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}
