//! The operators' API: the reports and requests of operators' commands, as JSON on the listener of the console.
//!
//! Only tokens of operators open it, never sessions of browsers. It changes nothing without `--allow-actions`.

mod body;
mod failure;
mod guard;
mod parameters;
mod rollouts;

use std::any::Any;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use chrono::TimeDelta;
use gastown_console::Access;
use gastown_domain::TownId;
use gastown_domain::ports::{Clock as _, EventFilter, ListPosition, TownFilter};
use gastown_orchestrator::{OrphanSweeper, ValidPolicy};
use gastown_system::SystemClock;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use self::failure::Failure;
use self::guard::Actor;
use self::parameters::Parameters;
use crate::commands::doctor::RunningServer;
use crate::operator_access::{InDatabase, OperatorAccess as _, TownRequest, WhichOperations, grace, new_operation_id};
use crate::reports::{
    AcceptedRequest, Diagnosis, EventList, OperationEnd, OperationList, Retry, Survey, TownList, TownReport,
};

/// The path of all versions.
pub(crate) const PATH: &str = "/console/api";
/// The largest body of a request, in bytes.
const MAX_BODY: usize = 4096;
/// The calls that run at a time. An answer may have some megabytes.
const MAX_CALLS: usize = 4;
/// The searches for orphans that run at a time, because each calls Fly.
const MAX_SURVEYS: usize = 1;
/// The diagnoses that run at a time, because each calls Fly and sandboxes.
const MAX_DIAGNOSES: usize = 1;

/// The parts of a control plane that the API needs.
pub(crate) struct OperatorApi {
    pub(crate) access: InDatabase,
    /// The search for orphans. `None`: there is no client of Fly.
    pub(crate) orphans: Option<OrphanSweeper>,
    pub(crate) policy: ValidPolicy,
    /// The server, for its own checks.
    pub(crate) server: Box<RunningServer>,
    /// True if it may request operations.
    pub(crate) allows_actions: bool,
}

/// The state of the API.
struct Served {
    api: OperatorApi,
    operators: Access,
    calls: Semaphore,
    surveys: Semaphore,
    diagnoses: Semaphore,
}

type Shared = State<Arc<Served>>;
type Answer<T> = Result<Json<T>, Failure>;

/// Returns the router below [`PATH`]. Its requests need an id ([`gastown_http::traced`]).
pub(crate) fn router(operators: Access, api: OperatorApi) -> Router {
    let (calls, surveys) = (Semaphore::new(MAX_CALLS), Semaphore::new(MAX_SURVEYS));
    let diagnoses = Semaphore::new(MAX_DIAGNOSES);
    let served = Arc::new(Served { api, operators, calls, surveys, diagnoses });
    Router::new()
        .route("/v1/towns", get(towns))
        .route("/v1/towns/{town}", get(town))
        .route("/v1/towns/{town}/{action}", post(change))
        .route("/v1/operations", get(operations))
        .route("/v1/operations/{operation}", get(operation))
        .route("/v1/events", get(events))
        .route("/v1/orphans", get(orphans))
        .route("/v1/doctor", get(doctor))
        .merge(rollouts::routes())
        .fallback(async || Failure::unknown_route())
        .method_not_allowed_fallback(async || Failure::wrong_method())
        .layer(from_fn_with_state(Arc::clone(&served), guard::guard))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| Failure::internal().into_response()))
        .layer(from_fn(guard::secured))
        .with_state(served)
}

/// `GET /v1/towns`.
async fn towns(State(served): Shared, RawQuery(query): RawQuery) -> Answer<TownList> {
    const FIELDS: &[&str] =
        &["user", "name", "status", "health", "image", "after_user", "after_name", "after", "limit"];
    let given = Parameters::read(query.as_deref(), FIELDS)?;
    let after = match (given.parsed("after_user")?, given.parsed("after_name")?, given.parsed("after")?) {
        (Some(owner), Some(name), Some(town)) => Some(ListPosition { owner, name, town }),
        (None, None, None) => None,
        _ => return Err(Failure::bad_request("after_user, after_name and after belong together")),
    };
    let filter = TownFilter {
        owner: given.parsed("user")?,
        name: given.parsed("name")?,
        status: given.parsed("status")?,
        health: given.parsed("health")?,
        image: given.get("image").map(ToOwned::to_owned),
        after,
    };
    Ok(Json(served.api.access.towns(&filter, given.limit()?).await?))
}

/// `GET /v1/towns/{town}`.
async fn town(State(served): Shared, Path(town): Path<String>, RawQuery(query): RawQuery) -> Answer<TownReport> {
    Parameters::read(query.as_deref(), &[])?;
    Ok(Json(served.api.access.town(town_id(&town)?).await?))
}

fn town_id(raw: &str) -> Result<TownId, Failure> {
    raw.parse().map_err(|_| Failure::no_such_town(raw))
}

/// `GET /v1/operations`.
async fn operations(State(served): Shared, RawQuery(query): RawQuery) -> Answer<OperationList> {
    let given = Parameters::read(query.as_deref(), &["which", "since", "limit"])?;
    let which = match given.get("which") {
        None => WhichOperations::All,
        Some(name) => WhichOperations::named(name)
            .ok_or_else(|| Failure::bad_request("which is invalid: must be `all`, `attention` or `failed`"))?,
    };
    let since = given.time("since")?.unwrap_or_else(|| SystemClock.now() - TimeDelta::days(1));
    Ok(Json(served.api.access.operations(which, since, given.limit()?).await?))
}

/// `GET /v1/operations/{operation}`.
async fn operation(
    State(served): Shared,
    Path(operation): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<OperationEnd> {
    Parameters::read(query.as_deref(), &[])?;
    let id = operation.parse().map_err(|_| Failure::bad_request("the id of the operation must be a UUID"))?;
    let end = served.api.access.end_of(id).await?;
    end.map(Json).ok_or_else(|| Failure::no_such_operation(id))
}

/// `GET /v1/events`.
async fn events(State(served): Shared, RawQuery(query): RawQuery) -> Answer<EventList> {
    const FIELDS: &[&str] = &["town", "user", "actor", "action", "failed", "since", "until", "limit"];
    let given = Parameters::read(query.as_deref(), FIELDS)?;
    let filter = EventFilter {
        town: given.parsed("town")?,
        owner: given.parsed("user")?,
        actor: given.get("actor").map(ToOwned::to_owned),
        action: given.get("action").map(ToOwned::to_owned),
        failed: given.switch("failed")?,
        since: given.time("since")?,
        until: given.time("until")?,
    };
    Ok(Json(served.api.access.events(&filter, given.limit()?).await?))
}

/// `GET /v1/orphans`.
async fn orphans(State(served): Shared, RawQuery(query): RawQuery) -> Answer<Survey> {
    let given = Parameters::read(query.as_deref(), &["grace"])?;
    let grace = grace(given.seconds("grace")?, &served.api.policy);
    let Some(sweeper) = &served.api.orphans else { return Err(Failure::without_provider()) };
    let Ok(_place) = served.surveys.try_acquire() else { return Err(Failure::busy()) };
    let survey = sweeper.survey(grace).await.map_err(|error| Failure::unavailable(&error))?;
    Ok(Json((&survey).into()))
}

/// `GET /v1/doctor`.
async fn doctor(State(served): Shared, RawQuery(query): RawQuery) -> Answer<Diagnosis> {
    Parameters::read(query.as_deref(), &[])?;
    let Ok(_place) = served.diagnoses.try_acquire() else { return Err(Failure::busy()) };
    Ok(Json(served.api.server.diagnosis().await))
}

/// `POST /v1/towns/{town}/{action}`.
async fn change(
    State(served): Shared,
    Extension(Actor(actor)): Extension<Actor>,
    Path((town, action)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let changed = match (served.api.allows_actions, TownRequest::named(&action), action.as_str()) {
        (false, _, _) => Err(Failure::read_only()),
        (true, Some(request), _) => {
            requested(&served, actor, &town, request, &body).await.map(IntoResponse::into_response)
        }
        (true, None, "retry") => retried(&served, actor, &town, &body).await.map(IntoResponse::into_response),
        (true, None, _) => Err(Failure::unknown_route()),
    };
    changed.unwrap_or_else(IntoResponse::into_response)
}

async fn requested(
    served: &Served,
    actor: String,
    town: &str,
    request: TownRequest,
    body: &[u8],
) -> Answer<AcceptedRequest> {
    let id = body::chosen_id(body)?.unwrap_or_else(new_operation_id);
    let town_id = town_id(town)?;
    let operation_id = served.api.access.acting_as(actor).request(town_id, request, id).await?;
    Ok(Json(AcceptedRequest { town_id, operation_id }))
}

async fn retried(served: &Served, actor: String, town: &str, body: &[u8]) -> Answer<Retry> {
    body::without_fields(body)?;
    Ok(Json(served.api.access.acting_as(actor).retry(town_id(town)?).await?))
}
