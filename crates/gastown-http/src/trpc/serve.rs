use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use futures::{FutureExt as _, future::join_all};
use http::{HeaderValue, Method, StatusCode, header};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument as _;

use super::{
    CallError, Code, Kind,
    body::{CallInput, RequestInput},
    envelope::{self, Settled},
    request::{Form, Plan, PlannedCall},
    router::{Call, Failure, Procedure, Router, Written},
    stream,
};

/// What a request may cost.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The largest body, in bytes.
    pub max_body_bytes: usize,
    /// Whether `batch=1` is taken at all.
    pub batching: bool,
    /// The most calls in one request.
    pub max_batch_size: usize,
    /// After this long every call that has not settled is answered with `TIMEOUT`.
    pub time_limit: Duration,
    /// How long a streamed answer may be silent before a space is sent; `None`: for ever.
    pub stream_ping: Option<Duration>,
}

/// A service that answers `/<path>` with the procedures of `router`; nest it under the base path.
///
/// Calls run as tasks of `tasks`: a mutation goes on when its client hangs up or its time is over, and whoever shuts
/// the process down waits for the tracker.
pub fn service(router: Router, settings: Settings, tasks: TaskTracker) -> axum::Router {
    axum::Router::new().fallback(answer).with_state(Arc::new(Service { router, settings, tasks }))
}

struct Service {
    router: Router,
    settings: Settings,
    tasks: TaskTracker,
}

async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response {
    if request.method() == Method::HEAD {
        return StatusCode::NO_CONTENT.into_response();
    }
    let (head, body) = request.into_parts();
    let plan = match Plan::read(&head, &service.router, &service.settings) {
        Ok(plan) => plan,
        Err(error) => return whole_request(&error),
    };
    let allow = plan.allow(&head.method);
    let mut response = service.run(plan, head, body).await;
    if let Some(methods) = allow {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    response
}

impl Service {
    async fn run(&self, plan: Plan, head: http::request::Parts, body: Body) -> Response {
        let settings = &self.settings;
        let deadline = Instant::now() + settings.time_limit;
        let input = RequestInput::new(&head, body, plan.form != Form::Single, settings.max_body_bytes, deadline);
        let head = Arc::new(head);
        let calls = plan.calls.into_iter().enumerate().map(|(index, planned)| {
            let call = Call { head: Arc::clone(&head), input: CallInput { of_request: Arc::clone(&input), index } };
            settle(planned, call, self.tasks.clone(), deadline)
        });
        if plan.form == Form::Stream {
            let running = calls.enumerate().map(|(index, call)| {
                async move {
                    let (path, outcome) = call.await;
                    (index, Settled { path, outcome: outcome.map_err(call_error) })
                }
                .boxed()
            });
            return respond(200, stream::body(running.collect(), settings.stream_ping));
        }
        let mut settled = Vec::new();
        for (path, outcome) in join_all(calls).await {
            match outcome {
                Err(failure @ Failure::Unserialisable(_)) => return whole_request(&call_error(failure)),
                outcome => settled.push(Settled { path, outcome: outcome.map_err(call_error) }),
            }
        }
        let envelopes: Vec<_> = settled.iter().map(Settled::envelope).collect();
        match plan.form {
            Form::Single => respond(envelope::batch_status(&settled), envelopes.concat()),
            Form::Batch | Form::Stream => {
                respond(envelope::batch_status(&settled), format!("[{}]", envelopes.join(",")))
            }
        }
    }
}

/// Runs one call to its end, whatever that is.
async fn settle(
    planned: PlannedCall,
    call: Call,
    tasks: TaskTracker,
    deadline: Instant,
) -> (String, Result<Written, Failure>) {
    let outcome = match planned.callable(&call.head.method) {
        Ok(procedure) => run(&planned.path, procedure, call, &tasks, deadline).await,
        Err(error) => Err(error.into()),
    };
    (planned.path, outcome)
}

async fn run(
    path: &str,
    procedure: &Procedure,
    call: Call,
    tasks: &TaskTracker,
    deadline: Instant,
) -> Result<Written, Failure> {
    // Called inside the task, so that a panic before the first await is caught as well.
    let owned = procedure.clone();
    let task = tasks.spawn(async move { owned.run(call).await }.in_current_span());
    let finished = match procedure.kind {
        Kind::Query => timeout_at(deadline, AbortOnDropHandle::new(task)).await,
        Kind::Mutation => timeout_at(deadline, task).await,
    };
    match (finished, procedure.kind) {
        (Ok(Ok(outcome)), _) => outcome,
        (Ok(Err(_panicked)), _) => {
            tracing::error!(rpc.path = path, "a procedure panicked");
            Err(CallError::internal().into())
        }
        (Err(_), Kind::Query) => Err(CallError::new(Code::Timeout, "The request took too long").into()),
        (Err(_), Kind::Mutation) => {
            let message = "The request took too long; what it started goes on";
            Err(CallError::new(Code::Timeout, message).into())
        }
    }
}

fn call_error(failure: Failure) -> CallError {
    match failure {
        Failure::Call(error) => error,
        Failure::Unserialisable(cause) => {
            tracing::error!(error = %cause, "an output cannot be written as JSON");
            CallError::internal()
        }
    }
}

/// The answer to a request that failed as a whole.
pub(crate) fn whole_request(error: &CallError) -> Response {
    respond(error.code().http_status(), envelope::bare(error, None))
}

fn respond(status: u16, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::VARY, HeaderValue::from_static("trpc-accept, accept"));
    response
}
