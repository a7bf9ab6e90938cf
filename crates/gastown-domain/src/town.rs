//! The town, as the registry remembers it.

use chrono::{DateTime, Utc};

use crate::{MachineId, Region, Rig, SandboxId, TownConfig, TownId, TownName, TownStatus, UserId, VolumeId};

/// A row of `gastown_towns`.
#[derive(Debug, Clone, PartialEq)]
pub struct Town {
    /// Primary key.
    pub id: TownId,
    /// Who owns it.
    pub owner: UserId,
    /// Its name, unique among the owner's living towns.
    pub name: TownName,
    /// Derived from owner and name; a tombstone keeps it with its own id behind it.
    pub sandbox_id: SandboxId,
    /// Fly's machine, once made and until proven gone.
    pub machine_id: Option<MachineId>,
    /// Fly's volume, once made and until proven gone.
    pub volume_id: Option<VolumeId>,
    /// Where its volume is, or where it is wished.
    pub region: Option<Region>,
    /// Where it stands.
    pub status: TownStatus,
    /// Last confirmed sync to R2.
    pub last_r2_sync_at: Option<DateTime<Utc>>,
    /// Last sign of life of its sandbox, by our clock.
    pub last_heartbeat_at: Option<DateTime<Utc>>,
    /// What the user configured; unknown keys are kept.
    pub config: TownConfig,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it was soft-deleted.
    pub destroyed_at: Option<DateTime<Utc>>,
}

impl Town {
    /// Whether the row is a tombstone, which every finder hides.
    pub const fn is_tombstone(&self) -> bool {
        self.destroyed_at.is_some()
    }

    /// Returns true while the row records a machine or a volume.
    pub const fn holds_provider_id(&self) -> bool {
        self.machine_id.is_some() || self.volume_id.is_some()
    }
}

/// A town to be accepted: inserted together with its first rigs and its create operation.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTown {
    /// Primary key, from the port `Ids`.
    pub id: TownId,
    /// Who owns it.
    pub owner: UserId,
    /// Its name.
    pub name: TownName,
    /// The region it is wished in.
    pub region: Region,
    /// What the user configured.
    pub config: TownConfig,
    /// Its first rigs, `pending`.
    pub rigs: Vec<Rig>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
}
