//! The settings of the console for operators.

use secrecy::SecretString;

use super::metrics::ListenAddress;
use crate::settings_source::Reader;

/// The settings of the console.
#[derive(Debug, Clone, Default)]
pub struct ConsoleConfig {
    /// `CONSOLE_LISTEN`: the address of the console. Without it there is none.
    pub listen: Option<ListenAddress>,
    /// `CONSOLE_TOKEN`: the operator's token, which `CONSOLE_LISTEN` requires. Only `gastown dev` has a console without one,
    /// on a loopback address.
    pub token: Option<SecretString>,
    /// `--allow-actions`: the console may start, stop and destroy towns.
    pub allows_actions: bool,
}

pub(super) fn console(reader: &mut Reader<'_>) -> ConsoleConfig {
    let listen: Option<ListenAddress> = reader.optional("CONSOLE_LISTEN");
    let token = reader.secret("CONSOLE_TOKEN");
    if listen.is_some() && token.is_none() {
        reader.wrong("CONSOLE_TOKEN", "is missing, and CONSOLE_LISTEN requires it");
    }
    ConsoleConfig { listen, token, allows_actions: false }
}
