//! Observations that keep "unknown" apart from "absent".

use crate::{Region, VolumeId};

/// Knowledge about one remote object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Seen<T> {
    /// Proven not to exist.
    Absent,
    /// It could not be observed, or the answer to a create was lost. It may exist.
    #[default]
    Unknown,
    /// It exists.
    Present(T),
}

/// The power state of a machine that exists. The provider adapter maps its own states; an unknown state is `Changing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Power {
    /// Created, starting, restarting, or being replaced.
    Starting,
    /// Started.
    On,
    /// Stopping.
    Stopping,
    /// Stopped or suspended.
    Off,
    /// Failed for good, without a call of ours.
    Failed,
    /// Being destroyed. It still holds its volume.
    Destroying,
    /// A state that this version does not know, or a host that does not answer. Nothing is decided (FM-23).
    Changing,
}

impl Power {
    /// Every power state.
    pub const ALL: [Self; 7] =
        [Self::Starting, Self::On, Self::Stopping, Self::Off, Self::Failed, Self::Destroying, Self::Changing];
}

/// The state of a volume that exists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VolumeState {
    /// It can be mounted.
    Ready,
    /// Empty, and on a host or in a region without room for its machine. To be replaced by one elsewhere.
    Misplaced,
    /// A second volume, this one, carries the town's name and is to be removed (FM-02).
    Surplus(VolumeId),
    /// Its deletion is under way. It cannot be mounted again.
    Destroying,
}

/// The volume that a town uses, as it was located.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocatedVolume {
    /// The volume's id.
    pub id: VolumeId,
    /// The volume's region, where it is known.
    pub region: Option<Region>,
    /// The volume's state.
    pub state: VolumeState,
}
