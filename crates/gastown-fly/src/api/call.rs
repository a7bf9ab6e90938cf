//! One request to the Machines API as data: the input of the transport and of the snapshots.

use std::{fmt, time::Duration};

use serde::Serialize;
use serde_json::Value;

use super::Action;

/// The HTTP methods this client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Creates, updates and acts.
    Post,
    /// Removes.
    Delete,
}

/// One request, complete except for the base URL and the token.
///
/// `Debug` leaves the body out, because it may hold an environment.
#[derive(Clone, PartialEq)]
pub struct Call {
    action: Action,
    method: Method,
    path: Vec<String>,
    query: Vec<(String, String)>,
    body: Option<Value>,
    server_wait: Duration,
}

impl Call {
    pub(super) fn new<'a>(action: Action, method: Method, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            action,
            method,
            path: path.into_iter().map(str::to_owned).collect(),
            query: Vec::new(),
            body: None,
            server_wait: Duration::ZERO,
        }
    }

    pub(super) fn with_query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    pub(super) fn with_body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn with_server_wait(mut self, wait: Duration) -> Self {
        self.server_wait = wait;
        self
    }

    /// Returns the kind of the call.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Returns the HTTP method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the segments of the path below `/v1`, not yet percent-encoded.
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// Returns the query, in order.
    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// Returns the JSON body.
    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    /// Returns how long the server may hold the call (a long-poll). The client's deadline must exceed it.
    pub fn server_wait(&self) -> Duration {
        self.server_wait
    }

    /// Returns the machine or, where the call names none, the app that Fly counts the call against.
    ///
    /// Fly: "machine ID or app ID". Volumes have no rate limit of their own.
    pub fn identifier(&self) -> &str {
        self.machine().or(self.path.get(1).map(String::as_str)).unwrap_or_default()
    }

    /// Returns the machine the call names, where it names one.
    pub fn machine(&self) -> Option<&str> {
        self.path.get(3).filter(|_| self.path.get(2).is_some_and(|kind| kind == "machines")).map(String::as_str)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("action", &self.action)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("has_body", &self.body.is_some())
            .finish_non_exhaustive()
    }
}
