//! Texts that must not occur in a file.

use crate::workspace::SourceFile;

/// The calls that begin a transaction. A lint would also report SeaORM's own macros.
const BEGINNINGS: &[&str] = &[".begin(", ".begin_with", ".transaction(", ".transaction_with"];
/// The only file with such calls.
const TRANSACTIONS: &str = "crates/gastown-persistence/src/tx.rs";

/// Folders at the root of a developer's machine, and a folder below them that every sandbox has.
const PRIVATE: &[&str] = &["home", "root", "Users", "work"];
const NOT_PRIVATE: &str = "gt/";

/// The only registry that the lock file may name.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Returns the lines that break one of the rules.
pub(super) fn offences(files: &[SourceFile]) -> Vec<String> {
    files.iter().flat_map(|file| transactions(file).chain(addresses(file)).chain(machine_paths(file))).collect()
}

/// Returns transactions outside the file that retries, limits and names them.
fn transactions(file: &SourceFile) -> impl Iterator<Item = String> {
    let watched = file.path.starts_with("crates/gastown") && file.path.contains("/src/") && file.is_rust();
    let elsewhere = watched && file.path != TRANSACTIONS;
    let begins = move |line: &str| elsewhere && BEGINNINGS.iter().any(|begin| line.contains(begin));
    offending(file, file.production_lines(), begins, "transactions begin only in gastown-persistence/src/tx.rs")
}

/// Returns addresses of package registries, which belong to the machine and not to the repository.
fn addresses(file: &SourceFile) -> impl Iterator<Item = String> {
    let name = file.name();
    let names_a_host = move |line: &str| {
        let line = line.trim();
        match name {
            "package-lock.json" => line.starts_with("\"resolved\": \"http"),
            ".npmrc" => line.contains("registry=") || line.contains("//"),
            "Cargo.lock" => line.strip_prefix("source = \"").is_some_and(|source| !source.starts_with(CRATES_IO)),
            _ => false,
        }
    };
    offending(file, file.text.lines(), names_a_host, "the address of a package registry")
}

fn machine_paths(file: &SourceFile) -> impl Iterator<Item = String> {
    offending(file, file.text.lines(), has_machine_path, "a path of a developer's machine")
}

fn has_machine_path(line: &str) -> bool {
    PRIVATE.iter().any(|folder| {
        let below = format!("/{folder}/");
        line.match_indices(&below).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = &line[at + below.len()..];
            // In the middle of a longer path or address it is a name.
            let begins = !before.is_some_and(|c| c.is_alphanumeric() || "./_-})~$*".contains(c));
            begins && !after.starts_with(NOT_PRIVATE) && after.starts_with(|c: char| c.is_alphanumeric() || c == '.')
        })
    })
}

fn offending<'file>(
    file: &'file SourceFile,
    lines: impl Iterator<Item = &'file str>,
    is_wrong: impl Fn(&str) -> bool,
    why: &str,
) -> impl Iterator<Item = String> {
    lines
        .enumerate()
        .filter(move |(_, line)| is_wrong(line))
        .map(move |(number, line)| format!("texts: {}:{}: {why}: {}", file.path, number + 1, line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        offences(&[SourceFile::new(path, text)]).len()
    }

    #[test]
    fn a_transaction_begins_in_one_file_only() {
        let text = "let tx = db.begin().await?;";
        assert_eq!(found("crates/gastown-persistence/src/towns.rs", text), 1);
        assert_eq!(found("crates/gastown-persistence/src/tx.rs", text), 0);
        assert_eq!(found("crates/gastown-persistence/src/towns.rs", &format!("#[cfg(test)]\n{text}")), 0);
        assert_eq!(found("crates/gastown-persistence/src/connect/tests.rs", text), 0);
        assert_eq!(found("crates/gastown-persistence/tests/it/locks.rs", text), 0);
    }

    #[test]
    fn lock_files_name_no_registry() {
        assert_eq!(found("a/package-lock.json", "  \"resolved\": \"https://registry.example/x.tgz\","), 1);
        assert_eq!(found("a/package-lock.json", "  \"resolved\": \"v10\","), 0);
        assert_eq!(found("a/.npmrc", "registry=https://registry.example/"), 1);
        assert_eq!(found("a/.npmrc", "omit-lockfile-registry-resolved=true"), 0);
        assert_eq!(found("Cargo.lock", "source = \"sparse+https://registry.example/\""), 1);
        assert_eq!(found("Cargo.lock", &format!("source = \"{CRATES_IO}\"")), 0);
    }

    #[test]
    fn paths_of_a_developers_machine_are_found() {
        for folder in PRIVATE {
            assert_eq!(found("a.md", &format!("see /{folder}/alice/notes")), 1, "{folder}");
            assert_eq!(found("a.md", &format!("`/{folder}/.cargo/bin`")), 1, "{folder}");
        }
    }

    #[test]
    fn addresses_and_the_volume_of_a_sandbox_are_no_machine_paths() {
        for text in ["/home/gt/data", "https://git.example/root/x", "../work/x", "git@host:team/home/x", "/{home}/x"] {
            assert_eq!(found("a.md", text), 0, "{text}");
        }
    }
}
