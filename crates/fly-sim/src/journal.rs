//! What was called and what was wrong with it, for tests to read.

use serde::Serialize;
use tokio::time::Instant;

use crate::route::{Call, Route};

/// One call that was routed and authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallRecord {
    /// Counted from 1 in the order of arrival.
    pub number: usize,
    /// Which call.
    pub call: Call,
    /// HTTP method.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The app, or the organization's slug.
    pub app: String,
    /// The machine or volume that the path names, else empty.
    pub id: String,
    /// The status answered; none while the call is being answered, and when the connection was closed instead.
    pub status: Option<u16>,
    /// Whether a fault of the schedule hit it.
    pub faulted: bool,
    /// When it arrived, milliseconds since the start of the simulator.
    pub at_ms: u64,
}

/// The calls so far.
#[derive(Debug)]
pub(crate) struct Journal {
    origin: Instant,
    records: Vec<CallRecord>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now(), records: Vec::new() }
    }

    /// Notes an arrival; its number.
    pub(crate) fn arrived(&mut self, route: &Route, method: &str, path: &str) -> usize {
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

    /// Notes that a fault hit the call.
    pub(crate) fn faulted(&mut self, number: usize) {
        if let Some(record) = self.records.get_mut(number - 1) {
            record.faulted = true;
        }
    }

    /// Notes the answer.
    pub(crate) fn answered(&mut self, number: usize, status: u16) {
        if let Some(record) = self.records.get_mut(number - 1) {
            record.status = Some(status);
        }
    }

    pub(crate) fn records(&self) -> &[CallRecord] {
        &self.records
    }
}
