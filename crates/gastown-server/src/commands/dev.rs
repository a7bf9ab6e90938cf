//! `gastown dev`: the control plane on one machine, with nothing to install. It reads the settings of `serve` and fills
//! the missing ones: SQLite in a temporary folder, the simulator, new keys, users with tokens.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use fly_sim::{RateLimits, SimConfig, Timing, Workload};
use gastown::{Gastown, SimulatedFly, local_url, system::random_secret};
use gastown_domain::{AppPlacement, UserId};
use gastown_sandbox_sim::{CommandSandboxes, SimulatedSandboxes};
use gastown_secrets::SandboxKey;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio::net::TcpListener;

use crate::config::{Config, ListenAddress, ListenHost};
use crate::control_plane::{ControlPlane, bind_port};
use crate::settings_source::Source;

/// The app in the simulator.
const APP: &str = "gastown-dev";
/// The interval at which a simulated sandbox sends heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The options of `gastown dev`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// A user to create. Can be repeated.
    #[arg(long = "user", value_name = "ID", default_value = "dev")]
    users: Vec<UserId>,
    /// Print only one line, a JSON object with address and tokens.
    #[arg(long)]
    json: bool,
    /// The speed of the simulated Fly.
    #[arg(long, value_enum, default_value_t = Speed::Fly)]
    timing: Speed,
    /// A shell command that runs in each machine instead of the simulated sandbox. It gets the environment of the machine,
    /// `PORT`, and `DATA_DIR` for the volume. See docs/sandbox-images.md.
    #[arg(long, value_name = "COMMAND")]
    sandbox_cmd: Option<String>,
    /// Allow the console to start, stop and destroy towns. Without it, the console only reads.
    #[arg(long)]
    allow_actions: bool,
}

/// The speed of the simulated Fly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Speed {
    /// About that of the real Fly: seconds.
    Fly,
    /// Milliseconds.
    Fast,
}

/// Runs until a signal stops the process. Its temporary folder is deleted at the end.
pub async fn run(mut source: Source, options: Options) -> anyhow::Result<()> {
    let stop = super::shutdown::on_signal()?;
    let folder = tempfile::Builder::new().prefix("gastown-dev-").tempdir().context("failed to create a folder")?;
    let listener = listen(&source).await?;
    let address = listener.local_addr()?;
    let url = local_url(address);
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        source.fill("GASTOWN_CLOUD_URL", || url.clone());
    }
    // The address of a given database may contain a password, so it is not printed.
    let database = source.get("DATABASE_URL").is_none();
    let database = database.then(|| format!("sqlite://{}", folder.path().join("gastown.db").display()));
    if let Some(database) = &database {
        source.fill("DATABASE_URL", || database.clone());
    }
    let simulator = fill_fly(&mut source, &options).await?;
    // A given secret is not printed. A new one has no other use than to be printed.
    let given = source.get("INTERNAL_API_SECRET").is_some();
    fill_the_rest(&mut source);
    let town_secret = source.get("INTERNAL_API_SECRET").filter(|_| !given).map(ToOwned::to_owned);

    let mut config = development_config(&source)?;
    config.console.allows_actions = options.allow_actions;
    let app = match &config.fly.app {
        AppPlacement::Shared(app) => Some(app.to_string()),
        AppPlacement::PerUser { .. } => None,
    };
    let plane = ControlPlane::with_listener(config, listener).await.context("failed to start")?;
    let (metrics_url, console_url) = (plane.metrics_url(), plane.console_url());
    let backends = Backends {
        fly: if simulator.is_some() { "simulated Fly" } else { "Fly" },
        fly_url: source.get("FLY_API_BASE_URL").unwrap_or_default(),
        app: app.as_deref(),
        database: database.as_deref(),
        metrics_url: metrics_url.as_deref(),
        console_url: console_url.as_deref(),
        sandbox_url: source.get("SANDBOX_URL"),
        town_secret: town_secret.as_deref(),
    };
    let tokens = create_users(plane.gastown(), &options.users).await?;
    announce(&options, &url, &tokens, &backends)?;
    plane.serve(stop).await.context("server failed")?;
    if let Some(simulator) = simulator {
        simulator.shutdown().await;
    }
    Ok(())
}

/// Binds the port first, because the sandboxes' environment contains the address.
async fn listen(source: &Source) -> anyhow::Result<TcpListener> {
    let host = source.get("HOST").map_or(Ok(ListenHost::LOOPBACK), str::parse).context("HOST is invalid")?;
    let port: u16 = source.get("PORT").map_or(Ok(0), str::parse).context("PORT is invalid")?;
    Ok(bind_port(&host, port).await?)
}

/// Starts the simulator unless Fly's address is given, and gives it the private key of its sandboxes.
async fn fill_fly(source: &mut Source, options: &Options) -> anyhow::Result<Option<SimulatedFly>> {
    if source.get("FLY_API_BASE_URL").is_some() {
        source.fill("SANDBOX_PUBLIC_KEY", || SandboxKey::generate().public_key().to_string());
        return Ok(None);
    }
    let timing = if options.timing == Speed::Fly { Timing::fly_like() } else { Timing::fast() };
    // Without Fly's rate limits, so that tests do not wait. The binary of the simulator has them.
    source.fill("FLY_RATE_LIMITS", || "off".to_owned());
    let workload = sandboxes(source, options.sandbox_cmd.as_deref())?;
    let config = SimConfig { timing, rates: RateLimits::Off, workload, ..SimConfig::fly_like() };
    let started = match source.get("SANDBOX_PUBLIC_KEY").and_then(|key| key.parse().ok()) {
        // The operator has the private key of a given public key, and sets it in the apps.
        Some(key) => SimulatedFly::start_with_key(config, key).await,
        None => SimulatedFly::start(config).await,
    };
    let simulated = started.context("failed to start the simulator")?;
    source.fill("SANDBOX_PUBLIC_KEY", || simulated.sealing_key().to_string());
    let per_user = source.get("FLY_ORG_SLUG").is_some() || source.get("FLY_APP_PREFIX").is_some();
    if !per_user {
        source.fill("FLY_APP_NAME", || APP.to_owned());
        simulated.create_app(source.get("FLY_APP_NAME").unwrap_or(APP)).context("failed to create the app")?;
    }
    let simulator = simulated.simulator();
    source.fill("FLY_API_BASE_URL", || simulator.url());
    source.fill("FLY_API_TOKEN", fresh_secret);
    source.fill("SANDBOX_URL", || simulator.machine_url_template());
    Ok(Some(simulated))
}

/// Returns the programs of the machines: the simulated sandboxes, or a command.
fn sandboxes(source: &Source, command: Option<&str>) -> anyhow::Result<Option<Arc<dyn Workload>>> {
    let Some(command) = command else {
        return Ok(SimulatedSandboxes::default().with_heartbeat(HEARTBEAT).into_workload());
    };
    let environment = source.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let sandboxes = CommandSandboxes::new(command.to_owned(), environment);
    Ok(sandboxes.context("failed to create a folder for the volumes")?.into_workload())
}

/// Fills every other setting that `serve` requires, and shortens the times.
fn fill_the_rest(source: &mut Source) {
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
        // A machine that never starts fails soon.
        ("CREATE_PATIENCE_SECONDS", "45"),
        ("START_PATIENCE_SECONDS", "45"),
        ("STOP_PATIENCE_SECONDS", "45"),
        ("SWEEP_SECONDS", "2"),
        ("METRICS_LISTEN", "127.0.0.1:0"),
        ("METRICS_SECONDS", "2"),
        // External changes are detected while the developer watches.
        ("INSPECT_SECONDS", "5"),
        ("ORPHAN_SWEEP_SECONDS", "10"),
        ("ORPHAN_GRACE_SECONDS", "60"),
    ] {
        source.fill(name, || value.to_owned());
    }
}

fn development_config(source: &Source) -> anyhow::Result<Config> {
    let mut config = Config::read(source)?;
    config.migrate_on_start = true;
    // A console without a token, for this machine only.
    config.console.listen.get_or_insert(ListenAddress { host: ListenHost::LOOPBACK, port: 0 });
    let poll_interval = Duration::from_millis(500);
    let policy = &config.orchestrator.policy;
    config.orchestrator.policy = policy.changed(|policy| policy.backoff.poll_interval = poll_interval)?;
    Ok(config)
}

/// Creates the users, each with a new pepper. Returns their tokens.
async fn create_users(gastown: &Gastown, users: &[UserId]) -> anyhow::Result<BTreeMap<String, SecretString>> {
    let mut tokens = BTreeMap::new();
    for user in users {
        let added = gastown.add_user(user).await.with_context(|| format!("failed to create user {user}"))?;
        tokens.insert(user.to_string(), added.token);
    }
    Ok(tokens)
}

fn fresh_secret() -> String {
    random_secret().expose_secret().to_owned()
}

/// The services behind the control plane.
struct Backends<'a> {
    fly: &'static str,
    fly_url: &'a str,
    app: Option<&'a str>,
    database: Option<&'a str>,
    metrics_url: Option<&'a str>,
    console_url: Option<&'a str>,
    sandbox_url: Option<&'a str>,
    /// The secret of the towns' keys, if it was made for this run.
    town_secret: Option<&'a str>,
}

/// Prints the address and the tokens, which were created to be printed.
fn announce(
    options: &Options,
    url: &str,
    tokens: &BTreeMap<String, SecretString>,
    backends: &Backends<'_>,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if options.json {
        let users: serde_json::Map<_, _> =
            tokens.iter().map(|(user, token)| (user.clone(), json!({"token": token.expose_secret()}))).collect();
        let Backends { fly_url, app, database, metrics_url, console_url, sandbox_url, town_secret, .. } = backends;
        let all = json!({
            "url": url, "users": users, "flyUrl": fly_url, "flyApp": app, "databaseUrl": database,
            "metricsUrl": metrics_url, "consoleUrl": console_url, "sandboxUrl": sandbox_url,
            "internalApiSecret": town_secret,
        });
        writeln!(out, "{all}")?;
    } else {
        print_instructions(&mut out, url, tokens, backends)?;
    }
    Ok(out.flush()?)
}

/// Prints the address, the tokens, and examples of calls.
fn print_instructions(
    out: &mut impl Write,
    url: &str,
    tokens: &BTreeMap<String, SecretString>,
    Backends { fly, fly_url, app, database, metrics_url, console_url, sandbox_url, town_secret }: &Backends<'_>,
) -> std::io::Result<()> {
    writeln!(out, "Gastown Cloud is running at {url} ({fly} at {fly_url}). Press Ctrl-C to stop.\n")?;
    if let Some(console_url) = console_url {
        writeln!(out, "Console:\n  {console_url}\n")?;
    }
    for (user, token) in tokens {
        writeln!(out, "Token of {user}:\n  {}\n", token.expose_secret())?;
    }
    if let Some((_, token)) = tokens.first_key_value() {
        let token = token.expose_secret();
        writeln!(
            out,
            "export GASTOWN_URL={url} GASTOWN_TOKEN={token}\n\n\
             curl -s {url}/trpc/gastown.createTown -H 'authorization: Bearer {token}' \\\n  \
             -H 'content-type: application/json' -d '{{\"townName\":\"quarry\"}}'\n\n\
             // npm install @trpc/client\n\
             import {{ createTRPCClient, httpBatchLink }} from '@trpc/client';\n\
             const client = createTRPCClient({{ links: [httpBatchLink({{\n  \
               url: '{url}/trpc', headers: {{ authorization: 'Bearer {token}' }} }})] }});\n\
             console.log(await client.gastown.listTowns.query());\n"
        )?;
    }
    if let Some(metrics_url) = metrics_url {
        writeln!(out, "# metrics\ncurl -s {metrics_url}\n")?;
    }
    if let Some(database) = database {
        writeln!(out, "# for operators\nDATABASE_URL={database} gastown operations\n")?;
    }
    if let (Some(database), Some(app), Some(sandbox_url), Some(secret)) = (database, app, sandbox_url, town_secret) {
        writeln!(
            out,
            "# for authors of sandbox images: the key and the address of a town's sandbox\n\
             export DATABASE_URL={database} INTERNAL_API_SECRET={secret}\n\
             export FLY_APP_NAME={app} SANDBOX_URL='{sandbox_url}'\n\
             gastown sandbox env --town USER/NAME\n"
        )?;
    }
    Ok(())
}
