//! The rollout of an image: read, started and changed.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use gastown_domain::ports::NewRollout;
use gastown_domain::{Invalid, MaxUnavailable, Percent};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::guard::Actor;
use super::parameters::Parameters;
use super::{Answer, Served, Shared};
use crate::operator_access::InDatabase;
use crate::operator_access::rollouts::{RolloutAccess as _, order_named};
use crate::reports::NewestRollout;

/// Returns the routes of rollouts.
pub(super) fn routes() -> Router<Arc<Served>> {
    Router::new().route("/v1/rollout", get(read).post(start)).route("/v1/rollout/{order}", post(change))
}

/// `GET /v1/rollout`.
async fn read(State(served): Shared, RawQuery(query): RawQuery) -> Answer<NewestRollout> {
    Parameters::read(query.as_deref(), &[])?;
    Ok(Json(served.api.access.rollout().await?))
}

/// The body of a start. The defaults are those of the command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wanted {
    image: String,
    percent: Option<u64>,
    #[serde(default)]
    only_stopped: bool,
    max_unavailable: Option<u64>,
    #[serde(default)]
    replace: bool,
}

impl Wanted {
    fn into_rollout(self) -> Result<NewRollout, Failure> {
        Ok(NewRollout {
            image: valid("image", self.image.parse())?,
            percent: valid("percent", self.percent.map_or(Ok(Percent::ALL), Percent::try_from))?,
            only_stopped: self.only_stopped,
            max_unavailable: valid(
                "maxUnavailable",
                self.max_unavailable.map_or(Ok(MaxUnavailable::DEFAULT), MaxUnavailable::try_from),
            )?,
            replace: self.replace,
        })
    }
}

fn valid<T>(field: &str, value: Result<T, Invalid>) -> Result<T, Failure> {
    value.map_err(|problem| Failure::bad_request(&format!("{field} is invalid: {problem}")))
}

/// `POST /v1/rollout`.
async fn start(
    State(served): Shared,
    Extension(Actor(actor)): Extension<Actor>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Answer<NewestRollout> {
    let access = acting(&served, actor)?;
    Parameters::read(query.as_deref(), &[])?;
    let wanted: Wanted = body_of(&body)?;
    Ok(Json(access.start_rollout(&wanted.into_rollout()?).await?))
}

/// `POST /v1/rollout/{order}`.
async fn change(
    State(served): Shared,
    Extension(Actor(actor)): Extension<Actor>,
    Path(order): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Answer<NewestRollout> {
    /// A change has no fields.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    let access = acting(&served, actor)?;
    let order = order_named(&order).ok_or_else(Failure::unknown_route)?;
    Parameters::read(query.as_deref(), &[])?;
    let Nothing {} = body_of(&body)?;
    Ok(Json(access.change_rollout(order).await?))
}

/// Returns the access of a caller who changes something.
fn acting(served: &Served, actor: String) -> Result<InDatabase, Failure> {
    if served.api.allows_actions { Ok(served.api.access.acting_as(actor)) } else { Err(Failure::read_only()) }
}

fn body_of<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::bad_request(&error.to_string()))
}
