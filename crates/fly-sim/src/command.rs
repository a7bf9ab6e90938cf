//! The command `fly-sim`, which other programs run with a workload of their own.

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    access_log::AccessLog, api::ExecMode, config::SimConfig, rate_limit::RateLimits, scenario::Scenario,
    seed::SeedDocument, sim::FlySim, timing::Timing, workload::Workload,
};

/// Examples of `fly-sim serve --help`.
const EXAMPLES: &str = "\
Examples:
  fly-sim serve --app mill                       serve on http://127.0.0.1:4280
  fly-sim serve --seed-file world.toml           with apps, machines, volumes and secrets
  fly-sim serve --scenario capacity-crunch       as on a bad day; `fly-sim scenarios` lists them

Point a client at it, with any token that is not empty:
  flyctl, fly-go   FLY_FLAPS_BASE_URL=http://127.0.0.1:4280 FLY_API_TOKEN=any fly machine list -a mill
  fly-admin        const { default: Client } = require('fly-admin/dist/client.js')
                   new Client('any', { apiUrl: 'http://127.0.0.1:4280' })
  curl             curl -H 'Authorization: Bearer any' http://127.0.0.1:4280/v1/apps/mill/machines

Control it:
  curl -X POST http://127.0.0.1:4280/_sim/scenario -d '{\"name\": \"stale-lists\"}'
  curl -X POST http://127.0.0.1:4280/_sim/reset
  curl http://127.0.0.1:4280/_sim/openapi.json";

/// A simulator of the Fly Machines API, offline.
#[derive(Debug, Parser)]
#[command(name = "fly-sim", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the simulated Fly until SIGINT or SIGTERM.
    #[command(after_help = EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Lists the scenarios, each with the incident that it plays.
    Scenarios,
}

/// The options of `serve`.
#[derive(Debug, Args)]
struct ServeArgs {
    /// Address to listen on: `host:port`, or a port of the loopback. Port 0 selects a free port.
    #[arg(long, env = "FLY_SIM_LISTEN", default_value = "4280", value_parser = listen_address)]
    listen: SocketAddr,
    /// Timing of the simulation.
    #[arg(long, env = "FLY_SIM_TIMING", value_enum, default_value_t = TimingProfile::Fly)]
    timing: TimingProfile,
    /// Milliseconds before every answer, instead of those of the timing.
    #[arg(long, env = "FLY_SIM_LATENCY", value_name = "MS")]
    latency: Option<u64>,
    /// Rate limits, instead of those of the timing.
    #[arg(long, env = "FLY_SIM_LIMITS", value_enum)]
    limits: Option<Limits>,
    /// The only token that is accepted. Without it, every token that is not empty is.
    #[arg(long, env = "FLY_SIM_STRICT_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    strict_token: Option<SecretString>,
    /// Organization of every app.
    #[arg(long, env = "FLY_SIM_ORG", value_name = "SLUG", default_value = "personal")]
    org: String,
    /// App to create at the start; may be repeated.
    #[arg(long = "app", env = "FLY_SIM_APP", value_name = "NAME", value_delimiter = ',')]
    apps: Vec<String>,
    /// Secret of every new app, as `NAME=VALUE`; may be repeated.
    #[arg(
        long = "app-secret",
        env = "FLY_SIM_APP_SECRET",
        hide_env_values = true,
        value_name = "NAME=VALUE",
        value_delimiter = ',',
        value_parser = secret
    )]
    app_secrets: Vec<(String, SecretString)>,
    /// File in TOML or JSON with apps, machines, volumes and secrets to create at the start.
    #[arg(long, env = "FLY_SIM_SEED_FILE", value_name = "FILE")]
    seed_file: Option<PathBuf>,
    /// File that keeps the world across restarts. If it exists, it is used instead of the seed and the apps.
    #[arg(long, env = "FLY_SIM_STATE", value_name = "FILE")]
    state: Option<PathBuf>,
    /// Program on this computer that serves a machine, as `APP/MACHINE=http://127.0.0.1:PORT`; may be repeated.
    #[arg(
        long = "attach",
        env = "FLY_SIM_ATTACH",
        value_name = "APP/MACHINE=URL",
        value_delimiter = ',',
        value_parser = attachment
    )]
    attachments: Vec<(String, String)>,
    /// Seconds without a request after which a machine with `autostop` is stopped.
    #[arg(long, env = "FLY_SIM_AUTOSTOP", value_name = "SECONDS", default_value_t = 300)]
    autostop: u64,
    /// Scenario of faults that is in force from the start.
    #[arg(long, env = "FLY_SIM_SCENARIO", value_name = "NAME", value_parser = scenario)]
    scenario: Option<&'static Scenario>,
    /// Way in which commands of `exec` run: simulated, or really in a scratch folder for each machine.
    #[arg(long, env = "FLY_SIM_EXEC", value_enum, default_value_t = Exec::Simulated)]
    exec: Exec,
    /// Number of calls that the journal keeps.
    #[arg(long, env = "FLY_SIM_JOURNAL", value_name = "CALLS", default_value_t = 100_000)]
    journal: usize,
    /// Seed of all generated ids.
    #[arg(long, env = "FLY_SIM_ID_SEED", default_value_t = 1)]
    id_seed: u64,
    /// Form of the line for each call. By default text on a terminal, and else JSON.
    #[arg(long, env = "FLY_SIM_LOG", value_enum)]
    log: Option<LogForm>,
    /// Writes no line for a call.
    #[arg(long, env = "FLY_SIM_QUIET")]
    quiet: bool,
    /// Skips the checks against Fly's OpenAPI document, for measurements.
    #[arg(long, env = "FLY_SIM_UNCHECKED")]
    unchecked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TimingProfile {
    /// The delays and rate limits of the real service.
    Fly,
    /// Delays of milliseconds and no rate limits.
    Fast,
    /// No delays and no rate limits.
    Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Limits {
    /// The rate limits of the real service.
    Fly,
    /// No rate limits.
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Exec {
    /// A few commands on the simulated files. Others fail, and say so.
    Simulated,
    /// The real commands of this computer, with the rights of this program.
    Local,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogForm {
    /// Columns for people.
    Text,
    /// One JSON object in each line.
    Json,
}

impl Exec {
    /// Local commands run in a folder of this process.
    fn mode(self) -> ExecMode {
        match self {
            Self::Simulated => ExecMode::Simulated,
            Self::Local => ExecMode::Local(std::env::temp_dir().join(format!("fly-sim-{}", std::process::id()))),
        }
    }
}

impl TimingProfile {
    fn config(self) -> SimConfig {
        match self {
            Self::Fly => SimConfig::fly_like(),
            Self::Fast => SimConfig::fast(),
            Self::Instant => SimConfig { timing: Timing::instant(), ..SimConfig::fast() },
        }
    }
}

impl ServeArgs {
    fn config(self, workload: Option<Arc<dyn Workload>>) -> anyhow::Result<SimConfig> {
        let mut config = self.timing.config();
        if let Some(latency) = self.latency {
            config.timing.latency = Duration::from_millis(latency);
        }
        if let Some(limits) = self.limits {
            config.rates = if limits == Limits::Fly { RateLimits::Fly } else { RateLimits::Off };
        }
        Ok(SimConfig {
            listen: self.listen,
            token: self.strict_token.clone(),
            org_slug: self.org.clone(),
            seed: self.id_seed,
            app_secrets: self.app_secrets.clone(),
            workload,
            initial: self.initial()?,
            exec: self.exec.mode(),
            state_file: self.state.clone(),
            attachments: self.attachments.clone(),
            autostop_after: Duration::from_secs(self.autostop),
            scenario: self.scenario,
            journal_limit: self.journal,
            access_log: self.access_log(),
            checks_contract: !self.unchecked,
            ..config
        })
    }

    /// Returns the initial world. An app that the file has too is not created twice.
    fn initial(&self) -> anyhow::Result<SeedDocument> {
        let mut document = match &self.seed_file {
            Some(file) => SeedDocument::read(file)?,
            None => SeedDocument::default(),
        };
        for app in &self.apps {
            if document.apps.iter().all(|seeded| seeded.name != *app) {
                document = document.with_app(app);
            }
        }
        Ok(document)
    }

    fn access_log(&self) -> Option<AccessLog> {
        let by_terminal = if std::io::stderr().is_terminal() { AccessLog::Text } else { AccessLog::Json };
        let form = match self.log {
            Some(LogForm::Text) => AccessLog::Text,
            Some(LogForm::Json) => AccessLog::Json,
            None => by_terminal,
        };
        (!self.quiet).then_some(form)
    }
}

/// Parses `host:port` or a port of the loopback.
fn listen_address(argument: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = argument.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    let numeric = argument.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address = numeric.as_deref().unwrap_or(argument).parse();
    address.map_err(|_| "expected host:port with an IP address or localhost, or a port".to_owned())
}

fn secret(argument: &str) -> Result<(String, SecretString), &'static str> {
    let (name, value) = argument.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), SecretString::from(value)))
}

fn attachment(argument: &str) -> Result<(String, String), &'static str> {
    let (machine, url) = argument.split_once('=').ok_or("expected APP/MACHINE=URL")?;
    Ok((machine.to_owned(), url.to_owned()))
}

fn scenario(name: &str) -> Result<&'static Scenario, String> {
    let names = || Scenario::all().iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ");
    Scenario::named(name).ok_or_else(|| format!("there are {}", names()))
}

/// Runs the command: serves the simulated Fly until SIGINT or SIGTERM, or lists the scenarios.
///
/// # Errors
///
/// Returns an error if the simulator cannot start, or an entry of the initial world is refused.
pub async fn run(cli: Cli, workload: Option<Arc<dyn Workload>>) -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).with_writer(std::io::stderr).init();
    match cli.command {
        Command::Serve(args) => serve(args.config(workload)?).await,
        Command::Scenarios => write_scenarios(&mut std::io::stdout().lock()).or_else(ignore_closed),
    }
}

async fn serve(config: SimConfig) -> anyhow::Result<()> {
    // The handlers come first, because a caller may send a signal as soon as it has read the address.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let sim = FlySim::start(config).await.context("fly-sim cannot start")?;
    print_url(&sim);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    sim.shutdown().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "callers of this program read the address from standard output")]
fn print_url(sim: &FlySim) {
    println!("{}", sim.url());
}

fn write_scenarios(output: &mut impl Write) -> io::Result<()> {
    for Scenario { name, effect, incident, source, .. } in Scenario::all() {
        writeln!(output, "{name}\n  {effect}\n  {incident}\n  {source}\n")?;
    }
    Ok(())
}

/// Ignores the error of a reader that has read enough, such as `head`.
fn ignore_closed(error: io::Error) -> anyhow::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error).context("failed to write the scenarios") }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn address_is_a_port_or_a_host_and_a_port() {
        for (argument, want) in [
            ("4280", "127.0.0.1:4280"),
            ("localhost:1", "127.0.0.1:1"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(listen_address(argument).unwrap().to_string(), want);
        }
        assert!(listen_address("example.org:80").is_err() && listen_address("99999").is_err());
    }

    #[test]
    fn scenarios_may_be_read_in_part() {
        let mut text = Vec::new();
        write_scenarios(&mut text).unwrap();
        assert!(String::from_utf8(text).unwrap().starts_with("april-duplicates\n"));
        let mut none: &mut [u8] = &mut [];
        assert!(write_scenarios(&mut none).is_err());
        assert!(ignore_closed(io::ErrorKind::BrokenPipe.into()).is_ok());
        assert!(ignore_closed(io::ErrorKind::StorageFull.into()).is_err());
    }

    #[test]
    fn every_option_of_serve_is_an_environment_variable_too() {
        let cli = Cli::command();
        let serve = cli.find_subcommand("serve").unwrap();
        let without: Vec<_> =
            serve.get_arguments().filter(|arg| arg.get_env().is_none()).map(clap::Arg::get_id).collect();
        assert!(without.iter().all(|id| *id == "help"), "{without:?}");
    }
}
