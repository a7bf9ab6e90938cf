//! `cargo xtask codegen [--check]`: generates the entities from the schema, and the clients and pages of the wire from the
//! types of its procedures. The diagrams of `docs/concepts.md` come from the lifecycle.

mod concepts;
mod entities;
mod wire;

use anyhow::ensure;

use crate::workspace;

/// Options of `codegen`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Changes nothing, and fails if the committed files differ from the generated ones.
    #[arg(long)]
    check: bool,
}

/// Writes the generated files, or compares them with `--check`.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    entities::run(args.check).await?;
    generate_files(args.check)
}

#[expect(clippy::print_stdout, reason = "the output of a command")]
fn generate_files(check: bool) -> anyhow::Result<()> {
    let root = workspace::root();
    let mut drift = Vec::new();
    for (path, text) in wire::files()?.into_iter().chain([concepts::file()?]) {
        let at = root.join(path);
        if !check {
            std::fs::create_dir_all(at.parent().unwrap_or(root))?;
            std::fs::write(&at, text)?;
            println!("{path}");
        } else if let Some(difference) =
            entities::first_difference(path, &std::fs::read_to_string(&at).unwrap_or_default(), &text)
        {
            drift.push(difference);
        }
    }
    ensure!(
        drift.is_empty(),
        "files differ from the types and the lifecycle; run `cargo xtask codegen`\n{}",
        drift.join("\n")
    );
    if check {
        println!("the files of the wire match its types, and the concepts match the lifecycle");
    }
    Ok(())
}
