//! The rig: a git repository a town works on.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::text_enum::text_enum;
use crate::{Branch, RepoUrl, RigId, RigName, TownId};

text_enum! {
    expected "pending, active or removing";
    /// Where a rig stands: the column `gastown_rigs.status`.
    pub enum RigStatus {
        /// Wished; the sandbox has not confirmed it.
        Pending = "pending",
        /// The sandbox has it.
        Active = "active",
        /// To be removed; the sandbox has not confirmed that it is gone.
        Removing = "removing",
    }
}

/// A row of `gastown_rigs`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rig {
    /// Primary key.
    pub id: RigId,
    /// The town it belongs to.
    pub town: TownId,
    /// Its name, unique in its town without regard to case.
    pub name: RigName,
    /// What is cloned.
    pub repo: RepoUrl,
    /// The branch it works on.
    pub branch: Branch,
    /// Where it stands.
    pub status: RigStatus,
    /// What the user configured, kept as given.
    pub config: Map<String, Value>,
    /// When it was wished.
    pub created_at: DateTime<Utc>,
}
