//! Generates the SeaORM entities from the schema of a freshly migrated SQLite file.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use sea_orm_codegen::{
    BannerVersion, BigIntegerType, DateTimeCrate, EntityTransformer, EntityWriterContext, WithPrelude, WithSerde,
};
use sea_schema::sea_query::TableCreateStatement;

use crate::workspace;

/// Files by name.
type Files = BTreeMap<String, String>;

/// Writes the entities, or compares them.
#[expect(clippy::print_stdout, reason = "the output of a command")]
pub(super) async fn run(check: bool) -> anyhow::Result<()> {
    let folder = workspace::root().join("crates/gastown-persistence/src/entity");
    let generated = entities(from_sqlite().await?)?;
    if !check {
        write(&folder, &generated)?;
        println!("{} files in {}", generated.len(), folder.display());
        return Ok(());
    }
    let drift = drift(&read(&folder)?, &generated);
    ensure!(drift.is_empty(), "the entities differ from the schema; run `cargo xtask codegen`\n{}", drift.join("\n"));
    println!("the entities match the schema");
    Ok(())
}

/// Reads the tables of a freshly migrated SQLite file, which needs nothing installed.
async fn from_sqlite() -> anyhow::Result<Vec<TableCreateStatement>> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("schema.db").display());
    migration::at_url::up(&url).await?;
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect(&url).await?;
    let mut schema = sea_schema::sqlite::discovery::SchemaDiscovery::new(pool.clone()).discover().await?;
    pool.close().await;
    // The generator would treat a partial unique index as a full one.
    schema.indexes.retain(|index| index.partial == 0);
    let tables = schema.merge_indexes_into_table().tables;
    Ok(tables.into_iter().filter(|table| is_modelled(&table.name)).map(|table| table.write()).collect())
}

fn is_modelled(table: &str) -> bool {
    !migration::TABLES_BESIDE_THE_MODEL.contains(&table)
}

/// Generates the files and formats them with the settings of this repository.
fn entities(tables: Vec<TableCreateStatement>) -> anyhow::Result<Files> {
    let folder = tempfile::tempdir()?;
    for file in EntityTransformer::transform(tables)?.generate(&context()?).files {
        // Times are UTC on both databases; the generator has no option for it.
        let text = file.content.replace("DateTimeWithTimeZone", "DateTimeUtc");
        std::fs::write(folder.path().join(&file.name), text)?;
    }
    let files = read(folder.path())?;
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", "2024", "--config-path"]).arg(workspace::root().join("rustfmt.toml"));
    rustfmt.args(files.keys().map(|name| folder.path().join(name)));
    ensure!(rustfmt.status().context("cannot run rustfmt")?.success(), "rustfmt refused the generated code");
    read(folder.path())
}

/// Returns the options of the generator.
fn context() -> anyhow::Result<EntityWriterContext> {
    Ok(EntityWriterContext::new(
        "compact".parse()?,
        WithPrelude::None,
        WithSerde::None,
        false,
        DateTimeCrate::Chrono,
        BigIntegerType::I64,
        None,
        false,
        false,
        false,
        vec![],
        vec![],
        vec![],
        vec![],
        vec![],
        false,
        true,
        BannerVersion::Off,
    ))
}

fn write(folder: &Path, files: &Files) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    for name in read(folder)?.keys().filter(|name| !files.contains_key(*name)) {
        std::fs::remove_file(folder.join(name))?;
    }
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

fn read(folder: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(files) };
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            bail!("unreadable name {}", path.display())
        };
        files.insert(name.to_owned(), std::fs::read_to_string(&path)?);
    }
    Ok(files)
}

/// Returns the first difference of each file that differs.
fn drift(committed: &Files, generated: &Files) -> Vec<String> {
    let names = committed.keys().chain(generated.keys()).collect::<std::collections::BTreeSet<_>>();
    names
        .into_iter()
        .filter_map(|name| match (committed.get(name), generated.get(name)) {
            (Some(old), Some(new)) => first_difference(name, old, new),
            (Some(_), None) => Some(format!("{name}: is no longer generated")),
            (None, _) => Some(format!("{name}: is missing")),
        })
        .collect()
}

/// Returns the first line that differs.
pub(super) fn first_difference(name: &str, old: &str, new: &str) -> Option<String> {
    if old == new {
        return None;
    }
    let (mut old, mut new) = (old.lines(), new.lines());
    for line in 1.. {
        match (old.next(), new.next()) {
            (None, None) => break,
            (was, is) if was == is => {}
            (was, is) => {
                let [was, is] = [was, is].map(|text| text.unwrap_or("(end)"));
                return Some(format!("{name}:{line}\n  - {was}\n  + {is}"));
            }
        }
    }
    Some(format!("{name}: differs in its line endings"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn migrate(url: String) -> Result<(), migration::MigrateError> {
        migration::at_url::up(&url).await
    }

    async fn from_postgres() -> Vec<TableCreateStatement> {
        let database = ephemeral_db::TestDatabase::postgres(migrate).await.unwrap();
        let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
        let discovery = sea_schema::postgres::discovery::SchemaDiscovery::new(pool.clone(), "public");
        let schema = discovery.discover().await.unwrap();
        pool.close().await;
        let mut tables = schema.tables;
        tables.retain(|table| is_modelled(&table.info.name));
        for table in &mut tables {
            table.unique_constraints.retain(|unique| !unique.is_partial);
        }
        tables.iter().map(sea_schema::postgres::def::TableDef::write).collect()
    }

    #[tokio::test]
    async fn postgres_and_sqlite_have_the_same_entities() {
        let sqlite = entities(from_sqlite().await.unwrap()).unwrap();
        let postgres = entities(from_postgres().await).unwrap();
        assert_eq!(drift(&postgres, &sqlite), Vec::<String>::new());
    }

    #[test]
    fn drift_names_the_file_and_the_line() {
        let files = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let committed: Files = files(&[("a.rs", "one\ntwo\n"), ("b.rs", "same"), ("c.rs", "")]);
        let generated: Files = files(&[("a.rs", "one\n2\n"), ("b.rs", "same"), ("d.rs", "")]);
        let expected = ["a.rs:2\n  - two\n  + 2", "c.rs: is no longer generated", "d.rs: is missing"];
        assert_eq!(drift(&committed, &generated), expected);
        assert!(drift(&committed, &committed).is_empty());
    }
}
