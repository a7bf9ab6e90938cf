//! `gastown keygen`: new keys and secrets for a new installation or a rotation.

use clap::Args;
use gastown::system::random_secret;
use gastown_console::OperatorName;
use gastown_secrets::SandboxKey;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::say::say;

/// The options of `gastown keygen`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Print only the token of a new operator, or a new one of an operator.
    #[arg(long, value_name = "NAME")]
    operator: Option<OperatorName>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Examples for the help.
pub const EXAMPLES: &str = "\
Examples:
  gastown keygen > keys.env && chmod 600 keys.env
  gastown keygen --operator eve";

/// Prints new keys, which are made to be printed. Nothing is stored.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(operator) = &options.operator {
        return token_of(operator, options.json);
    }
    let sandbox = SandboxKey::generate();
    let (public, private, id) = (sandbox.public_key().to_string(), sandbox.to_secret(), sandbox.key_id());
    let secret = random_secret();
    let (private, secret) = (private.expose_secret(), secret.expose_secret());
    Ok(if options.json {
        say(json!({
            "SANDBOX_PUBLIC_KEY": public, "SANDBOX_PRIVATE_KEY": private, "INTERNAL_API_SECRET": secret,
            "sandboxKeyId": id.to_string(),
        }))
    } else {
        say(format!(
            "# Settings of `gastown serve`. Key id: {id}\nSANDBOX_PUBLIC_KEY={public}\nINTERNAL_API_SECRET={secret}\n\n\
             # A secret of the app at Fly, for sandboxes only. `gastown serve` must not have it.\n\
             SANDBOX_PRIVATE_KEY={private}"
        ))
    }?)
}

/// Prints a new token of an operator.
fn token_of(operator: &OperatorName, as_json: bool) -> anyhow::Result<()> {
    let token = random_secret();
    let token = token.expose_secret();
    Ok(if as_json {
        say(json!({ "operator": operator.as_str(), "CONSOLE_TOKENS": format!("{operator}:{token}"), "token": token }))
    } else {
        say(format!(
            "# Add this to CONSOLE_TOKENS of `gastown serve`, after a comma if there are others. Keep the old token of a name\n\
             # until {operator} has the new one.\nCONSOLE_TOKENS={operator}:{token}\n\n\
             # For {operator} only.\nGASTOWN_OPERATOR_TOKEN={token}"
        ))
    }?)
}
