//! The delays of the simulated world.

use std::time::Duration;

/// The time for which Fly keeps a deleted volume readable.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The delays between the acceptance of a call and its effects.
///
/// All of them run on tokio's clock, so they follow paused time.
#[derive(Debug, Clone)]
pub struct Timing {
    /// The network latency before every answer.
    pub latency: Duration,
    /// `created` → `starting` of a machine that is launched on creation.
    pub launch: Duration,
    /// `created` → `stopped` of a machine created with `skip_launch`. `start` is refused until then.
    pub prepare: Duration,
    /// `starting` → `started`.
    pub boot: Duration,
    /// From `started` until the program listens, or exits because it cannot.
    pub program_boot: Duration,
    /// From the exit of a process to the next attempt of the restart policy.
    pub restart_backoff: Duration,
    /// `stopping` → `stopped`.
    pub stop: Duration,
    /// The time for which a `stopped` machine refuses `start` as 'still active'. Fly: up to 8 s.
    pub quiesce: Duration,
    /// `suspending` → `suspended`.
    pub suspend: Duration,
    /// The time for which an update leaves the machine `replacing`. Fly: 39 to 64 s with a large volume.
    pub replace: Duration,
    /// `destroying` → `destroyed`.
    pub destroy: Duration,
    /// The time for which a volume stays bound after its machine is `destroyed`. Fly: about a minute.
    pub volume_release: Duration,
    /// The time for which a deleted volume is readable as `pending_destroy`. Fly: 24 h.
    pub volume_tombstone: Duration,
    /// The time for which lists omit a new entry.
    pub list_lag: Duration,
    /// The time for which reads and waits answer 404 after a creation. Fly: "for a moment", rarely.
    pub read_lag: Duration,
}

impl Timing {
    /// Returns delays in the proportions of the real service, with the long ones shortened.
    ///
    /// A machine is `started` 1.4 s after its creation and serves 0.4 s later. It stops in 0.7 s and is destroyed in
    /// 0.9 s. Its volume stays bound for another 3 s.
    pub fn fly_like() -> Self {
        Self {
            latency: Duration::from_millis(25),
            launch: Duration::from_millis(300),
            prepare: Duration::from_millis(900),
            boot: Duration::from_millis(1100),
            program_boot: Duration::from_millis(400),
            restart_backoff: Duration::from_millis(500),
            stop: Duration::from_millis(700),
            quiesce: Duration::from_millis(400),
            suspend: Duration::from_millis(600),
            replace: Duration::from_millis(1500),
            destroy: Duration::from_millis(900),
            volume_release: Duration::from_secs(3),
            volume_tombstone: DAY,
            list_lag: Duration::from_millis(100),
            read_lag: Duration::ZERO,
        }
    }

    /// Returns no delays at all, for measurements: the effects of a call have taken place before the next one.
    pub fn instant() -> Self {
        let none = Duration::ZERO;
        Self {
            latency: none,
            launch: none,
            prepare: none,
            boot: none,
            program_boot: none,
            restart_backoff: none,
            stop: none,
            quiesce: none,
            suspend: none,
            replace: none,
            destroy: none,
            volume_release: none,
            volume_tombstone: Duration::from_secs(1),
            list_lag: none,
            read_lag: none,
        }
    }

    /// Returns delays of milliseconds, for tests. Every state still occurs, and reads and lists do not lag.
    pub fn fast() -> Self {
        Self {
            latency: Duration::ZERO,
            launch: Duration::from_millis(2),
            prepare: Duration::from_millis(5),
            boot: Duration::from_millis(5),
            program_boot: Duration::from_millis(3),
            restart_backoff: Duration::from_millis(3),
            stop: Duration::from_millis(5),
            quiesce: Duration::ZERO,
            suspend: Duration::from_millis(5),
            replace: Duration::from_millis(8),
            destroy: Duration::from_millis(5),
            volume_release: Duration::from_millis(10),
            volume_tombstone: DAY,
            list_lag: Duration::ZERO,
            read_lag: Duration::ZERO,
        }
    }
}
