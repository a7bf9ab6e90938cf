//! Tests of the rows that follow from what Fly shows.

use gastown_domain::TownTag;
use gastown_fly::{machine_name, tag_of_volume_name, volume_name};
use uuid::Uuid;

use super::*;

fn town(number: u128) -> TownId {
    TownId::new(Uuid::from_u128(number << 64))
}

fn machine(number: u128, owner: &str, name: &str) -> MachineDetails {
    let id = town(number);
    let sandbox = SandboxId::derive(&owner.parse().unwrap(), &name.parse().unwrap());
    let metadata = [(OWNER, owner), (NAME, name), (SANDBOX_ID, sandbox.as_str())];
    MachineDetails {
        id: format!("machine{number}").parse().unwrap(),
        name: machine_name(id),
        town: Some(id),
        power: Power::On,
        region: Some("iad".parse().unwrap()),
        image: None,
        metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        volume: Some(format!("vol_{number}").parse().unwrap()),
        sealed_for: None,
        town_key_id: None,
        created_at: Some("2026-11-23T08:50:00Z".parse().unwrap()),
    }
}

fn volume(number: u128) -> VolumeDetails {
    let name = volume_name(town(number));
    VolumeDetails {
        id: format!("vol_{number}").parse().unwrap(),
        tag: tag_of_volume_name(&name),
        name,
        region: Some("iad".parse().unwrap()),
        held_by: None,
        destroying: false,
        created_at: Some("2026-11-23T08:49:00Z".parse().unwrap()),
    }
}

fn view(machines: Vec<MachineDetails>, volumes: Vec<VolumeDetails>) -> FlyView {
    FlyView { machines, volumes, apps: 1, ..FlyView::default() }
}

fn planned(view: &FlyView) -> Plan {
    plan(view, &BTreeMap::new(), &BTreeMap::new())
}

/// Returns the plan of one machine with its volume, after a change of the machine.
fn changed(change: impl Fn(&mut MachineDetails)) -> Plan {
    let mut machine = machine(1, "alice", "mill");
    change(&mut machine);
    planned(&view(vec![machine], vec![volume(1)]))
}

fn reasons(plan: &Plan) -> String {
    plan.left_out.iter().map(|left| format!("{}: {}", left.resource, left.reason)).collect::<Vec<_>>().join("\n")
}

#[test]
fn machine_and_volume_make_a_row() {
    let plan = changed(|_| {});
    let [Proposal { town: row, rigs: None, notes }] = plan.proposals.as_slice() else { panic!("{plan:?}") };
    assert_eq!((row.id, row.owner.as_str(), row.name.as_str()), (town(1), "alice", "mill"));
    assert_eq!((row.sandbox_id.as_str(), row.status), ("YWxpY2U6bWlsbA", TownStatus::Running));
    assert_eq!(
        (row.machine_id.as_ref().unwrap().as_str(), row.volume_id.as_ref().unwrap().as_str()),
        ("machine1", "vol_1")
    );
    assert_eq!((row.created_at.to_rfc3339(), notes.len()), ("2026-11-23T08:49:00+00:00".to_owned(), 0));
    assert_eq!(plan.left_out, []);
}

#[test]
fn name_comes_from_metadata_sandbox_id_or_operator() {
    let without_name = |machine: &mut MachineDetails| drop(machine.metadata.remove(NAME));
    assert_eq!(changed(without_name).proposals[0].town.name.as_str(), "mill");
    // The sandbox id of a long name is a hash.
    let long = "a-town-with-a-name-that-is-too-long-for-a-plain-sandbox-id";
    let mut hashed = machine(1, "alice", long);
    hashed.metadata.remove(NAME);
    let view = view(vec![hashed], vec![volume(1)]);
    let unnamed = planned(&view);
    assert!(
        unnamed.proposals.is_empty()
            && reasons(&unnamed).contains("add --name 00000000-0000-0001-0000-000000000000=NAME"),
        "{unnamed:?}"
    );
    let given = |name: &str| plan(&view, &[(town(1), name.parse().unwrap())].into(), &BTreeMap::new());
    assert_eq!(given(long).proposals[0].town.name.as_str(), long);
    assert!(reasons(&given("mill")).contains("correct --name"));
    // Without --name there is nothing to correct.
    let other = changed(|machine| drop(machine.metadata.insert(NAME.to_owned(), "inn".to_owned())));
    let expected = format!("not derived from the name inn. Add --name {}=NAME", town(1));
    assert!(reasons(&other).contains(&expected) && !reasons(&other).contains("correct --name"), "{other:?}");
}

#[test]
fn power_decides_the_status() {
    for (power, status, notes) in [
        (Power::On, TownStatus::Running, 0),
        (Power::Starting, TownStatus::Running, 0),
        (Power::Off, TownStatus::Stopped, 0),
        (Power::Stopping, TownStatus::Stopped, 0),
        (Power::Failed, TownStatus::Stopped, 1),
        (Power::Changing, TownStatus::Stopped, 1),
    ] {
        let plan = changed(|machine| machine.power = power);
        assert_eq!((plan.proposals[0].town.status, plan.proposals[0].notes.len()), (status, notes), "{power:?}");
    }
    assert!(reasons(&changed(|machine| machine.power = Power::Destroying)).contains("is being destroyed"));
}

#[test]
fn unclear_resources_are_left_out_with_a_reason() {
    for (plan, reason) in [
        (changed(|machine| drop(machine.metadata.remove(OWNER))), "names no owner"),
        (changed(|machine| machine.town = None), "name different towns"),
        (changed(|machine| drop(machine.metadata.insert(OWNER.to_owned(), "a b".to_owned()))), "is not valid"),
        (
            planned(&view(vec![machine(1, "alice", "mill"), machine(1, "alice", "mill")], vec![])),
            "several machines name town 00000000-0000-0001-0000-000000000000: ",
        ),
        (planned(&view(vec![], vec![volume(1)])), "a volume does not name its owner"),
        (
            planned(&view(vec![machine(1, "alice", "mill"), machine(2, "alice", "mill")], vec![volume(1), volume(2)])),
            "several towns of alice have the name mill",
        ),
    ] {
        assert!(plan.proposals.is_empty(), "{reason}: {plan:?}");
        assert!(reasons(&plan).contains(reason), "{reason}: {}", reasons(&plan));
    }
}

#[test]
fn volume_without_a_mount_is_found_by_its_name() {
    let unmounted = |machine: &mut MachineDetails| machine.volume = None;
    assert_eq!(changed(unmounted).proposals[0].town.volume_id.as_ref().unwrap().as_str(), "vol_1");
    let mut first = machine(1, "alice", "mill");
    first.volume = None;
    let second = VolumeDetails { id: "vol_9".parse().unwrap(), ..volume(1) };
    let several = planned(&view(vec![first.clone()], vec![volume(1), second]));
    assert!(reasons(&several).contains("several volumes"), "{several:?}");
    let none = planned(&view(vec![first], vec![]));
    assert_eq!(
        (&none.proposals[0].town.volume_id, none.proposals[0].notes.as_slice()),
        (&None, &["no volume was found".to_owned()][..])
    );
    assert!(matches!(volume(1).tag, Some(TownTag::Range { .. })));
}

/// Returns a volume without our name.
fn foreign(id: &str) -> VolumeDetails {
    VolumeDetails { id: id.parse().unwrap(), name: "data".to_owned(), tag: None, ..volume(1) }
}

#[test]
fn mount_decides_the_volume() {
    let destroying = VolumeDetails { destroying: true, ..volume(1) };
    let named_differently = format!("the name of its volume is data and not {}", volume_name(town(1)));
    let of_other = format!("the name of its volume is {} and not {}", volume_name(town(2)), volume_name(town(1)));
    let lost = "its volume is not at Fly: the drift detection may report volume_lost".to_owned();
    for (volumes, note) in [
        (vec![volume(1)], None),
        (vec![foreign("vol_1")], Some(named_differently)),
        (vec![VolumeDetails { id: "vol_1".parse().unwrap(), ..volume(2) }], Some(of_other)),
        // One of the derived name that the machine does not mount is not taken.
        (vec![VolumeDetails { id: "vol_9".parse().unwrap(), ..volume(1) }], Some(lost)),
        (vec![destroying], Some("its volume is being destroyed".to_owned())),
    ] {
        let plan = planned(&view(vec![machine(1, "alice", "mill")], volumes));
        let [Proposal { town: row, notes, .. }] = plan.proposals.as_slice() else { panic!("{plan:?}") };
        assert_eq!((row.volume_id.as_ref().unwrap().as_str(), notes.first()), ("vol_1", note.as_ref()));
        assert_eq!(plan.other_volumes, 0, "{plan:?}");
    }
}

#[test]
fn volume_belongs_to_one_machine() {
    let unmounted = MachineDetails { volume: None, ..machine(1, "alice", "mill") };
    let mounting = MachineDetails { volume: Some("vol_1".parse().unwrap()), ..machine(2, "bob", "inn") };
    let plan = planned(&view(vec![unmounted, mounting.clone()], vec![volume(1)]));
    let volumes: Vec<_> = plan.proposals.iter().map(|proposal| proposal.town.volume_id.is_some()).collect();
    assert_eq!(volumes, [false, true], "{plan:?}");
    let both = planned(&view(vec![machine(1, "alice", "mill"), mounting], vec![volume(1)]));
    assert!(both.proposals.is_empty() && reasons(&both).contains("machine machine2 mounts its volume vol_1 too"));
}

#[test]
fn several_machines_are_described_and_the_right_one_is_named() {
    let second = MachineDetails {
        id: "machine9".parse().unwrap(),
        name: "copy".to_owned(),
        power: Power::Off,
        volume: Some("vol_9".parse().unwrap()),
        ..machine(1, "alice", "mill")
    };
    let machines = vec![machine(1, "alice", "mill"), second];
    let clear = planned(&view(machines.clone(), vec![volume(1), foreign("vol_9")]));
    let (town, name) = (town(1), machine_name(town(1)));
    let described = format!(
        "machines machine1, machine9: several machines name town {town}: \
         machine1 ({name}, started, mounts vol_1, town name mill, user alice); \
         machine9 (copy, stopped, mounts vol_9, town name mill, user alice): "
    );
    let expected = format!(
        "{described}keep machine1, which has the derived name and mounts the volume of the town, and delete the others at \
         Fly first\nvolume vol_1: machine machine1 mounts it, and is left out\n\
         volume vol_9: machine machine9 mounts it, and is left out"
    );
    assert_eq!(reasons(&clear), expected);
    let without_volume = planned(&view(machines, vec![]));
    let expected = format!(
        "{described}compare them at Fly and delete the wrong ones first. Not exactly one has the derived name {name} and \
         mounts the volume of the town"
    );
    assert_eq!(reasons(&without_volume), expected);
    assert_eq!((clear.towns_left_out(), clear.other_volumes), (1, 0));
}

#[test]
fn resources_of_others_are_counted() {
    let seen =
        FlyView { other_machines: 2, ..view(vec![machine(1, "alice", "mill")], vec![volume(1), foreign("vol_8")]) };
    let plan = planned(&seen);
    assert_eq!((plan.other_machines, plan.other_volumes, plan.left_out.len()), (2, 1, 0));
    let text = crate::commands::adopt::render::table(&plan);
    assert!(text.contains("Not of this service, not shown: 2 machines, 1 volumes."), "{text}");
}

#[test]
fn towns_with_a_row_are_only_counted() {
    let row = changed(|_| {}).proposals.remove(0).town;
    let known = |row: &Town| BTreeMap::from([(row.id, row.clone())]);
    // Even a second machine is a matter of `gastown orphans`.
    let second = MachineDetails { id: "machine9".parse().unwrap(), ..machine(1, "alice", "mill") };
    let seen = view(vec![machine(1, "alice", "mill"), second], vec![volume(1)]);
    let nothing = plan(&seen, &BTreeMap::new(), &known(&row));
    assert_eq!((nothing.known, nothing.proposals.len(), nothing.left_out.len()), (1, 0, 0), "{nothing:?}");
    // A living row keeps its name.
    let seen = view(vec![machine(1, "alice", "mill"), machine(2, "alice", "mill")], vec![volume(1), volume(2)]);
    let taken = plan(&seen, &BTreeMap::new(), &known(&row));
    assert!(reasons(&taken).contains("several towns of alice have the name mill"), "{taken:?}");
    let tombstone = Town { status: TownStatus::Destroyed, ..row };
    assert_eq!(plan(&seen, &BTreeMap::new(), &known(&tombstone)).proposals.len(), 1);
}

#[test]
fn left_out_towns_count_as_towns_without_a_row() {
    let mut plan = changed(|_| {});
    plan.leave_out(|_| Some("user alice is not there".to_owned()));
    let expected =
        format!("town {}: user alice is not there (name mill, user alice, machine machine1, volume vol_1)", town(1));
    assert_eq!(reasons(&plan), expected);
    let text = crate::commands::adopt::render::table(&plan);
    assert!(text.contains("Towns without a row: 1. Left out of these: 1. Towns with a row: 0."), "{text}");
}

#[test]
fn rigs_of_running_towns_are_asked_for_before_they_are_final() {
    for (power, rigs, is_warned) in
        [(Power::On, None, true), (Power::On, Some(vec![]), false), (Power::Off, None, false)]
    {
        let mut plan = changed(|machine| machine.power = power);
        plan.proposals[0].rigs = rigs;
        assert_eq!(crate::commands::adopt::render::missing_rigs(&plan).is_some(), is_warned, "{plan:?}");
    }
}
