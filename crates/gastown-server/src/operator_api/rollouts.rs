//! The rollout of an image: read, started and changed.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use gastown_domain::ports::NewRollout;
use gastown_domain::{Invalid, MaxUnavailable, Percent};
use serde_json::Value;

use super::body;
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

/// The fields of a start. Without the others than `image`, the defaults are those of the command.
const FIELDS: &[&str] = &["image", "percent", "onlyStopped", "maxUnavailable", "replace"];

/// Reads the body of a start.
fn wanted(raw: &[u8]) -> Result<NewRollout, Failure> {
    let fields = body::fields(raw, FIELDS)?;
    let number = |name| body::taken(&fields, name, "a whole number", Value::as_u64);
    let switch = |name| Ok::<_, Failure>(body::taken(&fields, name, "true or false", Value::as_bool)?.unwrap_or(false));
    let image =
        body::taken(&fields, "image", "a reference of an image", |given| given.as_str().map(ToOwned::to_owned))?;
    let image = image.ok_or_else(|| Failure::bad_request("image is missing: must be a reference of an image"))?;
    Ok(NewRollout {
        image: valid("image", image.parse())?,
        percent: valid("percent", number("percent")?.map_or(Ok(Percent::ALL), Percent::try_from))?,
        only_stopped: switch("onlyStopped")?,
        max_unavailable: valid(
            "maxUnavailable",
            number("maxUnavailable")?.map_or(Ok(MaxUnavailable::DEFAULT), MaxUnavailable::try_from),
        )?,
        replace: switch("replace")?,
    })
}

fn valid<T>(field: &str, value: Result<T, Invalid>) -> Result<T, Failure> {
    value.map_err(|problem| Failure::bad_request(&format!("{field} is invalid: {problem}")))
}

/// `POST /v1/rollout`.
async fn start(
    State(served): Shared,
    Extension(Actor(actor)): Extension<Actor>,
    RawQuery(query): RawQuery,
    sent: Bytes,
) -> Answer<NewestRollout> {
    let access = acting(&served, actor)?;
    Parameters::read(query.as_deref(), &[])?;
    Ok(Json(access.start_rollout(&wanted(&sent)?).await?))
}

/// `POST /v1/rollout/{order}`.
async fn change(
    State(served): Shared,
    Extension(Actor(actor)): Extension<Actor>,
    Path(order): Path<String>,
    RawQuery(query): RawQuery,
    sent: Bytes,
) -> Answer<NewestRollout> {
    let access = acting(&served, actor)?;
    let order = order_named(&order).ok_or_else(Failure::unknown_route)?;
    Parameters::read(query.as_deref(), &[])?;
    body::without_fields(&sent)?;
    Ok(Json(access.change_rollout(order).await?))
}

/// Returns the access of a caller who changes something.
fn acting(served: &Served, actor: String) -> Result<InDatabase, Failure> {
    if served.api.allows_actions { Ok(served.api.access.acting_as(actor)) } else { Err(Failure::read_only()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_their_field() {
        for (raw, message) in [
            ("[]", "the body is not an object; send a JSON object, such as {}"),
            ("{}", "image is missing: must be a reference of an image"),
            (r#"{"image":7}"#, "image is invalid: must be a reference of an image"),
            (r#"{"image":"a/b:1","percent":"ten"}"#, "percent is invalid: must be a whole number"),
            (r#"{"image":"a/b:1","replace":1}"#, "replace is invalid: must be true or false"),
        ] {
            assert_eq!(wanted(raw.as_bytes()).unwrap_err().message(), message, "{raw}");
        }
        assert!(wanted(br#"{"image":"a/b:1","wait":1}"#).unwrap_err().message().starts_with("the field \"wait\""));
        let read = wanted(br#"{"image":"registry.example.com/town:2","onlyStopped":true,"percent":null}"#).unwrap();
        assert!(read.only_stopped && !read.replace && read.percent == Percent::ALL);
    }
}
