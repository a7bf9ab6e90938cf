//! The console for operators: towns, operations, queues, orphans, alarms and live events, as HTML from the server.
//!
//! [`router`] serves it under `/console`. It reads the registry through the ports in [`Sources`], within limits. It changes
//! nothing unless [`Sources::actions`] is given. It never shows a secret or the configuration of a user.

mod access;
mod cached;
mod document;
mod filter;
mod form;
mod live;
mod notices;
mod operators;
mod pages;
mod plot;
mod refusals;
mod session;
mod sources;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

pub use access::Access;
pub use operators::{OperatorName, Operators};
pub use sources::{ActionResult, ProviderQueues, Queue, Sources, TownAction, TownActions};

use crate::pages::Console;

/// The largest body of a form, in bytes.
const MAX_FORM: usize = 4096;

/// Returns the router of the console. Its streams of live events end when `stop` is cancelled.
///
/// Every page needs what `access` requires, also one that does not exist.
pub fn router(access: Access, sources: Sources, stop: CancellationToken) -> Router {
    let console = Arc::new(Console::new(access, sources, stop));
    Router::new()
        .route("/", get(pages::to_overview))
        .route("/console", get(pages::overview))
        .route("/console/towns", get(pages::towns))
        .route("/console/towns/{town}", get(pages::town))
        .route("/console/towns/{town}/{action}", post(pages::act))
        .route("/console/operations", get(pages::operations))
        .route("/console/rollout", get(pages::rollout))
        .route("/console/rollout/{order}", post(pages::order))
        .route("/console/orphans", get(pages::orphans))
        .route("/console/events", get(pages::events))
        .route("/console/live", get(live::stream))
        .route("/console/logout", post(pages::sign_out))
        .fallback(pages::missing)
        .layer(from_fn_with_state(Arc::clone(&console), access::guard))
        .route("/console/login", post(pages::sign_in))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(axum::middleware::map_response(document::secured))
        .with_state(console)
}
