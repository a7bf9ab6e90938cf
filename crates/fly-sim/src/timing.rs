//! How long Fly takes: every delay of the simulated world.

use std::time::Duration;

/// For how long Fly keeps a deleted volume readable.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Delays between the acceptance of a call and its effect. Every field can be set on its own.
///
/// All of them run on tokio's clock, so paused time works.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Before any answer: the way to the API and back.
    pub latency: Duration,
    /// `created` → `starting` of a machine that launches by itself.
    pub launch: Duration,
    /// `created` → `stopped` of a machine made with `skip_launch`; `start` is refused until then.
    pub prepare: Duration,
    /// `starting` → `started`.
    pub boot: Duration,
    /// From `started` until the sandbox has opened its secrets and listens (or has given up).
    pub sandbox_boot: Duration,
    /// From the exit of a process to its next attempt under the restart policy.
    pub restart_backoff: Duration,
    /// `stopping` → `stopped`.
    pub stop: Duration,
    /// For how long a machine that reads `stopped` still refuses `start` as 'still active'. Fly: up to 8 s.
    pub quiesce: Duration,
    /// `suspending` → `suspended`.
    pub suspend: Duration,
    /// How long an update leaves the machine `replacing`. Fly: 39 to 64 s with a large volume.
    pub replace: Duration,
    /// `destroying` → `destroyed`.
    pub destroy: Duration,
    /// For how long a volume stays bound after its machine reads `destroyed`. Fly: about a minute.
    pub volume_release: Duration,
    /// For how long a deleted volume is still readable as `pending_destroy`. Fly: 24 h.
    pub volume_tombstone: Duration,
    /// How far lists lag behind creation.
    pub list_lag: Duration,
    /// For how long reads and waits answer 404 after a creation. Fly: "for a moment", seldom.
    pub read_lag: Duration,
}

impl Timing {
    /// The proportions of the real service, shortened where it would try a watcher's patience: a machine is
    /// `started` 1.4 s after its creation and serves 0.4 s later, stops in 0.7 s, is destroyed in 0.9 s; its volume
    /// stays bound for 3 s more.
    pub fn fly_like() -> Self {
        Self {
            latency: Duration::from_millis(25),
            launch: Duration::from_millis(300),
            prepare: Duration::from_millis(900),
            boot: Duration::from_millis(1100),
            sandbox_boot: Duration::from_millis(400),
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

    /// Milliseconds, for tests: every state is still passed through, and nothing lags.
    pub fn fast() -> Self {
        Self {
            latency: Duration::ZERO,
            launch: Duration::from_millis(2),
            prepare: Duration::from_millis(5),
            boot: Duration::from_millis(5),
            sandbox_boot: Duration::from_millis(3),
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
