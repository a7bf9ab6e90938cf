//! Which resources are orphans, and when they are deleted.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::{Action, DestroyTown, OrphanEnd, Towns as _, WorkerId};
use gastown_domain::{OrphanReason, ResourceId, TownId};
use gastown_orchestrator::{OrphanReport, OrphanSweeper, Policy, Settings};
use tokio::time::sleep;

use super::{
    EVERY, add_orphan, add_orphans, deletions_sent, found, orphan_records, pass, pass_by, pass_grace_period,
    restore_row, sweeper, towns, unknown_town,
};
use crate::bench::{Bench, alice, request, settings};
use crate::faults::{Call, Fault, Process};

fn settings_with(change: impl FnOnce(&mut Policy)) -> Arc<Settings> {
    let mut settings = settings();
    settings.policy = settings.policy.changed(change).unwrap();
    settings.into()
}

async fn destroyed(bench: &Bench, name: &str) -> TownId {
    let town = bench.running(name).await.id;
    bench.replica().towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap();
    bench.recover().await;
    town
}

#[tokio::test(start_paused = true)]
async fn resource_with_a_row_is_no_orphan() {
    let bench = Bench::new();
    bench.running("mill").await;
    bench.stopped("forge").await;
    destroyed(&bench, "barn").await;
    assert_eq!(pass(&bench).await, found(4, 0));
    assert_eq!(orphan_records(&bench), []);
}

#[tokio::test(start_paused = true)]
async fn resource_of_unknown_or_destroyed_town_is_deleted_after_grace_period() {
    for reason in [OrphanReason::NoTown, OrphanReason::TownDestroyed] {
        let bench = Bench::new();
        let kept = bench.running("mill").await;
        let town = match reason {
            OrphanReason::TownDestroyed => destroyed(&bench, "barn").await,
            _ => unknown_town(0),
        };
        let (machine, volume) = add_orphan(&mut bench.fly.world(), town);
        let (machine, volume) = (ResourceId::Machine(machine), ResourceId::Volume(volume));
        let before = deletions_sent(&bench);

        pass_grace_period(&bench).await;
        let noted: Vec<_> = orphan_records(&bench).into_iter().map(|entry| (entry.resource, entry.reason)).collect();
        assert_eq!(noted, [(machine.clone(), reason.into()), (volume.clone(), reason.into())]);
        assert_eq!(deletions_sent(&bench), before);

        // The machine is deleted before its volume, and each record is closed only once its resource is proven gone.
        let report = pass(&bench).await;
        assert_eq!(report, OrphanReport { deleted: 1, ..found(4, 2) }, "{reason:?}");
        assert_eq!(orphan_records(&bench).len(), 2, "{reason:?}");
        if reason == OrphanReason::NoTown {
            // The volume holds data, and the registry may have lost the row, so it is kept for another day.
            assert_eq!(pass(&bench).await, OrphanReport { closed: 1, ..found(3, 1) });
            tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
            assert_eq!(pass(&bench).await, OrphanReport { deleted: 1, ..found(3, 1) });
        } else {
            assert_eq!(pass(&bench).await, OrphanReport { deleted: 1, closed: 1, ..found(3, 1) });
        }
        assert_eq!(pass(&bench).await, OrphanReport { closed: 1, ..found(2, 0) }, "{reason:?}");
        let records = &bench.store.rows().records;
        let by_sweeper = |thing: &ResourceId| (thing.clone(), "orphan sweeper".to_owned());
        assert_eq!(records.deletions, [by_sweeper(&machine), by_sweeper(&volume)], "{reason:?}");
        assert_eq!(records.closed, [(machine, OrphanEnd::Gone), (volume, OrphanEnd::Gone)], "{reason:?}");
        let world = bench.fly.world();
        assert_eq!((world.machines_of(kept.id).len(), world.volumes_of(kept.id).len()), (1, 1));
        assert_eq!((world.machines_of(town).len(), world.volumes_of(town).len()), (0, 0), "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn second_machine_or_volume_of_living_town_is_reported_and_kept() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    add_orphan(&mut bench.fly.world(), town.id);
    for _ in 0..20 {
        assert_eq!(pass(&bench).await, found(4, 2));
    }
    let reasons: Vec<_> = orphan_records(&bench).into_iter().map(|entry| (entry.reason, entry.times_seen)).collect();
    assert_eq!(reasons, [(OrphanReason::Second.into(), 20), (OrphanReason::Second.into(), 20)]);
}

#[tokio::test(start_paused = true)]
async fn resources_of_operations_in_flight_are_no_orphans() {
    for action in [Action::CreateVolume, Action::CreateMachine, Action::StopMachine] {
        let bench = Bench::new();
        bench.fly.schedule().next(Call::Fly(action), 1, Fault::CrashAfter);
        let (replica, alice) = (bench.replica(), alice());
        let create_and_stop = async {
            let town = replica.towns.create_town(&alice, request("mill")).await.unwrap();
            replica.towns.stop_town(&alice, town.town.id).await
        };
        assert!(replica.unless_crashed(create_and_stop).await.is_none());

        let report = pass(&bench).await;

        assert!(report.seen > 0, "{action}");
        assert_eq!((report.orphans, orphan_records(&bench)), (0, vec![]), "{action}");
    }
    let bench = Bench::new();
    bench.running("mill").await;
    bench.fly.world().deletes_are_ignored = true;
    bench.replica().towns.destroy_town(&alice(), DestroyTown::until_gone(bench.only_town())).await.unwrap();
    assert_eq!(pass(&bench).await, found(2, 0), "a tombstone that is still being removed");
}

#[tokio::test(start_paused = true)]
async fn volume_is_not_deleted_while_a_machine_holds_it() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    bench.add_tombstone(unknown_town(0));
    let volume = bench.fly.world().add_volume(unknown_town(0), &"iad".parse().unwrap()).id;
    bench.fly.world().volume(&volume).unwrap().held_by = town.machine_id;
    for _ in 0..10 {
        assert_eq!(pass(&bench).await, found(3, 1));
    }

    // A machine that no list of ours shows also protects the volume.
    let (foreign, _) = add_orphan(&mut bench.fly.world(), unknown_town(1));
    {
        let mut world = bench.fly.world();
        world.volumes.pop();
        let machine = world.machine(&foreign).unwrap();
        machine.name.replace_range(.., "other-machine");
        machine.metadata.clear();
        world.volume(&volume).unwrap().held_by = Some(foreign.clone());
    }
    for _ in 0..3 {
        assert_eq!(pass(&bench).await, found(3, 1));
    }
    assert_eq!(deletions_sent(&bench), (0, 0));

    // A volume that Fly reports as bound to a deleted machine is deleted if Fly accepts it.
    bench.fly.world().volume(&volume).unwrap().held_by = Some("long_gone".parse().unwrap());
    assert_eq!(pass(&bench).await, found(3, 1));
    assert_eq!(deletions_sent(&bench), (0, 1));
    bench.fly.world().volume(&volume).unwrap().held_by = None;
    assert_eq!(pass(&bench).await.deleted, 1);
}

#[tokio::test(start_paused = true)]
async fn row_restored_within_grace_period_keeps_its_resources() {
    let bench = Bench::new();
    let like = bench.running("mill").await;
    let (machine, volume) = add_orphan(&mut bench.fly.world(), unknown_town(0));
    pass_grace_period(&bench).await;

    restore_row(&bench, &like, unknown_town(0), &machine, &volume);
    assert_eq!(pass(&bench).await, OrphanReport { closed: 2, ..found(4, 0) });
    let ends: Vec<_> = bench.store.rows().records.closed.iter().map(|(_, end)| *end).collect();
    assert_eq!(ends, [OrphanEnd::AccountedFor, OrphanEnd::AccountedFor]);

    // The row is gone once more. The grace period begins again.
    bench.store.rows().towns.remove(&unknown_town(0));
    pass_grace_period(&bench).await;
    assert_eq!(pass(&bench).await.deleted, 1);
}

/// The registry is read again between the list and the deletion.
#[tokio::test(start_paused = true)]
async fn row_restored_during_the_pass_keeps_its_resources() {
    let bench = Bench::new();
    let like = bench.running("mill").await;
    let (machine, volume) = add_orphan(&mut bench.fly.world(), unknown_town(0));
    pass_grace_period(&bench).await;
    sleep(EVERY).await;
    let reads_before = bench.fly.count(Action::ReadMachine);
    let restored = async {
        while bench.fly.count(Action::ReadMachine) == reads_before {
            sleep(Duration::from_millis(1)).await;
        }
        restore_row(&bench, &like, unknown_town(0), &machine, &volume);
    };

    let sweeper = sweeper(&bench);
    let (report, ()) = tokio::join!(sweeper.pass(), restored);

    assert_eq!(report.unwrap(), Some(found(4, 2)), "reported and not deleted");
    assert_eq!(deletions_sent(&bench), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_pass_deletes_at_most_ten() {
    let bench = Bench::new();
    towns(&bench, 24).await;
    add_orphans(&bench, 12);
    pass_grace_period(&bench).await;
    let mut deleted = Vec::new();
    for _ in 0..4 {
        deleted.push(pass(&bench).await.deleted);
    }
    assert_eq!(deleted, [10, 10, 4, 0]);
    assert_eq!(pass(&bench).await.orphans, 0);
    assert_eq!((bench.fly.world().machines_of(unknown_town(0)).len(), orphan_records(&bench).len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn sweeper_only_reports_when_deletion_is_disabled() {
    let bench = Bench::new();
    add_orphans(&bench, 1);
    let settings = settings_with(|policy| policy.orphans.delete = false);
    let sweeper = OrphanSweeper::new(bench.ports(&Process::default()), settings, WorkerId("sweeper".to_owned()));
    for _ in 0..10 {
        assert_eq!(pass_by(&sweeper).await, found(2, 2));
    }
    assert_eq!((orphan_records(&bench).len(), deletions_sent(&bench)), (2, (0, 0)));
}
