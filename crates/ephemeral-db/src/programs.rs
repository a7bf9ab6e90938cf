use std::path::{Path, PathBuf};

use crate::EphemeralDbError;

/// The two programs a cluster needs.
pub(crate) struct Programs {
    pub(crate) initdb: PathBuf,
    pub(crate) postgres: PathBuf,
}

impl Programs {
    /// Looks in `POSTGRES_BIN_DIR`, then in Debian's folders (highest version first), then along `PATH`.
    pub(crate) fn find() -> Result<Self, EphemeralDbError> {
        let folders = std::env::var_os("POSTGRES_BIN_DIR").map(PathBuf::from).into_iter();
        let folders = folders.chain(packaged(Path::new("/usr/lib/postgresql")));
        let path = std::env::var_os("PATH").unwrap_or_default();
        folders.chain(std::env::split_paths(&path)).find_map(|f| Self::inside(&f)).ok_or(EphemeralDbError::NotInstalled)
    }

    /// A folder along `PATH` may hold only some of the programs; then it is of no use.
    fn inside(folder: &Path) -> Option<Self> {
        let (initdb, postgres) = (folder.join("initdb"), folder.join("postgres"));
        (initdb.is_file() && postgres.is_file()).then_some(Self { initdb, postgres })
    }
}

/// `<root>/<version>/bin`, the highest version first.
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
    fn the_highest_version_comes_first_by_number_not_by_text() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "17", "common"] {
            std::fs::create_dir_all(root.path().join(version).join("bin")).unwrap();
        }
        let found = packaged(root.path());
        let expected: Vec<_> = ["17", "15", "9"].map(|v| root.path().join(v).join("bin")).into();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_with_only_one_of_the_programs_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("initdb"), "").unwrap();
        assert!(Programs::inside(folder.path()).is_none());
        std::fs::write(folder.path().join("postgres"), "").unwrap();
        assert!(Programs::inside(folder.path()).is_some());
    }
}
