//! Desired and present rigs: which calls bring a sandbox in line with the table.

use crate::{Branch, RepoUrl, Rig, RigName, RigStatus};

/// A rig as a sandbox reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxRig {
    /// Its name.
    pub name: RigName,
    /// What was cloned.
    pub repo: RepoUrl,
    /// The branch it works on.
    pub branch: Branch,
}

impl From<&Rig> for SandboxRig {
    /// What the sandbox is asked for.
    fn from(rig: &Rig) -> Self {
        Self { name: rig.name.clone(), repo: rig.repo.clone(), branch: rig.branch.clone() }
    }
}

/// One call to make, or one fact to record.
#[derive(Debug, Clone, PartialEq)]
pub enum RigCall {
    /// The sandbox lacks it: add it.
    Add(Rig),
    /// The sandbox still has it: remove it.
    Remove(Rig),
    /// The sandbox has it as wished: record `active`.
    Confirm(Rig),
    /// It is gone from the sandbox: delete the row.
    Forget(Rig),
}

/// The calls that bring a sandbox in line, removals first so that names are free again. Rigs that only the sandbox knows
/// are left alone: somebody made them by hand, and their work is not ours to delete.
pub fn rigs_plan(desired: &[Rig], present: &[SandboxRig]) -> Vec<RigCall> {
    let has = |rig: &Rig| present.iter().any(|there| there.name.folded() == rig.name.folded());
    let removals = desired
        .iter()
        .filter(|rig| rig.status == RigStatus::Removing)
        .map(|rig| if has(rig) { RigCall::Remove(rig.clone()) } else { RigCall::Forget(rig.clone()) });
    let additions = desired.iter().filter_map(|rig| match (rig.status, has(rig)) {
        (RigStatus::Pending | RigStatus::Active, false) => Some(RigCall::Add(rig.clone())),
        // Added again, so that the sandbox says whether what it has is the same repository.
        (RigStatus::Pending, true) if differs(rig, present) => Some(RigCall::Add(rig.clone())),
        (RigStatus::Pending, true) => Some(RigCall::Confirm(rig.clone())),
        (RigStatus::Active, true) | (RigStatus::Removing, _) => None,
    });
    removals.chain(additions).collect()
}

fn differs(rig: &Rig, present: &[SandboxRig]) -> bool {
    present.iter().any(|there| there.name.folded() == rig.name.folded() && there.repo != rig.repo)
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
            branch: Branch::main(),
            status,
            config: serde_json::Map::new(),
            created_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    fn there(name: &str, repo: &str) -> SandboxRig {
        SandboxRig { name: name.parse().unwrap(), repo: repo.parse().unwrap(), branch: Branch::main() }
    }

    #[test]
    fn a_sandbox_is_brought_in_line_and_strangers_stay() {
        let desired = [
            rig("lacking", RigStatus::Pending),
            rig("lost", RigStatus::Active),
            rig("fine", RigStatus::Active),
            rig("confirmed", RigStatus::Pending),
            rig("other", RigStatus::Pending),
            rig("leaving", RigStatus::Removing),
            rig("left", RigStatus::Removing),
        ];
        let present = [
            there("Fine", "https://github.com/a/b"),
            there("confirmed", "https://github.com/a/b"),
            there("other", "https://github.com/a/else"),
            there("leaving", "https://github.com/a/b"),
            there("by_hand", "https://github.com/a/b"),
        ];
        let [lacking, lost, _, confirmed, other, destroying, left] = desired.clone();
        assert_eq!(
            rigs_plan(&desired, &present),
            [
                RigCall::Remove(destroying),
                RigCall::Forget(left),
                RigCall::Add(lacking),
                RigCall::Add(lost),
                RigCall::Confirm(confirmed),
                RigCall::Add(other),
            ]
        );
    }
}
