//! Rollouts of images by the operator's command, with running replicas: waves, a bad image, an undo, and two replicas.

use std::time::Duration;

use fly_sim::{Call, Effect, Fault};
use gastown_orchestrator::{Policy, RolloutPolicy, Timeouts};
use serde_json::{Value, json};

use crate::rows::Town;
use crate::stage::{ALICE, Setup, Stage, until};

on_both! {
    running_towns_get_the_image_and_their_owners_see_it,
    a_bad_image_pauses_and_an_undo_brings_the_old_one_back,
    an_undo_after_shares_brings_back_the_image_of_before,
    towns_that_are_being_updated_are_marked_in_the_list,
    two_replicas_restart_each_town_once,
    owners_act_while_a_rollout_goes_on,
}

/// The image of the settings of a stage.
const OLD: &str =
    "registry.example.com/gastown-sandbox@sha256:0123012301230123012301230123012301230123012301230123012301230123";
const NEW: &str =
    "registry.example.com/gastown-sandbox@sha256:4567456745674567456745674567456745674567456745674567456745674567";
/// The sandboxes of this image never become healthy.
const BROKEN: &str =
    "registry.example.com/broken@sha256:89ab89ab89ab89ab89ab89ab89ab89ab89ab89ab89ab89ab89ab89ab89ab89ab";

/// Makes several passes a second, and gives a restart two seconds.
fn hasty(setup: Setup) -> Setup {
    let Policy { timeouts, rollout, .. } = setup.policy.clone();
    let timeouts = Timeouts { restart: Duration::from_secs(2), ..timeouts };
    let rollout = RolloutPolicy { every: Duration::from_millis(150), ..rollout };
    Setup { policy: Policy { timeouts, rollout, ..setup.policy }, ..setup }
}

async fn towns(stage: &Stage, number: usize) -> Vec<Town> {
    let mut towns = Vec::new();
    for number in 0..number {
        towns.push(stage.running(&format!("mill-{number}")).await);
    }
    towns
}

async fn start(stage: &Stage, image: &str, options: &[&str]) -> Value {
    let arguments = ["rollout", "start", "--image", image, "--yes"];
    stage.gastown_json(&[&arguments[..], options].concat()).await
}

async fn status(stage: &Stage) -> Value {
    stage.gastown_json(&["rollout", "status"]).await
}

async fn until_state(stage: &Stage, wanted: &str) -> Value {
    until(wanted, async || status(stage).await["rollout"]["state"] == wanted).await;
    status(stage).await
}

/// Returns the image of a town as its owner reads it, and at Fly.
async fn images(stage: &Stage, town: &Town) -> [String; 2] {
    let shown = stage.on_town("getTownStatus", town.id).await.unwrap()["health"]["image"].clone();
    let machine = stage.rows.town(town.id).await.machine().to_owned();
    let at_fly = stage.fly_get(&format!("machines/{machine}")).await["config"]["image"].clone();
    [shown, at_fly].map(|image| image.as_str().unwrap().to_owned())
}

/// Returns the number of restarts in the history of a town, as its owner reads it.
async fn restarts(stage: &Stage, town: &Town) -> usize {
    let page = stage.call(ALICE, "listEvents", json!({ "townId": town.id, "limit": 100 })).await.unwrap();
    let is_accepted =
        |event: &&Value| event["action"] == "restart" && event["outcome"] == "accepted" && event["actor"] == "operator";
    page["events"].as_array().unwrap().iter().filter(is_accepted).count()
}

async fn running_towns_get_the_image_and_their_owners_see_it(setup: Setup) -> Stage {
    let stage = hasty(setup).start().await;
    let towns = towns(&stage, 4).await;
    assert_eq!(images(&stage, &towns[0]).await, [OLD, OLD]);
    assert_eq!(status(&stage).await["rollout"], Value::Null);

    let asked = stage.gastown(&["rollout", "start", "--image", NEW, "--percent", "40"]).await;
    assert_eq!((asked.status.code(), asked.err.lines().count()), (Some(1), 1), "{}", asked.err);
    assert!(asked.err.contains(&format!("Bring {NEW} to 40 % of the towns?")), "{}", asked.err);
    assert!(asked.err.contains("add --yes") && !asked.err.contains("undone"), "{}", asked.err);
    let started = start(&stage, NEW, &["--max-unavailable", "2"]).await;
    assert_eq!((&started["rollout"]["number"], &started["rollout"]["startedBy"]), (&json!(1), &json!("operator:olga")));
    let ended = until_state(&stage, "finished").await;
    assert_eq!((&ended["done"], &ended["failed"], &ended["waiting"]), (&json!(4), &json!(0), &json!(0)));
    assert_eq!(ended["images"], json!([{ "image": NEW, "towns": 4 }]));
    for town in &towns {
        assert_eq!(images(&stage, town).await, [NEW, NEW]);
        assert_eq!(restarts(&stage, town).await, 1);
    }
    let new = stage.running("new").await;
    assert_eq!(images(&stage, &new).await, [NEW, NEW], "a create gives the image too");
    let shown = stage.gastown_json(&["town", "show", &new.id.to_string()]).await;
    assert_eq!(shown["health"]["image"], NEW);
    let text = stage.gastown(&["rollout", "status"]).await.out;
    assert!(text.starts_with(&format!("Rollout 1 of {NEW}: finished")), "{text}");
    stage
}

async fn a_bad_image_pauses_and_an_undo_brings_the_old_one_back(setup: Setup) -> Stage {
    let stage = hasty(setup).start().await;
    let towns = towns(&stage, 4).await;
    start(&stage, BROKEN, &["--max-unavailable", "2"]).await;
    let paused = until_state(&stage, "paused").await;
    let reason = paused["rollout"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("the restart of town mill-"), "{reason}");
    stage.idle().await;
    until("each turn has ended", async || status(&stage).await["inFlight"] == 0).await;
    let paused = status(&stage).await;
    assert_eq!((&paused["failed"], &paused["waiting"]), (&json!(2), &json!(2)), "one wave was touched: {paused}");
    assert_eq!(paused["failures"][0]["code"], "sandbox_unhealthy");

    let asked = stage.gastown(&["rollout", "undo"]).await;
    assert_eq!((asked.status.code(), asked.err.lines().count()), (Some(1), 1), "{}", asked.err);
    assert!(
        asked.err.contains("running towns are restarted in waves") && asked.err.contains("add --yes"),
        "{}",
        asked.err
    );
    assert!(!asked.err.contains("undone"), "{}", asked.err);
    stage.gastown_json(&["rollout", "undo", "--yes"]).await;
    let ended = until_state(&stage, "undone").await;
    assert_eq!((&ended["done"], &ended["failed"]), (&json!(2), &json!(0)), "{ended}");
    for town in &towns {
        assert_eq!(images(&stage, town).await, [OLD, OLD]);
        assert!(restarts(&stage, town).await <= 2, "once out, and once back");
    }
    let errors = stage.replicas[0].log.take_errors();
    assert!(errors.iter().all(|line| line.contains("rollout paused")) && !errors.is_empty(), "{errors:?}");
    stage
}

async fn an_undo_after_shares_brings_back_the_image_of_before(setup: Setup) -> Stage {
    let stage = hasty(setup).start().await;
    let towns = towns(&stage, 4).await;
    for percent in ["50", "100"] {
        start(&stage, NEW, &["--percent", percent]).await;
        until_state(&stage, "finished").await;
    }
    let smaller = stage.gastown(&["rollout", "start", "--image", NEW, "--percent", "50", "--yes"]).await;
    assert_eq!((smaller.status.code(), smaller.err.lines().count()), (Some(1), 1), "{}", smaller.err);
    assert!(smaller.err.contains("rollout 2 has brought") && smaller.err.contains("100 %"), "{}", smaller.err);

    stage.gastown_json(&["rollout", "undo", "--yes"]).await;
    let ended = until_state(&stage, "undone").await;
    assert_eq!((&ended["done"], &ended["failed"], &ended["waiting"]), (&json!(4), &json!(0), &json!(0)), "{ended}");
    assert_eq!(ended["images"], json!([{ "image": OLD, "towns": 4 }]));
    for town in &towns {
        assert_eq!(images(&stage, town).await, [OLD, OLD]);
        assert_eq!(restarts(&stage, town).await, 2, "once out, and once back");
    }
    start(&stage, NEW, &["--percent", "1", "--only-stopped"]).await;
    stage
}

async fn towns_that_are_being_updated_are_marked_in_the_list(setup: Setup) -> Stage {
    let Timeouts { restart, .. } = setup.policy.timeouts;
    let mut setup = hasty(setup);
    setup.policy.timeouts.restart = restart;
    let stage = setup.start().await;
    towns(&stage, 1).await;
    stage.sim.inject(Fault::at(Call::StopMachine, Effect::server_error()).always());
    start(&stage, NEW, &[]).await;
    until("the restart is requested", async || !stage.rows.operations().await.is_empty()).await;
    let listed = stage.gastown_json(&["town", "list"]).await;
    let town = &listed["towns"][0];
    assert_eq!((&town["status"], &town["operation"]["kind"]), (&json!("running"), &json!("restart")));
    assert_eq!(town["operation"]["requestedBy"], json!("rollout"));
    let shown = stage.gastown(&["town", "list"]).await.out;
    assert!(shown.contains("restart by rollout"), "{shown}");
    let operations = stage.gastown_json(&["operations"]).await;
    assert_eq!(operations["operations"][0]["requestedBy"], json!("rollout"));
    stage.sim.clear_faults();
    until_state(&stage, "finished").await;
    assert!(!stage.gastown(&["town", "list"]).await.out.contains("restart"));
    stage
}

async fn two_replicas_restart_each_town_once(setup: Setup) -> Stage {
    let mut stage = hasty(setup).start().await;
    stage.add_replica().await;
    let towns = towns(&stage, 5).await;
    start(&stage, NEW, &["--max-unavailable", "5"]).await;
    until_state(&stage, "finished").await;
    for town in &towns {
        assert_eq!((images(&stage, town).await, restarts(&stage, town).await), ([NEW, NEW].map(str::to_owned), 1));
    }
    stage
}

async fn owners_act_while_a_rollout_goes_on(setup: Setup) -> Stage {
    let stage = hasty(setup).start().await;
    let towns = towns(&stage, 3).await;
    start(&stage, NEW, &["--max-unavailable", "3"]).await;
    until("a restart is requested", async || restarts(&stage, &towns[0]).await == 1).await;
    // The restart may have ended.
    stage.on_town("stopTown", towns[0].id).await.unwrap();
    stage.on_town("destroyTown", towns[1].id).await.unwrap();
    until_state(&stage, "finished").await;
    assert_eq!(stage.rows.town(towns[0].id).await.status, "stopped");
    assert_eq!(stage.rows.town(towns[1].id).await.status, "destroyed");
    assert_eq!(images(&stage, &towns[2]).await, [NEW, NEW]);
    stage.on_town("startTown", towns[0].id).await.unwrap();
    assert_eq!(images(&stage, &towns[0]).await, [NEW, NEW], "the next start gives the image");

    for (arguments, message) in
        [(["rollout", "resume"], "cannot resume: rollout 1 is finished"), (["rollout", "pause"], "cannot pause")]
    {
        let refused = stage.gastown(&arguments).await;
        assert_eq!(refused.status.code(), Some(1));
        assert!(refused.err.contains(message), "{}", refused.err);
    }
    let invalid = stage.gastown(&["rollout", "start", "--image", NEW, "--percent", "0"]).await;
    assert_eq!(invalid.status.code(), Some(2), "{}", invalid.err);
    let long_tag = format!("town:{}", "v".repeat(129));
    for image in ["sb@sha256:abc", "x y", "http://x/y", "", "registry.example.com/Town:1", &long_tag] {
        let refused = stage.gastown(&["rollout", "start", "--image", image, "--yes"]).await;
        assert_eq!(refused.status.code(), Some(2), "{image}: {}", refused.err);
        let line = refused.err.lines().next().unwrap();
        assert!(line.contains("--image") && line.contains("must"), "{image}: {}", refused.err);
    }
    assert_eq!(status(&stage).await["rollout"]["number"], json!(1), "nothing was stored");
    stage
}
