//! The rollouts of the scenarios, and their end.

use std::time::Duration;

use gastown_domain::ports::{Clock as _, NewRollout, RolloutOrder};
use gastown_domain::{ImageRef, MaxUnavailable, Percent, RolloutState};
use tokio::time::sleep;

use super::fixture::attempt;
use super::scenario::run_sweep;
use crate::bench::{Bench, Replica};

/// Longer than the period of the passes.
const EVERY: Duration = Duration::from_secs(11);
/// The passes within which a rollout ends or pauses after a fault.
const PASSES: usize = 60;

pub(super) fn new_image() -> ImageRef {
    "registry.fly.io/gastown:2".parse().unwrap()
}

pub(super) fn start_rollout(bench: &Bench) {
    let rollout = NewRollout {
        image: new_image(),
        percent: Percent::ALL,
        only_stopped: false,
        max_unavailable: MaxUnavailable::DEFAULT,
        replace: false,
    };
    bench.store.rows().start_rollout(&rollout, bench.store.clock.now());
}

fn state(bench: &Bench) -> RolloutState {
    bench.store.rows().rollouts.all[0].state
}

/// Makes a pass and a sweep, one period after the last one.
async fn advance(replica: &Replica) {
    sleep(EVERY).await;
    attempt(replica, replica.rollouts.pass()).await;
    run_sweep(replica).await;
}

/// Makes the passes of an undisturbed rollout: the turn, its end, and the end of the rollout.
pub(super) async fn roll_out(replica: &Replica) {
    for _ in 0..4 {
        advance(replica).await;
    }
}

/// Advances with new processes until the waves do not go on.
pub(super) async fn until_still(bench: &Bench) {
    for _ in 0..PASSES {
        if !state(bench).is_driven() {
            return;
        }
        advance(&bench.replica()).await;
    }
    panic!("the rollout is still {}", state(bench).as_str());
}

/// Advances until the rollout has ended. A fault may have failed a restart, and then an operator resumes it.
pub(super) async fn finish_rollout(bench: &Bench) {
    for _ in 0..3 {
        until_still(bench).await;
        if !state(bench).is_active() {
            return;
        }
        bench.store.rows().order_rollout(RolloutOrder::Resume);
    }
    panic!("the rollout is still {}", state(bench).as_str());
}
