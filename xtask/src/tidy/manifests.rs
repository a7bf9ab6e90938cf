//! Versions, features and lints are only in the manifest of the workspace.

use anyhow::Context;
use toml::{Table, Value};

use crate::workspace::SourceFile;

const DEPENDENCIES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license"];

/// Returns the fields that a member sets itself although the workspace sets them.
pub(super) fn offences(files: &[SourceFile]) -> anyhow::Result<Vec<String>> {
    let mut offences = Vec::new();
    for file in files.iter().filter(|file| file.name() == "Cargo.toml" && file.path != "Cargo.toml") {
        let manifest: Table = file.text.parse().with_context(|| format!("cannot read {}", file.path))?;
        let readme = file.path.replace("Cargo.toml", "README.md");
        let has_readme = files.iter().any(|file| file.path == readme);
        offences.extend(
            in_manifest(&manifest, &file.path, has_readme)
                .into_iter()
                .map(|what| format!("manifests: {}: {what}", file.path)),
        );
    }
    Ok(offences)
}

fn in_manifest(manifest: &Table, path: &str, has_readme: bool) -> Vec<String> {
    let mut offences = Vec::new();
    let package = manifest.get("package").and_then(Value::as_table);
    for field in INHERITED {
        if !package.and_then(|package| package.get(*field)).is_some_and(is_from_workspace) {
            offences.push(format!("write `{field}.workspace = true`"));
        }
    }
    offences.extend(of_publishing(package, has_readme));
    let name = package.and_then(|package| package.get("name")).and_then(Value::as_str).unwrap_or_default();
    if path.rsplit('/').nth(1) != Some(name) {
        offences.push(format!("the folder is not called `{name}`"));
    }
    if !manifest.get("lints").is_some_and(is_from_workspace) {
        offences.push("write `[lints] workspace = true`".to_owned());
    }
    for dependency in dependencies(manifest) {
        offences.push(format!("write `{dependency}.workspace = true` and its version in the workspace's manifest"));
    }
    offences
}

/// Returns what a published crate lacks. Programs of this repository alone have `publish = false`.
fn of_publishing(package: Option<&Table>, has_readme: bool) -> Vec<String> {
    let field = |name: &str| package.and_then(|package| package.get(name));
    match field("publish") {
        Some(Value::Boolean(false)) => Vec::new(),
        Some(publish) if is_from_workspace(publish) => {
            let described = field("description").is_some();
            let wanted = [(described, "`description`"), (has_readme, "`README.md`")];
            let missing = wanted.into_iter().filter(|(is_there, _)| !is_there);
            missing.map(|(_, what)| format!("a published crate needs {what}")).collect()
        }
        Some(_) | None => vec!["write `publish.workspace = true` or `publish = false`".to_owned()],
    }
}

/// Returns the dependencies of every kind and platform that are not inherited from the workspace.
fn dependencies(manifest: &Table) -> Vec<&str> {
    let platforms = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = platforms.filter_map(Value::as_table).chain([manifest]);
    let lists = tables.flat_map(|table| DEPENDENCIES.iter().filter_map(|kind| table.get(*kind)?.as_table()));
    let own = lists.flatten().filter(|(_, value)| !is_from_workspace(value) && !is_itself(value));
    own.map(|(name, _)| name.as_str()).collect()
}

/// Returns true for a crate whose tests need a feature of it. A registry refuses it with a version.
fn is_itself(value: &Value) -> bool {
    value.get("path").and_then(Value::as_str) == Some(".")
}

fn is_from_workspace(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [package]
        name = "mill"
        version.workspace = true
        edition.workspace = true
        rust-version.workspace = true
        license.workspace = true
        publish.workspace = true
        description = "a mill"
        [lints]
        workspace = true
        [dependencies]
        serde.workspace = true
        mockall = { workspace = true, optional = true }
    "#;

    fn found(manifest: &str) -> Vec<String> {
        let readme = SourceFile::new("crates/mill/README.md", "# mill");
        offences(&[SourceFile::new("crates/mill/Cargo.toml", manifest), readme]).unwrap()
    }

    #[test]
    fn a_member_that_inherits_everything_passes() {
        assert_eq!(found(GOOD), Vec::<String>::new());
    }

    #[test]
    fn tests_may_depend_on_a_feature_of_their_crate() {
        let itself = "[dev-dependencies]\nmill = { path = \".\", features = [\"sails\"] }\n[dependencies]";
        assert_eq!(found(&GOOD.replace("[dependencies]", itself)), Vec::<String>::new());
    }

    #[test]
    fn a_published_crate_needs_a_readme() {
        let alone = |manifest: &str| offences(&[SourceFile::new("crates/mill/Cargo.toml", manifest)]).unwrap();
        assert_eq!(alone(GOOD), ["manifests: crates/mill/Cargo.toml: a published crate needs `README.md`"]);
        assert_eq!(alone(&GOOD.replace("publish.workspace = true", "publish = false")), Vec::<String>::new());
    }

    #[test]
    fn a_field_that_a_member_sets_itself_is_found() {
        for (from, to, want) in [
            ("serde.workspace = true", "serde = \"1\"", "`serde."),
            ("serde.workspace = true", "serde = { path = \"../serde\" }", "`serde."),
            ("[dependencies]", "[dev-dependencies]\nrand = \"0.10\"\n[dependencies]", "`rand."),
            ("[dependencies]", "[target.'cfg(unix)'.dependencies]\nnix = \"1\"\n[dependencies]", "`nix."),
            ("[lints]\n        workspace = true", "", "[lints]"),
            ("edition.workspace = true", "edition = \"2021\"", "`edition."),
            ("name = \"mill\"", "name = \"other\"", "`other`"),
            ("description = \"a mill\"", "", "`description`"),
            ("publish.workspace = true", "publish = true", "`publish = false`"),
        ] {
            let found = found(&GOOD.replace(from, to));
            let [one] = found.as_slice() else { panic!("{to}: {found:?}") };
            assert!(one.contains(want), "{one}");
        }
    }
}
