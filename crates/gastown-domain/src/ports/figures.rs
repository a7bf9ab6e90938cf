//! Figures of the whole registry, for operators.

use std::time::Duration;

use async_trait::async_trait;

use super::{SingletonJob, StoreError};
use crate::{Drift, HealthState, OperationKind, RolloutState, TownImage, TownStatus};

/// The thresholds of [`RegistryFigures`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FigureLimits {
    /// The failed attempts in a row after which an operation needs attention.
    pub alert_attempts: u32,
    /// The time before its expiry at which a token should have been replaced.
    pub token_margin: Duration,
}

/// The time before its expiry at which a token should have been replaced. Sandboxes ask for a new one two hours before.
const TOKEN_MARGIN: Duration = Duration::from_secs(3600);

impl FigureLimits {
    /// Returns the limits of production, with these failed attempts.
    pub const fn alerting_after(alert_attempts: u32) -> Self {
        Self { alert_attempts, token_margin: TOKEN_MARGIN }
    }
}

/// Figures of the whole registry, counted by one statement. Texts of a newer version are counted as `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryFigures {
    /// Live towns by status.
    pub towns: Vec<(Option<TownStatus>, u64)>,
    /// Live towns with a confirmed external change, by its kind.
    pub drifted: Vec<(Option<Drift>, u64)>,
    /// Running towns by the state of their health, without those that were never checked.
    pub health: Vec<(Option<HealthState>, u64)>,
    /// The time for which the longest due health check waits.
    pub oldest_check: Duration,
    /// Operations in flight by kind.
    pub operations: Vec<(Option<OperationKind>, u64)>,
    /// Operations that are due and that no process drives.
    pub due: u64,
    /// The time for which the longest due of them waits.
    pub oldest_due: Duration,
    /// Operations that keep failing.
    pub stuck: u64,
    /// Operations that are due and of a newer version.
    pub left_to_newer: u64,
    /// Running towns whose newest token expires within the margin, or has expired.
    pub expiring_tokens: u64,
    /// Live towns by their image, compared with that of the newest rollout.
    pub images: Vec<(Option<TownImage>, u64)>,
    /// Rollouts that have not ended, by state. There is one at most.
    pub rollouts: Vec<(Option<RolloutState>, u64)>,
    /// Open orphan records.
    pub orphans: u64,
    /// Periodic jobs whose last run ended with an alarm.
    pub alarms: Vec<SingletonJob>,
}

/// Reads the figures.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Figures: Send + Sync {
    /// Counts everything with one statement. It reads whole tables, so it is for a call every few seconds at most.
    async fn figures(&self, limits: FigureLimits) -> Result<RegistryFigures, StoreError>;
}
