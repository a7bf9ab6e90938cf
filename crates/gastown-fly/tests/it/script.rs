//! A transport that answers from a list and records the calls.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use gastown_domain::AppPlacement;
use gastown_fly::{
    Fly, FlyClient, RateLimiting, Reply, Transport, TransportError,
    api::{Action, Call},
};
use serde_json::Value;

type Answer = Result<(u16, String), Fault>;

#[derive(Clone, Copy)]
pub(crate) enum Fault {
    NotSent,
    Lost,
}

/// Answers each call with the next line of the script. Fails the test when another call arrives than was expected.
#[derive(Default)]
pub(crate) struct Script {
    lines: Mutex<VecDeque<(Action, Answer)>>,
    calls: Mutex<Vec<Call>>,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn on(self, action: Action, status: u16, body: impl Into<String>) -> Self {
        self.lines.lock().unwrap().push_back((action, Ok((status, body.into()))));
        self
    }

    pub(crate) fn on_json(self, action: Action, body: &Value) -> Self {
        self.on(action, 200, body.to_string())
    }

    pub(crate) fn on_error(self, action: Action, status: u16, text: &str) -> Self {
        self.on(action, status, serde_json::json!({ "error": text }).to_string())
    }

    pub(crate) fn on_fault(self, action: Action, fault: Fault) -> Self {
        self.lines.lock().unwrap().push_back((action, Err(fault)));
        self
    }

    /// Returns the ports over this script.
    pub(crate) fn fly(self, apps: AppPlacement) -> (Fly, Arc<Self>) {
        let (client, script) = self.client(RateLimiting::Off);
        (Fly::new(client, apps), script)
    }

    /// Returns a client over this script.
    pub(crate) fn client(self, limiting: RateLimiting) -> (FlyClient, Arc<Self>) {
        let script = Arc::new(self);
        (FlyClient::over(script.clone(), limiting), script)
    }

    /// Returns all calls as text. Fails when lines are left.
    pub(crate) fn played(&self) -> String {
        let left = self.lines.lock().unwrap().iter().map(|(action, _)| *action).collect::<Vec<_>>();
        assert_eq!(left, [], "calls that were never made");
        self.calls().iter().map(shown).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, call: &Call) -> Result<Reply, TransportError> {
        self.calls.lock().unwrap().push(call.clone());
        let line = self.lines.lock().unwrap().pop_front();
        let (action, answer) = line.unwrap_or_else(|| panic!("a call too many: {call:?}"));
        assert_eq!(call.action(), action, "{call:?}");
        match answer {
            Ok((status, body)) => Ok(Reply { status, retry_after: None, request_id: None, body: body.into_bytes() }),
            Err(Fault::NotSent) => Err(TransportError::NotSent { cause: "connection refused".into() }),
            Err(Fault::Lost) => Err(TransportError::Lost { cause: "connection reset".into() }),
        }
    }
}

/// Returns a call as a reviewer reads it.
pub(crate) fn shown(call: &Call) -> String {
    let mut text = serde_json::to_value(call.method()).unwrap().as_str().unwrap().to_owned();
    write!(text, " /{}", call.path().join("/")).unwrap();
    for (at, (name, value)) in call.query().iter().enumerate() {
        write!(text, "{}{name}={value}", if at == 0 { "?" } else { "&" }).unwrap();
    }
    if let Some(body) = call.body() {
        write!(text, "\n{}", serde_json::to_string_pretty(body).unwrap()).unwrap();
    }
    text
}
