//! The rig: a git repository a town works on.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Branch, Invalid, RepoUrl, RigId, RigName, TownId};

/// Where a rig stands: the column `gastown_rigs.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RigStatus {
    /// Wished; the sandbox has not confirmed it.
    Pending,
    /// The sandbox has it.
    Active,
    /// To be removed; the sandbox has not confirmed that it is gone.
    Removing,
}

impl RigStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Active, Self::Removing];

    /// The text of the column and of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Removing => "removing",
        }
    }
}

impl FromStr for RigStatus {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == raw)
            .ok_or(Invalid::Shape { expected: "pending, active or removing" })
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
