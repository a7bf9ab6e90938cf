//! The provider of machines: apps, volumes, machines. An adapter tries each call once. Only the reconciler repeats it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::BoxError;
use crate::{AppName, Gigabytes, Guest, ImageRef, MachineId, Power, Region, TownId, UserId, VolumeId};

/// The action of a call, for errors and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read or create an app.
    EnsureApp,
    /// List apps.
    ListApps,
    /// Read a volume.
    ReadVolume,
    /// List volumes.
    ListVolumes,
    /// Create a volume.
    CreateVolume,
    /// Delete a volume.
    DeleteVolume,
    /// Read a machine.
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
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EnsureApp => "ensure the app",
            Self::ListApps => "list apps",
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
        })
    }
}

/// A failed call to the provider, classified by what the caller can do. The source is never shown to a user.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The region has no capacity, or the organization's quota there is used up. Another region may have some.
    #[error("failed to {action}: no capacity in the region")]
    NoCapacity {
        /// The attempted action.
        action: Action,
        /// The provider's answer.
        #[source]
        cause: BoxError,
    },
    /// The provider does not offer the region, or no longer. Another region may be offered, and an operator must know.
    #[error("failed to {action}: the region is refused")]
    RegionRefused {
        /// The attempted action.
        action: Action,
        /// The provider's answer.
        #[source]
        cause: BoxError,
    },
    /// The host of an existing volume or machine has no capacity. The caller waits or, without data, uses another volume.
    #[error("failed to {action}: no capacity on the host")]
    HostFull {
        /// The attempted action.
        action: Action,
        /// The provider's answer.
        #[source]
        cause: BoxError,
    },
    /// A machine that is not the town's has the machine's name.
    #[error("failed to {action}: the name is taken by machine {by}")]
    NameTaken {
        /// The attempted action.
        action: Action,
        /// The machine with the name.
        by: MachineId,
    },
    /// The volume is attached to a machine, which may be in destruction. The caller waits.
    #[error("failed to {action}: the volume is attached to a machine")]
    VolumeBound {
        /// The attempted action.
        action: Action,
        /// The provider's answer.
        #[source]
        cause: BoxError,
    },
    /// The volume that a machine should mount does not exist.
    #[error("failed to {action}: the volume does not exist")]
    VolumeMissing {
        /// The attempted action.
        action: Action,
        /// The provider's answer.
        #[source]
        cause: BoxError,
    },
    /// The machine does not exist. This is proven: the app itself answers.
    #[error("failed to {action}: the machine does not exist")]
    MachineMissing {
        /// The attempted action.
        action: Action,
    },
    /// The machine's state does not allow it now, or another client holds its lease. The caller waits and reads again.
    #[error("failed to {action}: not possible now")]
    NotNow {
        /// The attempted action.
        action: Action,
        /// The provider's answer.
        #[source]
        cause: BoxError,
    },
    /// The rate limit is exceeded (429). Nothing was done.
    #[error("failed to {action}: throttled")]
    Throttled {
        /// The attempted action.
        action: Action,
        /// The pause that the provider asks for, where it names one.
        retry_after: Option<Duration>,
    },
    /// The provider refuses the request permanently (400, 422). A repetition changes nothing.
    #[error("failed to {action}: permanently refused")]
    Refused {
        /// The attempted action.
        action: Action,
        /// The provider's answer.
        #[source]
        cause: BoxError,
    },
    /// An operator must act, and no town is at fault (FM-33). The cause names the reason.
    ///
    /// Our token, organization or app is refused or missing. Or the organization has not paid or is at its limit of
    /// machines, or the image cannot be read.
    #[error("failed to {action}: the provider refuses until an operator acts")]
    Misconfigured {
        /// The attempted action.
        action: Action,
        /// The provider's answer.
        #[source]
        cause: BoxError,
    },
    /// The request was not sent. Nothing was done.
    #[error("failed to {action}: the provider could not be reached")]
    NotSent {
        /// The attempted action.
        action: Action,
        /// The transport's error.
        #[source]
        cause: BoxError,
    },
    /// No answer, or an unclear one (408, 5xx, invalid). The request may have been applied. The caller reads before it
    /// repeats.
    #[error("failed to {action}: no clear answer")]
    Unknown {
        /// The attempted action.
        action: Action,
        /// The transport's error or the provider's answer.
        #[source]
        cause: BoxError,
    },
}

impl ProviderError {
    /// Returns true if the request may have been applied.
    pub const fn may_be_applied(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}

/// The apps of towns.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Apps: Send + Sync {
    /// Makes sure that the app exists and is ours. Safe to repeat. A shared app is only read.
    async fn ensure(&self, app: &AppName) -> Result<(), ProviderError>;
}

/// A volume, as observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedVolume {
    /// The provider's id.
    pub id: VolumeId,
    /// The region it is in, where the answer tells it. A deletion does not need it.
    pub region: Option<Region>,
    /// Its deletion has begun and is not yet final.
    pub destroying: bool,
    /// The machine it is attached to, as far as the provider shows it.
    pub bound_to: Option<MachineId>,
}

/// The specification of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// The app.
    pub app: AppName,
    /// The town. The volume's name is derived from its id.
    pub town: TownId,
    /// The region.
    pub region: Region,
    /// The size in GB. The volume is encrypted.
    pub size: Gigabytes,
    /// The machine that will mount it, so that the provider chooses a host with capacity for both.
    pub guest: Guest,
}

/// The answer to a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deletion {
    /// The provider accepted it.
    Accepted,
    /// There was nothing to delete. The row that records the resource is contradicted.
    AlreadyAbsent,
}

/// The volumes.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Volumes: Send + Sync {
    /// Returns the volume with this id. `None` proves that it does not exist, while the app itself answers. A deleted volume
    /// counts as absent once its deletion is accepted.
    ///
    /// Exception: a volume that was created a moment ago may not be visible yet.
    async fn volume(&self, app: &AppName, id: &VolumeId) -> Result<Option<ObservedVolume>, ProviderError>;

    /// Returns every volume with the town's name whose deletion is not accepted. An empty list alone proves nothing.
    async fn volumes_of(&self, app: &AppName, town: TownId) -> Result<Vec<ObservedVolume>, ProviderError>;

    /// Creates a volume. **Not** safe to repeat, because a name may have several volumes.
    async fn create_volume(&self, spec: &VolumeSpec) -> Result<ObservedVolume, ProviderError>;

    /// Requests a volume's deletion. A volume that is gone is a success. Safe to repeat.
    async fn delete_volume(&self, app: &AppName, id: &VolumeId) -> Result<Deletion, ProviderError>;
}

/// A machine, as observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedMachine {
    /// The provider's id.
    pub id: MachineId,
    /// Its power.
    pub power: Power,
    /// The volume it mounts, as far as the provider shows it.
    pub volume: Option<VolumeId>,
}

/// The complete specification of a machine, for a create or an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    /// The app.
    pub app: AppName,
    /// The town. The machine's name and a tag in its metadata are derived from its id.
    pub town: TownId,
    /// The region of its volume.
    pub region: Region,
    /// The image it boots.
    pub image: ImageRef,
    /// Its CPUs and memory.
    pub guest: Guest,
    /// The volume mounted at `/home/gt/data`.
    pub volume: VolumeId,
    /// Its environment. Secret values are sealed.
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
    /// Returns the machine with this id. `None` proves that it does not exist or is destroyed, while the app itself answers
    /// (FM-33).
    ///
    /// Exception: a machine that was created a moment ago may not be visible yet.
    async fn machine(&self, app: &AppName, id: &MachineId) -> Result<Option<ObservedMachine>, ProviderError>;

    /// Returns every machine with the town's name or metadata that is not destroyed. An empty list alone proves nothing.
    async fn machines_of(&self, app: &AppName, town: TownId) -> Result<Vec<ObservedMachine>, ProviderError>;

    /// Creates the town's machine, which then starts. Safe to repeat: the name is unique, and the town's own machine with
    /// that name is adopted.
    async fn create_machine(&self, spec: &MachineSpec) -> Result<ObservedMachine, ProviderError>;

    /// Replaces the configuration of a machine that is off, without starting it. The mounted volume stays as it is. Returns
    /// the machine after the update.
    async fn update_machine(&self, id: &MachineId, spec: &MachineSpec) -> Result<ObservedMachine, ProviderError>;

    /// Requests a machine's start. A started machine is a success.
    async fn start_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError>;

    /// Requests a machine's stop. A stopped machine is a success.
    async fn stop_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError>;

    /// Waits for a state and returns whether it was reached within `timeout`. The provider may end the wait earlier.
    async fn await_machine(
        &self,
        app: &AppName,
        id: &MachineId,
        state: Awaited,
        timeout: Duration,
    ) -> Result<bool, ProviderError>;

    /// Requests a machine's destruction, running or not. A machine that is gone is a success. Safe to repeat.
    async fn delete_machine(&self, app: &AppName, id: &MachineId) -> Result<Deletion, ProviderError>;
}

/// The ports through which the calls for one user go.
#[derive(Clone)]
pub struct UserCalls {
    /// Apps.
    pub apps: Arc<dyn Apps>,
    /// Volumes.
    pub volumes: Arc<dyn Volumes>,
    /// Machines.
    pub machines: Arc<dyn Machines>,
}

/// The turns of users where calls wait for the provider's rate limits, so that one user's calls do not delay another's.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait UserTurns: Send + Sync {
    /// Returns ports whose calls take turns with those of other users.
    fn calls_of(&self, user: &UserId) -> UserCalls;
}
