//! Fly, in the domain's words: apps, volumes, machines. Adapters try once; the driver alone repeats.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::BoxError;
use crate::{AppName, Gigabytes, Guest, ImageRef, MachineId, Power, Region, TownId, VolumeId};

/// What was being tried, for errors and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Look at or create an app.
    EnsureApp,
    /// Look at a volume.
    ReadVolume,
    /// List volumes.
    ListVolumes,
    /// Create a volume.
    CreateVolume,
    /// Delete a volume.
    DeleteVolume,
    /// Look at a machine.
    ReadMachine,
    /// List machines.
    ListMachines,
    /// Create a machine.
    CreateMachine,
    /// Replace a machine's configuration.
    UpdateMachine,
    /// Start a machine.
    StartMachine,
    /// Stop a machine.
    StopMachine,
    /// Wait for a machine's state.
    AwaitMachine,
    /// Delete a machine.
    DeleteMachine,
    /// Anything else: leases, metadata, secrets.
    Other,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EnsureApp => "ensure the app",
            Self::ReadVolume => "read the volume",
            Self::ListVolumes => "list volumes",
            Self::CreateVolume => "create the volume",
            Self::DeleteVolume => "delete the volume",
            Self::ReadMachine => "read the machine",
            Self::ListMachines => "list machines",
            Self::CreateMachine => "create the machine",
            Self::UpdateMachine => "update the machine",
            Self::StartMachine => "start the machine",
            Self::StopMachine => "stop the machine",
            Self::AwaitMachine => "wait for the machine",
            Self::DeleteMachine => "delete the machine",
            Self::Other => "call the provider",
        })
    }
}

/// A failed call to Fly, classified by what the caller can do. The source never reaches a user.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The region has no room, or the organization's quota there is used up: another region.
    #[error("no capacity in the region while trying to {action}")]
    NoCapacity {
        /// What was tried.
        action: Action,
        /// Fly's answer.
        #[source]
        cause: BoxError,
    },
    /// The host of an existing volume or machine has no room: wait, or (without data) another volume.
    #[error("no capacity on the host while trying to {action}")]
    HostFull {
        /// What was tried.
        action: Action,
        /// Fly's answer.
        #[source]
        cause: BoxError,
    },
    /// The machine's name is held by a machine that is not the town's.
    #[error("the name is taken by machine {by} while trying to {action}")]
    NameTaken {
        /// What was tried.
        action: Action,
        /// The holder.
        by: MachineId,
    },
    /// The volume is bound to a machine, perhaps to one that is still being torn down: patience.
    #[error("the volume is bound while trying to {action}")]
    VolumeBound {
        /// What was tried.
        action: Action,
        /// Fly's answer.
        #[source]
        cause: BoxError,
    },
    /// A machine was to mount a volume that does not exist.
    #[error("the volume does not exist while trying to {action}")]
    VolumeMissing {
        /// What was tried.
        action: Action,
        /// Fly's answer.
        #[source]
        cause: BoxError,
    },
    /// The machine to be changed does not exist (any more); the app answers.
    #[error("the machine does not exist while trying to {action}")]
    MachineMissing {
        /// What was tried.
        action: Action,
    },
    /// The machine's state does not allow it now, or somebody holds its lease: wait, look again.
    #[error("not now while trying to {action}")]
    NotNow {
        /// What was tried.
        action: Action,
        /// Fly's answer.
        #[source]
        cause: BoxError,
    },
    /// Fly limits our calls (429). Nothing was done.
    #[error("throttled while trying to {action}")]
    Throttled {
        /// What was tried.
        action: Action,
        /// What Fly asks to wait, where it says so.
        retry_after: Option<Duration>,
    },
    /// Fly refuses the request for good (400, 422): repeating it changes nothing.
    #[error("refused for good while trying to {action}")]
    Refused {
        /// What was tried.
        action: Action,
        /// Fly's answer.
        #[source]
        cause: BoxError,
    },
    /// Our token, organization or app is refused or missing, the image is not known, or the organization's limit of
    /// machines is reached: an operator must act, no town is to blame (FM-33). The cause says which.
    #[error("the provider refuses until an operator acts, while trying to {action}")]
    Misconfigured {
        /// What was tried.
        action: Action,
        /// Fly's answer.
        #[source]
        cause: BoxError,
    },
    /// It never reached Fly: nothing was done.
    #[error("the provider could not be reached while trying to {action}")]
    NotSent {
        /// What was tried.
        action: Action,
        /// The transport's error.
        #[source]
        cause: BoxError,
    },
    /// No answer, or one that says nothing (408, 5xx, rubbish): it may or may not have been done. Look before repeating.
    #[error("no clear answer while trying to {action}")]
    Unknown {
        /// What was tried.
        action: Action,
        /// The transport's error or Fly's answer.
        #[source]
        cause: BoxError,
    },
}

impl ProviderError {
    /// Whether the request may have been applied.
    pub const fn may_be_applied(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}

/// The app a town's machine and volume live in.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Apps: Send + Sync {
    /// Makes sure that the app exists and is ours. Safe to repeat. Where one shared app is configured, it is only looked at.
    async fn ensure(&self, app: &AppName) -> Result<(), ProviderError>;
}

/// A volume, as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedVolume {
    /// Fly's id.
    pub id: VolumeId,
    /// Where it is.
    pub region: Region,
    /// Its deletion is under way, but not yet accepted for good.
    pub destroying: bool,
    /// The machine that holds it, as far as Fly says.
    pub bound_to: Option<MachineId>,
}

/// A volume to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// The app.
    pub app: AppName,
    /// The town: gives the name, [`TownId::volume_name`].
    pub town: TownId,
    /// Where.
    pub region: Region,
    /// How large, in GB. Always encrypted.
    pub size: Gigabytes,
    /// The machine that will mount it, so that Fly picks a host with room.
    pub guest: Guest,
}

/// The volumes.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Volumes: Send + Sync {
    /// The volume of this id. `None` is a proof: never known, or its deletion is accepted (soft-deleted volumes stay
    /// readable for a day), and the app itself answers. Of what was just made it proves nothing: Fly may show it a moment later.
    async fn volume(&self, app: &AppName, id: &VolumeId) -> Result<Option<ObservedVolume>, ProviderError>;

    /// Every volume that carries the town's name and whose deletion is not accepted. An empty list alone proves nothing.
    async fn volumes_of(&self, app: &AppName, town: TownId) -> Result<Vec<ObservedVolume>, ProviderError>;

    /// Makes a volume. **Not** safe to repeat: volume names are not unique on Fly.
    async fn create_volume(&self, spec: &VolumeSpec) -> Result<ObservedVolume, ProviderError>;

    /// Asks for a volume's deletion; one that is gone is success. Safe to repeat.
    async fn delete_volume(&self, app: &AppName, id: &VolumeId) -> Result<(), ProviderError>;
}

/// A machine, as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedMachine {
    /// Fly's id.
    pub id: MachineId,
    /// Its power.
    pub power: Power,
    /// The volume it mounts, as far as Fly says.
    pub volume: Option<VolumeId>,
}

/// A machine to be made, or the whole of what an existing one shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    /// The app.
    pub app: AppName,
    /// The town: gives the name, [`TownId::machine_name`], and the metadata `gastown_town_id`.
    pub town: TownId,
    /// Where: its volume's region.
    pub region: Region,
    /// What it boots.
    pub image: ImageRef,
    /// What it has.
    pub guest: Guest,
    /// The volume mounted at `/home/gt/data`.
    pub volume: VolumeId,
    /// Its environment; secret values are sealed already.
    pub env: BTreeMap<String, String>,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}

/// A state to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// Started.
    Started,
    /// Stopped.
    Stopped,
    /// Destroyed.
    Destroyed,
}

/// The machines.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Machines: Send + Sync {
    /// The machine of this id. `None` is a proof: destroyed, or never known while the app itself answers (FM-33). Of what was
    /// just made it proves nothing: Fly may show it a moment later.
    async fn machine(&self, app: &AppName, id: &MachineId) -> Result<Option<ObservedMachine>, ProviderError>;

    /// Every machine that carries the town's name or metadata and is not destroyed. An empty list alone proves nothing.
    async fn machines_of(&self, app: &AppName, town: TownId) -> Result<Vec<ObservedMachine>, ProviderError>;

    /// Makes the town's machine, which starts by itself. Safe to repeat: the name is unique, and a holder of the name
    /// that is the town's own is adopted.
    async fn create_machine(&self, spec: &MachineSpec) -> Result<ObservedMachine, ProviderError>;

    /// Replaces the configuration of a machine that is off, without starting it; all of it but what it mounts, which Fly never
    /// changes.
    async fn update_machine(&self, id: &MachineId, spec: &MachineSpec) -> Result<(), ProviderError>;

    /// Asks a machine to start; one that is started is success.
    async fn start_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError>;

    /// Asks a machine to stop; one that is stopped is success.
    async fn stop_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError>;

    /// Waits at most `patience` (up to 60 s: Fly) for a state and answers whether it was reached.
    async fn await_machine(
        &self,
        app: &AppName,
        id: &MachineId,
        state: Awaited,
        patience: Duration,
    ) -> Result<bool, ProviderError>;

    /// Asks for a machine's destruction, running or not; one that is gone is success. Safe to repeat.
    async fn delete_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError>;
}
