//! `gastown rollout`: brings a new image to the towns, in waves, and takes it back. Any process of the service drives it.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use gastown_domain::ports::{NewRollout, RolloutChanged, RolloutOrder, RolloutReport, Rollouts as _};
use gastown_domain::{ImageRef, MaxUnavailable, Percent, Rollout};
use gastown_persistence::Database;

use super::actor::actor;
use super::confirm::confirm;
use super::database;
use super::render::rollouts;
use super::say::say;
use crate::settings_source::Source;

/// An action on the newest rollout.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Start a rollout. Towns get the image at their next start, and running towns are restarted in waves.
    #[command(
        after_help = "Examples:\n  gastown rollout start --image registry.fly.io/town@sha256:0f1e… --percent 10\n  gastown rollout start --image registry.fly.io/town@sha256:0f1e… --only-stopped"
    )]
    Start(StartOptions),
    /// Show the newest rollout: its state, its towns, its failures, and the images of all towns.
    #[command(after_help = "Example:\n  gastown rollout status --json")]
    Status(Output),
    /// Touch no further town. Restarts in flight go on, and starts still give the image.
    #[command(after_help = "Example:\n  gastown rollout pause")]
    Pause(Output),
    /// Go on after a pause. Failed towns are not touched again.
    #[command(after_help = "Example:\n  gastown rollout resume")]
    Resume(Output),
    /// Take the image back: from running towns in waves, from stopped ones at their next start.
    #[command(after_help = "Example:\n  gastown rollout undo")]
    Undo(UndoOptions),
}

/// The options of `gastown rollout start`.
#[derive(Debug, Clone, Args)]
pub struct StartOptions {
    /// The image. Pin it by its digest.
    #[arg(long, value_name = "REF")]
    image: ImageRef,
    /// The share of the towns, 1 to 100. A greater share includes every town of a smaller one.
    #[arg(long, value_name = "NUMBER", default_value = "100")]
    percent: Percent,
    /// Restart no running town.
    #[arg(long)]
    only_stopped: bool,
    /// The most towns that are restarted at the same time, 1 to 500.
    #[arg(long, value_name = "NUMBER", default_value = "5")]
    max_unavailable: MaxUnavailable,
    /// End a paused rollout first. It decides nothing any more, and its towns are not restarted for that.
    #[arg(long)]
    replace: bool,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    output: Output,
}

/// The options of `gastown rollout undo`.
#[derive(Debug, Clone, Args)]
pub struct UndoOptions {
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    output: Output,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command. It needs only `DATABASE_URL`.
///
/// Errors: settings, database, not confirmed, no rollout, a state that does not allow it.
pub async fn run(source: &Source, action: Action) -> anyhow::Result<()> {
    let database = database::open(source).await?;
    let by = actor(source);
    match action {
        Action::Start(options) => start(&database, options, &by).await,
        Action::Status(output) => status(&database, output).await,
        Action::Pause(output) => order(&database, RolloutOrder::Pause, output, &by).await,
        Action::Resume(output) => order(&database, RolloutOrder::Resume, output, &by).await,
        Action::Undo(UndoOptions { yes, output }) => {
            let Some(RolloutReport { rollout, .. }) = read(&database).await? else { bail!(NONE) };
            if !rollout.only_stopped {
                let question = format!("Take {} back? Its running towns are restarted in waves.", rollout.image);
                confirm(&question, "undo", yes)?;
            }
            order(&database, RolloutOrder::Undo, output, &by).await
        }
    }
}

/// The error of a change without a rollout.
const NONE: &str = "there is no rollout: start one with `gastown rollout start`";

async fn start(database: &Database, options: StartOptions, by: &str) -> anyhow::Result<()> {
    let StartOptions { image, percent, only_stopped, max_unavailable, replace, yes, output } = options;
    warn_of_tag(&image);
    if !only_stopped {
        let question =
            format!("Bring {image} to {} % of the towns? Running towns are restarted in waves.", percent.get());
        confirm(&question, "start", yes)?;
    }
    let new = NewRollout { image, percent, only_stopped, max_unavailable, replace };
    let changed = database.start(&new, by).await.context("failed to write the registry")?;
    shown(database, changed, "start another one", output).await
}

/// Warns of an image whose content may change during the rollout.
#[expect(clippy::print_stderr, reason = "a warning for the operator")]
fn warn_of_tag(image: &ImageRef) {
    if !image.is_pinned() {
        eprintln!(
            "gastown: warning: {image} is named by a tag, which may change; name it by its digest: IMAGE@sha256:…"
        );
    }
}

async fn order(database: &Database, order: RolloutOrder, output: Output, by: &str) -> anyhow::Result<()> {
    let verb = match order {
        RolloutOrder::Pause => "pause",
        RolloutOrder::Resume => "resume",
        RolloutOrder::Undo => "undo",
    };
    let changed = database.order(order, by).await.context("failed to write the registry")?;
    shown(database, changed, verb, output).await
}

/// Shows the rollout after a change, or fails with the reason.
async fn shown(database: &Database, changed: RolloutChanged, verb: &str, output: Output) -> anyhow::Result<()> {
    match changed {
        RolloutChanged::Done(_) => status(database, output).await,
        RolloutChanged::Refused(rollout) => bail!(refusal(&rollout, verb)),
        RolloutChanged::SmallerShare(rollout) => bail!(smaller_share(&rollout)),
        RolloutChanged::NotFound => bail!(NONE),
    }
}

fn refusal(rollout: &Rollout, verb: &str) -> String {
    let (number, state) = (rollout.number, rollout.state.as_str());
    format!("cannot {verb}: rollout {number} is {state}, see `gastown rollout status`")
}

/// Returns the text for a share that would leave the image to towns outside of it.
fn smaller_share(rollout: &Rollout) -> String {
    let Rollout { number, image, percent, .. } = rollout;
    let percent = percent.get();
    format!(
        "rollout {number} has brought {image} to {percent} % of the towns: start at least --percent {percent}, or take the \
         image back first with `gastown rollout undo`"
    )
}

async fn status(database: &Database, output: Output) -> anyhow::Result<()> {
    let report = read(database).await?;
    Ok(if output.json { say(rollouts::json(report.as_ref())) } else { say(rollouts::text(report.as_ref())) }?)
}

async fn read(database: &Database) -> anyhow::Result<Option<RolloutReport>> {
    database.report().await.context("failed to read the registry")
}
