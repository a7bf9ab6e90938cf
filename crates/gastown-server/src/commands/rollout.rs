//! `gastown rollout`: brings a new image to the towns, in waves, and takes it back. Any process of the service drives it.

use clap::{Args, Subcommand};
use gastown_domain::ports::{NewRollout, RolloutOrder};
use gastown_domain::{ImageRef, MaxUnavailable, Percent};

use super::at_server::OperatorServer;
use super::confirm::confirm;
use super::render::rollouts;
use super::say::{say, say_json};
use crate::operator_access::rollouts::{RolloutAccess, no_rollout};
use crate::reports::NewestRollout;
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

/// The form of the output, and the registry that is meant.
#[derive(Debug, Clone, Args)]
pub struct Output {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: OperatorServer,
}

/// Runs the command. It needs only `DATABASE_URL`, or the token of an operator.
///
/// Errors: settings, database, server, not confirmed, no rollout, a state or a share that does not allow it.
pub async fn run(source: &Source, action: Action) -> anyhow::Result<()> {
    let output = action.output();
    let access = output.at.rollouts(source).await?;
    let newest = match &action {
        Action::Start(options) => start(access.as_ref(), options).await?,
        Action::Status(_) => access.rollout().await?,
        Action::Pause(_) => access.change_rollout(RolloutOrder::Pause).await?,
        Action::Resume(_) => access.change_rollout(RolloutOrder::Resume).await?,
        Action::Undo(options) => undo(access.as_ref(), options.yes).await?,
    };
    if output.json { say_json(&newest) } else { Ok(say(rollouts::text(&newest))?) }
}

impl Action {
    const fn output(&self) -> &Output {
        match self {
            Self::Start(StartOptions { output, .. }) | Self::Undo(UndoOptions { output, .. }) => output,
            Self::Status(output) | Self::Pause(output) | Self::Resume(output) => output,
        }
    }
}

async fn start(access: &dyn RolloutAccess, options: &StartOptions) -> anyhow::Result<NewestRollout> {
    let StartOptions { image, percent, only_stopped, max_unavailable, replace, yes, output: _ } = options;
    warn_of_tag(image);
    if !only_stopped {
        let question =
            format!("Bring {image} to {} % of the towns? Running towns are restarted in waves.", percent.get());
        confirm(&question, "start", *yes)?;
    }
    let new = NewRollout {
        image: image.clone(),
        percent: *percent,
        only_stopped: *only_stopped,
        max_unavailable: *max_unavailable,
        replace: *replace,
    };
    Ok(access.start_rollout(&new).await?)
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

async fn undo(access: &dyn RolloutAccess, yes: bool) -> anyhow::Result<NewestRollout> {
    let Some(rollout) = access.rollout().await?.rollout else { return Err(no_rollout().into()) };
    if !rollout.only_stopped {
        let question = format!("Take {} back? Its running towns are restarted in waves.", rollout.image);
        confirm(&question, "undo", yes)?;
    }
    Ok(access.change_rollout(RolloutOrder::Undo).await?)
}
