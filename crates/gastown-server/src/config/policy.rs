//! How patient we are, and what is looked at when.

use std::ops::RangeInclusive;
use std::time::Duration;

use gastown_orchestrator::{DriftPolicy, OrphanPolicy, Policy};

use super::at_least_one;
use crate::settings_source::Reader;

const DAY: u64 = 24 * 60 * 60;

pub(super) fn policy(reader: &mut Reader<'_>) -> Policy {
    let usual = Policy::production();
    let mut upto = |name: &str, usual: Duration, longest: u64| seconds(reader, name, usual, 1..=longest);
    let caller_wait = upto("CALLER_WAIT_SECONDS", usual.caller_wait, DAY);
    let create_timeout = upto("CREATE_PATIENCE_SECONDS", usual.create_timeout, DAY);
    let start_timeout = upto("START_PATIENCE_SECONDS", usual.start_timeout, DAY);
    let stop_timeout = upto("STOP_PATIENCE_SECONDS", usual.stop_timeout, DAY);
    let sweep_every = upto("SWEEP_SECONDS", usual.sweep_every, DAY);
    let inspect_every = upto("INSPECT_SECONDS", usual.inspection.every, DAY);
    let sweep_orphans_every = upto("ORPHAN_SWEEP_SECONDS", usual.orphans.every, DAY);
    let grace = upto("ORPHAN_GRACE_SECONDS", usual.orphans.grace, 30 * DAY);
    // Shorter, and a slow answer of Fly would cost the claim; longer, and nobody would look after a dead process's towns.
    let lease = seconds(reader, "LEASE_SECONDS", usual.lease, 10..=3600);
    Policy {
        caller_wait,
        create_timeout,
        start_timeout,
        stop_timeout,
        sweep_every,
        lease,
        // No call takes longer, its wait in line included: its time-outs follow from the lease.
        create_visibility_timeout: lease,
        await_timeout: usual.await_timeout.min(lease / 3),
        max_towns: at_least_one(reader, "MAX_TOWNS_PER_USER", usual.max_towns),
        inspection: DriftPolicy { every: inspect_every, ..usual.inspection },
        orphans: OrphanPolicy {
            every: sweep_orphans_every,
            grace,
            delete: reader.or("ORPHAN_DELETE", usual.orphans.delete),
            ..usual.orphans
        },
        ..usual
    }
}

fn seconds(reader: &mut Reader<'_>, name: &str, usual: Duration, allowed: RangeInclusive<u64>) -> Duration {
    let given = reader.or(name, usual.as_secs());
    if !allowed.contains(&given) {
        let (least, most) = allowed.into_inner();
        reader.wrong(name, &format!("is wrong: must be between {least} and {most} seconds"));
    }
    Duration::from_secs(given)
}
