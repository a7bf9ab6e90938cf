//! The handlers: each reads its values within limits, and renders them.

mod act;
mod read;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use gastown_domain::TownId;
use gastown_domain::ports::{AuditedEvent, ListPosition, RegistryFigures, RolloutReport, StoreError};
use maud::Markup;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub(crate) use act::{act, order, sign_in, sign_out};

use crate::access::{Access, Door, Refusal, Visitor};
use crate::cached::Cached;
use crate::document::{self, SignOut};
use crate::filter::Fields;
use crate::live::MAX_VIEWERS;
use crate::plot::Bucket;
use crate::refusals::Refusals;
use crate::sources::Sources;
use crate::view::{self, Forms, sentence};

/// The rows of a page.
const PAGE: u32 = 100;
/// The events of a town's page.
const EVENTS: u32 = 30;
/// The ages of values that all viewers share. The figures read whole tables, and the plot reads thousands of events.
const FIGURES_AGE: Duration = Duration::from_secs(3);
const PLOT_AGE: Duration = Duration::from_secs(15);
const RECENT_AGE: Duration = Duration::from_secs(1);

/// The state of the console.
pub(crate) struct Console {
    door: Door,
    pub(crate) sources: Sources,
    pub(crate) stop: CancellationToken,
    /// The places of viewers of live events.
    pub(crate) viewers: Arc<Semaphore>,
    pub(crate) recent: Cached<Vec<AuditedEvent>>,
    /// Wrong bearer tokens, for the log.
    pub(crate) wrong_tokens: Refusals,
    figures: Cached<RegistryFigures>,
    rollout: Cached<Option<RolloutReport>>,
    plot: Cached<Vec<Bucket>>,
}

impl Console {
    pub(crate) fn new(access: Access, sources: Sources, stop: CancellationToken) -> Self {
        let random = SecretString::from((sources.nonce)());
        Self {
            door: Door::new(access, random),
            sources,
            stop,
            viewers: Arc::new(Semaphore::new(MAX_VIEWERS)),
            recent: Cached::new(RECENT_AGE),
            wrong_tokens: Refusals::default(),
            figures: Cached::new(FIGURES_AGE),
            rollout: Cached::new(FIGURES_AGE),
            plot: Cached::new(PLOT_AGE),
        }
    }

    pub(crate) fn visitor(&self, headers: &HeaderMap) -> Result<Visitor, Refusal> {
        self.door.visitor(headers, self.sources.clock.now())
    }

    fn form_token(&self, visitor: &Visitor) -> String {
        self.door.form_token(visitor)
    }

    /// Returns a whole page.
    fn page(&self, visitor: &Visitor, title: &str, at: &str, content: &Markup) -> Response {
        let sign_out = visitor
            .has_session
            .then(|| SignOut { token: self.form_token(visitor), operator: self.door.actor(visitor).to_owned() });
        Html(document::page(title, at, sign_out.as_ref(), content).into_string()).into_response()
    }

    fn answer(&self, visitor: &Visitor, status: StatusCode, title: &str, text: &str) -> Response {
        (status, self.page(visitor, title, "", &sentence(title, text))).into_response()
    }

    /// Returns the page of a failed read. The cause is in the log only.
    fn failed(&self, visitor: &Visitor, error: &StoreError) -> Response {
        tracing::warn!(error = error as &dyn std::error::Error, "failed to read the registry for the console");
        let text = "The registry could not be read. The log of the server has the cause. Try again.";
        self.answer(visitor, StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
    }

    fn invalid(&self, visitor: &Visitor, field: &str) -> Response {
        let text = format!("The condition `{field}` has an invalid value.");
        self.answer(visitor, StatusCode::BAD_REQUEST, "Invalid condition", &text)
    }

    fn no_such_town(&self, visitor: &Visitor) -> Response {
        self.answer(visitor, StatusCode::NOT_FOUND, "Not found", "There is no such town.")
    }
}

type Shared = State<Arc<Console>>;

/// `GET /`.
pub(crate) async fn to_overview() -> Redirect {
    Redirect::to("/console")
}

/// Every other address.
pub(crate) async fn missing(State(console): Shared, Extension(visitor): Extension<Visitor>) -> Response {
    console.answer(&visitor, StatusCode::NOT_FOUND, "Not found", "There is no such page.")
}

/// `GET /console`.
pub(crate) async fn overview(State(console): Shared, Extension(visitor): Extension<Visitor>) -> Response {
    match read::overview(&console).await {
        Ok(shown) => console.page(&visitor, "Overview", "/console", &view::overview(&shown)),
        Err(error) => console.failed(&visitor, &error),
    }
}

/// `GET /console/towns`.
pub(crate) async fn towns(
    State(console): Shared,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::read(query.as_deref().unwrap_or_default());
    let filter = match fields.towns() {
        Ok(filter) => filter,
        Err(field) => return console.invalid(&visitor, field),
    };
    // One more shows that there is a next page.
    let found = match console.sources.operator.towns(&filter, PAGE + 1).await {
        Ok(found) => found,
        Err(error) => return console.failed(&visitor, &error),
    };
    let (shown, has_more) = cut(&found);
    let last = shown.iter().rev().flatten().next().filter(|_| has_more).map(|listed| &listed.town);
    let position = last.map(|town| ListPosition { owner: town.owner.clone(), name: town.name.clone(), town: town.id });
    let next = position.map(|position| fields.page_of_towns(&position));
    console.page(&visitor, "Towns", "/console/towns", &view::towns(&fields, shown, next.as_deref()))
}

/// Returns the rows of one page, and true if there are more.
fn cut<T>(found: &[T]) -> (&[T], bool) {
    let most = PAGE as usize;
    (found.get(..most).unwrap_or(found), found.len() > most)
}

/// `GET /console/towns/{town}`.
pub(crate) async fn town(
    State(console): Shared,
    Extension(visitor): Extension<Visitor>,
    Path(town): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let Ok(town) = town.parse::<TownId>() else { return console.no_such_town(&visitor) };
    let names = (console.sources.resource_names)(town);
    let found = match console.sources.operator.town_details(town, &names, EVENTS).await {
        Ok(Some(found)) => found,
        Ok(None) => return console.no_such_town(&visitor),
        Err(error) => return console.failed(&visitor, &error),
    };
    let forms = console.sources.actions.as_ref().map(|_| Forms {
        token: console.form_token(&visitor),
        message: act::message(&Fields::read(query.as_deref().unwrap_or_default())),
    });
    let content = view::town(&found, forms.as_ref(), console.sources.alert_attempts);
    console.page(&visitor, found.town.name.as_str(), "/console/towns", &content)
}

/// `GET /console/operations`.
pub(crate) async fn operations(State(console): Shared, Extension(visitor): Extension<Visitor>) -> Response {
    match read::operations(&console, PAGE).await {
        Ok((held, failed, jobs)) => {
            let limits = (PAGE, console.sources.alert_attempts);
            let content = view::operations(&held, &failed, &jobs, limits);
            console.page(&visitor, "Operations", "/console/operations", &content)
        }
        Err(error) => console.failed(&visitor, &error),
    }
}

/// `GET /console/rollout`.
pub(crate) async fn rollout(
    State(console): Shared,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    // It counts towns, so all viewers share it.
    let found = match console.rollout.get(console.sources.rollouts.report()).await {
        Ok(found) => found,
        Err(error) => return console.failed(&visitor, &error),
    };
    let forms = console.sources.actions.as_ref().map(|_| Forms {
        token: console.form_token(&visitor),
        message: act::order_message(&Fields::read(query.as_deref().unwrap_or_default())),
    });
    console.page(&visitor, "Rollout", "/console/rollout", &view::rollout((*found).as_ref(), forms.as_ref()))
}

/// `GET /console/orphans`.
pub(crate) async fn orphans(State(console): Shared, Extension(visitor): Extension<Visitor>) -> Response {
    match console.sources.orphans.list().await {
        Ok((found, _)) => {
            let content = view::orphans(&found, PAGE as usize);
            console.page(&visitor, "Orphans", "/console/orphans", &content)
        }
        Err(error) => console.failed(&visitor, &error),
    }
}

/// `GET /console/events`.
pub(crate) async fn events(
    State(console): Shared,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::read(query.as_deref().unwrap_or_default());
    let filter = match fields.events() {
        Ok(filter) => filter,
        Err(field) => return console.invalid(&visitor, field),
    };
    let found = match console.sources.operator.audit(&filter, PAGE + 1).await {
        Ok(found) => found,
        Err(error) => return console.failed(&visitor, &error),
    };
    let (shown, has_more) = cut(&found);
    let last = shown.last().filter(|_| has_more);
    // The last event is the first of the next page too, so that none of the same moment is missing.
    let older = last.map(|last| fields.page_of_events(last.event.at));
    console.page(&visitor, "Events", "/console/events", &view::events(&fields, shown, older.as_deref()))
}
