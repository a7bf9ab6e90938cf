//! Rows against the world, and answers against rows.

use super::*;

#[test]
fn a_status_unlike_the_world_is_wrong() {
    noticed(|books| books.world.machines[0].state = "stopped".into(), &[Kind::Wrong], &["running", "m1"]);
    noticed(|books| books.world.machines[0].serving = false, &[Kind::Wrong], &["running", "m1"]);
    noticed(|books| books.world.machines[1].state = "started".into(), &[Kind::Wrong], &["stopped", "m2"]);
    noticed(|books| drop(books.world.machines.remove(1)), &[Kind::Wrong], &["stopped", "m2"]);
    noticed(|books| drop(books.world.volumes.remove(1)), &[Kind::Wrong], &["stopped", "v2"]);
    noticed(|books| books.rows.towns[1].status = "provisioning".into(), &[Kind::Wrong], &["stopped"]);
    noticed(|books| books.rows.towns[2].volume = Some("v7".into()), &[Kind::Wrong], &["gone", "v7"]);
    noticed(|books| books.world.machines[1].volume = None, &[Kind::Wrong], &["stopped", "v2", "m2"]);
}

#[test]
fn a_town_that_was_removed_and_lives_is_wrong() {
    let lives = |books: &mut Books| books.rows.events.push(event("stopped", Some("op-9"), "destroy", "done"));
    noticed(lives, &[Kind::Wrong], &["stopped"]);
}

#[test]
fn a_rig_that_is_only_in_the_table_is_wrong() {
    noticed(|books| books.world.volumes[0].rigs.clear(), &[Kind::Wrong], &["rig rig", "App", "running"]);
}

#[test]
fn what_was_answered_to_be_removed_is_removed() {
    noticed(|books| books.told.destroy("stopped", true), &[Kind::Wrong], &["stopped", "lives"]);
    noticed(|books| books.told.destroy("stopped", false), &[], &[]);
    noticed(|books| books.told.removal("rig", Removal::Done), &[Kind::Wrong], &["rig rig", "active"]);
    noticed(|books| books.told.removal("rig", Removal::Pending), &[Kind::Wrong], &["rig rig", "active"]);
    let unpushed = |books: &mut Books| {
        books.told.removal("rig", Removal::Pending);
        books.rows.rigs[0].repository = format!("https://git.example.com{UNPUSHED}app.git");
    };
    noticed(unpushed, &[], &[]);
}

#[test]
fn what_a_row_names_is_the_towns_own() {
    noticed(|books| books.world.machines[1].town = "running".into(), &[Kind::Double, Kind::Wrong], &["running"]);
    noticed(|books| books.world.machines[1].town.clear(), &[Kind::Wrong], &["stopped", "m2"]);
    noticed(|books| books.world.machines[1].name = "town-other".into(), &[Kind::Wrong], &["stopped", "town-other"]);
    noticed(|books| books.world.volumes[1].name = "town_9".into(), &[Kind::Wrong], &["stopped", "v2", "town_9"]);
}

#[test]
fn a_user_has_one_app() {
    let moved = |books: &mut Books| {
        books.world.machines[1].app = "other".into();
        books.world.volumes[1].app = "other".into();
    };
    noticed(moved, &[Kind::Wrong], &["alice", "app", "other"]);
    noticed(|books| books.rows.towns[1].user = "bob".into(), &[Kind::Wrong], &["alice", "bob", "app"]);
    let torn = |books: &mut Books| books.world.volumes[1].app = "other".into();
    noticed(torn, &[Kind::Wrong, Kind::Wrong], &["app", "other"]);
}

#[test]
fn a_machine_that_went_by_itself_is_no_longer_named() {
    let gone = |books: &mut Books| {
        books.world.machines.remove(1);
        books.told.mischief.bereft.insert("stopped".into());
    };
    noticed(gone, &[Kind::Wrong], &["stopped", "m2"]);
    let known = |books: &mut Books| {
        gone(books);
        books.rows.towns[1].machine = None;
    };
    noticed(known, &[], &[]);
    // Nothing of that kind happened to this one.
    let forgotten = |books: &mut Books| {
        books.world.machines.remove(1);
        books.rows.towns[1].machine = None;
    };
    noticed(forgotten, &[Kind::Wrong], &["stopped"]);
}

#[test]
fn a_volume_that_was_lost_is_still_named_and_its_owner_told() {
    let lost = |books: &mut Books| {
        books.world.volumes.remove(1);
        books.told.mischief.volumes.insert("v2".into());
    };
    noticed(lost, &[Kind::Wrong], &["stopped", "v2"]);
    let told = |books: &mut Books| {
        lost(books);
        books.rows.towns[1].drift = Some("volume_lost".into());
    };
    noticed(told, &[], &[]);
    let blamed = |books: &mut Books| {
        told(books);
        books.told.mischief.volumes.clear();
    };
    noticed(blamed, &[Kind::Wrong], &["stopped", "v2"]);
}

#[test]
fn rows_drift_until_they_say_what_is_so() {
    let mut books = Books::balanced();
    let drifts = |books: &Books| is_drifting(&books.rows, &books.world, &books.told);
    assert!(!drifts(&books));
    books.world.machines[0].state = "stopped".into();
    assert!(drifts(&books));
    books.rows.operations.push(operation("op", "running"));
    assert!(!drifts(&books), "its driver will see");
}
