//! The forms: sign in, sign out, and the actions on a town.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use gastown_domain::TownId;
use gastown_domain::ports::{RolloutChanged, RolloutOrder, StoreError, TownDetails};

use super::{Console, Shared};
use crate::access::{Door, Visitor};
use crate::filter::Fields;
use crate::form::Form;
use crate::sources::{ActionResult, TownAction, TownActions};
use crate::view;

/// The pause after a wrong token. With few connections it bounds the attempts and their log messages.
const REFUSAL_PAUSE: Duration = Duration::from_millis(500);

/// `POST /console/login`.
pub(crate) async fn sign_in(State(console): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let form = Form::read(&body);
    let nonce = (console.sources.nonce)();
    let now = console.sources.clock.now();
    if let Some(cookie) = console.door.sign_in(form.field("token"), &headers, now, &nonce) {
        return ([(header::SET_COOKIE, cookie)], Redirect::to("/console")).into_response();
    }
    tracing::warn!("console sign-in refused");
    tokio::time::sleep(REFUSAL_PAUSE).await;
    (StatusCode::UNAUTHORIZED, Html(view::sign_in(true).into_string())).into_response()
}

/// `POST /console/logout`. The cookie ends in the browser.
pub(crate) async fn sign_out(
    State(console): Shared,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !is_of_visitor(&console, &visitor, &Form::read(&body)) {
        return forged(&console, &visitor);
    }
    ([(header::SET_COOKIE, Door::sign_out(&headers))], Redirect::to("/console")).into_response()
}

/// `POST /console/towns/{town}/{action}`.
pub(crate) async fn act(
    State(console): Shared,
    Extension(visitor): Extension<Visitor>,
    Path((town, action)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let Some(actions) = console.sources.actions.clone() else { return only_reads(&console, &visitor) };
    let form = Form::read(&body);
    if !is_of_visitor(&console, &visitor, &form) {
        return forged(&console, &visitor);
    }
    let (Ok(town), Some(action)) = (town.parse::<TownId>(), TownAction::named(&action)) else {
        return console.no_such_town(&visitor);
    };
    let found = match console.sources.operator.town_details(town, &[], 0).await {
        Ok(Some(found)) => found,
        Ok(None) => return console.no_such_town(&visitor),
        Err(error) => return console.failed(&visitor, &error),
    };
    let next = match request(&*actions, &found, action, (form.field("name"), console.door.actor(&visitor))).await {
        Ok(next) => next,
        Err(error) => return console.failed(&visitor, &error),
    };
    Redirect::to(&format!("/console/towns/{town}?did={}", next.as_str())).into_response()
}

/// `POST /console/rollout/{order}`.
pub(crate) async fn order(
    State(console): Shared,
    Extension(visitor): Extension<Visitor>,
    Path(order): Path<String>,
    body: Bytes,
) -> Response {
    if console.sources.actions.is_none() {
        return only_reads(&console, &visitor);
    }
    if !is_of_visitor(&console, &visitor, &Form::read(&body)) {
        return forged(&console, &visitor);
    }
    let order = match order.as_str() {
        "pause" => RolloutOrder::Pause,
        "resume" => RolloutOrder::Resume,
        // An undo restarts towns, so it needs the command.
        _ => return console.answer(&visitor, StatusCode::NOT_FOUND, "Not found", "There is no such action."),
    };
    let did = match console.sources.rollouts.order(order, console.door.actor(&visitor)).await {
        Ok(RolloutChanged::Done(_)) => "done",
        Ok(RolloutChanged::Refused(_) | RolloutChanged::SmallerShare(_) | RolloutChanged::NotFound) => "refused",
        Err(error) => return console.failed(&visitor, &error),
    };
    Redirect::to(&format!("/console/rollout?did={did}")).into_response()
}

/// Returns what the last change of the rollout led to, from the address.
pub(super) fn order_message(fields: &Fields) -> Option<&'static str> {
    match fields.get("did")? {
        "done" => Some("The rollout is changed. The page shows it within some seconds."),
        "refused" => Some("Nothing was done: the state of the rollout does not allow it."),
        _ => None,
    }
}

fn only_reads(console: &Console, visitor: &Visitor) -> Response {
    let text = "This console only reads. Start the server with --allow-actions to act here.";
    console.answer(visitor, StatusCode::FORBIDDEN, "Not allowed", text)
}

fn is_of_visitor(console: &Arc<Console>, visitor: &Visitor, form: &Form) -> bool {
    console.door.is_form_token(visitor, form.field("form_token"))
}

fn forged(console: &Console, visitor: &Visitor) -> Response {
    let text = "This form is not of your session. Open the page again.";
    console.answer(visitor, StatusCode::FORBIDDEN, "Not allowed", text)
}

/// The end of an action, for the address of the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Accepted,
    Busy,
    Gone,
    NotConfirmed,
}

impl Done {
    const ALL: [Self; 4] = [Self::Accepted, Self::Busy, Self::Gone, Self::NotConfirmed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Busy => "busy",
            Self::Gone => "gone",
            Self::NotConfirmed => "not_confirmed",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Accepted => "The operation is accepted. A worker executes it.",
            Self::Busy => "Another operation is in flight. Wait for its end.",
            Self::Gone => "The town is destroyed already.",
            Self::NotConfirmed => "Nothing was done: the name is not that of the town.",
        }
    }
}

/// Requests the action for this actor, a destroy only with the town's name.
async fn request(
    actions: &dyn TownActions,
    found: &TownDetails,
    action: TownAction,
    (name, actor): (&str, &str),
) -> Result<Done, StoreError> {
    let is_confirmed = match action {
        TownAction::Start | TownAction::Stop => true,
        TownAction::Destroy => name.trim() == found.town.name.as_str(),
    };
    if !is_confirmed {
        return Ok(Done::NotConfirmed);
    }
    Ok(match actions.request(found.town.id, action, actor).await? {
        ActionResult::Accepted => Done::Accepted,
        ActionResult::Busy => Done::Busy,
        ActionResult::NotFound => Done::Gone,
    })
}

/// Returns what the last action led to, from the address. Texts of the address are never shown.
pub(super) fn message(fields: &Fields) -> Option<&'static str> {
    let did = fields.get("did")?;
    Done::ALL.into_iter().find(|done| done.as_str() == did).map(Done::message)
}
