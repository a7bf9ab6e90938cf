//! The simulator, which checks every request against Fly's own OpenAPI document, and the ports on it.

use std::{collections::BTreeMap, time::Duration};

use fly_sim::{FlySim, SimConfig};
use gastown_domain::{
    VolumeId,
    ports::{Awaited, MachineSpec, Machines, ObservedMachine, Volumes},
};
use gastown_fly::{AppPolicy, Fly, FlyClient, Pacing, Timeouts, api::secrets};
use secrecy::SecretString;

use crate::world::{TOWN, app, machine_spec, shared, volume_spec};

pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
const TOKEN: &str = "fm2_simulated";

/// A simulator, and Fly's ports on it.
pub(crate) struct World {
    pub(crate) sim: FlySim,
    pub(crate) client: FlyClient,
    pub(crate) fly: Fly,
}

impl World {
    pub(crate) async fn new() -> Self {
        let world = Self::empty(shared()).await;
        world.sim.create_app(app().as_str()).unwrap();
        // What a sandbox needs to boot: a private key of 32 bytes.
        let key = SecretString::from("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let secrets = BTreeMap::from([("SANDBOX_PRIVATE_KEY".to_owned(), key)]);
        let set: secrets::SecretsSet = world.client.ask(&secrets::set("mill", &secrets)).await.unwrap();
        assert!(set.version >= 1);
        world
    }

    pub(crate) async fn empty(policy: AppPolicy) -> Self {
        let config =
            SimConfig { token: Some(SecretString::from(TOKEN)), org_slug: "kilo".to_owned(), ..SimConfig::fast() };
        let sim = FlySim::start(config).await.unwrap();
        let timeouts = Timeouts { connect: Duration::from_secs(2), call: Duration::from_secs(2) };
        let token = SecretString::from(TOKEN);
        let client = FlyClient::new(sim.url().parse().unwrap(), &token, timeouts, Pacing::Off).unwrap();
        let fly = Fly::new(client.clone(), policy).with_stop_grace(Duration::from_secs(5));
        Self { sim, client, fly }
    }

    pub(crate) async fn spec(&self) -> MachineSpec {
        let volume = self.fly.create_volume(&volume_spec()).await.unwrap();
        spec(volume.id)
    }

    pub(crate) async fn running(&self) -> (MachineSpec, ObservedMachine) {
        let spec = self.spec().await;
        let made = self.fly.create_machine(&spec).await.unwrap();
        assert!(self.fly.await_machine(&app(), &made.id, Awaited::Started, PATIENCE).await.unwrap());
        (spec, made)
    }

    /// Every request was one that Fly's document knows, and so was every answer.
    pub(crate) fn assert_lawful(&self) {
        assert_eq!(self.sim.violations(), []);
    }
}

/// What a sandbox needs to boot, on this volume.
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
