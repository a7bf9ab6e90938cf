use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::any,
};
use futures::{FutureExt as _, StreamExt as _};
use gastown_domain::ports::{Measurement, Metrics, Shed};
use http::{HeaderValue, Method, StatusCode, header};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span, field::Empty};

use crate::{HandlerRuntime, failure::Chain, reason::Reason, rejections::Rejections};

use super::{
    admission::Admission,
    answer::{self, AnswerBudget, UntakenBytes},
    body::{BodiesInFlight, CallInput, RequestInput},
    code::Code,
    cut::cut,
    envelope::{self, CallOutcome},
    error::CallError,
    plain,
    request::{Form, Plan, PlannedCall},
    router::{Answer, Call, Failure, Kind, Procedure, Router},
    settings::Settings,
    start::{Start, not_started},
    stream,
    subscription::{self, Subscribing, Subscription, Watchers},
};

/// The name under which calls of no procedure are counted.
pub(super) const UNKNOWN: &str = "unknown";

/// The routes of the procedures.
pub struct Routes {
    /// Answers `/<path>` with each procedure. Nest it under the base path.
    pub trpc: axum::Router,
    /// Answers these paths with one procedure each, without an envelope.
    pub plain: axum::Router,
}

/// Returns the routes of the procedures of `router`. `plain` are the paths of plain routes, each with its procedure. All other
/// paths that match one of `plain_prefix` answer an error of the same form.
///
/// The tracker tracks the calls, and a shutdown waits for it. A mutation is a task of its own, which continues after its
/// client has disconnected or its time-out has passed. Handlers run on the given runtime.
pub fn routes(
    router: Router,
    (plain, plain_prefix): (&[(&'static str, &'static str)], &[&'static str]),
    settings: Settings,
    (tasks, handlers): (TaskTracker, HandlerRuntime),
    metrics: Arc<dyn Metrics>,
) -> Routes {
    let (reads, changes) = (Admission::new(settings.reads.clone()), Admission::new(settings.changes.clone()));
    let untaken = UntakenBytes::new(settings.max_untaken_bytes);
    let bodies = BodiesInFlight::new(MAX_BODIES.saturating_mul(settings.max_body_bytes));
    let watchers = Watchers::new(settings.watchers.clone());
    let service =
        Arc::new(Service { router, settings, tasks, handlers, reads, changes, untaken, bodies, metrics, watchers });
    let plain = plain.iter().fold(axum::Router::new(), |routes, (path, procedure)| {
        let (service, procedure) = (Arc::clone(&service), *procedure);
        routes.route(path, any(move |request| plain::handle(Arc::clone(&service), procedure, request)))
    });
    let plain = plain_prefix.iter().fold(plain, |routes, path| {
        let service = Arc::clone(&service);
        routes.route(path, any(async move |request: Request| plain::unknown(&service, &request)))
    });
    Routes { trpc: axum::Router::new().fallback(handle).with_state(service), plain }
}

/// The largest bodies of one caller that are read at a time.
const MAX_BODIES: usize = 4;

pub(super) struct Service {
    pub(super) router: Router,
    settings: Settings,
    tasks: TaskTracker,
    handlers: HandlerRuntime,
    reads: Admission,
    changes: Admission,
    untaken: UntakenBytes,
    bodies: BodiesInFlight,
    pub(super) metrics: Arc<dyn Metrics>,
    watchers: Watchers,
}

async fn handle(State(service): State<Arc<Service>>, request: Request) -> Response {
    if request.method() == Method::HEAD {
        return StatusCode::NO_CONTENT.into_response();
    }
    let (head, body) = request.into_parts();
    let plan = match Plan::read(&head, &service.router, &service.settings) {
        Ok(plan) => plan,
        Err(error) => {
            let (procedure, code, took) = (UNKNOWN, error.code().name(), Duration::ZERO);
            service.metrics.record(Measurement::CallAnswered { procedure, code, took });
            return whole_request(&error);
        }
    };
    Span::current().record("procedure", cut(&plan.procedures()));
    if let Some((path, subscription)) = plan.subscription(&head.method) {
        return service.subscribe(subscription, path, head).await;
    }
    let allow = plan.allow(&head.method);
    allowing(service.run(plan, head, body).await, allow)
}

/// Adds the header `allow`.
pub(super) fn allowing(mut response: Response, methods: Option<&'static str>) -> Response {
    if let Some(methods) = methods {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    response
}

impl Service {
    pub(super) async fn run(&self, plan: Plan, head: http::request::Parts, body: Body) -> Response {
        let settings = &self.settings;
        let deadline = Instant::now() + settings.time_limit;
        let input = RequestInput::new(&head, body, &plan, settings, (self.bodies.clone(), deadline));
        let (head, budget) = (Arc::new(head), Arc::new(AnswerBudget::new(settings.max_answer_bytes)));
        let rejections = Rejections::default();
        let calls = plan.calls.into_iter().enumerate().map(|(index, planned)| {
            let call = Call {
                head: Arc::clone(&head),
                input: Some(CallInput { of_request: Arc::clone(&input), index }),
                admission: self.admission(&planned),
                budget: Arc::clone(&budget),
                untaken: self.untaken.clone(),
                start: Start::default(),
                handlers: self.handlers.clone(),
                rejections: rejections.clone(),
            };
            counted(planned, call, self.tasks.clone(), deadline, Arc::clone(&self.metrics))
        });
        if plan.form == Form::Stream {
            let running = calls.enumerate().map(|(index, call)| {
                async move {
                    let (path, outcome) = call.await;
                    (index, CallOutcome::new(path, outcome.map_err(call_error)))
                }
                .boxed()
            });
            return respond(200, stream::body(running.collect(), settings.batch_concurrency, settings.stream_ping));
        }
        // The calls are collected first, because a lazy iterator would have to live as long as the stream.
        let calls: Vec<_> = calls.collect();
        drop(input);
        let outcomes = futures::stream::iter(calls).buffered(settings.batch_concurrency.max(1));
        let outcomes: Vec<_> = outcomes.collect().await;
        let mut ended = Vec::with_capacity(outcomes.len());
        for (path, outcome) in outcomes {
            match outcome {
                Err(failure @ Failure::Unserialisable(_)) => return whole_request(&call_error(failure)),
                outcome => ended.push(CallOutcome::new(path, outcome.map_err(call_error))),
            }
        }
        respond_to(plan.form, ended)
    }

    /// Answers a subscription. Only its connection parameters can fail the request, everything else is an event.
    async fn subscribe(&self, subscription: Subscription, path: String, mut head: http::request::Parts) -> Response {
        match subscription::connection_params(&head) {
            Ok(params) => drop(head.extensions.insert(params)),
            Err(error) => return whole_request(&error),
        }
        let settings = &self.settings;
        // No body is counted for a caller here.
        let input = CallInput { of_request: RequestInput::of_query(&head), index: 0 }.read(0).await;
        let input = input.map(|input| subscription::with_last_event_id(&head, input));
        let (watchers, handlers) = (self.watchers.clone(), self.handlers.clone());
        let call = Subscribing { head: Arc::new(head), input, watchers, handlers };
        subscription::respond(subscription, call, path, &settings.watchers)
    }

    fn admission(&self, planned: &PlannedCall) -> Admission {
        match planned.procedure.as_ref().map(|procedure| procedure.kind) {
            Some(Kind::Mutation) => self.changes.clone(),
            Some(Kind::Query | Kind::Subscription) | None => self.reads.clone(),
        }
    }
}

/// Returns the answer to a request that is not streamed.
fn respond_to(form: Form, ended: Vec<CallOutcome>) -> Response {
    let (status, retry) = (envelope::batch_status(&ended), ended.iter().filter_map(CallOutcome::retry_seconds).max());
    let envelopes = || ended.iter().map(CallOutcome::envelope).collect::<Vec<_>>();
    let text = match form {
        Form::Single => envelopes().concat(),
        Form::Batch | Form::Stream => format!("[{}]", envelopes().join(",")),
        Form::Plain => ended.iter().map(plain::answer).collect(),
    };
    let untaken = ended.into_iter().filter_map(|call| call.untaken).collect();
    retrying(respond(status, answer::body(text, untaken)), retry)
}

/// Adds the header `retry-after`.
pub(super) fn retrying(mut response: Response, seconds: Option<u64>) -> Response {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Runs one call to its end and counts it.
async fn counted(
    planned: PlannedCall,
    call: Call,
    tasks: TaskTracker,
    deadline: Instant,
    metrics: Arc<dyn Metrics>,
) -> (String, Result<Answer, Failure>) {
    let began = Instant::now();
    let procedure = planned.procedure.as_ref().map_or(UNKNOWN, |procedure| procedure.name);
    let (path, outcome) = run_call(planned, call, tasks, deadline).await;
    let code = match &outcome {
        Ok(_) => "OK",
        Err(Failure::Call(error)) => error.code().name(),
        Err(Failure::Unserialisable(_)) => Code::InternalServerError.name(),
    };
    metrics.record(Measurement::CallAnswered { procedure, code, took: began.elapsed() });
    if let Err(Failure::Call(error)) = &outcome
        && let Some(reason) = shed(error)
    {
        metrics.record(Measurement::CallShed(reason));
    }
    (path, outcome)
}

/// Returns the reason of an error that protects the service.
fn shed(error: &CallError) -> Option<Shed> {
    [
        (Reason::Overloaded, Shed::Overloaded),
        (Reason::TooManyCalls, Shed::CallerLimit),
        (Reason::AnswersNotRead, Shed::AnswersNotRead),
        (Reason::NotStarted, Shed::NotStarted),
    ]
    .into_iter()
    .find_map(|(reason, shed)| (error.reason() == reason.word()).then_some(shed))
}

/// Runs one call to its end.
async fn run_call(
    planned: PlannedCall,
    call: Call,
    tasks: TaskTracker,
    deadline: Instant,
) -> (String, Result<Answer, Failure>) {
    let outcome = match planned.callable(&call.head.method) {
        // The calls before it in the batch have taken all of the time.
        Ok(_) if Instant::now() >= deadline => Err(not_started().into()),
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
) -> Result<Answer, Failure> {
    let span = tracing::error_span!("call", procedure = path, user.id = Empty, town.id = Empty);
    // Called inside the future, so that a panic before the first await is caught as well.
    let (owned, start, rejections) = (procedure.clone(), call.start.clone(), call.rejections.clone());
    let work = rejections.scope(async move { owned.run(call).await }).instrument(span);
    let finished = match procedure.kind {
        // A query needs no task of its own. It ends with its request.
        Kind::Query | Kind::Subscription => {
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
        (Err(_), kind) => Err(start.time_out().err().unwrap_or_else(|| timed_out(kind)).into()),
    }
}

/// Returns the error of a call that has started and was not done in time.
fn timed_out(kind: Kind) -> CallError {
    let error = match kind {
        Kind::Query | Kind::Subscription => Reason::TimedOut.error("The request timed out"),
        Kind::Mutation => {
            Reason::StillRunning.error("The request timed out; the operation continues in the background")
        }
    };
    error.with_detail("started", true.into())
}

pub(super) fn call_error(failure: Failure) -> CallError {
    match failure {
        Failure::Call(error) => error,
        Failure::Unserialisable(cause) => {
            tracing::error!(error = %Chain(&cause), "failed to serialise output");
            CallError::internal()
        }
    }
}

/// Returns the answer to a request that failed as a whole.
pub(crate) fn whole_request(error: &CallError) -> Response {
    retrying(respond(error.code().http_status(), envelope::bare(error, None)), error.retry_seconds())
}

pub(super) fn respond(status: u16, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::VARY, HeaderValue::from_static("trpc-accept, accept"));
    response
}
