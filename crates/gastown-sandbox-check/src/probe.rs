//! One call to the sandbox, with the checks that every answer has to pass.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, Method};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::options::Options;
use crate::rules::{self, Rule};
use crate::run::Checker;
use crate::town::{Target, Town};

/// The largest answer that the control plane reads.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// The most characters of an answer in a report.
const MAX_SHOWN: usize = 300;

/// A client of one sandbox. It keeps the first violation of each rule that holds for all calls.
pub(crate) struct Probe<'a> {
    client: Client,
    base: Url,
    machine: Option<&'a str>,
    pub(crate) town: &'a Town,
    pub(crate) options: &'a Options,
    violations: Mutex<Vec<(&'static Rule, String)>>,
}

/// The key of a call.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    Right,
    Missing,
    Wrong(SecretString),
}

/// A call to the sandbox.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    path: &'static str,
    name: String,
    query: &'static str,
    body: Option<String>,
    pub(crate) key: Key,
    limit: Duration,
}

/// An answer with its whole body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    call: String,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    content_type: String,
    pub(crate) took: Duration,
    shown: String,
}

impl<'a> Probe<'a> {
    pub(crate) fn new(checker: &'a Checker, target: &'a Target) -> Self {
        let mut base = target.url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", target.url.path()));
        }
        Self {
            client: checker.client.clone(),
            base,
            machine: target.machine.as_deref(),
            town: &target.town,
            options: &checker.options,
            violations: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, path: &'static str) -> Call {
        Call::new(Method::GET, path, self.options.limits.calls.quick)
    }

    pub(crate) fn add(&self, body: String) -> Call {
        Call { body: Some(body), ..Call::new(Method::POST, "rigs", self.options.limits.calls.clone) }
    }

    pub(crate) fn remove(&self, name: &str, query: &'static str) -> Call {
        let call = Call::new(Method::DELETE, "rigs/", self.options.limits.calls.remove);
        Call { name: name.to_owned(), query, ..call }
    }

    pub(crate) fn sync(&self) -> Call {
        Call::new(Method::POST, "sync", self.options.limits.calls.sync)
    }

    /// Sends a call. Returns `None` after a violation of a rule that holds for all calls.
    pub(crate) async fn send(&self, call: Call) -> Option<Answer> {
        match self.fetch(&call).await {
            Ok(answer) => {
                if !answer.body.is_empty() && !answer.is_json() {
                    self.violate(&rules::JSON_TYPE, format!("{}: content-type {:?}", answer.call, answer.content_type));
                }
                Some(answer)
            }
            Err((rule, seen)) => {
                self.violate(rule, seen);
                None
            }
        }
    }

    /// Sends a call. The error is a violation that is not kept.
    ///
    /// While the sandbox boots, a proxy may answer in its place. So the content type is not judged here.
    pub(crate) async fn fetch(&self, call: &Call) -> Result<Answer, (&'static Rule, String)> {
        let started = Instant::now();
        let fault = |error: &reqwest::Error| {
            let rule = if error.is_timeout() { &rules::ANSWER_TIME } else { &rules::ANSWERS };
            let cause = if error.is_timeout() { "no answer in time" } else { "no complete answer" };
            (rule, format!("{}: {cause} after {} ms", call.title(), started.elapsed().as_millis()))
        };
        let mut answer = self.request(call).send().await.map_err(|error| fault(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| fault(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                return Err((&rules::ANSWER_SIZE, format!("{}: more than {MAX_ANSWER_BYTES} bytes", call.title())));
            }
        }
        let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let text = String::from_utf8_lossy(&body).into_owned();
        if self.town.secrets.iter().any(|secret| text.contains(secret.expose_secret())) {
            let seen = format!("{} answered {} with a secret in its body", call.title(), answer.status().as_u16());
            self.violate(&rules::SECRET_SHOWN, seen);
        }
        let shown = self.masked(&text);
        let (status, took) = (answer.status().as_u16(), started.elapsed());
        Ok(Answer { call: call.title(), status, body, content_type, took, shown })
    }

    fn request(&self, call: &Call) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}{}", self.base.path(), call.path, call.name));
        url.set_query((!call.query.is_empty()).then_some(call.query));
        let mut request = self.client.request(call.method.clone(), url).timeout(call.limit);
        if let Some(machine) = self.machine {
            request = request.header("fly-force-instance-id", machine);
        }
        match &call.key {
            Key::Right => request = request.header("x-internal-api-key", self.town.key.expose_secret()),
            Key::Wrong(key) => request = request.header("x-internal-api-key", key.expose_secret()),
            Key::Missing => {}
        }
        match &call.body {
            Some(body) => request.header("content-type", "application/json").body(body.clone()),
            None => request,
        }
    }

    fn violate(&self, rule: &'static Rule, seen: String) {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push((rule, seen));
    }

    /// Returns the violations, and forgets them.
    pub(crate) fn take_violations(&self) -> Vec<(&'static Rule, String)> {
        std::mem::take(&mut *self.violations.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the host and port of the sandbox.
    pub(crate) fn authority(&self) -> Option<(String, u16)> {
        Some((self.base.host_str()?.to_owned(), self.base.port_or_known_default()?))
    }

    fn masked(&self, text: &str) -> String {
        let secrets = self.town.secrets.iter().map(SecretString::expose_secret);
        let masked = secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "***"));
        masked.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SHOWN).collect()
    }
}

impl Call {
    fn new(method: Method, path: &'static str, limit: Duration) -> Self {
        Self { method, path, name: String::new(), query: "", body: None, key: Key::Right, limit }
    }

    pub(crate) fn with_key(self, key: Key) -> Self {
        Self { key, ..self }
    }

    pub(crate) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    fn title(&self) -> String {
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        format!("{} /{}{}{query}", self.method, self.path, self.name)
    }
}

impl Answer {
    fn is_json(&self) -> bool {
        self.content_type.split(';').next().is_some_and(|kind| kind.trim() == "application/json")
    }

    /// Returns the call and the answer, for a report.
    pub(crate) fn shown(&self) -> String {
        let space = if self.shown.is_empty() { "" } else { ": " };
        format!("{} answered {}{space}{}", self.call, self.status, self.shown)
    }

    /// Requires a status, and a JSON body.
    pub(crate) fn json(&self, status: u16) -> Result<Value, String> {
        if self.status != status {
            return Err(self.shown());
        }
        serde_json::from_slice(&self.body).map_err(|_| format!("{} (not JSON)", self.shown()))
    }

    /// Requires a status without a body.
    pub(crate) fn empty(&self, status: u16) -> Result<(), String> {
        if self.status == status && self.body.is_empty() { Ok(()) } else { Err(self.shown()) }
    }

    /// Requires a status and the body of an error with this code and a message. Returns the body.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Result<Value, String> {
        let body = self.json(status)?;
        let is_text = |pointer| body.pointer(pointer).and_then(Value::as_str);
        if is_text("/error/code") == Some(code) && is_text("/error/message").is_some() {
            Ok(body)
        } else {
            Err(format!("{} (expected the code {code} and a message)", self.shown()))
        }
    }
}
