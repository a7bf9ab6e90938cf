//! The checks of a request before any call, in the order of the protocol. Their errors are about the whole request.

use http::{HeaderMap, Method, header, request::Parts};

use super::{
    cut::{cut, cut_method},
    error::CallError,
    query::{self, Malformed},
    router::{Kind, Procedure, Router},
    settings::Settings,
    subscription::Subscription,
};
use crate::reason::Reason;

/// The calls of a request, and the form of the answer.
pub(super) struct Plan {
    pub(super) calls: Vec<PlannedCall>,
    pub(super) form: Form,
}

/// One call. `procedure` is `None` if no procedure has this name.
pub(super) struct PlannedCall {
    pub(super) path: String,
    pub(super) procedure: Option<Procedure>,
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One envelope.
    Single,
    /// An array of envelopes.
    Batch,
    /// Lines of JSON, in the order in which calls end.
    Stream,
    /// The output of one call, without an envelope.
    Plain,
}

impl Form {
    /// Returns true if the input has a member for each call.
    pub(super) const fn is_batch(self) -> bool {
        match self {
            Self::Batch | Self::Stream => true,
            Self::Single | Self::Plain => false,
        }
    }
}

impl Plan {
    /// Parses a request. An error is the answer to the whole request.
    pub(super) fn read(head: &Parts, router: &Router, settings: &Settings) -> Result<Self, CallError> {
        let raw = head.uri.path();
        let raw = raw.strip_prefix('/').unwrap_or(raw);
        let raw = raw.strip_suffix('/').unwrap_or(raw);
        let path = query::decode(raw)
            .map_err(|Malformed| bad_request(format!("Invalid URL-encoding in path \"{}\"", cut(raw))))?;
        check_content_type(head)?;
        let batch = is_batch(head);
        let paths = if batch { path.split(',').map(str::to_owned).collect() } else { vec![path] };
        if paths.len() > settings.max_batch_size {
            return Err(Reason::BatchTooLarge.error("Batch call exceeds maximum size"));
        }
        let calls: Vec<_> = paths.into_iter().map(|path| PlannedCall::find(path, router)).collect();
        check_one_kind(&calls)?;
        if batch && calls.iter().any(|call| call.is(Kind::Subscription)) {
            return Err(bad_request("Cannot batch subscription calls"));
        }
        if batch && !settings.batching {
            return Err(bad_request("Batching is not enabled on the server"));
        }
        let form = match (batch, wants_stream(&head.headers)) {
            (true, true) => Form::Stream,
            (true, false) => Form::Batch,
            (false, false) => Form::Single,
            (false, true) => {
                return Err(bad_request("Streaming requests must be batched (you can do a batch of 1)"));
            }
        };
        Ok(Self { calls, form })
    }

    /// Parses a request of a plain route, which calls this procedure. A wrong method is refused with the call.
    pub(super) fn plain(head: &Parts, procedure: &'static str, router: &Router) -> Result<Self, CallError> {
        let plan = Self { calls: vec![PlannedCall::find(procedure.to_owned(), router)], form: Form::Plain };
        if plan.allow(&head.method).is_none() {
            check_content_type(head)?;
        }
        Ok(plan)
    }

    /// Returns the path and the subscription of a request for one.
    pub(super) fn subscription(&self, method: &Method) -> Option<(String, Subscription)> {
        let [call] = self.calls.as_slice() else { return None };
        let subscription = call.procedure.as_ref()?.subscription()?;
        (*method == Kind::Subscription.method()).then(|| (call.path.clone(), subscription))
    }

    /// Returns the paths of the calls that name a procedure, separated by commas.
    pub(super) fn procedures(&self) -> String {
        let known = self.calls.iter().filter(|call| call.procedure.is_some());
        known.map(|call| call.path.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Returns the smallest limit of the bodies of its procedures, if one has a limit of its own.
    pub(super) fn max_body_bytes(&self) -> Option<usize> {
        self.calls.iter().filter_map(|call| call.procedure.as_ref()?.max_body_bytes).min()
    }

    /// Returns the header `allow` if a call has the wrong method.
    pub(super) fn allow(&self, method: &Method) -> Option<&'static str> {
        let refused = |kind: Kind| self.calls.iter().any(|call| call.is(kind)) && *method != kind.method();
        match (refused(Kind::Query) || refused(Kind::Subscription), refused(Kind::Mutation)) {
            (true, true) => Some("GET, POST"),
            (true, false) => Some("GET"),
            (false, true) => Some("POST"),
            (false, false) => None,
        }
    }
}

impl PlannedCall {
    /// Finds the procedure. A path without one is cut, because the answer repeats it.
    fn find(path: String, router: &Router) -> Self {
        match router.find(&path) {
            Some(procedure) => Self { procedure: Some(procedure.clone()), path },
            None => Self { procedure: None, path: cut(&path).to_owned() },
        }
    }

    fn is(&self, kind: Kind) -> bool {
        self.procedure.as_ref().is_some_and(|procedure| procedure.kind == kind)
    }

    /// Returns the procedure to run, if it exists and allows the method.
    pub(super) fn callable(&self, method: &Method) -> Result<&Procedure, CallError> {
        let path = &self.path;
        let Some(procedure) = &self.procedure else {
            return Err(Reason::NoProcedure.error(format!("No procedure found on path \"{path}\"")));
        };
        if *method != procedure.kind.method() {
            let word = procedure.kind.word();
            let message = format!("Unsupported {}-request to {word} procedure at path \"{path}\"", cut_method(method));
            return Err(Reason::WrongMethod.error(message));
        }
        Ok(procedure)
    }
}

fn check_content_type(head: &Parts) -> Result<(), CallError> {
    if head.method == Method::GET {
        return Ok(());
    }
    let Some(value) = head.headers.get(header::CONTENT_TYPE) else {
        return Err(Reason::WrongContentType.error("Missing content-type header"));
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    if media_type(&text).eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    // The closing quote is missing in `@trpc/server` too.
    Err(Reason::WrongContentType.error(format!("Unsupported content-type \"{}", cut(&text))))
}

fn check_one_kind(calls: &[PlannedCall]) -> Result<(), CallError> {
    let mut words: Vec<&str> = Vec::new();
    for procedure in calls.iter().filter_map(|call| call.procedure.as_ref()) {
        if !words.contains(&procedure.kind.word()) {
            words.push(procedure.kind.word());
        }
    }
    if words.len() > 1 {
        return Err(bad_request(format!("Cannot mix procedure types in call: {}", words.join(", "))));
    }
    Ok(())
}

fn is_batch(head: &Parts) -> bool {
    let query = head.uri.query().unwrap_or_default();
    query::values(query, "batch").next().is_some_and(|value| value.as_deref() == Ok("1"))
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get("trpc-accept").or_else(|| headers.get(header::ACCEPT)) else { return false };
    let text = String::from_utf8_lossy(value.as_bytes());
    text.split(',').any(|choice| media_type(choice).eq_ignore_ascii_case("application/jsonl"))
}

/// A media type without its parameters.
fn media_type(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

fn bad_request(message: impl Into<std::borrow::Cow<'static, str>>) -> CallError {
    Reason::MalformedRequest.error(message)
}
