use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use futures::{FutureExt as _, future::join_all};
use http::{HeaderValue, Method, StatusCode, header};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span, field::Empty};

use super::{
    body::{CallInput, RequestInput},
    code::Code,
    envelope::{self, CallOutcome},
    error::CallError,
    request::{Form, Plan, PlannedCall},
    router::{Call, Failure, Kind, Procedure, Router, Written},
    settings::Settings,
    stream,
};

/// Returns a service that answers `/<path>` with the procedures of `router`. Nest it under the base path.
///
/// `tasks` tracks the calls, and a shutdown waits for it. A mutation is a task of its own, which continues after its client
/// has disconnected or its time-out has passed.
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
    Span::current().record("procedure", plan.procedures());
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
            run_call(planned, call, self.tasks.clone(), deadline)
        });
        if plan.form == Form::Stream {
            let running = calls.enumerate().map(|(index, call)| {
                async move {
                    let (path, outcome) = call.await;
                    (index, CallOutcome { path, outcome: outcome.map_err(call_error) })
                }
                .boxed()
            });
            return respond(200, stream::body(running.collect(), settings.stream_ping));
        }
        let mut ended = Vec::new();
        for (path, outcome) in join_all(calls).await {
            match outcome {
                Err(failure @ Failure::Unserialisable(_)) => return whole_request(&call_error(failure)),
                outcome => ended.push(CallOutcome { path, outcome: outcome.map_err(call_error) }),
            }
        }
        let envelopes: Vec<_> = ended.iter().map(CallOutcome::envelope).collect();
        match plan.form {
            Form::Single => respond(envelope::batch_status(&ended), envelopes.concat()),
            Form::Batch | Form::Stream => respond(envelope::batch_status(&ended), format!("[{}]", envelopes.join(","))),
        }
    }
}

/// Runs one call to its end.
async fn run_call(
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
    let span = tracing::error_span!("call", procedure = path, user.id = Empty, town.id = Empty);
    // Called inside the future, so that a panic before the first await is caught as well.
    let owned = procedure.clone();
    let work = async move { owned.run(call).await }.instrument(span);
    let finished = match procedure.kind {
        // A query needs no task of its own. It ends with its request.
        Kind::Query => {
            timeout_at(deadline, AssertUnwindSafe(tasks.track_future(work)).catch_unwind()).await.map(Result::ok)
        }
        Kind::Mutation => timeout_at(deadline, tasks.spawn(work)).await.map(Result::ok),
    };
    match (finished, procedure.kind) {
        (Ok(Some(outcome)), _) => outcome,
        (Ok(None), _) => {
            tracing::error!(procedure = path, "procedure panicked");
            Err(CallError::internal().into())
        }
        (Err(_), Kind::Query) => Err(CallError::new(Code::Timeout, "The request timed out").into()),
        (Err(_), Kind::Mutation) => {
            let message = "The request timed out; the operation continues in the background";
            Err(CallError::new(Code::Timeout, message).into())
        }
    }
}

fn call_error(failure: Failure) -> CallError {
    match failure {
        Failure::Call(error) => error,
        Failure::Unserialisable(cause) => {
            tracing::error!(error = %cause, "failed to serialise output");
            CallError::internal()
        }
    }
}

/// Returns the answer to a request that failed as a whole.
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
