//! The calls that bring the rigs of a sandbox in line with the table of rigs.

use crate::{Branch, RepoUrl, Rig, RigName, RigStatus};

/// A rig as a sandbox reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxRig {
    /// The name.
    pub name: RigName,
    /// The repository that was cloned.
    pub repo: RepoUrl,
    /// The branch to work on. `None` in a request lets the sandbox take the repository's default branch.
    pub branch: Option<Branch>,
}

impl From<&Rig> for SandboxRig {
    /// Returns the rig in the form that a sandbox accepts.
    fn from(rig: &Rig) -> Self {
        Self { name: rig.name.clone(), repo: rig.repo.clone(), branch: rig.branch.clone() }
    }
}

/// A call to a sandbox, or a fact to store.
#[derive(Debug, Clone, PartialEq)]
pub enum RigCall {
    /// Add a rig that the sandbox lacks.
    Add(Rig),
    /// Remove a rig that the sandbox still has.
    Remove(Rig),
    /// Store `active` for a rig that the sandbox has as desired, and its branch if the row has none.
    Confirm(Rig, Option<Branch>),
    /// Delete the row of a rig that the sandbox no longer has.
    Forget(Rig),
}

/// Returns the calls that bring a sandbox in line, removals first so that their names are free again.
///
/// Rigs that only the sandbox knows were made by hand and stay.
pub fn rigs_plan(desired: &[Rig], present: &[SandboxRig]) -> Vec<RigCall> {
    let found = |rig: &Rig| present.iter().find(|there| there.name.folded() == rig.name.folded());
    let removals = desired
        .iter()
        .filter(|rig| rig.status == RigStatus::Removing)
        .map(|rig| if found(rig).is_some() { RigCall::Remove(rig.clone()) } else { RigCall::Forget(rig.clone()) });
    let additions = desired.iter().filter_map(|rig| match (rig.status, found(rig)) {
        (RigStatus::Pending | RigStatus::Active, None) => Some(RigCall::Add(rig.clone())),
        // Added again, so that the sandbox reports the different repository.
        (RigStatus::Pending, Some(there)) if there.repo != rig.repo => Some(RigCall::Add(rig.clone())),
        (RigStatus::Pending, Some(there)) => Some(RigCall::Confirm(rig.clone(), there.branch.clone())),
        (RigStatus::Active, Some(there)) if rig.branch.is_none() && there.branch.is_some() => {
            Some(RigCall::Confirm(rig.clone(), there.branch.clone()))
        }
        (RigStatus::Active, Some(_)) | (RigStatus::Removing, _) => None,
    });
    removals.chain(additions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RigId, TownId};

    fn rig(name: &str, status: RigStatus) -> Rig {
        Rig {
            id: RigId::new(uuid::Uuid::nil()),
            town: TownId::new(uuid::Uuid::nil()),
            name: name.parse().unwrap(),
            repo: "https://github.com/a/b".parse().unwrap(),
            branch: Some("main".parse().unwrap()),
            status,
            config: serde_json::Map::new(),
            created_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    fn there(name: &str, repo: &str) -> SandboxRig {
        SandboxRig { name: name.parse().unwrap(), repo: repo.parse().unwrap(), branch: Some("main".parse().unwrap()) }
    }

    #[test]
    fn sandbox_is_brought_in_line_and_unknown_rigs_stay() {
        let desired = [
            rig("lacking", RigStatus::Pending),
            rig("lost", RigStatus::Active),
            rig("fine", RigStatus::Active),
            rig("confirmed", RigStatus::Pending),
            rig("other", RigStatus::Pending),
            rig("removing", RigStatus::Removing),
            rig("left", RigStatus::Removing),
            Rig { branch: None, ..rig("learns", RigStatus::Active) },
        ];
        let present = [
            there("Fine", "https://github.com/a/b"),
            there("confirmed", "https://github.com/a/b"),
            there("other", "https://github.com/a/else"),
            there("removing", "https://github.com/a/b"),
            there("learns", "https://github.com/a/b"),
            there("by_hand", "https://github.com/a/b"),
        ];
        let [lacking, lost, _, confirmed, other, removing, left, learns] = desired.clone();
        let main = Some("main".parse().unwrap());
        assert_eq!(
            rigs_plan(&desired, &present),
            [
                RigCall::Remove(removing),
                RigCall::Forget(left),
                RigCall::Add(lacking),
                RigCall::Add(lost),
                RigCall::Confirm(confirmed, main.clone()),
                RigCall::Add(other),
                RigCall::Confirm(learns, main),
            ]
        );
    }
}
