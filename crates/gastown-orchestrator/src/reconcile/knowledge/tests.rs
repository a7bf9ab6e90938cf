use std::fmt::Write as _;

use gastown_domain::UnconfirmedCreate;
use gastown_domain::ports::ObservedMachine;

use super::*;
use crate::reconcile::samples::{every_outcome, now, region, town};

fn sighted(power: Power) -> Knowledge {
    let (machine, volume): (gastown_domain::MachineId, gastown_domain::VolumeId) =
        ("machine".parse().unwrap(), "volume".parse().unwrap());
    Knowledge {
        machine: present(ObservedMachine { id: machine, power, volume: Some(volume.clone()) }),
        volume: present(LocatedVolume { id: volume, region: Some(region()), state: VolumeState::Ready }),
        seen_at: Instant::now(),
    }
}

fn shown(knowledge: &Knowledge) -> String {
    let machine = match &knowledge.machine {
        Known::Stale => "stale".to_owned(),
        Known::Deleted => "deleted".to_owned(),
        Known::Answered(Seen::Present(machine)) => format!("{:?}", machine.power).to_lowercase(),
        Known::Answered(seen) => format!("{seen:?}").to_lowercase(),
    };
    let volume = match &knowledge.volume {
        Known::Stale => "stale".to_owned(),
        Known::Deleted => "deleted".to_owned(),
        Known::Answered(Seen::Present(_)) => "there".to_owned(),
        Known::Answered(seen) => format!("{seen:?}").to_lowercase(),
    };
    format!("{machine}, {volume}")
}

/// Returns the progress with this number of unconfirmed creates of each resource.
fn sent(creates: u8) -> Progress {
    let create = (0..creates).fold(UnconfirmedCreate::default(), |create, _| create.sent(3, now()));
    Progress { unconfirmed_volume: create, unconfirmed_machine: create, ..Progress::default() }
}

#[test]
fn knowledge_after_each_outcome_matches_the_reviewed_table() {
    let mut table = format!("{:<24}", "machine, volume after");
    for kind in [OperationKind::Create, OperationKind::Destroy] {
        for creates in [0, 1, 2] {
            for before in ["nothing known", "both known"] {
                write!(table, " | {:<20}", format!("{} {creates}, {before}", &kind.as_str()[..1])).unwrap();
            }
        }
    }
    // `c` is a create and `d` a destroy, with this number of unconfirmed creates.
    table.truncate(table.trim_end().len());
    table.push('\n');
    for (name, outcome) in every_outcome() {
        write!(table, "{name:<24}").unwrap();
        for kind in [OperationKind::Create, OperationKind::Destroy] {
            for creates in [0, 1, 2] {
                for before in [Knowledge::stale(Instant::now()), sighted(Power::Changing)] {
                    let after = before.clone().after(&outcome, kind, &sent(creates), before.seen_at);
                    write!(table, " | {:<20}", shown(&after)).unwrap();
                }
            }
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[test]
fn an_idle_town_is_known_by_its_row() {
    let of = |town: &Town, kind| shown(&Knowledge::of_idle_town(town, kind, Instant::now()));
    let known = |status| of(&town(status), OperationKind::Stop);
    assert_eq!(known(TownStatus::Running), "on, there");
    assert_eq!(known(TownStatus::Stopped), "off, there");
    assert_eq!(known(TownStatus::Provisioning), "stale, stale");
    assert_eq!(known(TownStatus::Destroyed), "stale, stale");
    let without_volume = Town { volume_id: None, ..town(TownStatus::Running) };
    assert_eq!(of(&without_volume, OperationKind::Stop), "stale, stale");
    assert_eq!(of(&town(TownStatus::Running), OperationKind::Destroy), "stale, stale", "it looks at the machine");
}

#[test]
fn an_absence_lasts_only_while_no_create_is_unconfirmed() {
    for (creates, machine) in [(0, "absent"), (1, "stale")] {
        let at = Instant::now();
        let of = (&town(TownStatus::Running), OperationKind::Stop);
        let after = sighted(Power::On).after_look(of, Some(&Seen::Absent), None, &sent(creates), at);
        assert_eq!(shown(&after), format!("{machine}, there"));
    }
}

#[test]
fn a_machine_shows_the_recorded_volume_that_it_mounts_to_a_removal() {
    let at = Instant::now();
    for (kind, mounts, volume) in [
        (OperationKind::Destroy, "volume", "there"),
        (OperationKind::Destroy, "moved", "stale"),
        (OperationKind::Stop, "volume", "stale"),
    ] {
        let (id, mounts) = ("machine".parse().unwrap(), Some(mounts.parse().unwrap()));
        let machine = Seen::Present(ObservedMachine { id, power: Power::On, volume: mounts });
        let of = (&town(TownStatus::Running), kind);
        let after = Knowledge::stale(at).after_look(of, Some(&machine), None, &sent(0), at);
        assert_eq!(shown(&after), format!("on, {volume}"), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sighting_expires_while_the_sandbox_does_not_answer() {
    let before = sighted(Power::On);
    let after = |at| before.clone().after(&Outcome::SandboxNotReady, OperationKind::Create, &sent(0), at);
    assert_eq!(shown(&after(before.seen_at)), "on, there");
    assert_eq!(shown(&after(before.seen_at + SIGHTING_VALID)), "stale, stale");
}
