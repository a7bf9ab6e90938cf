//! Books that balance, and every way in which they do not.

mod wrong;

use super::*;
use crate::chaos::ledger::{Removal, UNPUSHED};
use crate::chaos::rows::{OperationRow, RigRow, TownRow};
use crate::chaos::world::{Machine, Volume};

/// A running town with a rig, a stopped one, and one that is gone; all that happened is at its end.
struct Books {
    rows: Rows,
    world: World,
    told: Ledger,
}

impl Books {
    fn balanced() -> Self {
        let mut told = Ledger::default();
        told.created("key-1", "running");
        told.created("key-2", "gone");
        told.rig("running", "rig");
        told.destroy("gone", false);
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
        Self { rows, world: World { machines, volumes, deleted_volumes }, told }
    }

    fn found(&self) -> Vec<(Kind, String)> {
        account(&self.rows, &self.world, &self.told).into_iter().map(|found| (found.kind, found.what)).collect()
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

/// Whether this change of balanced books is noticed, as that and nothing else, and the ids are named.
#[track_caller]
fn noticed(change: impl FnOnce(&mut Books), as_what: &[Kind], ids: &[&str]) {
    let mut books = Books::balanced();
    change(&mut books);
    let found = books.found();
    let kinds: Vec<Kind> = found.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, as_what, "{found:?}");
    for id in ids {
        assert!(found.iter().all(|(_, what)| what.contains(id)), "{id}: {found:?}");
    }
}

#[test]
fn balanced_books_have_no_findings() {
    assert_eq!(Books::balanced().found(), []);
}

#[test]
fn an_accepted_operation_without_an_end_is_lost() {
    noticed(|books| drop(books.rows.events.remove(4)), &[Kind::Lost], &["stop op-2", "town stopped"]);
}

#[test]
fn an_operation_still_in_flight_is_stuck_and_not_lost() {
    let in_flight = |books: &mut Books| {
        books.rows.events.remove(4);
        books.rows.operations.push(operation("op-2", "stopped"));
        books.world.machines[1].state = "stopping".to_owned();
    };
    noticed(in_flight, &[Kind::Stuck], &["op-2", "stopped", "power_on", "throttled"]);
}

#[test]
fn a_town_that_was_answered_and_has_no_row_is_lost() {
    noticed(|books| books.told.created("key-3", "vanished"), &[Kind::Lost], &["vanished"]);
}

#[test]
fn a_rig_that_was_accepted_or_answered_is_kept_or_removed() {
    noticed(|books| books.rows.rigs.clear(), &[Kind::Lost], &["rig rig", "running"]);
    noticed(|books| books.told.rig("stopped", "other"), &[Kind::Lost], &["rig other", "stopped"]);
    let removed = |books: &mut Books| {
        books.rows.rigs.clear();
        books.rows.events.push(EventRow { rig: Some("rig".into()), ..event("running", None, "remove_rig", "done") });
    };
    // That the table says so is what a loss looks like too.
    noticed(removed, &[Kind::Lost], &["rig rig", "running"]);
    let asked_for = |books: &mut Books| {
        removed(books);
        books.told.removal("rig", Removal::Asked);
    };
    noticed(asked_for, &[], &[]);
}

#[test]
fn a_rig_that_its_sandbox_refused_is_not_kept() {
    let refused = |books: &mut Books| {
        books.rows.rigs.clear();
        books.rows.events.push(EventRow { rig: Some("rig".into()), ..event("running", None, "rig_refused", "done") });
    };
    noticed(refused, &[], &[]);
    let hopeless = |books: &mut Books| {
        let asked = EventRow { rig: Some("r2".into()), ..event("running", None, "add_rig", "accepted") };
        books.rows.events.push(EventRow { rig_name: Some(REFUSED_RIG.to_owned()), ..asked });
    };
    noticed(hopeless, &[], &[]);
}

#[test]
fn a_town_goes_only_where_somebody_asked_or_its_create_was_undone() {
    noticed(|books| books.told.destroys.clear(), &[Kind::Lost], &["gone", "nobody asked"]);
    let undone = |books: &mut Books| {
        books.told.destroys.clear();
        books.rows.events[6].outcome = "rolled_back".into();
    };
    noticed(undone, &[], &[]);
    let never_accepted = |books: &mut Books| books.rows.events.truncate(7);
    noticed(never_accepted, &[Kind::Lost], &["gone", "nobody asked"]);
}

#[test]
fn data_of_a_town_that_lives_is_never_deleted() {
    let replaced = |books: &mut Books| books.world.deleted_volumes.push(Volume { id: "v8".into(), ..volume("2", &[]) });
    noticed(replaced, &[Kind::Lost], &["v8", "stopped"]);
}

#[test]
fn what_no_row_names_is_an_orphan() {
    noticed(|books| books.world.machines.push(machine("9", "gone", "started")), &[Kind::Orphan], &["m9", "gone"]);
    noticed(|books| books.world.volumes.push(volume("9", &[])), &[Kind::Orphan], &["v9", "town_9"]);
    // The row knows a town of that machine, and not the machine.
    let forgotten = |books: &mut Books| books.rows.towns[0].machine = None;
    noticed(forgotten, &[Kind::Orphan, Kind::Wrong], &["running"]);
}

#[test]
fn two_machines_or_volumes_of_a_town_are_double() {
    let twins = |books: &mut Books| books.world.machines.push(machine("9", "running", "started"));
    noticed(twins, &[Kind::Orphan, Kind::Double], &["m9", "running"]);
    let twins = |books: &mut Books| {
        books.world.volumes.push(Volume { id: "v9".into(), ..volume("1", &[]) });
    };
    noticed(twins, &[Kind::Orphan, Kind::Double], &["v9", "town_1"]);
    // In apps of two users the same name is no double; it is an orphan all the same.
    let elsewhere = |books: &mut Books| {
        books.world.volumes.push(Volume { id: "v9".into(), app: "other".into(), ..volume("1", &[]) });
    };
    noticed(elsewhere, &[Kind::Orphan], &["v9"]);
}

#[test]
fn a_key_that_was_answered_with_two_towns_is_double() {
    noticed(|books| books.told.created("key-1", "stopped"), &[Kind::Double], &["key-1", "running", "stopped"]);
}

#[test]
fn an_operation_that_has_ended_twice_is_double() {
    let again = |books: &mut Books| books.rows.events.push(event("stopped", Some("op-2"), "stop", "done"));
    noticed(again, &[Kind::Double], &["op-2", "failed, done"]);
}

#[test]
fn a_rig_that_a_running_town_was_never_given_is_stuck() {
    noticed(|books| books.rows.rigs[0].status = "pending".into(), &[Kind::Stuck], &["rig rig", "pending"]);
    // A stopped town gets it at its next start.
    let waiting = |books: &mut Books| {
        books.rows.rigs.push(rig("r2", "stopped", "pending"));
    };
    noticed(waiting, &[], &[]);
}
