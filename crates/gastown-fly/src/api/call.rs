//! One request to the Machines API as data: what the transport sends and what snapshots show.

use std::{fmt, time::Duration};

use serde::Serialize;
use serde_json::Value;

use super::Action;

/// The verbs this client uses.
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

/// One request, complete but for the base URL and the token.
///
/// `Debug` leaves the body and the nonce out: a body may hold an app secret's value.
#[derive(Clone, PartialEq)]
pub struct Call {
    action: Action,
    method: Method,
    path: Vec<String>,
    query: Vec<(String, String)>,
    nonce: Option<String>,
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
            nonce: None,
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

    /// The same call made under a lease: Fly wants its nonce in the header `fly-machine-lease-nonce`.
    #[must_use]
    pub fn under_lease(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// What the call does.
    pub fn action(&self) -> Action {
        self.action
    }

    /// The HTTP verb.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The segments of the path below `/v1`, not yet percent-encoded.
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// The query, in order.
    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// The lease's nonce, where the call is made under one.
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// The JSON body.
    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    /// How long the server may sit on the call by itself (a long-poll); the client's deadline must exceed it.
    pub fn server_wait(&self) -> Duration {
        self.server_wait
    }

    /// What Fly counts the call against besides its action: the machine or, where it names none, the app ("machine ID or
    /// app ID": volumes have no bucket of their own).
    pub fn identifier(&self) -> &str {
        self.machine().or(self.path.get(1).map(String::as_str)).unwrap_or_default()
    }

    /// The machine the call names, where it names one.
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
            .field("leased", &self.nonce.is_some())
            .field("has_body", &self.body.is_some())
            .finish_non_exhaustive()
    }
}
