//! The outputs that users receive.

use gastown_domain::{
    AgreeingObservations, Drift, Failure, HealthReason, HealthState, Operation, OperationKind, Phase, Progress,
    Recorded, RecordedOperation, RigStatus, SandboxReport, StepName, TownId, TownStatus,
    ports::{Caller, CreateTown, LastOutcome, MockTowns, TownHealth, TownReport, TownState},
};
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    fake_towns::{moment, rig, town},
    world::{ALICE, call, parts, serve},
};

const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-000000000001";

fn request() -> CreateTown {
    let config = json!({"max_polecats": 4, "models": ["large", "small"], "size": "small"});
    CreateTown {
        name: "mill".parse().unwrap(),
        config: serde_json::from_value(config).unwrap(),
        region: None,
        key: None,
    }
}

fn operation() -> Operation {
    Operation {
        id: gastown_domain::OperationId::new(Uuid::from_u128(9)),
        town: ID.parse().unwrap(),
        kind: OperationKind::Create,
        phase: Phase::Begun,
        step: Some(StepName::CreateMachine.into()),
        attempt: 2,
        last_error: Some(Failure::Throttled.into()),
        cause: None,
        requested_by: "alice".parse().unwrap(),
        fence: 1,
        next_attempt_at: moment(),
        deadline_at: Some(moment()),
        progress: Progress::default(),
        created_at: moment(),
        updated_at: moment(),
    }
}

#[tokio::test]
async fn town_status_has_all_fields() {
    let mut towns = MockTowns::new();
    towns.expect_town_status().times(1).returning(|caller, id| {
        let mut town = town(caller, id, request());
        town.status = TownStatus::Provisioning;
        town.last_r2_sync_at = Some(moment());
        town.last_heartbeat_at = None;
        let health = TownHealth {
            refused_rigs: vec![gastown_domain::RefusedRig {
                rig_name: "refused".parse().unwrap(),
                repo_url: "https://git.example.com/demo/gone.git".parse().unwrap(),
                reason: "the repository does not exist".to_owned(),
                refused_at: moment(),
            }],
            failures: 1,
            restarts: 2,
            window_started_at: None,
            state: HealthState::Unhealthy.into(),
            since: Some(moment()),
            reason: Some(HealthReason::NoAnswer.into()),
            last_report_at: Some(moment()),
            report: SandboxReport {
                gt_running: Some(true),
                dolt_running: Some(false),
                active_polecats: Some(2),
                disk_used_bytes: None,
            },
            token_expires_at: Some(moment()),
            idle_stopped_at: Some(moment()),
            image: Some("registry.example/town:2".parse().unwrap()),
            checked_at: Some(moment()),
            compared_at: None,
            suspicion: Some(AgreeingObservations { drift: Drift::MachineStopped, looks: 1 }),
            drift: Some((Drift::VolumeMoved.into(), moment())),
        };
        Ok(TownReport {
            town,
            rigs: vec![rig(id, RigStatus::Pending)],
            health,
            operation: Some(operation().into()),
            last_outcome: Some(LastOutcome {
                kind: OperationKind::Start.into(),
                at: moment(),
                failure: Some(Failure::NoCapacity.into()),
                operation: None,
                steps: Vec::new(),
            }),
            owner_is_blocked: false,
            use_is_recorded: false,
        })
    });
    let server = serve(parts(towns)).await;
    let got = call(&server, Method::GET, "gastown.getTownStatus", ALICE, &json!({ "townId": ID })).await;
    assert_eq!(got.0, 200);
    crate::wire_reference::check_status(&got.1);
    insta::assert_json_snapshot!(got.1);
}

/// Returns the report of a town without rigs.
fn report(caller: &Caller, id: TownId, health: TownHealth, operation: Option<RecordedOperation>) -> TownReport {
    TownReport {
        town: town(caller, id, request()),
        rigs: vec![],
        health,
        operation,
        last_outcome: None,
        owner_is_blocked: false,
        use_is_recorded: false,
    }
}

#[tokio::test]
async fn drift_has_a_message_and_only_a_lost_volume_degrades() {
    for drift in Drift::ALL {
        let mut towns = MockTowns::new();
        towns.expect_town_status().times(1).returning(move |caller, id| {
            let health = TownHealth { drift: Some((drift.into(), moment())), ..TownHealth::default() };
            Ok(report(caller, id, health, None))
        });
        let server = serve(parts(towns)).await;
        let (_, envelope) = call(&server, Method::GET, "gastown.getTownStatus", ALICE, &json!({ "townId": ID })).await;
        let health = &envelope["result"]["data"]["health"];
        let told = json!({"code": drift.as_str(), "message": drift.message(), "since": "2026-02-03T04:05:06.789Z"});
        assert_eq!((&health["drift"], &health["degraded"]), (&told, &json!(drift == Drift::VolumeLost)));
    }
}

#[tokio::test]
async fn texts_of_a_newer_version_are_shown() {
    let mut towns = MockTowns::new();
    towns.expect_town_status().times(1).returning(|caller, id| {
        let newer = |text: &str| text.to_owned();
        let mut operation = RecordedOperation::from(operation());
        operation.kind = Recorded::Newer(newer("hibernate"));
        operation.phase = Recorded::Newer(newer("draining"));
        operation.step = Some(Recorded::Newer(newer("warm_up")));
        operation.last_error = Some(Recorded::Newer(newer("too_hot")));
        let drift = Some((Recorded::Newer(newer("levitating")), moment()));
        let health = TownHealth { drift, ..TownHealth::default() };
        Ok(report(caller, id, health, Some(operation)))
    });
    towns.expect_start_town().times(1).returning(|_, _| {
        let kind = Recorded::Newer("hibernate".to_owned());
        Err(gastown_domain::ports::TownError::InFlight { kind })
    });
    let server = serve(parts(towns)).await;
    let id = json!({ "townId": ID });
    let (_, shown) = call(&server, Method::GET, "gastown.getTownStatus", ALICE, &id).await;
    let shown = &shown["result"]["data"];
    let operation = &shown["operation"];
    assert_eq!((&operation["kind"], &operation["step"]), (&json!("hibernate"), &json!("warm_up")));
    let message = "the operation failed; look at the town's events for the cause";
    assert_eq!(operation["lastError"], json!({ "code": "too_hot", "message": message }));
    let health = &shown["health"];
    assert_eq!((&health["drift"]["code"], &health["degraded"]), (&json!("levitating"), &json!(false)));

    let (status, refused) = call(&server, Method::POST, "gastown.startTown", ALICE, &id).await;
    let error = &refused["error"];
    assert_eq!(
        (status, &error["data"]["code"], &error["data"]["operation"]),
        (409, &json!("CONFLICT"), &json!("hibernate"))
    );
    assert_eq!(error["message"], "Another operation is in progress on this town: hibernate");
}

#[tokio::test]
async fn unconfirmed_drift_is_not_shown() {
    let mut towns = MockTowns::new();
    towns.expect_town_status().times(1).returning(|caller, id| {
        let suspicion = Some(AgreeingObservations { drift: Drift::VolumeLost, looks: 2 });
        let health = TownHealth { suspicion, ..TownHealth::default() };
        Ok(report(caller, id, health, None))
    });
    let server = serve(parts(towns)).await;
    let (_, envelope) = call(&server, Method::GET, "gastown.getTownStatus", ALICE, &json!({ "townId": ID })).await;
    let health = &envelope["result"]["data"]["health"];
    let silent = json!({"gtRunning": null, "doltRunning": null, "activePolecats": null, "diskUsedBytes": null});
    let want = json!({
        "failures": 0, "restarts": 0, "lastReportAt": null, "report": silent, "checkedAt": null, "degraded": false, "drift": null,
        "state": "unknown", "since": null, "reason": null, "image": null,
    });
    assert_eq!(health, &want);
}

#[tokio::test]
async fn destroyed_town_is_shown_with_its_removal() {
    let mut towns = MockTowns::new();
    towns.expect_destroy_town().withf(|_, request| request.wait_until_gone).times(1).returning(|caller, asked| {
        let mut town = town(caller, asked.town, request());
        (town.status, town.destroyed_at) = (TownStatus::Destroyed, Some(moment()));
        Ok(TownState { town, operation: Some(operation().into()) })
    });
    let server = serve(parts(towns)).await;
    let (status, got) =
        call(&server, Method::POST, "gastown.destroyTown", ALICE, &json!({ "townId": ID, "waitUntilGone": true }))
            .await;
    let data = &got["result"]["data"];
    assert_eq!((status, &data["townId"], &data["status"]), (200, &json!(ID), &json!("destroyed")));
    assert_eq!((&data["townName"], &data["operation"]["attempt"]), (&json!("mill"), &json!(2)));
}

#[tokio::test]
async fn provisioning_town_is_a_successful_answer() {
    let mut towns = MockTowns::new();
    towns.expect_create_town().times(1).returning(|caller, request| {
        let mut town = town(caller, ID.parse().unwrap(), request);
        town.status = TownStatus::Provisioning;
        Ok(TownState::idle(town))
    });
    let server = serve(parts(towns)).await;
    let (status, envelope) =
        call(&server, Method::POST, "gastown.createTown", ALICE, &json!({ "townName": "mill" })).await;
    let data: &Value = &envelope["result"]["data"];
    assert_eq!((status, &data["townId"], &data["status"]), (200, &json!(ID), &json!("provisioning")));
}
