//! Checks a sandbox image against the sandbox API: plays the control plane's side and reports each rule that is broken.
//!
//! [`Checker::check_running`] checks a sandbox that already runs. [`Checker::check_image`] boots the image several times,
//! with good and bad environments, so that it can check every rule. [`ALL`] lists the rules. `docs/sandbox-api.yaml` specifies the API.
//!
//! The check adds and removes rigs whose names begin with `kit_`, and syncs. Nothing else is changed.
//!
//! Start reading at `run.rs`, the order of the checks.

mod checks;
mod command_image;
mod home;
mod image;
mod options;
mod probe;
mod report;
mod rules;
mod run;
mod town;

pub use command_image::{CommandImage, CommandImageError};
pub use home::{Home, HomeError};
pub use image::{Ending, Image, ImageError, Running, Stopped};
pub use options::{Limits, Options, Repositories};
pub use report::{Finding, Outcome, Report};
pub use rules::{ALL, Rule};
pub use run::{CheckError, Checker};
pub use town::{Environment, InvalidTown, Target, Town, TownSecrets};
