//! `cargo xtask demo`: the life of a town, over HTTP, on a control plane and a simulated Fly of its own.

mod announcement;
mod control_plane;
mod fly;
mod show;
mod story;

use std::process::ExitCode;

use crate::gastown;
use crate::interrupt::Interrupt;
use control_plane::ControlPlane;
use show::Show;
use story::Story;

/// On what.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `postgres://…` or `sqlite://…`; without it a SQLite file in a temporary folder. Its schema is migrated.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// Tells the story; fails where a step of it does. The control plane is ended and its files are gone in any case.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    interrupt.or(gastown::build()).await?;
    let mut show = Show::new();
    let started = ControlPlane::start(args.database.as_deref());
    let mut control_plane = interrupt.or(show.step("bring up the control plane", started)).await?;
    let story = Story::new(control_plane.announcement(), show.note())?;
    let told = interrupt.or(story.tell(&mut show)).await;
    if told.is_err() {
        println!("\nthe end of its log:\n{}\n", control_plane.last_words());
        if args.database.is_some() {
            // In a database that stays, the town would stay too.
            story.abandon().await;
        }
    }
    let ended = show.step("take it down", control_plane.stop()).await;
    let told = told.and(ended);
    show.conclude(&told);
    Ok(if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
