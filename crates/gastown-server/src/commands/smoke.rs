//! `gastown smoke`: plays the life of a town against a running server, over its public wire.

mod life;

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use gastown_domain::RepoUrl;
use gastown_system::random_secret;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::life::{Life, Step};
use super::exit::CodedError;
use super::remote::{Remote, ServerUrl, server_url};
use super::render::table::plain;
use super::say::say;
use super::shutdown;

/// The time for the removal of the town after a failed step.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(120);

/// The options of `gastown smoke`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The address of the server, without `/trpc`.
    #[arg(value_name = "URL", value_parser = server_url)]
    server: ServerUrl,
    /// The token of a user. The variable hides it from the list of processes.
    #[arg(long, value_name = "TOKEN", env = "GASTOWN_TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
    /// The repository of the rig.
    #[arg(long, value_name = "URL", default_value = "https://github.com/octocat/hello-world.git")]
    repo: RepoUrl,
    /// The time for the whole life. The removal of the town after a failed step has two minutes more.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Examples for the help.
pub const EXAMPLES: &str = "\
Examples:
  export GASTOWN_TOKEN=$(gastown token mint --user smoke --lifetime 1h)
  gastown smoke https://gastown-control-plane.fly.dev
  gastown smoke http://127.0.0.1:8080 --timeout 300 --json";

/// Runs the command. A town of its own is created, and destroyed in any case.
///
/// Errors: the server does not answer, or not this user. A step failed, and then if the town could not be removed.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let remote = Remote::new(&options.server, options.token.as_ref())?;
    let stop = shutdown::on_signal()?;
    let name: String = random_secret().expose_secret().chars().take(12).collect();
    let mut life = Life::new(remote, format!("smoke-{name}"), options.repo.clone());
    life.reach().await.context("the server cannot be used, and no town was created")?;
    let deadline = Instant::now() + Duration::from_secs(options.timeout);
    let mut steps = Vec::new();
    let failed = play(&mut life, &mut steps, &options, deadline, &stop).await;
    let is_left = if failed.is_some() { !clean_up(&mut life).await } else { false };
    if options.json {
        let steps: Vec<_> = steps.iter().map(done_json).collect();
        say(json!({
            "ok": failed.is_none(), "townName": life.town_name(), "townId": life.town_id(), "steps": steps,
            "townIsLeft": is_left,
        }))?;
    }
    match failed {
        None if options.json => Ok(()),
        None => Ok(say(format!("All {} steps succeeded.", steps.len()))?),
        Some(problem) if is_left => {
            let name = life.town_name();
            Err(CodedError::TownLeft(format!("{problem}; the town {name} could not be removed, destroy it")).into())
        }
        Some(problem) => bail!("{problem}; the town is removed"),
    }
}

/// A step that was played.
struct Done {
    step: Step,
    took: Duration,
    /// The observation, or the problem.
    result: Result<String, String>,
}

/// Plays the steps up to the first that fails. Returns its problem.
async fn play(
    life: &mut Life,
    steps: &mut Vec<Done>,
    options: &Options,
    deadline: Instant,
    stop: &CancellationToken,
) -> Option<String> {
    for step in Step::ALL {
        let started = Instant::now();
        let result = tokio::select! {
            played = tokio::time::timeout_at(deadline, life.play(step)) => match played {
                Ok(result) => result.map_err(|error| plain(&format!("{error:#}"))),
                Err(_elapsed) => Err(format!("not done within {} s; {}", options.timeout, life.last_seen())),
            },
            () = stop.cancelled() => Err("interrupted".to_owned()),
        };
        let done = Done { step, took: started.elapsed(), result };
        if !options.json {
            let text = match &done.result {
                Ok(seen) => format!("ok      {:<16} {:>6.1} s  {seen}", step.as_str(), done.took.as_secs_f64()),
                Err(problem) => format!("FAILED  {:<16} {:>6.1} s  {problem}", step.as_str(), done.took.as_secs_f64()),
            };
            // The end of the pipe does not stop the clean-up.
            let _closed = say(text);
        }
        let failed = done.result.as_ref().err().map(|problem| format!("step `{}` failed: {problem}", step.as_str()));
        steps.push(done);
        if failed.is_some() {
            return failed;
        }
    }
    None
}

fn done_json(Done { step, took, result }: &Done) -> serde_json::Value {
    let (seen, problem) = (result.as_ref().ok(), result.as_ref().err());
    json!({ "step": step.as_str(), "seconds": took.as_secs_f64(), "seen": seen, "problem": problem })
}

/// Destroys the town, however far it came. Returns true if nothing is left.
async fn clean_up(life: &mut Life) -> bool {
    matches!(tokio::time::timeout(CLEAN_UP_TIMEOUT, life.remove()).await, Ok(Ok(())))
}
