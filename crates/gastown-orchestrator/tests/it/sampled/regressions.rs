//! Failures that seeds have found. Each is written as a test, so that it stays covered when the steps of a seed change.

use std::time::Duration;

use gastown_domain::ports::{Action, DestroyTown, Towns as _};
use gastown_domain::{Power, TownStatus};
use tokio::time::sleep;

use crate::bench::{Bench, alice, request};
use crate::faults::{Call, Fault};

/// Seeds 290 and 17296. Fly moved the volume while a create was about to finish, and the list could not show yet where
/// to. The row's volume id was removed because the volume was gone, and the finished create left a row without a
/// volume.
#[tokio::test(start_paused = true)]
async fn volume_moved_while_create_ends_is_not_forgotten() {
    for (created_with, list) in [(None, Fault::ServerError), (Some(Fault::ReplyLost), Fault::EmptyList)] {
        let bench = Bench::new();
        let (replica, alice) = (bench.replica(), alice());
        if let Some(fault) = created_with {
            bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, fault);
        }
        let move_it = async {
            // The machine runs. Only the sandbox is waited for.
            while !bench.fly.world().machines.iter().any(|machine| machine.power() == Power::On) {
                sleep(Duration::from_millis(1)).await;
            }
            assert!(bench.fly.world().move_volume(bench.only_town()));
            bench.fly.schedule().next(Call::Fly(Action::ListVolumes), 1, list);
        };
        let (created, ()) = tokio::join!(replica.towns.create_town(&alice, request("mill")), move_it);
        assert_eq!(created.unwrap().town.status, TownStatus::Running, "{list:?}");
        // The first pass gets the list that fails. Three agree after it.
        for _ in 0..4 {
            sleep(Duration::from_secs(61)).await;
            bench.replica().drift_detector.pass().await.unwrap();
        }
        bench.assert_invariants_and_history(&format!("moved, {list:?}"));
    }
}

/// Seed 121. A create had moved to another region. Fly did not show its new volume yet, and still showed the old one,
/// which was being destroyed. The destroy that took over took the old volume for the town's, and forgot the new one.
#[tokio::test(start_paused = true)]
async fn destroy_does_not_confuse_old_volume_with_invisible_new_one() {
    let bench = Bench::new();
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 1, Fault::NoCapacity);
    bench.fly.schedule().after(Call::Fly(Action::CreateVolume), 1, Fault::NotYetVisible);
    let (replica, alice) = (bench.replica(), alice());
    let destroy = async {
        while bench.fly.world().volumes.len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        // Its id is in the row by then.
        sleep(Duration::from_millis(20)).await;
        let town = bench.only_town();
        assert!(bench.store.town(town).volume_id == Some(bench.fly.world().volumes[1].id.clone()));
        bench.replica().towns.destroy_town(&alice, DestroyTown::until_gone(town)).await.unwrap();
    };
    let (created, ()) = tokio::join!(replica.towns.create_town(&alice, request("mill")), destroy);
    assert!(created.is_err());
    bench.recover().await;
    bench.assert_nothing_left(bench.only_town());
}
