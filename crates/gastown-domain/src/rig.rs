//! The rig: a git repository that a town works on.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::text_enum::text_enum;
use crate::{Branch, RepoUrl, RigId, RigName, TownId};

text_enum! {
    expected "pending, active or removing";
    /// The status of a rig, in the column `gastown_rigs.status`.
    pub enum RigStatus {
        /// Accepted, but not confirmed by the sandbox yet.
        Pending = "pending",
        /// Confirmed by the sandbox.
        Active = "active",
        /// To be removed. The sandbox has not confirmed the removal yet.
        Removing = "removing",
    }
}

/// A row of `gastown_rigs`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rig {
    /// The id and primary key.
    pub id: RigId,
    /// The town that the rig belongs to.
    pub town: TownId,
    /// The name, unique in its town, ignoring case.
    pub name: RigName,
    /// The repository to clone.
    pub repo: RepoUrl,
    /// The branch to work on. `None` stands for the repository's default branch, until the sandbox has told its name.
    pub branch: Option<Branch>,
    /// The status.
    pub status: RigStatus,
    /// The user's configuration, kept unchanged.
    pub config: Map<String, Value>,
    /// The time at which it was accepted.
    pub created_at: DateTime<Utc>,
}

/// A rig that the sandbox refused for good. Its row is deleted, and this is what its owner sees of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedRig {
    /// The name.
    pub rig_name: RigName,
    /// The repository.
    pub repo_url: RepoUrl,
    /// The reason given by the sandbox, sanitized.
    pub reason: String,
    /// The time of the refusal, by the database's clock.
    pub refused_at: DateTime<Utc>,
}
