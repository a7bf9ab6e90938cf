//! Machines and volumes with everything that an operator compares with the registry. Only reads.
//!
//! The reconciler never reads an environment. Here only the ids of its keys are read, and no value.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{Action, ProviderError};
use gastown_domain::{AppName, MachineId, Power, Region, TownId, TownTag, VolumeId};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::api::{self, Entry, machines::Machine, volumes::Volume};
use crate::fly::{Fly, log_unreadable};
use crate::mapping::names::{FlyRegion, TOWN_TAG, tag_of_machine_name, tag_of_metadata, tag_of_volume_name};
use crate::mapping::states::{self, Mapped};

/// The variable with the id of the secret that a town's key was derived from.
const TOWN_KEY_ID: &str = "INTERNAL_API_KEY_ID";
/// The beginning of a sealed value, before the id of its key.
const SEALED: &str = "nacl:v1:";

/// A machine with our name or metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineDetails {
    /// The id.
    pub id: MachineId,
    /// The name.
    pub name: String,
    /// The town, or `None` if name and metadata contradict each other.
    pub town: Option<TownId>,
    /// The power.
    pub power: Power,
    /// The region.
    pub region: Option<Region>,
    /// The image.
    pub image: Option<String>,
    /// The metadata.
    pub metadata: BTreeMap<String, String>,
    /// The volume that it mounts.
    pub volume: Option<VolumeId>,
    /// The id of the key that its values are sealed for.
    pub sealed_for: Option<String>,
    /// The id of the secret that its town's key was derived from.
    pub town_key_id: Option<String>,
    /// The time of its creation.
    pub created_at: Option<DateTime<Utc>>,
}

/// A volume, with our name or another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeDetails {
    /// The id.
    pub id: VolumeId,
    /// The name.
    pub name: String,
    /// The towns that the name may mean, because it is too short for a whole id. `None` if it is not a name of ours.
    pub tag: Option<TownTag>,
    /// The region.
    pub region: Option<Region>,
    /// The machine that mounts it, as far as Fly shows it.
    pub held_by: Option<MachineId>,
    /// True if its deletion has begun.
    pub destroying: bool,
    /// The time of its creation.
    pub created_at: Option<DateTime<Utc>>,
}

/// Everything in an app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppDetails {
    /// The machines with our name or metadata.
    pub machines: Vec<MachineDetails>,
    /// The number of other machines.
    pub other_machines: usize,
    /// The volumes, also those without our name, because a machine of ours can mount one.
    pub volumes: Vec<VolumeDetails>,
    /// The number of entries that cannot be read.
    pub unreadable: usize,
}

impl Fly {
    /// Returns the machines and volumes in an app, without those that are destroyed. Two lists, which may lag behind.
    pub async fn details(&self, app: &AppName) -> Result<AppDetails, ProviderError> {
        let mut details = AppDetails::default();
        let call = api::machines::list(app.as_str(), None);
        let machines = self.client.in_background().fetch::<Vec<Entry<DetailedMachine>>>(&call).await;
        let machines = machines.map_err(|error| self.app_error(app, Action::ListMachines, error))?;
        for entry in &machines {
            match machine(entry) {
                Listed::Read(machine) => details.machines.push(machine),
                Listed::Other => details.other_machines += 1,
                Listed::Destroyed => {}
                Listed::Unreadable => details.unreadable += 1,
            }
        }
        let call = api::volumes::list(app.as_str());
        let volumes = self.client.in_background().fetch::<Vec<Entry<Volume>>>(&call).await;
        let volumes = volumes.map_err(|error| self.app_error(app, Action::ListVolumes, error))?;
        for entry in &volumes {
            match volume(entry) {
                Listed::Read(volume) => details.volumes.push(volume),
                Listed::Other | Listed::Destroyed => {}
                Listed::Unreadable => details.unreadable += 1,
            }
        }
        log_unreadable(&call, machines.len() + volumes.len(), details.unreadable);
        Ok(details)
    }
}

enum Listed<T> {
    Read(T),
    /// Without our name and metadata.
    Other,
    Destroyed,
    Unreadable,
}

fn machine(entry: &Entry<DetailedMachine>) -> Listed<MachineDetails> {
    let Entry::Read(DetailedMachine { shown, extra }) = entry else { return Listed::Unreadable };
    let by_name = tag_of_machine_name(&shown.name);
    let by_metadata = match shown.tag(TOWN_TAG).map(tag_of_metadata) {
        Some(Err(_)) => return Listed::Unreadable,
        Some(Ok(tag)) => Some(tag),
        None => None,
    };
    let mapped = states::machine(shown);
    let town = match (by_name, by_metadata) {
        (None, None) if mapped == Mapped::Destroyed => return Listed::Destroyed,
        (None, None) => return Listed::Other,
        (Some(name), Some(metadata)) if name != metadata => None,
        (Some(TownTag::Whole(town)), _) | (None, Some(TownTag::Whole(town))) => Some(town),
        (Some(TownTag::Range { .. }), _) | (None, Some(TownTag::Range { .. })) => None,
    };
    let observed = match mapped {
        Mapped::Present(observed) => observed,
        Mapped::Destroyed => return Listed::Destroyed,
        Mapped::Invalid => return Listed::Unreadable,
    };
    let config = extra.config.as_ref().or(extra.incomplete_config.as_ref());
    Listed::Read(MachineDetails {
        id: observed.id,
        name: shown.name.clone(),
        town,
        power: observed.power,
        region: extra.region.as_deref().and_then(|region| region.parse::<FlyRegion>().ok()).map(Into::into),
        image: config.and_then(|config| config.image.clone()),
        metadata: config.and_then(|config| config.metadata.clone()).unwrap_or_default(),
        volume: observed.volume,
        sealed_for: config.and_then(|config| config.keys.sealed_for.clone()),
        town_key_id: config.and_then(|config| config.keys.town_key_id.clone()),
        created_at: shown.created_at,
    })
}

fn volume(entry: &Entry<Volume>) -> Listed<VolumeDetails> {
    let Entry::Read(shown) = entry else { return Listed::Unreadable };
    match states::volume(shown) {
        Mapped::Present(observed) => Listed::Read(VolumeDetails {
            id: observed.id,
            name: shown.name.clone(),
            tag: tag_of_volume_name(&shown.name),
            region: observed.region,
            held_by: observed.bound_to,
            destroying: observed.destroying,
            created_at: shown.created_at,
        }),
        Mapped::Destroyed => Listed::Destroyed,
        Mapped::Invalid => Listed::Unreadable,
    }
}

/// A machine with the parts of its configuration that only operators read.
struct DetailedMachine {
    shown: Machine,
    extra: Extra,
}

impl<'de> Deserialize<'de> for DetailedMachine {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        let shown = Machine::deserialize(&value).map_err(serde::de::Error::custom)?;
        let extra = Extra::deserialize(&value).map_err(serde::de::Error::custom)?;
        Ok(Self { shown, extra })
    }
}

#[derive(Deserialize)]
struct Extra {
    region: Option<String>,
    config: Option<ExtraConfig>,
    incomplete_config: Option<ExtraConfig>,
}

#[derive(Deserialize)]
struct ExtraConfig {
    image: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    #[serde(rename = "env", default)]
    keys: KeyIds,
}

/// The ids of keys in an environment. Nothing else of it is kept.
#[derive(Default)]
struct KeyIds {
    sealed_for: Option<String>,
    town_key_id: Option<String>,
}

impl<'de> Deserialize<'de> for KeyIds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let env = Option::<BTreeMap<String, Value>>::deserialize(from)?.unwrap_or_default();
        let sealed = env.values().find_map(|value| value.as_str()?.strip_prefix(SEALED)?.split(':').next());
        let town_key_id = env.get(TOWN_KEY_ID).and_then(Value::as_str);
        Ok(Self { sealed_for: sealed.map(str::to_owned), town_key_id: town_key_id.map(str::to_owned) })
    }
}
