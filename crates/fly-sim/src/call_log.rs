//! The journal of calls, for tests.

use std::{collections::VecDeque, ops::Deref};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::route::{Call, Route};

/// A call that was routed and authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The number of the call, counted from 1 in the order of arrival.
    pub number: usize,
    /// The kind of call.
    pub call: Call,
    /// The HTTP method.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The app, or the organization's slug.
    pub app: String,
    /// The machine or volume in the path, or an empty text.
    pub id: String,
    /// The status of the answer. `None` while the call is in flight, and if the connection was closed instead.
    pub status: Option<u16>,
    /// True if a scheduled fault hit the call.
    pub faulted: bool,
    /// The time of arrival, in milliseconds since the start of the simulator that began the journal.
    pub at_ms: u64,
}

impl CallRecord {
    /// Returns true if the answer was a success.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// Calls in the order of arrival, with questions that tests ask. It dereferences to a slice of records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calls(Vec<CallRecord>);

impl Calls {
    /// Returns the calls of this kind.
    #[must_use]
    pub fn of(&self, call: Call) -> Self {
        self.keep(|record| record.call == call)
    }

    /// Returns the calls that name this app.
    #[must_use]
    pub fn to_app(&self, app: &str) -> Self {
        self.keep(|record| record.app == app)
    }

    /// Returns the calls after the one with this number.
    #[must_use]
    pub fn after(&self, number: usize) -> Self {
        self.keep(|record| record.number > number)
    }

    /// Returns the calls that were answered with success.
    #[must_use]
    pub fn succeeded(&self) -> Self {
        self.keep(CallRecord::succeeded)
    }

    /// Returns the calls that a fault hit.
    #[must_use]
    pub fn faulted(&self) -> Self {
        self.keep(|record| record.faulted)
    }

    /// Returns the number of machines that callers know they have created.
    pub fn created_machines(&self) -> usize {
        self.of(Call::CreateMachine).succeeded().len()
    }

    /// Returns the number of volumes that callers know they have created.
    pub fn created_volumes(&self) -> usize {
        self.of(Call::CreateVolume).succeeded().len()
    }

    /// Returns the kinds of the calls, in their order.
    pub fn kinds(&self) -> Vec<Call> {
        self.0.iter().map(|record| record.call).collect()
    }

    fn keep(&self, wanted: impl Fn(&CallRecord) -> bool) -> Self {
        Self(self.0.iter().filter(|record| wanted(record)).cloned().collect())
    }
}

impl Deref for Calls {
    type Target = [CallRecord];

    fn deref(&self) -> &[CallRecord] {
        &self.0
    }
}

impl IntoIterator for Calls {
    type Item = CallRecord;
    type IntoIter = std::vec::IntoIter<CallRecord>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Calls {
    type Item = &'a CallRecord;
    type IntoIter = std::slice::Iter<'a, CallRecord>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// The calls that a reader of the journal wants. Absent fields match all calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CallFilter {
    /// Calls with a higher number.
    pub(crate) after: usize,
    pub(crate) call: Option<Call>,
    pub(crate) app: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) faulted: Option<bool>,
    /// The first calls that match, at most so many.
    pub(crate) limit: Option<usize>,
}

impl CallFilter {
    fn matches(&self, record: &CallRecord) -> bool {
        fn is<T: PartialEq + ?Sized>(wanted: Option<&T>, found: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        record.number > self.after
            && is(self.call.as_ref(), &record.call)
            && is(self.app.as_deref(), &record.app)
            && is(self.id.as_deref(), &record.id)
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(&record.method))
            && self.status.is_none_or(|wanted| record.status == Some(wanted))
            && is(self.faulted.as_ref(), &record.faulted)
    }
}

/// The end of a journal, for a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredCalls {
    /// The number of the last call before the first record.
    forgotten: usize,
    /// The time since the start of the first simulator, in milliseconds.
    elapsed_ms: u64,
    records: Vec<CallRecord>,
}

/// The latest calls, up to a limit. The oldest are forgotten, and numbers go on.
#[derive(Debug)]
pub(crate) struct CallLog {
    origin: Instant,
    /// The time of the origin, in milliseconds. It is 0 unless the journal was restored.
    origin_ms: u64,
    limit: usize,
    forgotten: usize,
    records: VecDeque<CallRecord>,
}

impl CallLog {
    pub(crate) fn new(limit: usize) -> Self {
        Self { origin: Instant::now(), origin_ms: 0, limit: limit.max(1), forgotten: 0, records: VecDeque::new() }
    }

    /// Records the arrival of a call and returns its number.
    pub(crate) fn record_call(&mut self, route: &Route, method: &str, path: &str) -> usize {
        if self.records.len() == self.limit {
            self.records.pop_front();
            self.forgotten += 1;
        }
        let number = self.forgotten + self.records.len() + 1;
        let at_ms = self.elapsed_ms();
        self.records.push_back(CallRecord {
            number,
            call: route.call,
            method: method.to_owned(),
            path: path.to_owned(),
            app: route.app.clone(),
            id: route.id.clone(),
            status: None,
            faulted: false,
            at_ms,
        });
        number
    }

    /// Records that a fault hit the call.
    pub(crate) fn record_fault(&mut self, number: usize) {
        if let Some(record) = self.record(number) {
            record.faulted = true;
        }
    }

    /// Records the status of the answer.
    pub(crate) fn record_status(&mut self, number: usize, status: u16) {
        if let Some(record) = self.record(number) {
            record.status = Some(status);
        }
    }

    /// Forgets all calls. Numbers go on.
    pub(crate) fn clear(&mut self) {
        self.forgotten += self.records.len();
        self.records.clear();
    }

    /// Returns all calls that are not forgotten.
    pub(crate) fn all(&self) -> Calls {
        Calls(self.records.iter().cloned().collect())
    }

    /// Returns the calls that match, oldest first.
    pub(crate) fn matching(&self, filter: &CallFilter) -> Calls {
        let skipped = filter.after.saturating_sub(self.forgotten).min(self.records.len());
        let matching = self.records.range(skipped..).filter(|record| filter.matches(record));
        Calls(matching.take(filter.limit.unwrap_or(usize::MAX)).cloned().collect())
    }

    /// Returns the last calls, at most so many.
    pub(crate) fn store(&self, max: usize) -> StoredCalls {
        let skipped = self.records.len().saturating_sub(max);
        let records = self.records.range(skipped..).cloned().collect();
        StoredCalls { forgotten: self.forgotten + skipped, elapsed_ms: self.elapsed_ms(), records }
    }

    /// Replaces the journal. Numbers and times go on.
    pub(crate) fn restore(&mut self, stored: StoredCalls) {
        let StoredCalls { forgotten, elapsed_ms, records } = stored;
        let skipped = records.len().saturating_sub(self.limit);
        self.records = records.into_iter().skip(skipped).collect();
        (self.forgotten, self.origin, self.origin_ms) = (forgotten + skipped, Instant::now(), elapsed_ms);
    }

    fn elapsed_ms(&self) -> u64 {
        let since = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.origin_ms.saturating_add(since)
    }

    fn record(&mut self, number: usize) -> Option<&mut CallRecord> {
        self.records.get_mut(number.checked_sub(self.forgotten + 1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(limit: usize, calls: &[Call]) -> CallLog {
        let mut log = CallLog::new(limit);
        for call in calls {
            log.record_call(&Route::to_machine(*call, "mill", "m1"), "POST", "/");
        }
        log
    }

    #[test]
    fn oldest_calls_are_forgotten_and_numbers_go_on() {
        let mut log = log_of(2, &[Call::StartMachine, Call::StopMachine, Call::GetMachine]);
        log.record_status(1, 500);
        log.record_status(3, 200);
        let found: Vec<_> = log.all().iter().map(|record| (record.number, record.status)).collect();
        assert_eq!(found, [(2, None), (3, Some(200))]);
        assert_eq!(log.matching(&CallFilter { after: 2, ..CallFilter::default() }).kinds(), [Call::GetMachine]);
        log.clear();
        assert_eq!(log.record_call(&Route::to_machine(Call::Wait, "mill", "m1"), "GET", "/"), 4);
    }

    #[test]
    fn filter_selects_by_each_field() {
        let mut log = log_of(9, &[Call::StartMachine, Call::StopMachine, Call::StopMachine]);
        log.record_status(2, 429);
        log.record_fault(2);
        let numbers = |filter: CallFilter| -> Vec<usize> { log.matching(&filter).iter().map(|r| r.number).collect() };
        let all = CallFilter::default;
        assert_eq!(numbers(CallFilter { call: Some(Call::StopMachine), ..all() }), [2, 3]);
        assert_eq!(numbers(CallFilter { faulted: Some(true), ..all() }), [2]);
        assert_eq!(numbers(CallFilter { status: Some(429), ..all() }), [2]);
        assert_eq!(numbers(CallFilter { limit: Some(1), ..all() }), [1]);
        assert_eq!(numbers(CallFilter { app: Some("other".to_owned()), ..all() }), [0; 0]);
        assert_eq!(numbers(CallFilter { method: Some("post".to_owned()), ..all() }), [1, 2, 3]);
        assert_eq!(numbers(CallFilter { id: Some("m2".to_owned()), ..all() }), [0; 0]);
    }
}
