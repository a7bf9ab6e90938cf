//! What is known of the world outside: a lost answer is neither "there" nor "not there".

/// What is known of one remote object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seen<T> {
    /// Proven not to exist.
    Absent,
    /// It could not be asked, or a create was sent and its answer lost: there may be one.
    Unknown,
    /// It exists.
    Present(T),
}

/// The power of a machine that exists. Fly's states are mapped by the Fly adapter; an unknown state is `Changing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Power {
    /// On the way up: created, starting, restarting, being replaced.
    Starting,
    /// Started.
    On,
    /// On the way down.
    Stopping,
    /// Stopped or suspended.
    Off,
    /// Failed for good, by itself.
    Failed,
    /// On the way to being destroyed; it still holds its volume.
    Destroying,
    /// Something this version does not know, or a host that does not answer: no decision (FM-23).
    Changing,
}

impl Power {
    /// Every power.
    pub const ALL: [Self; 7] =
        [Self::Starting, Self::On, Self::Stopping, Self::Off, Self::Failed, Self::Destroying, Self::Changing];
}

/// The state of a volume that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VolumeState {
    /// It can be mounted.
    Ready,
    /// Empty, and on a host or in a region that has no room for its machine: to be given up for one elsewhere.
    Misplaced,
    /// A second one carries the town's name: the surplus is to be removed (FM-02).
    Surplus,
    /// Its deletion is under way; it cannot be mounted again.
    Destroying,
}

impl VolumeState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Ready, Self::Misplaced, Self::Surplus, Self::Destroying];
}

/// What Fly shows of one town.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    /// The town's machine.
    pub machine: Seen<Power>,
    /// The town's volume.
    pub volume: Seen<VolumeState>,
    /// Whether a create that was sent may still make something, besides what is seen here.
    pub late: bool,
}
