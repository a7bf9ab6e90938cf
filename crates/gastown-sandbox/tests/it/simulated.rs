//! The client against the sandbox of the simulator: both implement the same API.

use std::time::Duration;

use fly_sim::{FlySim, SimConfig};
use gastown_domain::{
    SandboxRig,
    ports::{SandboxAddress, SandboxError, Sandboxes},
};
use gastown_sandbox::{SandboxClient, Timeouts};
use gastown_sandbox_sim::SimulatedSandboxes;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::double::{KEY, TOWN};

struct World {
    sim: FlySim,
    client: SandboxClient,
    at: SandboxAddress,
}

impl World {
    /// Starts a machine with its volume, and waits for its sandbox.
    async fn new() -> Self {
        let sim =
            FlySim::start(SimConfig { workload: SimulatedSandboxes::default().into_workload(), ..SimConfig::fast() })
                .await
                .unwrap();
        sim.create_app("mill").unwrap();
        let private_key = SecretString::from("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        sim.set_app_secret("mill", "SANDBOX_PRIVATE_KEY", private_key).unwrap();
        let volume = post(&sim, "volumes", &json!({ "name": "town_1", "region": "iad", "size_gb": 1 })).await;
        let env = json!({
            "KILO_API_URL": "https://gateway.example", "KILO_JWT": "e30.e30.c2ln", "TOWN_ID": TOWN, "R2_BUCKET": "b",
            "R2_ACCESS_KEY": "a", "INTERNAL_API_KEY": KEY,
        });
        let mounts = json!([{ "volume": volume["id"], "path": "/home/gt/data" }]);
        let config = json!({ "image": "gastown:1", "env": env, "mounts": mounts });
        let machine = post(&sim, "machines", &json!({ "name": "town-1", "region": "iad", "config": config })).await;
        let template = sim.machine_url_template().parse().unwrap();
        let at = SandboxAddress {
            app: "mill".parse().unwrap(),
            machine: machine["id"].as_str().unwrap().parse().unwrap(),
            town: TOWN.parse().unwrap(),
            keys: vec![SecretString::from(KEY)],
        };
        let world = Self { sim, client: SandboxClient::new(template, Timeouts::default()).unwrap(), at };
        world.until_healthy().await;
        world
    }

    async fn until_healthy(&self) {
        for _ in 0..400 {
            if self.client.health(&self.at).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?}", self.client.health(&self.at).await);
    }
}

async fn post(sim: &FlySim, what: &str, body: &Value) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("{}/v1/apps/mill/{what}", sim.url())).bearer_auth("x").json(body);
    request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
}

fn rig(name: &str, repo: &str) -> SandboxRig {
    SandboxRig { name: name.parse().unwrap(), repo: repo.parse().unwrap(), branch: Some("main".parse().unwrap()) }
}

#[tokio::test]
async fn rigs_are_added_and_removed_on_the_simulated_volume() {
    let World { sim, client, at } = &World::new().await;
    let app = rig("app", "https://github.com/a/b");
    for _ in 0..2 {
        client.add_rig(at, &app).await.unwrap();
    }
    assert_eq!(client.rigs(at).await.unwrap(), std::slice::from_ref(&app));
    client.sync(at).await.unwrap();
    let error = client.add_rig(at, &rig("app", "https://github.com/a/c")).await.unwrap_err();
    assert!(matches!(error, SandboxError::Refused { .. }), "{error:?}");
    let error = client.add_rig(at, &rig("bad", "https://github.com/refused/x")).await.unwrap_err();
    assert!(matches!(error, SandboxError::Refused { .. }), "{error:?}");
    for _ in 0..2 {
        client.remove_rig(at, &app.name, false).await.unwrap();
    }
    assert_eq!(sim.violations(), []);
}

#[tokio::test]
async fn unpushed_work_is_listed_and_removed_only_by_force() {
    let World { client, at, .. } = &World::new().await;
    let busy = rig("busy", "https://github.com/unpushed/x");
    client.add_rig(at, &busy).await.unwrap();
    let error = client.remove_rig(at, &busy.name, false).await.unwrap_err();
    let SandboxError::InTheWay { in_the_way } = error else { panic!("{error:?}") };
    assert_eq!(in_the_way, ["busy: 2 commits not pushed"]);
    client.remove_rig(at, &busy.name, true).await.unwrap();
    assert_eq!(client.rigs(at).await.unwrap(), []);
}

#[tokio::test]
async fn sandbox_from_before_a_rotation_accepts_its_old_key() {
    let World { client, at, .. } = &World::new().await;
    let rotated = SandboxAddress { keys: vec!["the-new-key".into(), KEY.into()], ..at.clone() };
    client.health(&rotated).await.unwrap();
    client.sync(&rotated).await.unwrap();
}

#[tokio::test]
async fn another_towns_key_or_id_is_rejected() {
    let World { client, at, .. } = &World::new().await;
    let stranger = SandboxAddress { keys: vec!["another".into()], ..at.clone() };
    assert!(matches!(client.rigs(&stranger).await, Err(SandboxError::Unauthorized)));
    let mistaken = SandboxAddress { town: "0190a1b2-c3d4-7e5f-8a9b-ffffffffffff".parse().unwrap(), ..at.clone() };
    assert!(matches!(client.health(&mistaken).await, Err(SandboxError::Wrong { .. })));
    let elsewhere = SandboxAddress { machine: "148ed21a031189".parse().unwrap(), ..at.clone() };
    assert!(matches!(client.health(&elsewhere).await, Err(SandboxError::Unreachable { .. })));
}
