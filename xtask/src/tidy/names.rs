//! Names of files and modules say what is inside.

use crate::workspace::SourceFile;

/// Names that could stand for anything.
const EMPTY: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "manager", "managers", "base", "core"];
/// Those that are not allowed as the last word of a name either. A name such as `region_core` is allowed.
const EMPTY_AT_THE_END: &[&str] = &["util", "utils", "helper", "helpers", "misc", "manager"];

/// Returns files, folders and inline modules that have such a name.
pub(super) fn offences(files: &[SourceFile]) -> Vec<String> {
    files.iter().filter(|file| file.is_rust()).flat_map(in_file).collect()
}

fn in_file(file: &SourceFile) -> impl Iterator<Item = String> {
    let path = file.path.trim_end_matches(".rs").split('/').filter(|name| is_empty(name));
    let path = path.map(|name| format!("names: {}: `{name}` does not say what is inside", file.path));
    let modules = file.text.lines().enumerate().filter_map(|(number, line)| {
        let name = inline_module(line).filter(|name| is_empty(name))?;
        Some(format!("names: {}:{}: `mod {name}` does not say what is inside", file.path, number + 1))
    });
    path.chain(modules)
}

fn is_empty(name: &str) -> bool {
    let last = name.rsplit(['_', '-']).next().unwrap_or(name);
    EMPTY.contains(&name) || EMPTY_AT_THE_END.contains(&last)
}

/// Returns `name` for `pub(crate) mod name {`.
fn inline_module(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub ").or_else(|| line.split_once(") ").map(|(_, rest)| rest)).unwrap_or(line);
    line.strip_prefix("mod ")?.strip_suffix(" {")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        offences(&[SourceFile::new(path, text)])
    }

    #[test]
    fn empty_names_of_files_folders_and_modules_are_found() {
        for (path, text) in [
            ("crates/a/src/utils.rs", ""),
            ("crates/a/src/helpers/retry.rs", ""),
            ("crates/a-core/src/core/mod.rs", ""),
            ("crates/a/src/string_utils.rs", ""),
            ("crates/a/src/task_manager.rs", ""),
            ("crates/a/src/town.rs", "mod common {\n}"),
            ("crates/a/src/town.rs", "    pub(crate) mod misc {"),
            ("crates/a/tests/it/common.rs", ""),
        ] {
            assert_eq!(found(path, text).len(), 1, "{path} {text:?}");
        }
    }

    #[test]
    fn names_with_a_meaning_pass() {
        for (path, text) in [
            ("crates/a/src/database.rs", "mod tests {"),
            ("crates/a/src/base_url.rs", "use other::utils;"),
            ("crates/a/src/commonplace.rs", ""),
            ("docs/utils.md", ""),
        ] {
            assert_eq!(found(path, text), Vec::<String>::new(), "{path}");
        }
    }

    #[test]
    fn the_place_is_named() {
        let want = "names: crates/a/src/town.rs:2: `mod util` does not say what is inside";
        assert_eq!(found("crates/a/src/town.rs", "\nmod util {"), [want]);
    }
}
