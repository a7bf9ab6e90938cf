//! `gastown sandbox`: checks a sandbox image, as the control plane would use it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args, Subcommand};
use gastown_domain::ports::{Clock as _, Ids as _};
use gastown_sandbox_check::{
    ALL, Checker, CommandImage, Home, Limits, Options, Outcome, Report, Repositories, Target, Town, TownSecrets,
};
use gastown_system::{RandomIds, SystemClock};
use serde_json::{Value, json};
use url::Url;

use super::say::say;
use super::town_environment;
use super::town_ref::TownRef;
use crate::settings_source::Source;

/// The exit code if the check could not be carried out.
pub const NOT_CHECKED: u8 = 3;
/// The address of the check's control plane if the check starts the image.
const HOME: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The actions of `gastown sandbox`.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Check a sandbox against the sandbox API (docs/sandbox-api.yaml), and say which rules it breaks.
    ///
    /// Exit codes: 0 all checked rules are kept, 1 a rule is broken, 2 invalid command line, 3 not checked.
    #[command(after_help = CHECK_EXAMPLES, group(ArgGroup::new("target").required(true).args(["url", "cmd"])))]
    Check(Box<CheckOptions>),
    /// Print the environment of a new town, as `docker run --env-file` reads it. Or, with `--town`, the key and the address
    /// of the sandbox of a town that exists.
    #[command(after_help = ENV_EXAMPLES)]
    Env(EnvOptions),
    /// List the rules, with the usual repair of each.
    #[command(after_help = "Example:\n  gastown sandbox rules --json")]
    Rules {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

const CHECK_EXAMPLES: &str = "\
Examples:
  # Every rule: the check starts the image several times.
  gastown sandbox check --cmd 'docker run --rm --network host --env-file {env_file} -v {data}:/home/gt/data IMAGE'
  gastown sandbox check --cmd 'gastown-unseal -- python3 sandbox.py'

  # A sandbox that runs. Boots are not checked.
  gastown sandbox env --home-url http://172.17.0.1:9090 > town.env
  docker run --rm -d -p 8080:8080 --env-file town.env IMAGE
  gastown sandbox check http://127.0.0.1:8080 --env-file town.env --home 0.0.0.0:9090";

const ENV_EXAMPLES: &str = "\
Examples:
  gastown sandbox env --home-url http://172.17.0.1:9090 > town.env
  gastown sandbox env --town alice/mill > town.env";

/// The options of `gastown sandbox env`.
#[derive(Debug, Args)]
pub struct EnvOptions {
    /// The address of the check, as the sandbox reaches it.
    #[arg(long, value_name = "URL")]
    home_url: Option<Url>,
    /// Print `TOWN_ID`, `INTERNAL_API_KEY` and `SANDBOX_ADDRESS` of this town: its id, the name of its machine, or USER/NAME.
    /// Needs `DATABASE_URL`, `INTERNAL_API_SECRET`, `FLY_APP_NAME` and `SANDBOX_URL`.
    #[arg(long, value_name = "TOWN", conflicts_with = "home_url")]
    town: Option<TownRef>,
}

/// The options of `gastown sandbox check`.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// The address of a sandbox that runs.
    url: Option<Url>,
    /// A shell command that runs the image in the foreground. It gets the environment of a town, `PORT` and `DATA_DIR`.
    /// `{port}`, `{data}` and `{env_file}` stand for the port, the folder of the volume, and a file with the environment.
    #[arg(long, value_name = "COMMAND")]
    cmd: Option<String>,
    /// A file with the environment of the sandbox, from `gastown sandbox env`. Without it, `TOWN_ID` and
    /// `INTERNAL_API_KEY` are read from the environment.
    #[arg(long, value_name = "FILE", conflicts_with = "cmd")]
    env_file: Option<PathBuf>,
    /// The machine, if the address is that of Fly's proxy.
    #[arg(long, value_name = "ID", conflicts_with = "cmd")]
    machine: Option<String>,
    /// The address to listen on for calls of the sandbox. With a command, the default is a free port of the loopback.
    #[arg(long, value_name = "ADDRESS:PORT")]
    home: Option<SocketAddr>,
    /// The address that a started sandbox calls, if it is not that of `--home`.
    #[arg(long, value_name = "URL", requires = "cmd")]
    home_url: Option<Url>,
    /// A repository that the sandbox can clone.
    #[arg(long, value_name = "URL", default_value_t = Repositories::default().good)]
    repo: String,
    /// A branch of that repository.
    #[arg(long, value_name = "NAME", default_value_t = Repositories::default().branch)]
    branch: String,
    /// A repository that does not exist.
    #[arg(long, value_name = "URL", default_value_t = Repositories::default().refused)]
    refused_repo: String,
    /// A repository whose rig has unpushed work as soon as it is added. Without it, four rules are skipped.
    #[arg(long, value_name = "URL")]
    unpushed_repo: Option<String>,
    /// How long a start may take.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().start.as_secs())]
    start_seconds: u64,
    /// How long each call of the sandbox to the control plane is awaited.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().home.as_secs())]
    home_seconds: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs an action. The exit code is 1 if a rule is broken.
///
/// Errors: the check could not be carried out.
pub async fn run(source: &Source, action: Action) -> anyhow::Result<ExitCode> {
    match action {
        Action::Check(options) => check(source, &options).await,
        Action::Env(EnvOptions { town: Some(town), .. }) => {
            say(town_environment::lines(source, &town).await?)?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Env(EnvOptions { home_url, town: None }) => {
            let secrets = TownSecrets::generate(RandomIds.town(), SystemClock.now());
            let environment = secrets.environment(home_url.as_ref())?;
            let lines: Vec<_> = environment.pairs().map(|(name, value)| format!("{name}={value}")).collect();
            say(lines.join("\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Rules { json } => {
            say(if json { json!({ "rules": rules_json() }).to_string() } else { rules_text() })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn check(source: &Source, options: &CheckOptions) -> anyhow::Result<ExitCode> {
    let clock = Arc::new(SystemClock);
    let checker = Checker::new(options.choices(), clock.clone())?;
    let listen = options.home.or(options.cmd.is_some().then_some(HOME));
    let home = match listen {
        Some(address) => Some(Home::start(address, clock).await?),
        None => None,
    };
    let report = match (&options.cmd, &options.url, &home) {
        (Some(command), _, Some(home)) => {
            let image = CommandImage::new(command.clone(), owned(source))?;
            let address = options.home_url.as_ref().unwrap_or_else(|| home.url());
            checker.check_image(&image, RandomIds.town(), home, address).await?
        }
        (None, Some(url), home) => {
            let town = town(source, options.env_file.as_deref())?;
            if let Some(home) = home {
                home.expect(&town);
            }
            let target = Target { url: url.clone(), machine: options.machine.clone(), town };
            checker.check_running(&target, home.as_ref()).await
        }
        _ => bail!("give the address of a sandbox, or --cmd"),
    };
    say(if options.json { report_json(&report).to_string() } else { report_text(&report) })?;
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl CheckOptions {
    fn choices(&self) -> Options {
        let limits = Limits {
            start: Duration::from_secs(self.start_seconds),
            home: Duration::from_secs(self.home_seconds),
            ..Limits::default()
        };
        let repositories = Repositories {
            good: self.repo.clone(),
            branch: self.branch.clone(),
            refused: self.refused_repo.clone(),
            unpushed: self.unpushed_repo.clone(),
        };
        Options { repositories, limits }
    }
}

fn owned(source: &Source) -> impl Iterator<Item = (String, String)> {
    source.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// Reads the town of a sandbox that runs.
fn town(source: &Source, env_file: Option<&Path>) -> anyhow::Result<Town> {
    let Some(path) = env_file else { return Ok(Town::from_environment(owned(source))?) };
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let town = Town::from_environment(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    town.with_context(|| format!("{} is not the environment of a town", path.display()))
}

/// Counts the kept, the broken and the skipped rules.
fn counts(report: &Report) -> (usize, usize, usize) {
    let broken = report.failed().count();
    let skipped = report.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Skipped { .. })).count();
    (report.findings.len() - broken - skipped, broken, skipped)
}

fn report_text(report: &Report) -> String {
    let mut lines = Vec::new();
    for finding in &report.findings {
        let rule = finding.rule;
        match &finding.outcome {
            Outcome::Passed => lines.push(format!("ok      {}", rule.name)),
            Outcome::Skipped { why } => lines.push(format!("skipped {}: {why}", rule.name)),
            Outcome::Failed { seen } => lines.push(format!(
                "BROKEN  {}\n          expected: {}\n          seen:     {seen}\n          to mend:  {}",
                rule.name, rule.expected, rule.mend
            )),
        }
    }
    let (kept, broken, skipped) = counts(report);
    lines.push(format!("\n{} rules: {kept} kept, {broken} broken, {skipped} skipped.", report.findings.len()));
    lines.join("\n")
}

fn report_json(report: &Report) -> Value {
    let finding = |finding: &gastown_sandbox_check::Finding| {
        let rule = finding.rule;
        let (outcome, seen, why) = match &finding.outcome {
            Outcome::Passed => ("kept", None, None),
            Outcome::Failed { seen } => ("broken", Some(seen), None),
            Outcome::Skipped { why } => ("skipped", None, Some(why)),
        };
        json!({
            "rule": rule.name, "outcome": outcome, "expected": rule.expected, "seen": seen, "why": why,
            "toMend": rule.mend,
        })
    };
    let (kept, broken, skipped) = counts(report);
    let findings: Vec<_> = report.findings.iter().map(finding).collect();
    json!({ "passed": report.passed(), "kept": kept, "broken": broken, "skipped": skipped, "findings": findings })
}

fn rules_json() -> Vec<Value> {
    let rule = |rule: &&gastown_sandbox_check::Rule| json!({ "rule": rule.name, "expected": rule.expected, "toMend": rule.mend });
    ALL.iter().map(rule).collect()
}

fn rules_text() -> String {
    let lines = ALL.iter().map(|rule| format!("{}\n  {}.\n  {}", rule.name, rule.expected, rule.mend));
    lines.collect::<Vec<_>>().join("\n")
}
