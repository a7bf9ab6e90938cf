//! Tests of failed launches, and of lists that still include deleted entries.

use fly_sim::{Call, Death, Effect, Fault, State};
use serde_json::{Value, json};

use crate::client::{Fly, minimal, mounting};

/// Returns the id and the state of each entry of a list.
async fn list(fly: &Fly, path: &str) -> Vec<(String, String)> {
    let list = fly.get(path).await.1;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|entry| (text(&entry["id"]), text(&entry["state"]))).collect()
}

#[tokio::test]
async fn list_can_include_deleted_entries() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    let deleted = fly.start_machine(mounting("deleted", &volume)).await;
    let other = fly.start_machine(minimal("other")).await;
    fly.delete(&format!("machines/{deleted}?force=true")).await;
    fly.wait_for(&deleted, "destroyed").await;
    fly.until(200, async || fly.delete(&format!("volumes/{volume}")).await).await;

    let started = |id: &str| (id.to_owned(), "started".to_owned());
    for (call, path, stale_list, true_list) in [
        (Call::ListMachines, "machines", vec![started(&deleted), started(&other)], vec![started(&other)]),
        (
            Call::ListVolumes,
            "volumes",
            vec![(volume.clone(), "created".to_owned())],
            vec![(volume.clone(), "pending_destroy".to_owned())],
        ),
    ] {
        fly.sim.inject(Fault::at(call, Effect::ListsDeleted));
        assert_eq!(list(&fly, path).await, stale_list);
        assert_eq!(list(&fly, path).await, true_list);
    }
    // Filters still apply, and a read of the machine is correct.
    fly.sim.inject(Fault::at(Call::ListMachines, Effect::ListsDeleted));
    assert_eq!(list(&fly, "machines?metadata.gastown_town_id=t").await, []);
    assert_eq!(fly.get(&format!("machines/{deleted}")).await.1["state"], "destroyed");
}

#[tokio::test]
async fn machine_is_destroyed_after_failed_launch() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    fly.sim.inject(Fault::at(Call::CreateMachine, Effect::KillMachine { death: Death::LaunchFailed }));
    let id = fly.create_machine(mounting("town", &volume)).await;
    let waited = fly.get(&format!("machines/{id}/wait?state=started&timeout=10")).await;
    assert_eq!(waited.0, 400, "{waited:?}");
    fly.wait_for(&id, "destroyed").await;
    assert_eq!(fly.sim.volumes().len(), 1, "the volume is kept");

    // While its host is down, the machine stays in `launch_failed`.
    let id = fly.create_machine(minimal("town")).await;
    fly.sim.set_host_down(&id, true);
    assert!(fly.sim.kill_machine(&id, Death::LaunchFailed));
    let shown = fly.get(&format!("machines/{id}")).await.1;
    assert_eq!(shown["state"], json!(State::LaunchFailed));
    fly.sim.set_host_down(&id, false);
    fly.wait_for(&id, "destroyed").await;
}
