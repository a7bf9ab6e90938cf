//! The town, as the registry stores it.

use chrono::{DateTime, Utc};

use crate::{MachineId, Region, Rig, SandboxId, TownConfig, TownId, TownName, TownStatus, UserId, VolumeId};

/// A row of `gastown_towns`.
#[derive(Debug, Clone, PartialEq)]
pub struct Town {
    /// The id and primary key.
    pub id: TownId,
    /// The user who owns the town.
    pub owner: UserId,
    /// The name, unique among the owner's live towns.
    pub name: TownName,
    /// The sandbox id, derived from owner and name. A tombstone appends the town's id to it.
    pub sandbox_id: SandboxId,
    /// The machine, from its creation until its absence is proven.
    pub machine_id: Option<MachineId>,
    /// The volume, from its creation until its absence is proven.
    pub volume_id: Option<VolumeId>,
    /// The region of the volume, or the desired region before there is one. `None` while the provider has not shown the
    /// region of the volume.
    pub region: Option<Region>,
    /// The status.
    pub status: TownStatus,
    /// The time of the last sync to R2 that we have requested, or that the sandbox reports.
    pub last_r2_sync_at: Option<DateTime<Utc>>,
    /// The time of the sandbox's last heartbeat, by our clock.
    pub last_heartbeat_at: Option<DateTime<Utc>>,
    /// The user's configuration. Unknown keys are kept.
    pub config: TownConfig,
    /// The time at which the town was accepted.
    pub created_at: DateTime<Utc>,
    /// The time at which the town was soft-deleted.
    pub destroyed_at: Option<DateTime<Utc>>,
}

impl Town {
    /// Returns true if the row is a tombstone. Queries for users do not return tombstones.
    pub const fn is_tombstone(&self) -> bool {
        self.destroyed_at.is_some()
    }

    /// Returns true while the row records a machine or a volume.
    pub const fn holds_provider_id(&self) -> bool {
        self.machine_id.is_some() || self.volume_id.is_some()
    }
}

/// A town to be accepted. It is inserted together with its first rigs and its create operation.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTown {
    /// The id, from the port `Ids`.
    pub id: TownId,
    /// The user who owns the town.
    pub owner: UserId,
    /// The name.
    pub name: TownName,
    /// The desired region.
    pub region: Region,
    /// The user's configuration.
    pub config: TownConfig,
    /// The first rigs, all `pending`.
    pub rigs: Vec<Rig>,
    /// The time at which the town was accepted.
    pub created_at: DateTime<Utc>,
}

impl NewTown {
    /// Returns the town's row as it is inserted.
    pub fn row(&self) -> Town {
        Town {
            id: self.id,
            sandbox_id: SandboxId::derive(&self.owner, &self.name),
            owner: self.owner.clone(),
            name: self.name.clone(),
            machine_id: None,
            volume_id: None,
            region: Some(self.region.clone()),
            status: TownStatus::Provisioning,
            last_r2_sync_at: None,
            last_heartbeat_at: None,
            config: self.config.clone(),
            created_at: self.created_at,
            destroyed_at: None,
        }
    }
}
