//! Which operations are due and free, and in which order workers claim them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use gastown_domain::ports::WorkerId;
use gastown_domain::{Operation, TownId, UserId};

use crate::store::{Row, Rows};

impl Row {
    pub(crate) fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.operation.next_attempt_at <= now
    }

    pub(crate) fn is_free(&self, now: DateTime<Utc>) -> bool {
        self.lease_until.is_none_or(|until| until <= now)
    }

    pub(crate) fn claim(&mut self, worker: &WorkerId, until: DateTime<Utc>) -> Operation {
        self.owner = Some(worker.clone());
        self.lease_until = Some(until);
        self.operation.fence += 1;
        self.operation.clone()
    }
}

impl Rows {
    /// Returns the operations that are due and free, ordered fairly across users. Operations of a user that are already
    /// claimed count as earlier turns of that user. Among equal turns, the longest due comes first.
    pub(crate) fn due_in_claim_order(&self, now: DateTime<Utc>) -> Vec<TownId> {
        let mut rows: Vec<_> = self.operations.values().filter(|row| row.is_due(now) || !row.is_free(now)).collect();
        rows.sort_by_key(|row| (row.is_free(now), row.operation.next_attempt_at, row.operation.town));
        let mut turns: BTreeMap<&UserId, usize> = BTreeMap::new();
        let mut due = Vec::new();
        for row in rows {
            let turn = turns.entry(&row.operation.requested_by).or_default();
            *turn += 1;
            if row.is_due(now) && row.is_free(now) {
                due.push((*turn, row.operation.next_attempt_at, row.operation.town));
            }
        }
        due.sort_unstable();
        due.into_iter().map(|(.., town)| town).collect()
    }
}
