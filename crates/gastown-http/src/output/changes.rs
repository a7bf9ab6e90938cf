//! The changes of a watched town.

use gastown_domain::{TownChanged, TownId};
use serde::Serialize;

use super::{FailureView, Moment, OperationView};

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
