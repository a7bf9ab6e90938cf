//! The log of calls, for tests.

use serde::Serialize;
use tokio::time::Instant;

use crate::route::{Call, Route};

/// A call that was routed and authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// The time of arrival, in milliseconds since the start of the simulator.
    pub at_ms: u64,
}

/// The calls so far.
#[derive(Debug)]
pub(crate) struct CallLog {
    origin: Instant,
    records: Vec<CallRecord>,
}

impl CallLog {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now(), records: Vec::new() }
    }

    /// Records the arrival of a call and returns its number.
    pub(crate) fn record_call(&mut self, route: &Route, method: &str, path: &str) -> usize {
        let number = self.records.len() + 1;
        let at_ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.records.push(CallRecord {
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
        if let Some(record) = self.records.get_mut(number - 1) {
            record.faulted = true;
        }
    }

    /// Records the status of the answer.
    pub(crate) fn record_status(&mut self, number: usize, status: u16) {
        if let Some(record) = self.records.get_mut(number - 1) {
            record.status = Some(status);
        }
    }

    pub(crate) fn records(&self) -> &[CallRecord] {
        &self.records
    }
}
