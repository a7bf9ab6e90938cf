//! `cargo xtask migrate up|down|status`: the schema of a database, for developers.

use clap::Subcommand;

/// Options of `migrate`.
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
    /// Applies all pending migrations.
    Up,
    /// Reverts migrations, the last one first. The content of their tables is lost.
    Down {
        /// The number of migrations to revert.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Lists the migrations and whether they are applied.
    Status,
}

/// Migrates in the given direction, then lists all migrations.
#[expect(clippy::print_stdout, reason = "the output of a command")]
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    anyhow::ensure!(!args.database.is_empty(), "no database is given; use --database <url> or DATABASE_URL");
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
