//! `gastown token`: mints a user's token, or says why one is not accepted.

use std::io::Read as _;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono::SecondsFormat;
use clap::{Args, Subcommand};
use gastown_domain::UserId;
use gastown_domain::ports::{Clock as _, User, Users as _};
use gastown_jwt::{Rejection, TokenMinter, TokenVerifier};
use gastown_system::SystemClock;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::database;
use super::render::table::plain;
use super::say::say;
use super::since::Since;
use crate::config::TokenConfig;
use crate::settings_source::Source;

/// The longest token that is read.
const MAX_TOKEN_BYTES: u64 = 16 * 1024;

/// The subcommands of `gastown token`.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Mint a token of a user of the database, as the host application does. For tests and for operators who help a user.
    #[command(after_help = MINT_EXAMPLES)]
    Mint(MintOptions),
    /// Say of which user a token is and until when, and if this service accepts it. Exit code 1 if it does not.
    #[command(after_help = "Example:\n  echo \"$GASTOWN_TOKEN\" | gastown token inspect -")]
    Inspect(InspectOptions),
}

const MINT_EXAMPLES: &str = "\
Example:
  export GASTOWN_TOKEN=$(gastown token mint --user alice --lifetime 1h)";

/// The options of `gastown token mint`.
#[derive(Debug, Clone, Args)]
pub struct MintOptions {
    /// The user, who must be in `kilocode_users`.
    #[arg(long, value_name = "ID")]
    user: UserId,
    /// How long the token is valid, such as `30m` or `24h`.
    #[arg(long, value_name = "AGE", default_value = "1h")]
    lifetime: Since,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The options of `gastown token inspect`.
#[derive(Debug, Clone, Args)]
pub struct InspectOptions {
    /// The token, or `-` for standard input, which other users of this machine cannot see.
    #[arg(value_name = "TOKEN")]
    token: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command. It needs `NEXTAUTH_SECRET` and `DATABASE_URL`, and `TOKEN_ENV` where `serve` has it.
pub async fn run(source: &Source, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Mint(options) => mint(source, options).await,
        Action::Inspect(options) => inspect(source, options).await,
    }
}

async fn mint(source: &Source, options: MintOptions) -> anyhow::Result<()> {
    let Since::Ago(lifetime) = options.lifetime else { bail!("--lifetime must be an age, such as 1h") };
    let config = TokenConfig::read(source)?;
    let user = user(source, &options.user).await?;
    let minter = TokenMinter::new(config.keys, Arc::new(SystemClock));
    let minter = match config.env {
        Some(env) => minter.in_env(env),
        None => minter,
    };
    let token = minter.mint_user_token(&options.user, user.pepper.as_ref(), lifetime)?;
    let token = token.expose_secret();
    let until = (SystemClock.now() + lifetime).to_rfc3339_opts(SecondsFormat::Secs, true);
    Ok(if options.json {
        say(json!({ "userId": options.user, "token": token, "expiresAt": until }))
    } else {
        say(token)
    }?)
}

async fn user(source: &Source, id: &UserId) -> anyhow::Result<User> {
    let database = database::open(source).await?;
    let found = database.user(id).await.context("failed to read the registry")?;
    found.with_context(|| format!("no such user: {id}"))
}

async fn inspect(source: &Source, options: InspectOptions) -> anyhow::Result<()> {
    let token = match options.token.as_str() {
        "-" => from_stdin()?,
        given => given.to_owned(),
    };
    let config = TokenConfig::read(source)?;
    let tokens = TokenVerifier::new(config.keys, Arc::new(SystemClock));
    let tokens = match config.env {
        Some(env) => tokens.in_env(env),
        None => tokens,
    };
    let claims = claims(&token);
    let refused = match tokens.verify_user(&token) {
        Ok(verified) => {
            let known = database::open(source).await?.user(&verified.user).await;
            match known.context("failed to read the registry")? {
                None => Some("the user does not exist".to_owned()),
                Some(user) if !verified.has_pepper(user.pepper.as_ref()) => {
                    Some("the token was revoked: its pepper is not that of the user".to_owned())
                }
                Some(_) => None,
            }
        }
        Err(rejection) => Some(reason(rejection)),
    };
    print(&claims, refused.as_deref(), options.json)?;
    match refused {
        None => Ok(()),
        Some(reason) => bail!("the token is not accepted: {reason}"),
    }
}

fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().take(MAX_TOKEN_BYTES).read_to_string(&mut text).context("failed to read standard input")?;
    Ok(text.trim().to_owned())
}

/// Returns the reason, with its usual cause.
fn reason(rejection: Rejection) -> String {
    let cause = match rejection {
        Rejection::Signature => "; NEXTAUTH_SECRET is not that of the host application, or the token was altered",
        Rejection::Environment => "; TOKEN_ENV differs",
        Rejection::Expired | Rejection::Early => "; compare the clocks if it is new",
        Rejection::TooLong { .. }
        | Rejection::Malformed
        | Rejection::Header
        | Rejection::MissingClaim { .. }
        | Rejection::InvalidClaim { .. }
        | Rejection::Type
        | Rejection::Audience
        | Rejection::Version => "",
    };
    format!("{rejection}{cause}")
}

/// The claims that are shown. They are not verified. The pepper is left out.
struct Claims {
    user: Option<String>,
    kind: Option<String>,
    env: Option<String>,
    expires_at: Option<String>,
}

/// Reads the claims, which are not secret, without a check.
fn claims(token: &str) -> Claims {
    let claims = token.split('.').nth(1).and_then(decoded).unwrap_or_default();
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(plain);
    let exp = claims.get("exp").and_then(Value::as_i64).and_then(|at| chrono::DateTime::from_timestamp(at, 0));
    Claims {
        user: text("kiloUserId"),
        kind: text("type"),
        env: text("env"),
        expires_at: exp.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)),
    }
}

fn decoded(part: &str) -> Option<Value> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn print(claims: &Claims, refused: Option<&str>, json: bool) -> std::io::Result<()> {
    let Claims { user, kind, env, expires_at } = claims;
    if json {
        return say(json!({
            "userId": user, "type": kind, "env": env, "expiresAt": expires_at,
            "accepted": refused.is_none(), "reason": refused,
        }));
    }
    let line = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    say(format!(
        "user     {}\ntype     {}\nenv      {}\nexpires  {}\naccepted {}",
        line(user),
        line(kind),
        line(env),
        line(expires_at),
        if refused.is_none() { "yes" } else { "no" }
    ))
}
