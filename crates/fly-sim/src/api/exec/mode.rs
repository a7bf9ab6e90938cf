//! The way in which commands are executed.

use std::path::PathBuf;

/// The way in which `exec` executes a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ExecMode {
    /// A small shell language on the simulated files of the machine. What is not simulated fails and says so.
    #[default]
    Simulated,
    /// The command runs on this computer, with the user's rights, in a folder per machine below the given one.
    ///
    /// It has the machine's environment and the `PATH` of the simulator. The simulated files are not there.
    Local(PathBuf),
}
