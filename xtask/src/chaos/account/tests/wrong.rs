//! Rows compared with Fly, and answers compared with rows.

use super::*;

#[test]
fn a_status_that_differs_from_fly_is_wrong() {
    assert_findings(|state| state.world.machines[0].state = "stopped".into(), &[Kind::Wrong], &["running", "m1"]);
    assert_findings(|state| state.world.machines[0].serving = false, &[Kind::Wrong], &["running", "m1"]);
    assert_findings(|state| state.world.machines[1].state = "started".into(), &[Kind::Wrong], &["stopped", "m2"]);
    assert_findings(|state| drop(state.world.machines.remove(1)), &[Kind::Wrong], &["stopped", "m2"]);
    assert_findings(|state| drop(state.world.volumes.remove(1)), &[Kind::Wrong], &["stopped", "v2"]);
    assert_findings(|state| state.rows.towns[1].status = "provisioning".into(), &[Kind::Wrong], &["stopped"]);
    assert_findings(|state| state.rows.towns[2].volume = Some("v7".into()), &[Kind::Wrong], &["gone", "v7"]);
    assert_findings(|state| state.world.machines[1].volume = None, &[Kind::Wrong], &["stopped", "v2", "m2"]);
}

#[test]
fn a_town_that_exists_after_its_removal_is_wrong() {
    let lives = |state: &mut State| state.rows.events.push(event("stopped", Some("op-9"), "destroy", "done"));
    assert_findings(lives, &[Kind::Wrong], &["stopped"]);
}

#[test]
fn a_rig_that_is_only_in_the_table_is_wrong() {
    assert_findings(|state| state.world.volumes[0].rigs.clear(), &[Kind::Wrong], &["rig rig", "App", "running"]);
}

#[test]
fn a_removal_that_was_answered_is_complete() {
    assert_findings(|state| state.ledger.destroy("stopped", true), &[Kind::Wrong], &["stopped", "still exists"]);
    assert_findings(|state| state.ledger.destroy("stopped", false), &[], &[]);
    assert_findings(|state| state.ledger.removal("rig", Removal::Done), &[Kind::Wrong], &["rig rig", "active"]);
    assert_findings(|state| state.ledger.removal("rig", Removal::Pending), &[Kind::Wrong], &["rig rig", "active"]);
    let unpushed = |state: &mut State| {
        state.ledger.removal("rig", Removal::Pending);
        state.rows.rigs[0].repository = format!("https://git.example.com{UNPUSHED}app.git");
    };
    assert_findings(unpushed, &[], &[]);
}

#[test]
fn a_row_names_only_resources_of_its_town() {
    assert_findings(
        |state| state.world.machines[1].town = "running".into(),
        &[Kind::Double, Kind::Wrong],
        &["running"],
    );
    assert_findings(|state| state.world.machines[1].town.clear(), &[Kind::Wrong], &["stopped", "m2"]);
    assert_findings(
        |state| state.world.machines[1].name = "town-other".into(),
        &[Kind::Wrong],
        &["stopped", "town-other"],
    );
    assert_findings(
        |state| state.world.volumes[1].name = "town_9".into(),
        &[Kind::Wrong],
        &["stopped", "v2", "town_9"],
    );
}

#[test]
fn a_user_has_one_app() {
    let moved = |state: &mut State| {
        state.world.machines[1].app = "other".into();
        state.world.volumes[1].app = "other".into();
    };
    assert_findings(moved, &[Kind::Wrong], &["alice", "app", "other"]);
    assert_findings(|state| state.rows.towns[1].user = "bob".into(), &[Kind::Wrong], &["alice", "bob", "app"]);
    let torn = |state: &mut State| state.world.volumes[1].app = "other".into();
    assert_findings(torn, &[Kind::Wrong, Kind::Wrong], &["app", "other"]);
}

#[test]
fn a_machine_destroyed_from_outside_is_no_longer_named() {
    let gone = |state: &mut State| {
        state.world.machines.remove(1);
        state.ledger.external.towns_without_machine.insert("stopped".into());
    };
    assert_findings(gone, &[Kind::Wrong], &["stopped", "m2"]);
    let known = |state: &mut State| {
        gone(state);
        state.rows.towns[1].machine = None;
    };
    assert_findings(known, &[], &[]);
    // This machine was not destroyed from outside.
    let forgotten = |state: &mut State| {
        state.world.machines.remove(1);
        state.rows.towns[1].machine = None;
    };
    assert_findings(forgotten, &[Kind::Wrong], &["stopped"]);
}

#[test]
fn a_lost_volume_is_still_named_and_reported_to_its_owner() {
    let lost = |state: &mut State| {
        state.world.volumes.remove(1);
        state.ledger.external.volumes.insert("v2".into());
    };
    assert_findings(lost, &[Kind::Wrong], &["stopped", "v2"]);
    let reported = |state: &mut State| {
        lost(state);
        state.rows.towns[1].drift = Some("volume_lost".into());
    };
    assert_findings(reported, &[], &[]);
    let unexplained = |state: &mut State| {
        reported(state);
        state.ledger.external.volumes.clear();
    };
    assert_findings(unexplained, &[Kind::Wrong], &["stopped", "v2"]);
}

#[test]
fn rows_drift_until_they_agree_with_fly() {
    let mut state = State::consistent();
    let drifts = |state: &State| is_drifting(&state.rows, &state.world, &state.ledger);
    assert!(!drifts(&state));
    state.world.machines[0].state = "stopped".into();
    assert!(drifts(&state));
    state.rows.operations.push(operation("op", "running"));
    assert!(!drifts(&state), "the operation in flight will correct it");
}
