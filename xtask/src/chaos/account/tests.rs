//! A consistent state, and every kind of finding.

mod wrong;

use super::*;
use crate::chaos::ledger::{Removal, UNPUSHED};
use crate::chaos::rows::{OperationRow, RigRow, TownRow};
use crate::chaos::world::{Machine, Volume};

/// A running town with a rig, a stopped one, and one that is gone. All operations have ended.
struct State {
    rows: Rows,
    world: World,
    ledger: Ledger,
}

impl State {
    fn consistent() -> Self {
        let mut ledger = Ledger::default();
        ledger.created("key-1", "running");
        ledger.created("key-2", "gone");
        ledger.rig("running", "rig");
        ledger.destroy("gone", false);
        let events = [
            event("running", Some("op-1"), "create", "accepted"),
            event("running", Some("op-1"), "create", "done"),
            EventRow { rig: Some("rig".into()), ..event("running", None, "add_rig", "accepted") },
            event("stopped", Some("op-2"), "stop", "accepted"),
            event("stopped", Some("op-2"), "stop", "failed"),
            event("gone", Some("op-3"), "create", "accepted"),
            event("gone", Some("op-3"), "create", "preempted"),
            event("gone", Some("op-4"), "destroy", "accepted"),
            event("gone", Some("op-4"), "destroy", "done"),
        ];
        let rigs = vec![rig("rig", "running", "active")];
        let towns = vec![town("running", Some("1")), town("stopped", Some("2")), town("gone", None)];
        let rows = Rows { towns, operations: Vec::new(), rigs, events: events.into() };
        let machines = vec![machine("1", "running", "started"), machine("2", "stopped", "stopped")];
        let volumes = vec![volume("1", &["app"]), volume("2", &[])];
        let deleted_volumes = vec![volume("3", &["app"]), Volume { has_data: false, ..volume("1", &[]) }];
        Self { rows, world: World { machines, volumes, deleted_volumes }, ledger }
    }

    fn found(&self) -> Vec<(Kind, String)> {
        account(&self.rows, &self.world, &self.ledger).into_iter().map(|found| (found.kind, found.what)).collect()
    }
}

fn town(id: &str, number: Option<&str>) -> TownRow {
    TownRow {
        id: id.to_owned(),
        user: "alice".to_owned(),
        name: "mill".to_owned(),
        status: if number.is_none() { "destroyed" } else { id }.to_owned(),
        machine: number.map(|number| format!("m{number}")),
        volume: number.map(|number| format!("v{number}")),
        gone: number.is_none(),
        drift: None,
        machine_name: format!("town-{id}"),
        volume_name: format!("town_{}", number.unwrap_or_default()),
    }
}

fn rig(id: &str, town: &str, status: &str) -> RigRow {
    let (name, repository) = ("App".to_owned(), "https://git.example.com/team/app.git".to_owned());
    RigRow { id: id.to_owned(), town: town.to_owned(), name, repository, status: status.to_owned() }
}

fn machine(number: &str, town: &str, state: &str) -> Machine {
    Machine {
        id: format!("m{number}"),
        app: "app".to_owned(),
        name: format!("town-{town}"),
        town: town.to_owned(),
        state: state.to_owned(),
        volume: Some(format!("v{number}")),
        serving: state == "started",
    }
}

fn volume(number: &str, rigs: &[&str]) -> Volume {
    Volume {
        id: format!("v{number}"),
        app: "app".to_owned(),
        name: format!("town_{number}"),
        rigs: rigs.iter().map(|rig| (*rig).to_owned()).collect(),
        has_data: true,
    }
}

fn event(town: &str, operation: Option<&str>, action: &str, outcome: &str) -> EventRow {
    EventRow {
        town: town.to_owned(),
        operation: operation.map(str::to_owned),
        action: action.to_owned(),
        outcome: outcome.to_owned(),
        error: None,
        rig: None,
        rig_name: None,
        at: 0.0,
    }
}

fn operation(id: &str, town: &str) -> OperationRow {
    OperationRow {
        id: id.to_owned(),
        town: town.to_owned(),
        kind: "start".to_owned(),
        step: Some("power_on".to_owned()),
        last_error: Some("throttled".to_owned()),
        owner: None,
    }
}

/// Asserts that a change of the consistent state gives findings of these kinds only, and that each names the ids.
#[track_caller]
fn assert_findings(change: impl FnOnce(&mut State), as_what: &[Kind], ids: &[&str]) {
    let mut state = State::consistent();
    change(&mut state);
    let found = state.found();
    let kinds: Vec<Kind> = found.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, as_what, "{found:?}");
    for id in ids {
        assert!(found.iter().all(|(_, what)| what.contains(id)), "{id}: {found:?}");
    }
}

#[test]
fn a_consistent_state_has_no_findings() {
    assert_eq!(State::consistent().found(), []);
}

#[test]
fn an_accepted_operation_without_an_end_is_lost() {
    assert_findings(|state| drop(state.rows.events.remove(4)), &[Kind::Lost], &["stop op-2", "town stopped"]);
}

#[test]
fn an_operation_still_in_flight_is_stuck_and_not_lost() {
    let in_flight = |state: &mut State| {
        state.rows.events.remove(4);
        state.rows.operations.push(operation("op-2", "stopped"));
        state.world.machines[1].state = "stopping".to_owned();
    };
    assert_findings(in_flight, &[Kind::Stuck], &["op-2", "stopped", "power_on", "throttled"]);
}

#[test]
fn a_town_that_was_answered_and_has_no_row_is_lost() {
    assert_findings(|state| state.ledger.created("key-3", "vanished"), &[Kind::Lost], &["vanished"]);
}

#[test]
fn a_rig_that_was_accepted_or_answered_is_kept_or_removed() {
    assert_findings(|state| state.rows.rigs.clear(), &[Kind::Lost], &["rig rig", "running"]);
    assert_findings(|state| state.ledger.rig("stopped", "other"), &[Kind::Lost], &["rig other", "stopped"]);
    let removed = |state: &mut State| {
        state.rows.rigs.clear();
        state.rows.events.push(EventRow { rig: Some("rig".into()), ..event("running", None, "remove_rig", "done") });
    };
    // A removal by mistake leaves this event too.
    assert_findings(removed, &[Kind::Lost], &["rig rig", "running"]);
    let requested = |state: &mut State| {
        removed(state);
        state.ledger.removal("rig", Removal::Requested);
    };
    assert_findings(requested, &[], &[]);
}

#[test]
fn a_rig_that_its_sandbox_refused_is_not_kept() {
    let refused = |state: &mut State| {
        state.rows.rigs.clear();
        state.rows.events.push(EventRow { rig: Some("rig".into()), ..event("running", None, "rig_refused", "done") });
    };
    assert_findings(refused, &[], &[]);
    let hopeless = |state: &mut State| {
        let asked = EventRow { rig: Some("r2".into()), ..event("running", None, "add_rig", "accepted") };
        state.rows.events.push(EventRow { rig_name: Some(REFUSED_RIG.to_owned()), ..asked });
    };
    assert_findings(hopeless, &[], &[]);
}

#[test]
fn a_town_is_gone_only_after_a_request_or_a_rollback() {
    assert_findings(|state| state.ledger.destroys.clear(), &[Kind::Lost], &["gone", "not requested"]);
    let undone = |state: &mut State| {
        state.ledger.destroys.clear();
        state.rows.events[6].outcome = "rolled_back".into();
    };
    assert_findings(undone, &[], &[]);
    let never_accepted = |state: &mut State| state.rows.events.truncate(7);
    assert_findings(never_accepted, &[Kind::Lost], &["gone", "not requested"]);
}

#[test]
fn data_of_an_existing_town_is_never_deleted() {
    let replaced = |state: &mut State| state.world.deleted_volumes.push(Volume { id: "v8".into(), ..volume("2", &[]) });
    assert_findings(replaced, &[Kind::Lost], &["v8", "stopped"]);
}

#[test]
fn a_resource_that_no_row_names_is_an_orphan() {
    assert_findings(
        |state| state.world.machines.push(machine("9", "gone", "started")),
        &[Kind::Orphan],
        &["m9", "gone"],
    );
    assert_findings(|state| state.world.volumes.push(volume("9", &[])), &[Kind::Orphan], &["v9", "town_9"]);
    // The town of the machine has a row that does not name the machine.
    let forgotten = |state: &mut State| state.rows.towns[0].machine = None;
    assert_findings(forgotten, &[Kind::Orphan, Kind::Wrong], &["running"]);
}

#[test]
fn two_machines_or_volumes_of_a_town_are_double() {
    let twins = |state: &mut State| state.world.machines.push(machine("9", "running", "started"));
    assert_findings(twins, &[Kind::Orphan, Kind::Double], &["m9", "running"]);
    let twins = |state: &mut State| {
        state.world.volumes.push(Volume { id: "v9".into(), ..volume("1", &[]) });
    };
    assert_findings(twins, &[Kind::Orphan, Kind::Double], &["v9", "town_1"]);
    // The same name in the apps of two users is no double, but still an orphan.
    let elsewhere = |state: &mut State| {
        state.world.volumes.push(Volume { id: "v9".into(), app: "other".into(), ..volume("1", &[]) });
    };
    assert_findings(elsewhere, &[Kind::Orphan], &["v9"]);
}

#[test]
fn a_key_that_was_answered_with_two_towns_is_double() {
    assert_findings(
        |state| state.ledger.created("key-1", "stopped"),
        &[Kind::Double],
        &["key-1", "running", "stopped"],
    );
}

#[test]
fn an_operation_that_has_ended_twice_is_double() {
    let again = |state: &mut State| state.rows.events.push(event("stopped", Some("op-2"), "stop", "done"));
    assert_findings(again, &[Kind::Double], &["op-2", "failed, done"]);
}

#[test]
fn a_pending_rig_of_a_running_town_is_stuck() {
    assert_findings(|state| state.rows.rigs[0].status = "pending".into(), &[Kind::Stuck], &["rig rig", "pending"]);
    // A stopped town gets its rigs at its next start.
    let waiting = |state: &mut State| {
        state.rows.rigs.push(rig("r2", "stopped", "pending"));
    };
    assert_findings(waiting, &[], &[]);
}
