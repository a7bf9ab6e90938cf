//! `cargo xtask demo`: the life of a town over HTTP, on its own control plane and simulated Fly.

mod announcement;
mod control_plane;
mod fly;
mod show;
mod story;
mod watch;

use std::process::ExitCode;

use crate::gastown;
use crate::interrupt::Interrupt;
use announcement::Announcement;
use control_plane::ControlPlane;
use show::Show;
use story::Story;

/// Options of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `postgres://…` or `sqlite://…`; the default is a SQLite file in a temporary folder. The schema is migrated.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// At the end, create one more town and keep everything up, with its console, until Ctrl-C.
    #[arg(long)]
    stay: bool,
}

/// Runs all steps of the story and fails with the first that fails. The control plane is always stopped and its files
/// are removed.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    interrupt.or(gastown::build()).await?;
    let mut show = Show::new();
    let started = ControlPlane::start(args.database.as_deref());
    let mut control_plane = interrupt.or(show.step("start the control plane", started)).await?;
    let story = Story::new(control_plane.announcement(), show.note())?;
    let mut played = interrupt.or(story.play(&mut show)).await;
    if args.stay && played.is_ok() {
        played = stay(&story, &mut show, &interrupt, control_plane.announcement()).await;
    }
    if played.is_err() {
        println!("\nend of its log:\n{}\n", control_plane.log_tail());
    }
    if args.database.is_some() && (played.is_err() || args.stay) {
        // The town would stay in a database that outlives the demo.
        story.clean_up().await;
    }
    let ended = show.step("stop the control plane", control_plane.stop()).await;
    let result = played.and(ended);
    show.conclude(&result);
    if result.is_ok() && !args.stay {
        println!("`cargo xtask demo --stay` keeps it up, with a console to look at.");
    }
    Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Creates a town to look at, prints the addresses, and waits for Ctrl-C.
async fn stay(story: &Story, show: &mut Show, interrupt: &Interrupt, world: &Announcement) -> anyhow::Result<()> {
    interrupt.or(show.step("create a town to look at", story.create())).await?;
    println!("\nconsole: {}\nservice: {}\nPress Ctrl-C to stop.\n", world.console_url, world.url);
    interrupt.wait().await;
    Ok(())
}
