//! Misbehaviour that a file on the volume requests: a sandbox that is wedged, has lost a part, or lies about its town.
//!
//! `echo 'wedged until restart' > /home/gt/data/misbehave` makes a sandbox fail until its machine boots again. Without `until
//! restart` it fails until the file is removed.

use fly_sim::{Files, ProgramAnswer};
use serde_json::json;

/// The file that requests it, below the volume's mount point.
const FILE: &str = "misbehave";
/// The words after which the next boot ends it.
const UNTIL_RESTART: &str = "until restart";
/// A town that no control plane has made.
const OTHER_TOWN: &str = "00000000-0000-4000-8000-000000000000";

/// A way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misbehaviour {
    /// The sandbox does not answer, so the proxy answers instead.
    Wedged,
    /// The daemon of `gt` has ended.
    DaemonDown,
    /// The database of `gt` does not answer.
    DoltDown,
    /// The volume is full.
    DiskFull,
    /// The sandbox says that it is another town's.
    WrongTown,
}

impl Misbehaviour {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Wedged, "wedged"),
        (Self::DaemonDown, "daemon_down"),
        (Self::DoltDown, "dolt_down"),
        (Self::DiskFull, "disk_full"),
        (Self::WrongTown, "wrong_town"),
    ];

    /// Returns the misbehaviour that the volume requests. The first answer after a boot ends one that lasts until a restart.
    pub(crate) fn requested(files: &mut Files, is_first_answer: bool) -> Option<Self> {
        let text = String::from_utf8(files.get(FILE)?.clone()).ok()?;
        if is_first_answer && text.contains(UNTIL_RESTART) {
            files.remove(FILE);
            return None;
        }
        Self::of(files)
    }

    /// Returns the misbehaviour that the volume requests at present.
    pub(crate) fn of(files: &Files) -> Option<Self> {
        let text = String::from_utf8(files.get(FILE)?.clone()).ok()?;
        let word = text.split_whitespace().next()?;
        Self::ALL.into_iter().find(|(_, name)| *name == word).map(|(misbehaviour, _)| misbehaviour)
    }

    /// Returns the answer to a call for the health, and to every other call where the sandbox does not answer at all.
    pub(crate) fn answer(self, is_health: bool) -> Option<ProgramAnswer> {
        let down = |code: &str, message: &str| {
            let error = json!({ "code": code, "message": message });
            Some(ProgramAnswer::json(503, json!({ "error": error })))
        };
        match self {
            Self::Wedged => Some(ProgramAnswer::text(502, "no answer from the machine")),
            Self::DaemonDown if is_health => down("daemon_down", "the daemon of gt does not run"),
            Self::DoltDown if is_health => down("dolt_down", "dolt does not answer"),
            Self::DiskFull if is_health => down("disk_full", "the volume is full"),
            Self::WrongTown if is_health => {
                Some(ProgramAnswer::json(200, json!({ "status": "ok", "townId": OTHER_TOWN, "version": "other" })))
            }
            Self::DaemonDown | Self::DoltDown | Self::DiskFull | Self::WrongTown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_requests_a_misbehaviour_until_it_is_removed_or_the_machine_boots() {
        let mut files = Files::default();
        assert_eq!(Misbehaviour::requested(&mut files, true), None);
        for (misbehaviour, name) in Misbehaviour::ALL {
            files.insert(FILE.to_owned(), format!("{name}\n").into_bytes());
            assert_eq!(Misbehaviour::requested(&mut files, true), Some(misbehaviour), "it survives a boot");
            files.insert(FILE.to_owned(), format!("{name} until restart\n").into_bytes());
            assert_eq!(Misbehaviour::requested(&mut files, false), Some(misbehaviour));
            assert_eq!(Misbehaviour::requested(&mut files, true), None);
            assert!(!files.contains_key(FILE));
        }
        files.insert(FILE.to_owned(), b"singing".to_vec());
        assert_eq!(Misbehaviour::requested(&mut files, false), None);
    }

    #[test]
    fn only_a_wedged_sandbox_answers_no_call() {
        let answers = Misbehaviour::ALL.map(|(misbehaviour, _)| misbehaviour.answer(false).is_some());
        assert_eq!(answers, [true, false, false, false, false]);
        assert!(Misbehaviour::ALL.iter().all(|(misbehaviour, _)| misbehaviour.answer(true).is_some()));
    }
}
