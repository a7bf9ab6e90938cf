//! A simulated R2: the last saved data of each town, and its restore onto an empty volume.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, SecondsFormat, Utc};
use fly_sim::Files;

use crate::report::LAST_SYNC;

/// The file with the time of the data that was restored, below the volume's mount point.
const RESTORED: &str = "restored_from";

/// The data of all towns of one simulator. It is lost with the process.
#[derive(Debug, Default)]
pub(crate) struct SimulatedR2(Mutex<BTreeMap<String, Files>>);

impl SimulatedR2 {
    /// Saves the data of a town, and returns the time.
    pub(crate) fn save(&self, town: &str, files: &mut Files, now: DateTime<Utc>) -> String {
        let now = now.to_rfc3339_opts(SecondsFormat::Millis, true);
        files.insert(LAST_SYNC.to_owned(), now.clone().into_bytes());
        let mut saved = files.clone();
        saved.remove(RESTORED);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(town.to_owned(), saved);
        now
    }

    /// Restores the data of a town, unless the volume has data. Returns false if nothing was saved.
    pub(crate) fn restore(&self, town: &str, files: &mut Files) -> bool {
        if !files.is_empty() {
            return true;
        }
        let saved = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(town).cloned();
        let Some((saved, at)) = saved.and_then(|saved| saved.get(LAST_SYNC).cloned().map(|at| (saved, at))) else {
            return false;
        };
        *files = saved;
        files.insert(RESTORED.to_owned(), at);
        true
    }
}

/// Returns the time of the data that was restored onto this volume.
pub(crate) fn restored_from(files: &Files) -> Option<String> {
    String::from_utf8(files.get(RESTORED)?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_volume_is_restored() {
        let (r2, now) = (SimulatedR2::default(), DateTime::UNIX_EPOCH);
        let mut empty = Files::default();
        assert!(!r2.restore("t", &mut empty), "nothing was saved");
        let mut files = Files::default();
        files.insert("rigs.json".to_owned(), b"[]".to_vec());
        let at = r2.save("t", &mut files, now);
        assert!(!r2.restore("other", &mut empty), "another town's data");
        assert!(r2.restore("t", &mut empty));
        assert_eq!(restored_from(&empty), Some(at));
        assert!(empty.contains_key("rigs.json"));
        let mut newer = Files::default();
        newer.insert("work".to_owned(), Vec::new());
        assert!(r2.restore("t", &mut newer), "its own data stays");
        assert_eq!((restored_from(&newer), newer.len()), (None, 1));
    }
}
