//! The changes of a watched town.

use gastown_domain::{TownChanged, TownId, TownsChanged};
use serde::Serialize;

use super::{FailureView, Moment, OperationView, TownSummaryView};

/// A change of a watched town, with its present status and operation.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "TownChange"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct TownChangeView {
    /// The town.
    #[cfg_attr(feature = "schema", schemars(with = "super::Id"))]
    town_id: TownId,
    /// The kind of the change. The first value is `present`, unless the client resumes.
    #[cfg_attr(feature = "schema", schemars(with = "gastown_domain::ChangeKind"))]
    change: &'static str,
    /// The time of the change, as far as it is recorded.
    at: Moment,
    /// A sentence for people.
    message: String,
    /// The step that was begun. Only `step` has one.
    step: Option<String>,
    /// The cause of a failed attempt or operation.
    failure: Option<FailureView>,
    /// The present status.
    #[cfg_attr(feature = "schema", schemars(with = "gastown_domain::TownStatus"))]
    status: &'static str,
    /// The present operation in flight.
    operation: Option<OperationView>,
}

/// A change of the caller's list of towns.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "TownListChange"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct TownListChangeView {
    /// True if `towns` is the whole list, which replaces what the client has. The first value is, unless the client resumes.
    is_whole: bool,
    /// The towns that are new or have changed, as in `listTowns`, oldest first.
    towns: Vec<TownSummaryView>,
    /// The ids of the towns that are not in the list any more.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<super::Id>"))]
    gone: Vec<TownId>,
}

impl From<TownsChanged> for TownListChangeView {
    fn from(change: TownsChanged) -> Self {
        let towns = change.towns.into_iter().map(TownSummaryView::from).collect();
        Self { is_whole: change.is_whole, towns, gone: change.gone }
    }
}

impl TownChangeView {
    pub(crate) fn new(town_id: TownId, change: TownChanged) -> Self {
        Self {
            town_id,
            change: change.kind.as_str(),
            at: Moment(change.at),
            message: change.message,
            step: change.step,
            failure: change.failure.map(FailureView::from),
            status: change.status.as_str(),
            operation: change.operation.map(OperationView::from),
        }
    }
}
