//! One user's operations do not delay another's: their number is limited, and users take turns in the queues for Fly.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fly_sim::{Call, Effect, Fault};
use futures::future::join_all;
use gastown_fly::api::Action;
use gastown_fly::{Rate, RateLimiting, Rates};
use serde_json::json;

use crate::stage::{ALICE, BOB, Setup, Stage, until};

on_both! {
    operations_at_a_time_are_limited_for_each_user,
    user_with_many_creates_does_not_delay_another,
}

const MOST: u32 = 2;
const MANY: usize = 16;

async fn operations_at_a_time_are_limited_for_each_user(mut setup: Setup) -> Stage {
    setup.policy.limits.operations_per_user = MOST;
    setup.policy.timeouts.create = Duration::from_secs(3);
    setup.policy.timeouts.await_state = Duration::from_millis(100);
    let stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::never_starts()).always());
    let creates = ["mill", "inn"].map(|name| stage.spawn_call(ALICE, "createTown", json!({ "townName": name })));
    until("both creates are in flight", async || stage.rows.operations().await.len() == 2).await;
    let refused = stage.call(ALICE, "createTown", json!({ "townName": "forge" })).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.status), ("TOO_MANY_REQUESTS", 429), "{refused:?}");
    assert_eq!(refused.message, "The limit of 2 operations at a time is reached; try again once one has ended");
    assert_eq!((&refused.data["limit"], &refused.data["retryAfter"]), (&json!(MOST), &json!(5)));
    // The limit of one user is not that of another.
    let bobs = stage.spawn_call(BOB, "createTown", json!({ "townName": "forge" }));
    until("the create of another user is in flight", async || stage.rows.operations().await.len() == 3).await;
    for create in creates.into_iter().chain([bobs]) {
        create.await.unwrap().unwrap_err();
    }
    stage.sim.clear_faults();
    stage.running("forge").await;
    stage
}

async fn user_with_many_creates_does_not_delay_another(mut setup: Setup) -> Stage {
    let ten = NonZeroU32::new(10).unwrap();
    let slow = Rate::per_second(ten, NonZeroU32::MIN);
    let rates = Rates::default().with(Action::CreateVolume, slow).with(Action::CreateMachine, slow);
    setup.pacing = RateLimiting::On(rates);
    let stage = setup.start().await;
    let done = AtomicUsize::new(0);
    let (alice, done) = (&stage, &done);
    let alices = (0..MANY).map(|number| async move {
        alice.call(ALICE, "createTown", json!({ "townName": format!("mill-{number}") })).await.unwrap();
        done.fetch_add(1, Ordering::SeqCst);
    });
    let bobs = async {
        until("the creates wait for Fly", async || stage.rows.operations().await.len() > MANY / 2).await;
        stage.call(BOB, "createTown", json!({ "townName": "inn" })).await.unwrap();
        done.load(Ordering::SeqCst)
    };
    let (_, before) = futures::join!(join_all(alices), bobs);
    assert!(before <= MANY / 2, "{before} creates of the other user ended before");
    stage
}
