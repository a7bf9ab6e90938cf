//! The smallest valid values.

use std::collections::BTreeMap;

use gastown_domain::{
    AppName, AppPlacement, Gigabytes, Guest, MachineId, Region, TownId, VolumeId,
    ports::{MachineSpec, VolumeSpec},
};
use serde_json::{Value, json};

pub(crate) const TOWN: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
/// The name of the town's machine, and the name of its volume.
pub(crate) const MACHINE_NAME: &str = "town-0190a1b2c3d47e5f8a9b0c1d2e3f4a5b";
pub(crate) const VOLUME_NAME: &str = "town_0190a1b2c3d47e5f8a9b0c1d";
pub(crate) const OTHER_TOWN: &str = "0190a1b2-c3d4-7e5f-8a9b-ffffffffffff";

pub(crate) fn town() -> TownId {
    TOWN.parse().unwrap()
}

pub(crate) fn app() -> AppName {
    "mill".parse().unwrap()
}

/// Returns one app for all towns.
pub(crate) fn shared() -> AppPlacement {
    AppPlacement::Shared(app())
}

/// Returns one app for each user.
pub(crate) fn own_apps() -> AppPlacement {
    AppPlacement::PerUser { organization: "kilo".to_owned(), prefix: "gt".parse().unwrap() }
}

/// Returns the app as Fly shows it.
pub(crate) fn the_app() -> Value {
    json!({ "id": "x", "name": "mill", "status": "deployed", "organization": { "slug": "kilo", "name": "Kilo" } })
}

pub(crate) fn machine_id() -> MachineId {
    "148ed21a031189".parse().unwrap()
}

pub(crate) fn volume_id() -> VolumeId {
    "vol_9vlzpe8gk7zwx3x4".parse().unwrap()
}

pub(crate) fn region() -> Region {
    "iad".parse().unwrap()
}

pub(crate) fn volume_spec() -> VolumeSpec {
    VolumeSpec { app: app(), town: town(), region: region(), size: Gigabytes::TOWN, guest: Guest::TOWN }
}

pub(crate) fn machine_spec() -> MachineSpec {
    MachineSpec {
        app: app(),
        town: town(),
        region: region(),
        image: "registry.fly.io/gastown@sha256:0000000000000000000000000000000000000000000000000000000000000000"
            .parse()
            .unwrap(),
        guest: Guest::TOWN,
        volume: volume_id(),
        env: BTreeMap::from([
            ("KILO_JWT".to_owned(), "nacl:v1:0011223344556677:c2VhbGVk".to_owned()),
            ("TOWN_ID".to_owned(), TOWN.to_owned()),
        ]),
        metadata: BTreeMap::from([
            ("gastown_town_id".to_owned(), "other".to_owned()),
            ("gastown_user_id".to_owned(), "user_abc123".to_owned()),
        ]),
    }
}
