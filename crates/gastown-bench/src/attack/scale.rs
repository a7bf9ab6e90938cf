//! The size of the attacks, and the limits that depend on the build.

use std::time::Duration;

/// The size of each attack.
#[derive(Debug)]
pub(super) struct Scale {
    /// Connections that send nothing.
    pub(super) silent: usize,
    /// Connections that send a head by the byte.
    pub(super) dripping: usize,
    /// Between two bytes of such a head.
    pub(super) drip_interval: Duration,
    /// Connections that stay open after a request.
    pub(super) idle: usize,
    /// Connections that send half of the preface of HTTP/2.
    pub(super) prefaces: usize,
    /// The limit of open files of a server, and the connections to it.
    pub(super) max_open_files: u32,
    pub(super) connections_to_few_files: usize,
    /// Clients that create and destroy.
    pub(super) creators: usize,
    pub(super) slow_readers: usize,
    /// Clients of `/readyz` and of reads.
    pub(super) crowd: usize,
    /// Clients with the key of one town.
    pub(super) heartbeats: usize,
    /// `MAX_RIGS_PER_TOWN`, and the calls of `addRig` to a town.
    pub(super) max_rigs: usize,
    pub(super) large_rigs: usize,
    /// Calls of `addRig` to a town without a limit.
    pub(super) rigs: usize,
    /// Towns that are created and destroyed.
    pub(super) cycles: usize,
    /// The time of an attack that has no end of its own.
    pub(super) phase: Duration,
    pub(super) times: Times,
    pub(super) bounds: Bounds,
}

/// The time limits of the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) head: Duration,
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

/// The limits of what other users notice.
#[derive(Debug)]
pub(super) struct Bounds {
    /// The p99 of a bystander, in milliseconds.
    pub(super) bystander_ms: f64,
    /// The p99 of what is answered under overload, in milliseconds.
    pub(super) answered_ms: f64,
    /// The longest answer to a probe, in milliseconds.
    pub(super) probe_ms: f64,
    /// The create of a user beside one with many operations, in seconds. It takes about 1.4 seconds alone.
    pub(super) create_seconds: f64,
    /// The time until a user is answered again, in seconds.
    pub(super) recovery_seconds: f64,
    /// The median of the last `addRig`, in milliseconds.
    pub(super) add_rig_ms: f64,
}

impl Scale {
    /// The attacks as they were found, against a release build with its default settings.
    pub(super) const FULL: Self = Self {
        silent: 500,
        dripping: 300,
        drip_interval: Duration::from_secs(2),
        idle: 2_000,
        prefaces: 500,
        max_open_files: 256,
        connections_to_few_files: 300,
        creators: 48,
        slow_readers: 10,
        crowd: 1_500,
        heartbeats: 64,
        max_rigs: 100,
        large_rigs: 1_000,
        rigs: 1_000,
        cycles: 60,
        phase: Duration::from_secs(10),
        times: Times { head: Duration::from_secs(10), idle: Duration::from_secs(60), write: Duration::from_secs(30) },
        bounds: Bounds {
            bystander_ms: 250.0,
            answered_ms: 1_000.0,
            probe_ms: 1_000.0,
            create_seconds: 8.0,
            recovery_seconds: 2.0,
            add_rig_ms: 50.0,
        },
    };

    /// Smaller attacks against a debug build with short time limits. Its bounds allow for a slow machine.
    pub(super) const QUICK: Self = Self {
        silent: 50,
        dripping: 30,
        drip_interval: Duration::from_millis(200),
        idle: 100,
        prefaces: 50,
        creators: 24,
        crowd: 200,
        heartbeats: 16,
        max_rigs: 20,
        large_rigs: 40,
        rigs: 100,
        slow_readers: 3,
        cycles: 12,
        phase: Duration::from_secs(1),
        times: Times { head: Duration::from_secs(1), idle: Duration::from_secs(2), write: Duration::from_secs(2) },
        bounds: Bounds {
            bystander_ms: 2_000.0,
            answered_ms: 5_000.0,
            probe_ms: 5_000.0,
            create_seconds: 20.0,
            recovery_seconds: 5.0,
            add_rig_ms: 500.0,
        },
        ..Self::FULL
    };

    /// Returns the most connections at a time.
    pub(super) fn connections(&self) -> usize {
        (self.silent + self.dripping + self.idle + self.prefaces).max(self.crowd)
    }

    /// Returns the settings of the server, which are the default ones in a full run.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let seconds = |time: Duration| time.as_secs().to_string();
        vec![
            ("HTTP_HEAD_SECONDS", seconds(self.times.head)),
            ("HTTP_IDLE_SECONDS", seconds(self.times.idle)),
            ("HTTP_WRITE_SECONDS", seconds(self.times.write)),
            ("MAX_RIGS_PER_TOWN", self.max_rigs.to_string()),
        ]
    }
}
