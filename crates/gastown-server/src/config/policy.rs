//! The settings of the policy: time-outs, intervals, limits.

use std::ops::RangeInclusive;
use std::time::Duration;

use gastown_orchestrator::{DriftPolicy, OrphanPolicy, Policy};

use crate::settings_source::Reader;

const DAY: u64 = 24 * 60 * 60;

pub(super) fn policy(reader: &mut Reader<'_>) -> Policy {
    let default = Policy::production();
    let mut upto = |name: &str, default: Duration, max: u64| seconds(reader, name, default, 1..=max);
    let caller_wait = upto("CALLER_WAIT_SECONDS", default.caller_wait, DAY);
    let create_timeout = upto("CREATE_PATIENCE_SECONDS", default.create_timeout, DAY);
    let start_timeout = upto("START_PATIENCE_SECONDS", default.start_timeout, DAY);
    let stop_timeout = upto("STOP_PATIENCE_SECONDS", default.stop_timeout, DAY);
    let sweep_every = upto("SWEEP_SECONDS", default.sweep_every, DAY);
    let inspect_every = upto("INSPECT_SECONDS", default.inspection.every, DAY);
    let sweep_orphans_every = upto("ORPHAN_SWEEP_SECONDS", default.orphans.every, DAY);
    let grace = upto("ORPHAN_GRACE_SECONDS", default.orphans.grace, 30 * DAY);
    // A shorter lease would expire during a slow call to Fly. A longer one would delay the takeover from a dead process.
    let lease = seconds(reader, "LEASE_SECONDS", default.lease, 10..=3600);
    Policy {
        caller_wait,
        create_timeout,
        start_timeout,
        stop_timeout,
        sweep_every,
        lease,
        // No call takes longer, including its time in the queue, because its time-out is derived from the lease.
        create_visibility_timeout: lease,
        await_timeout: default.await_timeout.min(lease / 3),
        max_towns: reader.at_least_one("MAX_TOWNS_PER_USER", default.max_towns),
        inspection: DriftPolicy { every: inspect_every, ..default.inspection },
        orphans: OrphanPolicy {
            every: sweep_orphans_every,
            grace,
            delete: reader.or("ORPHAN_DELETE", default.orphans.delete),
            ..default.orphans
        },
        ..default
    }
}

fn seconds(reader: &mut Reader<'_>, name: &str, default: Duration, allowed: RangeInclusive<u64>) -> Duration {
    let given = reader.or(name, default.as_secs());
    if !allowed.contains(&given) {
        let (min, max) = allowed.into_inner();
        reader.wrong(name, &format!("is invalid: must be between {min} and {max} seconds"));
    }
    Duration::from_secs(given)
}
