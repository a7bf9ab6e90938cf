//! The operations on towns and rigs, and the reconciler that drives each to its end.
//!
//! A request writes its goal to the registry, and the reconciler drives the town to it: observe, decide, execute, apply,
//! store. This crate sees ports only: no SQL, no HTTP, no provider. It never holds a transaction across a call. It never
//! creates a second machine before the first is proven absent, and never drops an id before its deletion is proven.
//!
//! Start with [`TownService`], which takes requests (`service/`). [`Reconciler`] executes them (`reconcile/`). [`Workers`]
//! finds what other processes left unfinished. [`DriftDetector`] and [`OrphanSweeper`] compare rows with the provider.
//! [`HealthMonitor`] asks running sandboxes, and [`HeartbeatWriter`] writes what they report. [`IdleStopper`] stops unused towns.
//! [`RolloutDriver`] brings a new image to running towns.

mod completion_notifier;
mod drift;
mod health;
mod heartbeats;
mod idle;
mod in_flight_set;
mod keyed_backoff;
mod keyed_rate;
mod locate;
mod orphans;
mod ports;
mod reconcile;
mod retention;
mod rigs;
mod rollout;
mod sandbox_calls;
mod service;
mod settings;
mod singleton_jobs;
mod tokens;
mod town_service;
mod watch;
mod workers;

pub use drift::{DriftDetector, DriftReport};
pub use health::{HealthMonitor, HealthReport};
pub use heartbeats::HeartbeatWriter;
pub use idle::{IdleReport, IdleStopper};
pub use orphans::{FoundOrphan, Grace, OrphanReport, OrphanSweeper, Removal, Survey, SweepError, Verdict};
pub use ports::{Env, OrphanPorts, Ports, Provider, Secrets, Store};
pub use reconcile::{ReconcileReport, Reconciler};
pub use retention::{Retention, RetentionPorts, RetentionReport};
pub use rollout::{RolloutDriver, RolloutPassReport};
pub use service::RestartSync;
pub use settings::{
    Delays, DriftPolicy, IdlePolicy, InvalidPolicy, Limits, MachineTemplate, MonitorPolicy, OrphanPolicy, Policy,
    RetentionPolicy, RolloutPolicy, SandboxEnv, Settings, Timeouts, ValidPolicy,
};
pub use town_service::TownService;
pub use watch::WatchHub;
pub use workers::Workers;
