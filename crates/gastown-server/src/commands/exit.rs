//! The exit codes of commands, and the errors that have one of their own.

use crate::operator_access::AccessError;

/// A command failed or was refused.
pub const FAILED: u8 = 1;
/// The command line is invalid. clap ends with this code.
pub const USAGE: u8 = 2;
/// There is no such town.
pub const NOT_FOUND: u8 = 4;
/// The time of `--wait` is over. The operation continues.
pub const NOT_IN_TIME: u8 = 5;

/// A town of `smoke` could not be removed.
pub const TOWN_LEFT: u8 = 6;

/// The exit codes, as the help of the binary shows them.
pub const EXPLAINED: &str = "\
Exit codes:
  0  done
  1  failed or refused
  2  invalid command line
  3  `sandbox check` could not be carried out
  4  no such town
  5  not done within --wait; the operation continues
  6  `smoke` failed, and its town could not be removed";

/// An error with an exit code of its own.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodedError {
    /// The words of the command line do not fit together.
    #[error("{0}")]
    Usage(String),
    /// There is no such town.
    #[error("no such town: {0}")]
    NoSuchTown(String),
    /// The time is over.
    #[error("{0}")]
    NotInTime(String),
    /// The town of a failed `smoke` is left.
    #[error("{0}")]
    TownLeft(String),
}

/// Returns the exit code of an error. `usual` is that of an error without a code of its own.
pub fn code_of(error: &anyhow::Error, usual: u8) -> u8 {
    if let Some(AccessError::NoSuchTown(_)) = error.downcast_ref() {
        return NOT_FOUND;
    }
    match error.downcast_ref() {
        Some(CodedError::Usage(_)) => USAGE,
        Some(CodedError::NoSuchTown(_)) => NOT_FOUND,
        Some(CodedError::NotInTime(_)) => NOT_IN_TIME,
        Some(CodedError::TownLeft(_)) => TOWN_LEFT,
        None => usual,
    }
}
