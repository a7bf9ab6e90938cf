//! The files that a command sees.

use crate::{workload::Files, world::World};

/// Folders that exist on every machine, although they have no files.
const FOLDERS: [&str; 6] = ["/", "/dev", "/etc", "/home", "/root", "/tmp"];
const NULL: &str = "/dev/null";

/// The machine's root file system with its mounted volume.
pub(super) struct Disk<'world> {
    rootfs: &'world mut Files,
    volume: Option<(String, &'world mut Files)>,
}

impl<'world> Disk<'world> {
    pub(super) fn of(world: &'world mut World, id: &str) -> Option<Self> {
        let World { machines, volumes, .. } = world;
        let machine = machines.get_mut(id)?;
        let mount = machine.mount().map(|(volume, path)| (volume.to_owned(), path.trim_end_matches('/').to_owned()));
        let volume = mount.and_then(|(id, path)| Some((path, &mut volumes.get_mut(&id)?.files)));
        Some(Self { rootfs: &mut machine.rootfs, volume })
    }

    /// Returns the content of a file.
    pub(super) fn read(&mut self, path: &str) -> Option<String> {
        if path == NULL {
            return Some(String::new());
        }
        let (files, below) = self.locate(path);
        files.get(below).map(|content| String::from_utf8_lossy(content).into_owned())
    }

    /// Writes a file, after its old content if `append` is set.
    pub(super) fn write(&mut self, path: &str, content: &str, append: bool) {
        if path == NULL {
            return;
        }
        let (files, below) = self.locate(path);
        let file = files.entry(below.to_owned()).or_default();
        if !append {
            file.clear();
        }
        file.extend_from_slice(content.as_bytes());
    }

    /// Returns the names in a folder, sorted, or `None` if there is no such folder.
    pub(super) fn list(&mut self, path: &str) -> Option<Vec<String>> {
        let (files, below) = self.locate(path);
        let folder = if below.is_empty() { String::new() } else { format!("{}/", below.trim_end_matches('/')) };
        let inside = files.keys().filter_map(|file| file.strip_prefix(&folder));
        let mut names: Vec<String> = inside.map(|rest| rest.split('/').next().unwrap_or(rest).to_owned()).collect();
        names.dedup();
        (!names.is_empty() || self.is_empty_folder(path)).then_some(names)
    }

    pub(super) fn is_folder(&mut self, path: &str) -> bool {
        self.list(path).is_some()
    }

    fn is_empty_folder(&self, path: &str) -> bool {
        let path = if path == "/" { path } else { path.trim_end_matches('/') };
        let is_above_mount =
            self.volume.as_ref().is_some_and(|(mount, _)| mount == path || mount.starts_with(&format!("{path}/")));
        FOLDERS.contains(&path) || is_above_mount
    }

    /// Returns the file system that contains the path, and the path relative to its root.
    fn locate<'path>(&mut self, path: &'path str) -> (&mut Files, &'path str) {
        if let Some((mount, files)) = &mut self.volume
            && let Some(below) = path.strip_prefix(mount.as_str())
            && (below.is_empty() || below.starts_with('/'))
        {
            return (files, below.trim_start_matches('/'));
        }
        (self.rootfs, path.trim_start_matches('/'))
    }
}
