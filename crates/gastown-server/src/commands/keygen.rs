//! `gastown keygen`: new keys and secrets for a new installation or a rotation.

use clap::Args;
use gastown::system::random_secret;
use gastown_secrets::SandboxKey;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::say::say;

/// The options of `gastown keygen`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Examples for the help.
pub const EXAMPLES: &str = "\
Example:
  gastown keygen > keys.env && chmod 600 keys.env";

/// Prints new keys, which are made to be printed. Nothing is stored.
pub fn run(options: Options) -> anyhow::Result<()> {
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
