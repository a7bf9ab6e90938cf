//! Time limits, limits and periods.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use gastown_orchestrator::{
    Delays, DriftPolicy, Limits, MonitorPolicy, OrphanPolicy, Policy, RetentionPolicy, RolloutPolicy, Timeouts,
    ValidPolicy,
};

use crate::settings_source::Reader;

/// The longest time of most settings.
pub(super) const DAY: u64 = 24 * 60 * 60;
/// The most of any limit on towns, rigs, operations or calls.
pub(super) const MAX_COUNT: u32 = 1_000_000;
/// Ten years.
const MAX_RETENTION_DAYS: u64 = 3653;

/// Reads the policy. Returns `None`, and reports the mistake, if its values contradict each other.
pub(super) fn policy(reader: &mut Reader<'_>) -> Option<ValidPolicy> {
    let default = Policy::production();
    let timeouts = timeouts(reader, &default.timeouts);
    let sweep_every = up_to(reader, "SWEEP_SECONDS", default.backoff.sweep_every, DAY);
    let drift_every = up_to(reader, "INSPECT_SECONDS", default.drift.every, DAY);
    let monitor_every = up_to(reader, "MONITOR_SECONDS", default.monitor.every, DAY);
    let towns_per_user = reader.count("MAX_TOWNS_PER_USER", default.limits.towns_per_user, MAX_COUNT);
    let rigs_per_town = reader.count("MAX_RIGS_PER_TOWN", default.limits.rigs_per_town, MAX_COUNT);
    let operations_per_user = reader.count("MAX_OPERATIONS_PER_USER", default.limits.operations_per_user, MAX_COUNT);
    let changes_per_minute = calls(reader, "CHANGES_PER_MINUTE", default.limits.changes_per_minute);
    let sandbox_calls_per_minute = calls(reader, "SANDBOX_CALLS_PER_MINUTE", default.limits.sandbox_calls_per_minute);
    let policy = Policy {
        timeouts,
        limits: Limits {
            towns_per_user,
            rigs_per_town,
            operations_per_user,
            changes_per_minute,
            sandbox_calls_per_minute,
            ..default.limits
        },
        backoff: Delays { sweep_every, ..default.backoff },
        drift: DriftPolicy { every: drift_every, ..default.drift },
        monitor: MonitorPolicy { every: monitor_every, ..default.monitor },
        idle: default.idle,
        orphans: OrphanPolicy {
            every: up_to(reader, "ORPHAN_SWEEP_SECONDS", default.orphans.every, DAY),
            grace: up_to(reader, "ORPHAN_GRACE_SECONDS", default.orphans.grace, 30 * DAY),
            delete: reader.or("ORPHAN_DELETE", default.orphans.delete),
            ..default.orphans
        },
        retention: RetentionPolicy {
            events: days(reader, "EVENT_RETENTION_DAYS", default.retention.events),
            keys: days(reader, "IDEMPOTENCY_KEY_RETENTION_DAYS", default.retention.keys),
            tombstones: days(reader, "TOMBSTONE_RETENTION_DAYS", default.retention.tombstones),
            every: up_to(reader, "RETENTION_SWEEP_SECONDS", default.retention.every, DAY),
        },
        rollout: RolloutPolicy {
            every: up_to(reader, "ROLLOUT_SECONDS", default.rollout.every, DAY),
            // The monitor needs three periods to find a town unhealthy.
            soak: monitor_every * 4,
        },
    };
    policy.validated().map_err(|error| reader.wrong("LEASE_SECONDS", &format!("is invalid: {error}"))).ok()
}

/// Reads a rate of calls.
fn calls(reader: &mut Reader<'_>, name: &str, default: NonZeroU32) -> NonZeroU32 {
    NonZeroU32::new(reader.count(name, default.get(), MAX_COUNT)).unwrap_or(default)
}

fn timeouts(reader: &mut Reader<'_>, default: &Timeouts) -> Timeouts {
    // A shorter lease would be lost to a slow answer of the provider. A longer one would delay the takeover of a dead
    // process's towns.
    let lease = seconds(reader, "LEASE_SECONDS", default.lease, 10..=3600);
    Timeouts {
        caller: up_to(reader, "CALLER_WAIT_SECONDS", default.caller, DAY),
        create: up_to(reader, "CREATE_PATIENCE_SECONDS", default.create, DAY),
        start: up_to(reader, "START_PATIENCE_SECONDS", default.start, DAY),
        stop: up_to(reader, "STOP_PATIENCE_SECONDS", default.stop, DAY),
        restore: up_to(reader, "RESTORE_PATIENCE_SECONDS", default.restore, DAY),
        lease,
        // No call takes longer, with its wait in rate limits, because its time-outs follow from the lease.
        create_visibility: lease,
        await_state: default.await_state.min(lease / 3),
        ..default.clone()
    }
}

/// Reads a time of at least one second.
pub(super) fn up_to(reader: &mut Reader<'_>, name: &str, default: Duration, longest: u64) -> Duration {
    seconds(reader, name, default, 1..=longest)
}

/// Reads an age of at least one day.
fn days(reader: &mut Reader<'_>, name: &str, default: Duration) -> Duration {
    let given = reader.or(name, default.as_secs() / DAY);
    if !(1..=MAX_RETENTION_DAYS).contains(&given) {
        reader.wrong(name, &format!("is invalid: must be between 1 and {MAX_RETENTION_DAYS} days"));
        return default;
    }
    Duration::from_secs(given * DAY)
}

pub(super) fn seconds(
    reader: &mut Reader<'_>,
    name: &str,
    default: Duration,
    allowed: RangeInclusive<u64>,
) -> Duration {
    let given = reader.or(name, default.as_secs());
    if !allowed.contains(&given) {
        let (min, max) = allowed.into_inner();
        reader.wrong(name, &format!("is invalid: must be between {min} and {max} seconds"));
        return default;
    }
    Duration::from_secs(given)
}
