//! The limit of towns per user. It is counted in the accepting transaction, so that no race exceeds it.

use fly_sim::{Call, Effect, Fault};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::client::Refusal;
use crate::stage::{ALICE, BOB, Setup, Stage, id_of};

on_both! {
    limit_of_towns_holds,
    limit_of_towns_holds_for_parallel_creates,
}

const MOST: u32 = 2;

fn limited(mut setup: Setup) -> Setup {
    setup.policy.limits.towns_per_user = MOST;
    setup
}

fn is_the_limit(refused: &Refusal) {
    assert_eq!((refused.code.as_str(), refused.status), ("PRECONDITION_FAILED", 412), "{refused:?}");
    assert_eq!(refused.message, "The limit of 2 towns is reached; destroy a town to create another one");
    assert_eq!(refused.data["limit"], MOST);
}

async fn create(stage: &Stage, user: &str, name: &str) -> Result<Value, Refusal> {
    stage.call(user, "createTown", json!({ "townName": name })).await
}

async fn limit_of_towns_holds(setup: Setup) -> Stage {
    let stage = limited(setup).start().await;
    // A failed create does not count.
    stage.sim.inject(Fault::at(Call::CreateVolume, Effect::refusal(422, "invalid volume")));
    assert_eq!(create(&stage, ALICE, "mill").await.unwrap_err().code, "BAD_GATEWAY");
    let mill = stage.running("mill").await;
    stage.running("inn").await;
    is_the_limit(&create(&stage, ALICE, "forge").await.unwrap_err());
    assert_eq!(create(&stage, BOB, "forge").await.unwrap()["status"], "running");
    // A stopped town counts, a destroyed one does not.
    stage.on_town("stopTown", mill.id).await.unwrap();
    is_the_limit(&create(&stage, ALICE, "forge").await.unwrap_err());
    stage.on_town("destroyTown", mill.id).await.unwrap();
    let forge = create(&stage, ALICE, "forge").await.unwrap();
    assert_eq!(stage.rows.town(id_of(&forge)).await.status, "running");
    stage
}

async fn limit_of_towns_holds_for_parallel_creates(setup: Setup) -> Stage {
    let mut stage = limited(setup).start().await;
    stage.add_replica().await;
    let names: Vec<_> = (0..10).map(|at| format!("mill-{at}")).collect();
    let creates = names
        .iter()
        .enumerate()
        .map(|(at, name)| stage.call_at(at % 2, ALICE, "createTown", json!({ "townName": name })));
    let answers = join_all(creates).await;
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert_eq!(answers.len() - refused.len(), MOST as usize, "{answers:?}");
    refused.into_iter().for_each(is_the_limit);
    assert_eq!(stage.rows.towns().await.len(), MOST as usize);
    stage
}
