//! Values of what was observed at the provider, and the pure judgements over them.

mod drift;
mod orphan;
mod seen;

pub use drift::{AgreeingObservations, Drift, DriftVerdict, MachineComparison, VolumeComparison, compare};
pub use orphan::{InventoryItem, OrphanReason, Ownership, ResourceId, TownRecord, TownTag, ownership};
pub use seen::{LocatedVolume, Power, Seen, VolumeState};
