//! How things go: by themselves, and in lists that do not know it yet.

use fly_sim::{Call, Death, Effect, Fault, State};
use serde_json::{Value, json};

use crate::client::{Fly, mounting, plain};

/// Id and state of each entry.
async fn listed(fly: &Fly, path: &str) -> Vec<(String, String)> {
    let list = fly.get(path).await.1;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|entry| (text(&entry["id"]), text(&entry["state"]))).collect()
}

#[tokio::test]
async fn a_list_may_still_show_what_is_gone_as_it_was() {
    let fly = Fly::fast().await;
    let volume = fly.volume("data").await;
    let gone = fly.started(mounting("gone", &volume)).await;
    let stays = fly.started(plain("stays")).await;
    fly.delete(&format!("machines/{gone}?force=true")).await;
    fly.reach(&gone, "destroyed").await;
    fly.until(200, async || fly.delete(&format!("volumes/{volume}")).await).await;

    let started = |id: &str| (id.to_owned(), "started".to_owned());
    for (call, path, lagging, true_list) in [
        (Call::ListMachines, "machines", vec![started(&gone), started(&stays)], vec![started(&stays)]),
        (
            Call::ListVolumes,
            "volumes",
            vec![(volume.clone(), "created".to_owned())],
            vec![(volume.clone(), "pending_destroy".to_owned())],
        ),
    ] {
        fly.sim.inject(Fault::at(call, Effect::ListsGone));
        assert_eq!(listed(&fly, path).await, lagging);
        assert_eq!(listed(&fly, path).await, true_list);
    }
    // Filters hold as ever, and who asks for the thing itself hears the truth.
    fly.sim.inject(Fault::at(Call::ListMachines, Effect::ListsGone));
    assert_eq!(listed(&fly, "machines?metadata.gastown_town_id=t").await, []);
    assert_eq!(fly.get(&format!("machines/{gone}")).await.1["state"], "destroyed");
}

#[tokio::test]
async fn a_machine_whose_launch_fails_goes_away_by_itself() {
    let fly = Fly::fast().await;
    let volume = fly.volume("data").await;
    fly.sim.inject(Fault::at(Call::CreateMachine, Effect::KillMachine { death: Death::LaunchFailed }));
    let id = fly.machine(mounting("town", &volume)).await;
    let waited = fly.get(&format!("machines/{id}/wait?state=started&timeout=10")).await;
    assert_eq!(waited.0, 400, "it never starts: {waited:?}");
    fly.reach(&id, "destroyed").await;
    assert_eq!(fly.sim.volumes().len(), 1, "the volume outlives its machine");

    // A host that is down keeps it where it is.
    let id = fly.machine(plain("town")).await;
    fly.sim.set_host_down(&id, true);
    assert!(fly.sim.kill_machine(&id, Death::LaunchFailed));
    let shown = fly.get(&format!("machines/{id}")).await.1;
    assert_eq!(shown["state"], json!(State::LaunchFailed));
    fly.sim.set_host_down(&id, false);
    fly.reach(&id, "destroyed").await;
}
