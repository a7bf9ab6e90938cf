//! The file that keeps a world across restarts, with its faults, attachments and the end of its journal.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    control_state::ControlState,
    sim_state::SimState,
    world::{StateError, StoredWorld, World},
};

/// The maximum size of a state file that is read, in bytes.
const MAX_SIZE: u64 = 1 << 30;
/// The minimum time between two writes.
const PAUSE: Duration = Duration::from_millis(250);

/// An error with a state file.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The file is too large.
    #[error("{} has more than {MAX_SIZE} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The contents are no state of this version.
    #[error("{} cannot be restored", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: StateError,
    },
}

/// The field of the document that is not of the world. Without it, the file is a saved world.
const CONTROL: &str = "control";

/// Reads a file, or returns `None` if it does not exist.
pub(crate) fn read(path: &Path) -> Result<Option<(StoredWorld, ControlState)>, StateFileError> {
    let failed = |cause| StateFileError::Read { path: path.to_owned(), cause };
    let mut text = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_SIZE + 1).read_to_end(&mut text).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if text.len() as u64 > MAX_SIZE {
        return Err(StateFileError::TooLarge { path: path.to_owned() });
    }
    let document = serde_json::from_slice::<Value>(&text).map_err(StateError::from);
    let stored = document.and_then(parse);
    stored.map(Some).map_err(|cause| StateFileError::State { path: path.to_owned(), cause })
}

fn parse(mut document: Value) -> Result<(StoredWorld, ControlState), StateError> {
    let control = document.as_object_mut().and_then(|fields| fields.remove(CONTROL));
    let control = control.map(serde_json::from_value).transpose()?.unwrap_or_default();
    Ok((StoredWorld::parse(document)?, control))
}

/// Writes the file after changes, and at the end, until the simulator stops.
///
/// Calls that change nothing do not cause a write. The journal has them after the next one.
pub(crate) async fn keep(path: PathBuf, state: Arc<SimState>) {
    let (mut changes, mut control_changes) = (state.world.changes(), state.control_changes());
    loop {
        changes.borrow_and_update();
        control_changes.borrow_and_update();
        write(&path, &state).await;
        if state.cancel.is_cancelled() {
            return;
        }
        tokio::select! {
            () = state.cancel.cancelled() => {}
            () = async {
                tokio::time::sleep(PAUSE).await;
                tokio::select! { _ = changes.changed() => {}, _ = control_changes.changed() => {} }
            } => {}
        }
    }
}

async fn write(path: &Path, state: &SimState) {
    let (path, mut document) = (path.to_owned(), state.world.read(World::store));
    document[CONTROL] = json!(state.control_state());
    let written = tokio::task::spawn_blocking(move || replace(&path, document.to_string().as_bytes())).await;
    match written {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "failed to write state"),
        Err(error) => tracing::error!(%error, "failed to write state"),
    }
}

/// Replaces a file at once: after a crash it has either the old or the new contents. Only its owner can read it.
fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&new, path)
}
