//! `cargo xtask migrate up|down|status`: the schema of a database, for developers.

use clap::Subcommand;

/// What to do, and where.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    direction: Direction,
    /// `postgres://…` or `sqlite://…`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true, default_value = "")]
    database: String,
}

#[derive(Subcommand)]
enum Direction {
    /// Applies all migrations that are missing.
    Up,
    /// Takes migrations back, the last one first. The content of their tables is lost.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Lists the migrations and whether they are applied.
    Status,
}

/// Does it.
#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    anyhow::ensure!(!args.database.is_empty(), "name a database: --database <url> or DATABASE_URL");
    match args.direction {
        Direction::Up => migration::at_url::up(&args.database).await?,
        Direction::Down { steps } => migration::at_url::down(&args.database, Some(steps)).await?,
        Direction::Status => {}
    }
    for state in migration::at_url::status(&args.database).await? {
        println!("{}  {}", if state.applied { "applied" } else { "pending" }, state.name);
    }
    Ok(())
}
