//! What is an orphan, and when it goes.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::{Action, OrphanEnd, Towns as _, WorkerId};
use gastown_domain::{OrphanReason, ResourceId, TownId};
use gastown_orchestrator::{OrphanReport, OrphanSweeper, Policy, Settings};
use tokio::time::sleep;

use super::{
    EVERY, asked, book, bring_back, nobody, pass, pass_by, passes_of_grace, seen, stray, strays, sweeper, towns,
};
use crate::bench::{Bench, alice, request, settings};
use crate::faults::{Call, Fault, Process};

fn settings_with(change: impl FnOnce(&mut Policy)) -> Arc<Settings> {
    let mut settings = settings();
    change(&mut settings.policy);
    settings.into()
}

async fn destroyed(bench: &Bench, name: &str) -> TownId {
    let town = bench.running(name).await.id;
    bench.replica().towns.destroy_town(&alice(), town).await.unwrap();
    bench.recover().await;
    town
}

#[tokio::test(start_paused = true)]
async fn what_a_row_accounts_for_is_no_orphan() {
    let bench = Bench::new();
    bench.running("mill").await;
    bench.stopped("forge").await;
    destroyed(&bench, "barn").await;
    assert_eq!(pass(&bench).await, seen(4, 0));
    assert_eq!(book(&bench), []);
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_no_town_or_a_destroyed_one_is_reported_and_deleted_after_grace() {
    for reason in [OrphanReason::NoTown, OrphanReason::TownDestroyed] {
        let bench = Bench::new();
        let kept = bench.running("mill").await;
        let town = match reason {
            OrphanReason::TownDestroyed => destroyed(&bench, "barn").await,
            _ => nobody(0),
        };
        let (machine, volume) = stray(&mut bench.fly.world(), town);
        let (machine, volume) = (ResourceId::Machine(machine), ResourceId::Volume(volume));
        let before = asked(&bench);

        passes_of_grace(&bench).await;
        let noted: Vec<_> = book(&bench).into_iter().map(|entry| (entry.resource, entry.reason)).collect();
        assert_eq!(noted, [(machine.clone(), reason), (volume.clone(), reason)]);
        assert_eq!(asked(&bench), before);

        // The machine goes before its volume, and each leaves the book only when it is proven gone.
        let report = pass(&bench).await;
        assert_eq!(report, OrphanReport { deleted: 1, ..seen(4, 2) }, "{reason:?}");
        assert_eq!(book(&bench).len(), 2, "{reason:?}");
        if reason == OrphanReason::NoTown {
            // It holds data, and the registry may be the one that forgot: a day more.
            assert_eq!(pass(&bench).await, OrphanReport { closed: 1, ..seen(3, 1) });
            tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
            assert_eq!(pass(&bench).await, OrphanReport { deleted: 1, ..seen(3, 1) });
        } else {
            assert_eq!(pass(&bench).await, OrphanReport { deleted: 1, closed: 1, ..seen(3, 1) });
        }
        assert_eq!(pass(&bench).await, OrphanReport { closed: 1, ..seen(2, 0) }, "{reason:?}");
        let books = &bench.store.rows().books;
        let by_sweeper = |thing: &ResourceId| (thing.clone(), "orphan sweeper".to_owned());
        assert_eq!(books.deletions, [by_sweeper(&machine), by_sweeper(&volume)], "{reason:?}");
        assert_eq!(books.closed, [(machine, OrphanEnd::Gone), (volume, OrphanEnd::Gone)], "{reason:?}");
        let world = bench.fly.world();
        assert_eq!((world.machines_of(kept.id).len(), world.volumes_of(kept.id).len()), (1, 1));
        assert_eq!((world.machines_of(town).len(), world.volumes_of(town).len()), (0, 0), "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_machine_or_volume_of_a_living_town_is_reported_and_left_alone() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    stray(&mut bench.fly.world(), town.id);
    for _ in 0..20 {
        assert_eq!(pass(&bench).await, seen(4, 2));
    }
    let reasons: Vec<_> = book(&bench).iter().map(|entry| (entry.reason, entry.times_seen)).collect();
    assert_eq!(reasons, [(OrphanReason::Second, 20), (OrphanReason::Second, 20)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_made_or_removed_is_its_drivers() {
    for action in [Action::CreateVolume, Action::CreateMachine, Action::StopMachine] {
        let bench = Bench::new();
        bench.fly.schedule().next(Call::Fly(action), 1, Fault::CrashAfter);
        let (replica, alice) = (bench.replica(), alice());
        let life = async {
            let town = replica.towns.create_town(&alice, request("mill")).await.unwrap();
            replica.towns.stop_town(&alice, town.id).await
        };
        assert!(replica.survives(life).await.is_none());

        let report = pass(&bench).await;

        assert!(report.seen > 0, "{action}");
        assert_eq!((report.orphans, book(&bench)), (0, vec![]), "{action}");
    }
    let bench = Bench::new();
    bench.running("mill").await;
    bench.fly.world().deletes_are_ignored = true;
    bench.replica().towns.destroy_town(&alice(), bench.only_town()).await.unwrap();
    assert_eq!(pass(&bench).await, seen(2, 0), "a tombstone that is still being removed");
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_not_deleted_while_a_machine_has_it() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    bench.bury(nobody(0));
    let volume = bench.fly.world().add_volume(nobody(0), &"iad".parse().unwrap()).id;
    bench.fly.world().volume(&volume).unwrap().held_by = town.machine_id;
    for _ in 0..10 {
        assert_eq!(pass(&bench).await, seen(3, 1));
    }

    // Nor under one that no list of ours shows.
    let (foreign, _) = stray(&mut bench.fly.world(), nobody(1));
    {
        let mut world = bench.fly.world();
        world.volumes.pop();
        let machine = world.machine(&foreign).unwrap();
        machine.name.replace_range(.., "somebody-elses");
        machine.metadata.clear();
        world.volume(&volume).unwrap().held_by = Some(foreign.clone());
    }
    for _ in 0..3 {
        assert_eq!(pass(&bench).await, seen(3, 1));
    }
    assert_eq!(asked(&bench), (0, 0));

    // What Fly still calls bound to a machine that is gone is for Fly to refuse, or not.
    bench.fly.world().volume(&volume).unwrap().held_by = Some("long_gone".parse().unwrap());
    assert_eq!(pass(&bench).await, seen(3, 1));
    assert_eq!(asked(&bench), (0, 1));
    bench.fly.world().volume(&volume).unwrap().held_by = None;
    assert_eq!(pass(&bench).await.deleted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_comes_back_in_time_keeps_what_it_names() {
    let bench = Bench::new();
    let like = bench.running("mill").await;
    let (machine, volume) = stray(&mut bench.fly.world(), nobody(0));
    passes_of_grace(&bench).await;

    bring_back(&bench, &like, nobody(0), &machine, &volume);
    assert_eq!(pass(&bench).await, OrphanReport { closed: 2, ..seen(4, 0) });
    let ends: Vec<_> = bench.store.rows().books.closed.iter().map(|(_, end)| *end).collect();
    assert_eq!(ends, [OrphanEnd::AccountedFor, OrphanEnd::AccountedFor]);

    // Gone once more: its grace begins anew.
    bench.store.rows().towns.remove(&nobody(0));
    passes_of_grace(&bench).await;
    assert_eq!(pass(&bench).await.deleted, 1);
}

/// Between the list and the deletion the registry is asked once more.
#[tokio::test(start_paused = true)]
async fn a_row_that_comes_back_under_the_pass_keeps_what_it_names() {
    let bench = Bench::new();
    let like = bench.running("mill").await;
    let (machine, volume) = stray(&mut bench.fly.world(), nobody(0));
    passes_of_grace(&bench).await;
    sleep(EVERY).await;
    let looks_before = bench.fly.count(Action::ReadMachine);
    let restored = async {
        while bench.fly.count(Action::ReadMachine) == looks_before {
            sleep(Duration::from_millis(1)).await;
        }
        bring_back(&bench, &like, nobody(0), &machine, &volume);
    };

    let sweeper = sweeper(&bench);
    let (report, ()) = tokio::join!(sweeper.pass(), restored);

    assert_eq!(report.unwrap(), Some(seen(4, 2)), "found, and not deleted");
    assert_eq!(asked(&bench), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_pass_deletes_no_more_than_ten() {
    let bench = Bench::new();
    towns(&bench, 24).await;
    strays(&bench, 12);
    passes_of_grace(&bench).await;
    let mut deleted = Vec::new();
    for _ in 0..4 {
        deleted.push(pass(&bench).await.deleted);
    }
    assert_eq!(deleted, [10, 10, 4, 0]);
    assert_eq!(pass(&bench).await.orphans, 0);
    assert_eq!((bench.fly.world().machines_of(nobody(0)).len(), book(&bench).len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn where_it_may_not_delete_it_only_reports() {
    let bench = Bench::new();
    strays(&bench, 1);
    let settings = settings_with(|policy| policy.orphans.delete = false);
    let sweeper = OrphanSweeper::new(bench.ports(&Process::default()), settings, WorkerId("sweeper".to_owned()));
    for _ in 0..10 {
        assert_eq!(pass_by(&sweeper).await, seen(2, 2));
    }
    assert_eq!((book(&bench).len(), asked(&bench)), (2, (0, 0)));
}
