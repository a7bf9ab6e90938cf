//! `cargo xtask book`: the pages of `docs` as a book, built by mdBook without the network.

mod built;
mod diagram;
mod install;
mod preprocess;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail, ensure};

use crate::interrupt::Interrupt;
use crate::test::logged;
use crate::workspace;
use install::Provided;

#[cfg(test)]
pub(crate) use install::PACKAGE;

/// The variable that gives the preprocessor the address of the repository's files.
const FILES_AT: &str = "MDBOOK_PREPROCESSOR__REPOSITORY__FILES_AT";
/// The variable that gives mdBook the command of the preprocessor.
const COMMAND: &str = "MDBOOK_PREPROCESSOR__REPOSITORY__COMMAND";

/// Options of `book`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The address under which links to other files of the repository are found, such as
    /// `https://github.com/OWNER/NAME/blob/COMMIT`. Without it they lead to the files of this checkout.
    #[arg(long, value_name = "URL")]
    files_at: Option<String>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(clap::Subcommand)]
enum Part {
    /// Changes the pages for the book. mdBook calls it.
    #[command(hide = true)]
    Preprocess {
        /// The question of mdBook for a renderer, which is answered by success.
        question: Vec<String>,
    },
}

/// Builds the book and prints the address of its first page.
#[expect(clippy::print_stdout, reason = "the output of a command")]
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.part {
        Some(Part::Preprocess { question }) if !question.is_empty() => return Ok(ExitCode::SUCCESS),
        Some(Part::Preprocess { .. }) => {
            let book = preprocess::answer(&std::io::read_to_string(std::io::stdin())?)?;
            println!("{book}");
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    std::fs::create_dir_all(workspace::log_folder())?;
    match build(args.files_at.as_deref(), "book", &Interrupt::listen()?).await? {
        Built::Done { pages } => println!("{pages} pages: {}", folder().join("index.html").display()),
        Built::Broken(why) | Built::NoProgram(why) => bail!(why),
    }
    Ok(ExitCode::SUCCESS)
}

/// The result of a build.
pub(crate) enum Built {
    /// The book is complete, with this many pages.
    Done { pages: usize },
    /// mdBook failed, or a link of the book leads nowhere.
    Broken(String),
    /// mdBook is neither installed nor can it be.
    NoProgram(String),
}

/// Builds the book below `target` and checks its links.
pub(crate) async fn build(files_at: Option<&str>, title: &str, interrupt: &Interrupt) -> anyhow::Result<Built> {
    let program = match install::provide(title, interrupt).await? {
        Provided::At(program) => program,
        Provided::Missing(why) => return Ok(Built::NoProgram(why)),
    };
    let folder = folder();
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let log = workspace::log_folder().join("book.log");
    let run = logged::run(command(&program, files_at)?, &log, title, interrupt).await?;
    // mdBook goes on without a preprocessor that is missing.
    if !run.succeeded || run.text.contains("ERROR") || run.text.contains("WARN") {
        return Ok(Built::Broken(format!("mdbook failed:\n{}", run.text.trim_end())));
    }
    let (pages, faults) = built::check(&folder)?;
    ensure!(pages > 1, "the book in {} has no pages", folder.display());
    Ok(if faults.is_empty() { Built::Done { pages } } else { Built::Broken(faults.join("\n")) })
}

fn command(program: &Path, files_at: Option<&str>) -> anyhow::Result<Command> {
    let ours = std::env::current_exe().context("this program has no path")?;
    let mut command = Command::new(program);
    command.arg("build").arg(workspace::root().join("docs"));
    command.env(COMMAND, format!("'{}' book preprocess", ours.display()));
    if let Some(address) = files_at {
        command.env(FILES_AT, address.trim_end_matches('/'));
    }
    Ok(command)
}

/// The folder of the built book, as `docs/book.toml` names it.
fn folder() -> PathBuf {
    workspace::root().join("target/book")
}
