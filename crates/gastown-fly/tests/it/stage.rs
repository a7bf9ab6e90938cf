//! The ports on the simulator, which checks every request against Fly's own OpenAPI document.

use std::time::Duration;

use fly_sim::{FlySim, SimConfig};
use gastown_domain::{
    AppPlacement, MachineId, VolumeId,
    ports::{Awaited, MachineSpec, Machines, ObservedMachine, Volumes},
};
use gastown_fly::{Fly, FlyClient, RateLimiting, Timeouts};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::world::{TOWN, app, machine_spec, shared, volume_spec};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
const TOKEN: &str = "fm2_simulated";
/// A private key of 32 bytes, which a sandbox needs to boot.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A simulator, and Fly's ports on it.
pub(crate) struct World {
    pub(crate) sim: FlySim,
    pub(crate) fly: Fly,
}

impl World {
    pub(crate) async fn new() -> Self {
        let world = Self::empty(shared()).await;
        world.sim.create_app(app().as_str()).unwrap();
        world.sim.set_app_secret(app().as_str(), "SANDBOX_PRIVATE_KEY", SecretString::from(KEY)).unwrap();
        world
    }

    pub(crate) async fn empty(apps: AppPlacement) -> Self {
        let config =
            SimConfig { token: Some(SecretString::from(TOKEN)), org_slug: "kilo".to_owned(), ..SimConfig::fast() };
        let sim = FlySim::start(config).await.unwrap();
        let timeouts = Timeouts { connect: Duration::from_secs(2), call: Duration::from_secs(2) };
        let token = SecretString::from(TOKEN);
        let client = FlyClient::new(sim.url().parse().unwrap(), &token, timeouts, RateLimiting::Off).unwrap();
        let fly = Fly::new(client, apps).with_stop_grace(Duration::from_secs(5));
        Self { sim, fly }
    }

    pub(crate) async fn spec(&self) -> MachineSpec {
        let volume = self.fly.create_volume(&volume_spec()).await.unwrap();
        spec(volume.id)
    }

    pub(crate) async fn running(&self) -> (MachineSpec, ObservedMachine) {
        let spec = self.spec().await;
        let made = self.fly.create_machine(&spec).await.unwrap();
        assert!(self.fly.await_machine(&app(), &made.id, Awaited::Started, TIMEOUT).await.unwrap());
        (spec, made)
    }

    /// Sets the town in a machine's metadata, as another client would.
    pub(crate) async fn set_town_tag(&self, machine: &MachineId, town: &str) {
        let path = format!("{machine}/metadata/gastown_town_id");
        self.post_to_machine(&path, &json!({ "value": town })).await;
    }

    /// Takes the lease on a machine, as another client would.
    pub(crate) async fn lease_machine(&self, machine: &MachineId) {
        let path = format!("{machine}/lease");
        self.post_to_machine(&path, &json!({ "ttl": 60, "description": "operator" })).await;
    }

    async fn post_to_machine(&self, path: &str, body: &Value) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/v1/apps/{}/machines/{path}", self.sim.url(), app());
        let response = http.post(url).bearer_auth(TOKEN).json(body).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {response:?}");
    }

    /// Checks that Fly's document allows every request and every answer.
    pub(crate) fn assert_lawful(&self) {
        assert_eq!(self.sim.violations(), []);
    }
}

/// Returns a specification that a sandbox can boot from, on this volume.
pub(crate) fn spec(volume: VolumeId) -> MachineSpec {
    let env = [
        ("KILO_API_URL", "https://gateway.example"),
        ("KILO_JWT", "e30.e30.c2ln"),
        ("TOWN_ID", TOWN),
        ("R2_BUCKET", "bucket"),
        ("R2_ACCESS_KEY", "access"),
        ("INTERNAL_API_KEY", "key"),
    ];
    MachineSpec { volume, env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(), ..machine_spec() }
}
