//! Time limits, limits and periods.

use std::ops::RangeInclusive;
use std::time::Duration;

use gastown_orchestrator::{Delays, DriftPolicy, Limits, OrphanPolicy, Policy, Timeouts, ValidPolicy};

use super::at_least_one;
use crate::settings_source::Reader;

const DAY: u64 = 24 * 60 * 60;

/// Reads the policy. Returns `None`, and reports the mistake, if its values contradict each other.
pub(super) fn policy(reader: &mut Reader<'_>) -> Option<ValidPolicy> {
    let usual = Policy::production();
    let timeouts = timeouts(reader, usual.timeouts);
    let sweep_every = up_to(reader, "SWEEP_SECONDS", usual.backoff.sweep_every, DAY);
    let drift_every = up_to(reader, "INSPECT_SECONDS", usual.drift.every, DAY);
    let towns_per_user = at_least_one(reader, "MAX_TOWNS_PER_USER", usual.limits.towns_per_user);
    let policy = Policy {
        timeouts,
        limits: Limits { towns_per_user, ..usual.limits },
        backoff: Delays { sweep_every, ..usual.backoff },
        drift: DriftPolicy { every: drift_every, ..usual.drift },
        orphans: OrphanPolicy {
            every: up_to(reader, "ORPHAN_SWEEP_SECONDS", usual.orphans.every, DAY),
            grace: up_to(reader, "ORPHAN_GRACE_SECONDS", usual.orphans.grace, 30 * DAY),
            delete: reader.or("ORPHAN_DELETE", usual.orphans.delete),
            ..usual.orphans
        },
    };
    policy.validated().map_err(|error| reader.wrong("LEASE_SECONDS", &format!("is wrong: {error}"))).ok()
}

/// Returns the lease, or the usual one while the policy is wrong.
pub(super) fn lease(policy: Option<&ValidPolicy>) -> Duration {
    policy.map_or(Policy::production().timeouts.lease, |policy| policy.timeouts.lease)
}

fn timeouts(reader: &mut Reader<'_>, usual: Timeouts) -> Timeouts {
    // A shorter lease would be lost to a slow answer of the provider. A longer one would delay the takeover of a dead
    // process's towns.
    let lease = seconds(reader, "LEASE_SECONDS", usual.lease, 10..=3600);
    Timeouts {
        caller: up_to(reader, "CALLER_WAIT_SECONDS", usual.caller, DAY),
        create: up_to(reader, "CREATE_PATIENCE_SECONDS", usual.create, DAY),
        start: up_to(reader, "START_PATIENCE_SECONDS", usual.start, DAY),
        stop: up_to(reader, "STOP_PATIENCE_SECONDS", usual.stop, DAY),
        lease,
        // No call takes longer, with its wait in rate limits, because its time-outs follow from the lease.
        create_visibility: lease,
        await_state: usual.await_state.min(lease / 3),
        ..usual
    }
}

fn up_to(reader: &mut Reader<'_>, name: &str, usual: Duration, longest: u64) -> Duration {
    seconds(reader, name, usual, 1..=longest)
}

fn seconds(reader: &mut Reader<'_>, name: &str, usual: Duration, allowed: RangeInclusive<u64>) -> Duration {
    let given = reader.or(name, usual.as_secs());
    if !allowed.contains(&given) {
        let (least, most) = allowed.into_inner();
        reader.wrong(name, &format!("is wrong: must be between {least} and {most} seconds"));
        return usual;
    }
    Duration::from_secs(given)
}
