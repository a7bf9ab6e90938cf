//! Parses the wire's input into values of the domain. All invalid fields are reported at once. Unknown members are
//! dropped, except in `config`, where they are kept.

mod config;
#[cfg(feature = "schema")]
mod declared;
mod fields;
mod issue;
mod requests;

#[cfg(feature = "schema")]
pub(crate) use declared::Declared;
pub(crate) use issue::{Issue, refused_input};
pub(crate) use requests::{NamesTown, RigRef, SandboxBeat, TownRef, WatchedList, WatchedTown};
