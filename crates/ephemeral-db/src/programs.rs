use std::path::{Path, PathBuf};

use crate::EphemeralDbError;

/// The programs that a cluster needs.
pub(crate) struct Programs {
    pub(crate) initdb: PathBuf,
    pub(crate) postgres: PathBuf,
    /// Only for standbys. It is in the same package as the others of Debian.
    pub(crate) pg_basebackup: PathBuf,
}

impl Programs {
    /// Searches `POSTGRES_BIN_DIR`, then Debian's folders with the highest version first, then `PATH`.
    pub(crate) fn find() -> Result<Self, EphemeralDbError> {
        let folders = std::env::var_os("POSTGRES_BIN_DIR").map(PathBuf::from).into_iter();
        let folders = folders.chain(packaged(Path::new("/usr/lib/postgresql")));
        let path = std::env::var_os("PATH").unwrap_or_default();
        folders
            .chain(std::env::split_paths(&path))
            .find_map(|f| Self::in_folder(&f))
            .ok_or(EphemeralDbError::NotInstalled)
    }

    /// Returns the programs of a folder if it has both of them.
    fn in_folder(folder: &Path) -> Option<Self> {
        let (initdb, postgres) = (folder.join("initdb"), folder.join("postgres"));
        let pg_basebackup = folder.join("pg_basebackup");
        (initdb.is_file() && postgres.is_file()).then_some(Self { initdb, postgres, pg_basebackup })
    }
}

/// Searches `PATH` for PgBouncer, then the folder of system programs, where Debian installs it.
pub(crate) fn pgbouncer() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file())
}

/// Returns the folders `<root>/<version>/bin`, with the highest version first.
fn packaged(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "17", "common"] {
            std::fs::create_dir_all(root.path().join(version).join("bin")).unwrap();
        }
        let found = packaged(root.path());
        let expected: Vec<_> = ["17", "15", "9"].map(|v| root.path().join(v).join("bin")).into();
        assert_eq!(found, expected);
    }

    #[test]
    fn folder_with_one_of_the_programs_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("initdb"), "").unwrap();
        assert!(Programs::in_folder(folder.path()).is_none());
        std::fs::write(folder.path().join("postgres"), "").unwrap();
        assert!(Programs::in_folder(folder.path()).is_some());
    }
}
