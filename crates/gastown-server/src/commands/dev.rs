//! `gastown dev`: the whole control plane on one machine, with nothing to install. It reads the same settings as
//! `serve` and fills every blank: SQLite in a temporary folder, the simulator, fresh keys, users with tokens.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::Args;
use fly_sim::{FlySim, RateLimits, SimConfig, Timing};
use gastown_domain::{AppPlacement, UserId};
use gastown_fly::RateLimiting;
use gastown_secrets::SandboxKey;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::control_plane::{ControlPlane, minter, pacing};
use crate::settings_source::Source;

/// The app in the simulator.
const APP: &str = "gastown-dev";
/// How long a user's token holds.
const TOKEN_LIFETIME: TimeDelta = TimeDelta::days(30);

/// What `gastown dev` takes.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// A user to create; repeat it for more.
    #[arg(long = "user", value_name = "ID", default_value = "dev")]
    users: Vec<UserId>,
    /// Print address and tokens as one JSON object on the first line, and nothing else.
    #[arg(long)]
    json: bool,
    /// How fast the simulated Fly is.
    #[arg(long, value_enum, default_value_t = Pace::Fly)]
    timing: Pace,
}

/// How fast the simulated Fly is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Pace {
    /// About as fast as the real one: seconds.
    Fly,
    /// Milliseconds.
    Fast,
}

/// Runs until told to stop; what it made in temporary folders goes with it.
pub async fn run(mut source: Source, options: Options) -> anyhow::Result<()> {
    let stop = super::shutdown::on_signal()?;
    let folder = tempfile::Builder::new().prefix("gastown-dev-").tempdir().context("cannot make a temporary folder")?;
    let listener = listen(&source).await?;
    let url = format!("http://{}", listener.local_addr()?);
    source.fill("GASTOWN_CLOUD_URL", || url.clone());
    // One of somebody else's may hold a password, and is not shown.
    let own_database = source.get("DATABASE_URL").is_none();
    let own_database = own_database.then(|| format!("sqlite://{}", folder.path().join("gastown.db").display()));
    if let Some(database) = &own_database {
        source.fill("DATABASE_URL", || database.clone());
    }

    let simulator = fill_fly(&mut source, options.timing).await?;
    for name in ["NEXTAUTH_SECRET", "INTERNAL_API_SECRET"] {
        source.fill(name, fresh_secret);
    }
    for (name, value) in [
        ("FLY_REGIONS", "iad,ord,lhr,fra,syd"),
        ("FLY_IMAGE", "registry.example.com/gastown-sandbox:dev"),
        ("KILO_API_URL", "https://kilo.example.com"),
        ("R2_BUCKET", "gastown-dev"),
        ("R2_ACCESS_KEY", "dev-access-key"),
        ("R2_SECRET_KEY", "dev-secret-key"),
        // A newcomer's machine that never starts is told soon.
        ("CREATE_PATIENCE_SECONDS", "45"),
        ("START_PATIENCE_SECONDS", "45"),
        ("STOP_PATIENCE_SECONDS", "45"),
        ("SWEEP_SECONDS", "2"),
        // What happens behind her back is noticed while she looks.
        ("INSPECT_SECONDS", "5"),
        ("ORPHAN_SWEEP_SECONDS", "10"),
        ("ORPHAN_GRACE_SECONDS", "60"),
    ] {
        source.fill(name, || value.to_owned());
    }
    let mut config = Config::read(&source)?;
    config.migrate_on_start = true;
    let poll_interval = std::time::Duration::from_millis(500);
    let policy = &config.orchestrator.policy;
    config.orchestrator.policy = policy.changed(|policy| policy.backoff.poll_interval = poll_interval)?;

    let pacing = if simulator.is_some() { RateLimiting::Off } else { pacing(&config.fly) };
    let minter = minter(&config)?;
    let app = match &config.fly.app {
        AppPlacement::Shared(app) => Some(app.to_string()),
        AppPlacement::PerUser { .. } => None,
    };
    let plane = ControlPlane::with_listener(config, pacing, listener).await.context("cannot start")?;
    let mut tokens = BTreeMap::new();
    for user in &options.users {
        let pepper = SecretString::from(fresh_secret());
        plane.database().make_user_known(user, &pepper).await.with_context(|| format!("cannot create user {user}"))?;
        let token = minter.mint_user_token(user, Some(&pepper), TOKEN_LIFETIME).context("cannot mint a token")?;
        tokens.insert(user.to_string(), token);
    }
    let behind = Behind {
        what: if simulator.is_some() { "simulated Fly" } else { "Fly" },
        fly: source.get("FLY_API_BASE_URL").unwrap_or_default(),
        app: app.as_deref(),
        database: own_database.as_deref(),
    };
    announce(&options, &url, &tokens, &behind)?;
    plane.serve(stop).await.context("the server ended")?;
    if let Some(simulator) = simulator {
        simulator.shutdown().await;
    }
    Ok(())
}

/// Binds first: sandboxes are told where to call home.
async fn listen(source: &Source) -> anyhow::Result<TcpListener> {
    let host = source.get("HOST").map_or(Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)), str::parse).context("HOST is wrong")?;
    let port: u16 = source.get("PORT").map_or(Ok(0), str::parse).context("PORT is wrong")?;
    TcpListener::bind((host, port)).await.with_context(|| format!("cannot listen on {host}:{port}"))
}

/// Starts the simulator unless a Fly is named, and gives it the key that its sandboxes open their values with.
async fn fill_fly(source: &mut Source, pace: Pace) -> anyhow::Result<Option<FlySim>> {
    if source.get("FLY_API_BASE_URL").is_some() {
        source.fill("SANDBOX_PUBLIC_KEY", || SandboxKey::generate().public_key().to_string());
        return Ok(None);
    }
    let timing = if pace == Pace::Fly { Timing::fly_like() } else { Timing::fast() };
    let key = SandboxKey::generate();
    let app_secrets = match source.get("SANDBOX_PUBLIC_KEY") {
        // Whoever brings the public key has the private one too, and gives it to the apps.
        Some(_) => Vec::new(),
        None => vec![("SANDBOX_PRIVATE_KEY".to_owned(), key.to_secret())],
    };
    source.fill("SANDBOX_PUBLIC_KEY", || key.public_key().to_string());
    // Its limits are Fly's to show in the simulator's own binary; here a newcomer's tests should not wait for them.
    let config = SimConfig { timing, rates: RateLimits::Off, app_secrets, ..SimConfig::fly_like() };
    let simulator = FlySim::start(config).await.context("cannot start the simulator")?;
    let per_user = source.get("FLY_ORG_SLUG").is_some() || source.get("FLY_APP_PREFIX").is_some();
    if !per_user {
        source.fill("FLY_APP_NAME", || APP.to_owned());
        simulator.create_app(source.get("FLY_APP_NAME").unwrap_or(APP)).context("cannot create the app")?;
    }
    source.fill("FLY_API_BASE_URL", || simulator.url());
    source.fill("FLY_API_TOKEN", fresh_secret);
    source.fill("SANDBOX_URL", || simulator.sandbox_url_template());
    Ok(Some(simulator))
}

fn fresh_secret() -> String {
    let bytes: [u8; 24] = rand::random();
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// What is behind it: which Fly, and where the registry is.
struct Behind<'a> {
    what: &'static str,
    fly: &'a str,
    app: Option<&'a str>,
    database: Option<&'a str>,
}

/// Says where it is and how to call it. Tokens are shown because that is what they were made for.
fn announce(
    options: &Options,
    url: &str,
    tokens: &BTreeMap<String, SecretString>,
    behind: &Behind<'_>,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if options.json {
        let users: serde_json::Map<_, _> =
            tokens.iter().map(|(user, token)| (user.clone(), json!({"token": token.expose_secret()}))).collect();
        let Behind { fly, app, database, .. } = behind;
        let all = json!({"url": url, "users": users, "flyUrl": fly, "flyApp": app, "databaseUrl": database});
        writeln!(out, "{all}")?;
        return Ok(out.flush()?);
    }
    writeln!(out, "Gastown Cloud is up at {url} ({} at {}). Ctrl-C ends it.\n", behind.what, behind.fly)?;
    for (user, token) in tokens {
        let token = token.expose_secret();
        writeln!(out, "{user}'s token:\n  {token}\n")?;
    }
    if let Some((_, token)) = tokens.first_key_value() {
        let token = token.expose_secret();
        writeln!(
            out,
            "curl -s {url}/trpc/gastown.createTown -H 'authorization: Bearer {token}' \\\n  \
             -H 'content-type: application/json' -d '{{\"townName\":\"mill\"}}'\n\n\
             // npm install @trpc/client\n\
             import {{ createTRPCClient, httpBatchLink }} from '@trpc/client';\n\
             const client = createTRPCClient({{ links: [httpBatchLink({{\n  \
               url: '{url}/trpc', headers: {{ authorization: 'Bearer {token}' }} }})] }});\n\
             console.log(await client.gastown.listTowns.query());\n"
        )?;
    }
    if let Some(database) = behind.database {
        writeln!(out, "# what an operator sees\nDATABASE_URL={database} gastown operations\n")?;
    }
    Ok(out.flush()?)
}
