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
        tag: tag_of_volume_name(&name).unwrap(),
        name,
        region: Some("iad".parse().unwrap()),
        held_by: None,
        destroying: false,
        created_at: Some("2026-11-23T08:49:00Z".parse().unwrap()),
    }
}

fn view(machines: Vec<MachineDetails>, volumes: Vec<VolumeDetails>) -> FlyView {
    FlyView { machines, volumes, apps: 1, unreadable: 0 }
}

/// Returns the plan of one machine with its volume, after a change of the machine.
fn changed(change: impl Fn(&mut MachineDetails)) -> Plan {
    let mut machine = machine(1, "alice", "mill");
    change(&mut machine);
    plan(&view(vec![machine], vec![volume(1)]), &BTreeMap::new())
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
    let unnamed = plan(&view, &BTreeMap::new());
    assert!(unnamed.proposals.is_empty() && reasons(&unnamed).contains("add --name ID=NAME"), "{unnamed:?}");
    let given = |name: &str| plan(&view, &[(town(1), name.parse().unwrap())].into());
    assert_eq!(given(long).proposals[0].town.name.as_str(), long);
    assert!(reasons(&given("mill")).contains("correct --name"));
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
            plan(&view(vec![machine(1, "alice", "mill"), machine(1, "alice", "mill")], vec![]), &BTreeMap::new()),
            "several machines name this town",
        ),
        (plan(&view(vec![], vec![volume(1)]), &BTreeMap::new()), "a volume does not name its owner"),
        (
            plan(
                &view(vec![machine(1, "alice", "mill"), machine(2, "alice", "mill")], vec![volume(1), volume(2)]),
                &BTreeMap::new(),
            ),
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
    let several = plan(&view(vec![first.clone()], vec![volume(1), second]), &BTreeMap::new());
    assert!(reasons(&several).contains("several volumes"), "{several:?}");
    let none = plan(&view(vec![first], vec![]), &BTreeMap::new());
    assert_eq!(
        (&none.proposals[0].town.volume_id, none.proposals[0].notes.as_slice()),
        (&None, &["no volume was found"][..])
    );
    assert!(matches!(volume(1).tag, TownTag::Range { .. }));
}
