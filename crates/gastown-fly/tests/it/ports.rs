//! The ports, answer by answer: adoption, proofs of absence, repeated calls.

use std::time::Duration;

use gastown_domain::{
    Power,
    ports::{Awaited, Deletion, Machines, ProviderError, Volumes},
};
use gastown_fly::api::Action;
use serde_json::{Value, json};

use crate::{
    script::{Fault, Script},
    world::{
        MACHINE_NAME, OTHER_TOWN, TOWN, VOLUME_NAME, app, machine_id, machine_spec, shared, the_app, town, volume_id,
        volume_spec,
    },
};

const TAKEN: &str = "already_exists: unique machine name violation, machine ID 148ed21a031189 already exists with name \
                     \"town-0190a1b2c3d47e5f8a9b0c1d2e3f4a5b\"";

fn machine(state: &str) -> Value {
    json!({
        "id": "148ed21a031189", "name": MACHINE_NAME, "state": state, "instance_id": "01HXYZ", "region": "iad",
        "config": { "image": "x", "metadata": { "gastown_town_id": TOWN }, "mounts": [{ "volume": "vol_9vlzpe8gk7zwx3x4", "path": "/home/gt/data" }],
                    "services": [{ "internal_port": 8080, "autostop": false }] },
        "host_status": "ok", "created_at": "2026-11-23T13:45:00Z", "updated_at": "0001-01-01T00:00:00Z", "events": null, "checks": null,
    })
}

fn tagged(mut machine: Value, town: &str) -> Value {
    machine["config"]["metadata"]["gastown_town_id"] = json!(town);
    machine
}

fn volume(id: &str, name: &str, state: &str) -> Value {
    json!({ "id": id, "name": name, "state": state, "region": "iad", "size_gb": 50, "encrypted": true, "attached_machine_id": null })
}

#[tokio::test]
async fn a_taken_name_that_is_the_towns_own_is_adopted() {
    let (fly, script) = Script::new()
        .on_error(Action::CreateMachine, 409, TAKEN)
        .on_json(Action::GetMachine, &machine("started"))
        .fly(shared());
    let adopted = fly.create_machine(&machine_spec()).await.unwrap();
    assert_eq!((adopted.id, adopted.power), (machine_id(), Power::On));
    assert_eq!(adopted.volume, Some(volume_id()));
    script.played();
}

#[tokio::test]
async fn a_taken_name_is_retried_while_its_holder_is_being_destroyed() {
    let (fly, _) = Script::new()
        .on_error(Action::CreateMachine, 409, TAKEN)
        .on_json(Action::GetMachine, &machine("destroying"))
        .fly(shared());
    let error = fly.create_machine(&machine_spec()).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotNow { .. }), "{error:?}");

    let (fly, _) = Script::new()
        .on_error(Action::CreateMachine, 409, "already_exists: unique machine name violation")
        .on_json(Action::ListMachines, &json!([machine("destroying")]))
        .on_json(Action::ListMachines, &json!([]))
        .fly(shared());
    let error = fly.create_machine(&machine_spec()).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotNow { .. }), "{error:?}");
}

#[tokio::test]
async fn a_machine_of_another_owner_is_not_adopted() {
    for foreign in [tagged(machine("started"), OTHER_TOWN), {
        let mut untagged = machine("started");
        untagged["config"]["metadata"] = json!({});
        untagged
    }] {
        let (fly, _) = Script::new()
            .on_error(Action::CreateMachine, 409, TAKEN)
            .on_json(Action::GetMachine, &foreign)
            .fly(shared());
        let error = fly.create_machine(&machine_spec()).await.unwrap_err();
        assert!(matches!(error, ProviderError::NameTaken { ref by, .. } if *by == machine_id()), "{error:?}");
    }
}

#[tokio::test]
async fn a_holder_with_unknown_tags_is_neither_adopted_nor_reported() {
    for (field, partial) in [
        ("config", json!(null)),
        ("config", json!({ "image": "x" })),
        ("incomplete_config", json!({ "image": "x" })),
        ("incomplete_config", json!({ "metadata": { "gastown_user_id": "u" } })),
    ] {
        let mut away = machine("started");
        away["config"] = json!(null);
        away["host_status"] = json!("unreachable");
        away[field] = partial;
        let (fly, _) =
            Script::new().on_error(Action::CreateMachine, 409, TAKEN).on_json(Action::GetMachine, &away).fly(shared());
        let error = fly.create_machine(&machine_spec()).await.unwrap_err();
        assert!(matches!(error, ProviderError::NotNow { .. }), "{away} {error:?}");
    }
}

#[tokio::test]
async fn the_tag_is_read_from_the_incomplete_configuration() {
    let mut away = machine("started");
    away["incomplete_config"] = away["config"].take();
    away["host_status"] = json!("unreachable");
    let (fly, _) =
        Script::new().on_error(Action::CreateMachine, 409, TAKEN).on_json(Action::GetMachine, &away).fly(shared());
    let adopted = fly.create_machine(&machine_spec()).await.unwrap();
    assert_eq!((adopted.power, adopted.volume), (Power::Changing, Some(volume_id())));
}

#[tokio::test]
async fn a_lost_create_is_unknown_and_not_repeated() {
    for fault in [Fault::Lost, Fault::NotSent] {
        let (fly, script) = Script::new().on_fault(Action::CreateMachine, fault).fly(shared());
        let error = fly.create_machine(&machine_spec()).await.unwrap_err();
        assert_eq!(error.may_be_applied(), matches!(fault, Fault::Lost), "{error:?}");
        script.played();
    }
    let (fly, _) = Script::new().on(Action::CreateVolume, 200, "<html>").fly(shared());
    assert!(fly.create_volume(&volume_spec()).await.unwrap_err().may_be_applied());
}

#[tokio::test]
async fn a_404_is_an_absence_only_while_the_app_answers() {
    let missing = || Script::new().on_error(Action::GetMachine, 404, "machine not found");
    let (fly, script) = missing().on_json(Action::GetApp, &the_app()).fly(shared());
    assert_eq!(fly.machine(&app(), &machine_id()).await.unwrap(), None);
    script.played();

    let (fly, _) = missing().on_error(Action::GetApp, 404, "app not found").fly(shared());
    let error = fly.machine(&app(), &machine_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Misconfigured { .. }), "{error:?}");

    let (fly, _) = missing().on_error(Action::GetApp, 401, "token validation error").fly(shared());
    let error = fly.machine(&app(), &machine_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Misconfigured { .. }), "{error:?}");

    let (fly, _) = missing().on(Action::GetApp, 503, "").fly(shared());
    let error = fly.machine(&app(), &machine_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown { .. }), "{error:?}");

    let (fly, _) = Script::new().on(Action::GetMachine, 404, "404 page not found").fly(shared());
    let error = fly.machine(&app(), &machine_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Misconfigured { .. }), "{error:?}");
}

#[tokio::test]
async fn a_volume_is_absent_only_when_two_different_reads_agree() {
    let missing = || Script::new().on_error(Action::GetVolume, 404, "volume not found");
    let other = volume("vol_other", VOLUME_NAME, "created");
    let deleted = volume(volume_id().as_str(), "x", "pending_destroy");
    for listed in [json!([]), json!([other]), json!([deleted])] {
        let (fly, script) = missing().on_json(Action::ListVolumes, &listed).fly(shared());
        assert_eq!(fly.volume(&app(), &volume_id()).await.unwrap(), None, "{listed}");
        script.played();
    }
    let alive = json!([other, volume(volume_id().as_str(), "x", "created")]);
    let (fly, _) = missing().on_json(Action::ListVolumes, &alive).fly(shared());
    let error = fly.volume(&app(), &volume_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown { .. }), "{error:?}");

    for (status, text, want) in
        [(404, "app not found", "Misconfigured"), (403, "unauthorized", "Misconfigured"), (503, "", "Unknown")]
    {
        let (fly, _) = missing().on_error(Action::ListVolumes, status, text).fly(shared());
        let error = fly.volume(&app(), &volume_id()).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(want), "{status}: {error:?}");
    }
    let (fly, _) = Script::new().on_json(Action::GetVolume, &deleted).fly(shared());
    assert_eq!(fly.volume(&app(), &volume_id()).await.unwrap(), None);
}

#[tokio::test]
async fn an_answer_about_another_object_is_unknown() {
    let mut other = machine("destroyed");
    other["id"] = json!("9080e6f3");
    let (fly, _) = Script::new().on_json(Action::GetMachine, &other).fly(shared());
    let error = fly.machine(&app(), &machine_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown { .. }), "{error:?}");
    let (fly, _) = Script::new().on_json(Action::GetVolume, &volume("vol_other", "x", "created")).fly(shared());
    let error = fly.volume(&app(), &volume_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown { .. }), "{error:?}");
}

#[tokio::test]
async fn a_destroyed_machine_is_absent_and_a_destroying_one_is_not() {
    let (fly, _) = Script::new().on_json(Action::GetMachine, &machine("destroyed")).fly(shared());
    assert_eq!(fly.machine(&app(), &machine_id()).await.unwrap(), None);
    let (fly, _) = Script::new().on_json(Action::GetMachine, &machine("destroying")).fly(shared());
    let seen = fly.machine(&app(), &machine_id()).await.unwrap().unwrap();
    assert_eq!(seen.power, Power::Destroying);
}

#[tokio::test]
async fn machines_of_a_town_are_found_by_tag_and_by_name() {
    let by_tag = json!([machine("started"), { "id": "stray", "state": "started" }, {
        "id": "foreign", "state": "started", "config": { "metadata": { "gastown_town_id": OTHER_TOWN } }
    }]);
    let by_name = json!([
        { "id": "148ed21a031189", "name": MACHINE_NAME, "state": "started" },
        { "id": "away", "name": MACHINE_NAME, "state": "started" },
        { "id": "impostor", "name": MACHINE_NAME, "state": "stopped" },
        { "id": "gone", "name": MACHINE_NAME, "state": "destroyed" },
        { "id": "neighbour", "name": "town-x", "state": "started" },
    ]);
    let mut impostor = tagged(machine("stopped"), OTHER_TOWN);
    impostor["id"] = json!("impostor");
    let mut gone = machine("destroyed");
    gone["id"] = json!("gone");
    let (fly, script) = Script::new()
        .on_json(Action::ListMachines, &by_tag)
        .on_json(Action::ListMachines, &by_name)
        .on_json(Action::GetMachine, &json!({ "id": "away", "state": "started", "host_status": "unreachable" }))
        .on_json(Action::GetMachine, &impostor)
        .on_json(Action::GetMachine, &gone)
        .fly(shared());
    let found = fly.machines_of(&app(), town()).await.unwrap();
    let found: Vec<(&str, Power)> = found.iter().map(|seen| (seen.id.as_str(), seen.power)).collect();
    assert_eq!(found, [("148ed21a031189", Power::On), ("away", Power::Changing)]);
    script.played();
}

#[tokio::test]
async fn volumes_of_a_town_are_found_by_name_unless_deleted() {
    let name = VOLUME_NAME;
    let list = json!([
        volume("vol_1", name, "created"),
        volume("vol_2", name, "pending_destroy"),
        volume("vol_3", name, "waiting_for_detach"),
        volume("vol_4", "town_other", "created"),
    ]);
    let (fly, _) = Script::new().on_json(Action::ListVolumes, &list).fly(shared());
    let found = fly.volumes_of(&app(), town()).await.unwrap();
    let found: Vec<(&str, bool)> = found.iter().map(|seen| (seen.id.as_str(), seen.destroying)).collect();
    assert_eq!(found, [("vol_1", false), ("vol_3", true)]);
}

#[tokio::test]
async fn start_and_stop_succeed_when_the_machine_is_already_there() {
    let refused = "failed_precondition: unable to start machine from current state: 'started'";
    let (fly, _) = Script::new()
        .on_error(Action::StartMachine, 412, refused)
        .on_json(Action::GetMachine, &machine("started"))
        .fly(shared());
    fly.start_machine(&app(), &machine_id()).await.unwrap();

    let refused = "failed_precondition: unable to stop machine from current state: 'stopped'";
    let (fly, _) = Script::new()
        .on_error(Action::StopMachine, 412, refused)
        .on_json(Action::GetMachine, &machine("stopped"))
        .fly(shared());
    fly.stop_machine(&app(), &machine_id()).await.unwrap();
}

#[tokio::test]
async fn a_start_in_the_wrong_state_is_not_now() {
    for (text, state) in [
        ("failed_precondition: machine still active, refusing to start", "stopped"),
        ("failed_precondition: machine getting replaced, refusing to start", "replacing"),
    ] {
        let (fly, _) = Script::new()
            .on_error(Action::StartMachine, 412, text)
            .on_json(Action::GetMachine, &machine(state))
            .fly(shared());
        let error = fly.start_machine(&app(), &machine_id()).await.unwrap_err();
        assert!(matches!(error, ProviderError::NotNow { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn start_and_update_report_a_missing_machine() {
    let (fly, _) = Script::new()
        .on_error(Action::StartMachine, 404, "machine not found")
        .on_json(Action::GetApp, &the_app())
        .fly(shared());
    let error = fly.start_machine(&app(), &machine_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::MachineMissing { .. }), "{error:?}");

    let (fly, _) = Script::new().on_json(Action::GetMachine, &machine("destroyed")).fly(shared());
    let error = fly.update_machine(&machine_id(), &machine_spec()).await.unwrap_err();
    assert!(matches!(error, ProviderError::MachineMissing { .. }), "{error:?}");
}

#[tokio::test]
async fn stop_reports_a_missing_machine() {
    let gone = || Script::new().on_error(Action::StopMachine, 404, "machine not found");
    let (fly, _) = gone().on_json(Action::GetApp, &the_app()).fly(shared());
    let error = fly.stop_machine(&app(), &machine_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::MachineMissing { .. }), "{error:?}");

    let refused = "failed_precondition: unable to stop machine from current state: 'destroyed'";
    let (fly, _) = Script::new()
        .on_error(Action::StopMachine, 412, refused)
        .on_json(Action::GetMachine, &machine("destroyed"))
        .fly(shared());
    let error = fly.stop_machine(&app(), &machine_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::MachineMissing { .. }), "{error:?}");

    // The app is gone or hidden, not the machine.
    for (status, text) in [(404, "app not found"), (403, "unauthorized"), (401, "token validation error")] {
        let (fly, _) = gone().on_error(Action::GetApp, status, text).fly(shared());
        let error = fly.stop_machine(&app(), &machine_id()).await.unwrap_err();
        assert!(matches!(error, ProviderError::Misconfigured { .. }), "{status}: {error:?}");
    }
    let (fly, script) = Script::new().on(Action::StopMachine, 503, "").fly(shared());
    let error = fly.stop_machine(&app(), &machine_id()).await.unwrap_err();
    assert!(error.may_be_applied(), "{error:?}");
    script.played();
}

#[tokio::test]
async fn an_unknown_conflict_is_not_now_and_makes_no_further_call() {
    for status in [409, 412] {
        let new = "aborted: something new";
        let (fly, script) = Script::new()
            .on_error(Action::CreateMachine, status, new)
            .on_error(Action::StartMachine, status, new)
            .on_error(Action::StopMachine, status, new)
            .on_error(Action::DestroyMachine, status, new)
            .on_error(Action::DestroyVolume, status, new)
            .fly(shared());
        for error in [
            fly.create_machine(&machine_spec()).await.map(drop).unwrap_err(),
            fly.start_machine(&app(), &machine_id()).await.unwrap_err(),
            fly.stop_machine(&app(), &machine_id()).await.unwrap_err(),
            fly.delete_machine(&app(), &machine_id()).await.unwrap_err(),
            fly.delete_volume(&app(), &volume_id()).await.unwrap_err(),
        ] {
            assert!(matches!(error, ProviderError::NotNow { .. }), "{status}: {error:?}");
        }
        script.played();
    }
}

#[tokio::test]
async fn delete_succeeds_when_the_resource_is_gone_and_fails_when_the_volume_is_attached() {
    let (fly, _) = Script::new()
        .on_error(Action::DestroyMachine, 404, "machine not found")
        .on_json(Action::GetApp, &the_app())
        .fly(shared());
    assert_eq!(fly.delete_machine(&app(), &machine_id()).await.unwrap(), Deletion::AlreadyAbsent);

    let (fly, _) = Script::new()
        .on_error(Action::DestroyVolume, 404, "volume not found")
        .on_json(Action::GetApp, &the_app())
        .fly(shared());
    assert_eq!(fly.delete_volume(&app(), &volume_id()).await.unwrap(), Deletion::AlreadyAbsent);

    let bound = "failed_precondition: volume is currently bound to machine: 148ed21a031189";
    let (fly, _) = Script::new().on_error(Action::DestroyVolume, 412, bound).fly(shared());
    let error = fly.delete_volume(&app(), &volume_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::VolumeBound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_wait_returns_whether_the_state_was_reached() {
    let timeout = Duration::from_secs(5);
    let not_yet = "deadline_exceeded: machine failed to reach desired state, started, currently starting";
    let (fly, _) = Script::new().on_error(Action::WaitMachine, 408, not_yet).fly(shared());
    assert!(!fly.await_machine(&app(), &machine_id(), Awaited::Started, timeout).await.unwrap());

    let (fly, script) = Script::new()
        .on_json(Action::GetMachine, &machine("stopping"))
        .on_json(Action::WaitMachine, &json!({ "ok": true }))
        .fly(shared());
    assert!(fly.await_machine(&app(), &machine_id(), Awaited::Stopped, timeout).await.unwrap());
    assert!(script.played().contains("wait?state=stopped&timeout=5&instance_id=01HXYZ"));
}

#[tokio::test]
async fn a_wait_is_one_call_except_for_a_stopped_machine() {
    let timeout = Duration::from_secs(5);
    for awaited in [Awaited::Started, Awaited::Destroyed] {
        let (fly, script) = Script::new().on_json(Action::WaitMachine, &json!({ "ok": true })).fly(shared());
        assert!(fly.await_machine(&app(), &machine_id(), awaited, timeout).await.unwrap(), "{awaited:?}");
        script.played();
    }
    // Its version is read for the wait, and shows that it is stopped.
    let (fly, script) = Script::new().on_json(Action::GetMachine, &machine("stopped")).fly(shared());
    assert!(fly.await_machine(&app(), &machine_id(), Awaited::Stopped, timeout).await.unwrap());
    script.played();
}

#[tokio::test]
async fn a_wait_for_destruction_succeeds_when_the_machine_is_gone() {
    let (fly, _) = Script::new()
        .on_error(Action::WaitMachine, 404, "machine not found")
        .on_json(Action::GetApp, &the_app())
        .fly(shared());
    assert!(fly.await_machine(&app(), &machine_id(), Awaited::Destroyed, Duration::from_secs(5)).await.unwrap());

    let (fly, _) = Script::new()
        .on_error(Action::WaitMachine, 404, "machine not found")
        .on_json(Action::GetApp, &the_app())
        .fly(shared());
    let error = fly.await_machine(&app(), &machine_id(), Awaited::Started, Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, ProviderError::MachineMissing { .. }), "{error:?}");
}
