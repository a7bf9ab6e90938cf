//! What seeds have found: each told again on purpose, so that it stays found when the moves of a seed change.

use std::time::Duration;

use gastown_domain::TownStatus;
use gastown_domain::ports::{Action, Towns as _};
use tokio::time::sleep;

use super::mischief::move_volume;
use crate::bench::{Bench, alice, request};
use crate::faults::{Call, Fault};

/// Seed 290. The volume's id was taken out of the row because the volume was gone, before the list could say where it had
/// gone to; the create was at its end and finished, and the row named no volume for good.
#[tokio::test(start_paused = true)]
async fn a_volume_that_fly_moves_while_a_create_ends_is_not_forgotten() {
    let bench = Bench::new();
    let (replica, alice) = (bench.replica(), alice());
    let move_it = async {
        // The sandbox has answered: all that remains is the last look.
        while !bench.fly.world().volumes.first().is_some_and(|volume| volume.used) {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(move_volume(&mut bench.fly.world(), bench.only_town()));
        bench.fly.schedule().next(Call::Fly(Action::ListVolumes), 1, Fault::ServerError);
    };
    let (created, ()) = tokio::join!(replica.towns.create_town(&alice, request("mill")), move_it);
    assert_eq!(created.unwrap().status, TownStatus::Running);
    for _ in 0..3 {
        sleep(Duration::from_secs(61)).await;
        bench.replica().inspector.pass().await.unwrap();
    }
    bench.assert_kept_promises("moved");
}
