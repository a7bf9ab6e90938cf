//! The lifecycle of a town as values: kinds of operations, their phases, the steps, and the table that picks the next step.

mod kind;
mod phase;
mod plan;
mod step;
mod unconfirmed;

pub use kind::OperationKind;
pub use phase::Phase;
pub use plan::{Observation, plan};
pub use step::{Step, StepEffect, StepName};
pub use unconfirmed::UnconfirmedCreate;
