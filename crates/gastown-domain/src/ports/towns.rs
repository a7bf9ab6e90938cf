//! The operations themselves: what an embedding service or the HTTP adapter calls.

use async_trait::async_trait;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{StoreError, TownHealth};
use crate::{
    Branch, Failure, Invalid, Operation, OperationKind, Region, RepoUrl, Rig, RigId, RigName, Town, TownConfig, TownId,
    TownName, UserId,
};

/// A key that makes a repeated create answer the same town: 1 to 128 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for IdempotencyKey {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        crate::id::bounded(raw, 128)?;
        match raw.chars().find(|c| !c.is_ascii_graphic()) {
            Some(bad) => Err(Invalid::Character { bad, allowed: "printable ASCII characters" }),
            None => Ok(Self(raw.to_owned())),
        }
    }
}

/// A town to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTown {
    /// Its name.
    pub name: TownName,
    /// Its configuration; `config.rigs` are its first rigs.
    pub config: TownConfig,
    /// The wished region; the configured order follows it.
    pub region: Option<Region>,
    /// Makes a repeat answer the same town.
    pub key: Option<IdempotencyKey>,
}

impl CreateTown {
    /// What is asked for, apart from the key: two requests with one key are repeats only if these are equal.
    pub fn fingerprint(&self) -> RequestFingerprint {
        // Keys of JSON objects are sorted here, so the order they came in does not matter.
        let asked = serde_json::json!({
            "townName": self.name.as_str(),
            "config": serde_json::to_value(&self.config).unwrap_or_default(),
            "region": self.region.as_ref().map(Region::as_str),
        });
        let digest = Sha256::digest(asked.to_string().as_bytes());
        RequestFingerprint(digest.iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}")))
    }
}

/// What a request asks for, as the 64 hex digits of a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFingerprint(String);

impl RequestFingerprint {
    /// The text, for storage.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A rig to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct AddRig {
    /// The town.
    pub town: TownId,
    /// Its name.
    pub name: RigName,
    /// What is cloned.
    pub repo: RepoUrl,
    /// The branch.
    pub branch: Branch,
    /// Kept as given.
    pub config: Map<String, Value>,
}

/// A rig to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveRig {
    /// The town.
    pub town: TownId,
    /// The rig.
    pub rig: RigId,
    /// Also when work would be lost.
    pub force: bool,
}

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RigRemoval {
    /// The sandbox confirmed, the row is gone.
    Removed,
    /// The town does not answer now: it is removed at the next occasion.
    Pending,
}

/// Everything a user may know of a town.
#[derive(Debug, Clone, PartialEq)]
pub struct TownReport {
    /// The row.
    pub town: Town,
    /// Its rigs.
    pub rigs: Vec<Rig>,
    /// Its health.
    pub health: TownHealth,
    /// What is in flight.
    pub operation: Option<Operation>,
}

/// Why an operation was refused or did not reach its goal.
#[derive(Debug, thiserror::Error)]
pub enum TownError {
    /// There is no such town for this caller: foreign, destroyed or never known, which are not told apart (FM-43).
    #[error("no such town")]
    NotFound,
    /// There is no such rig in the town.
    #[error("no such rig")]
    RigNotFound,
    /// The caller has a living town of this name.
    #[error("a town with this name already exists")]
    NameTaken,
    /// The town has a rig of this name.
    #[error("a rig with this name already exists in the town")]
    RigNameTaken,
    /// The caller has as many living towns as one may have.
    #[error("no more than {limit} towns are allowed")]
    TooManyTowns {
        /// How many that is.
        limit: u32,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Another operation is in flight on the town.
    #[error("another operation is in flight: {kind}")]
    InFlight {
        /// Which.
        kind: OperationKind,
    },
    /// The sandbox refuses the rig for good; it is not kept.
    #[error("the town refuses the rig: {reason}")]
    RigRefused {
        /// The sandbox's words, cut and cleaned.
        reason: String,
    },
    /// The rig cannot be removed without losing work.
    #[error("the rig is in use: {}", in_the_way.join(", "))]
    RigInUse {
        /// What is in the way.
        in_the_way: Vec<String>,
    },
    /// A region that is not offered.
    #[error("the region is not offered")]
    RegionNotOffered,
    /// The operation was accepted and ended elsewhere than at its goal.
    #[error("the {kind} did not succeed")]
    Failed {
        /// What was wanted.
        kind: OperationKind,
        /// Why it did not succeed.
        failure: Failure,
    },
    /// The caller's account is not known.
    #[error("no such user")]
    UserUnknown,
    /// The registry.
    #[error("the registry failed")]
    Store(#[source] StoreError),
}

impl From<StoreError> for TownError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TownNameTaken => Self::NameTaken,
            StoreError::RigNameTaken => Self::RigNameTaken,
            StoreError::TooManyTowns { limit } => Self::TooManyTowns { limit },
            StoreError::KeyReused => Self::KeyReused,
            StoreError::TownNotFound => Self::NotFound,
            StoreError::UserUnknown => Self::UserUnknown,
            other => Self::Store(other),
        }
    }
}

/// The eight operations. `caller` is a user whose token was verified.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Towns: Send + Sync {
    /// Creates a town and waits, up to the configured time, until it runs. Where that takes longer, answers the town as
    /// it is (`provisioning`) while the work goes on.
    ///
    /// Errors: `NameTaken`, `TooManyTowns`, `KeyReused`, `RegionNotOffered`, `UserUnknown`; `Failed` when it was rolled back.
    async fn create_town(&self, caller: &UserId, request: CreateTown) -> Result<Town, TownError>;

    /// Destroys a town in whatever state it is, pre-empting what is in flight, and waits, up to the configured time,
    /// until nothing of it is left. Its status is `destroyed`.
    async fn destroy_town(&self, caller: &UserId, town: TownId) -> Result<Town, TownError>;

    /// Stops a town; one that is stopped stays so.
    async fn stop_town(&self, caller: &UserId, town: TownId) -> Result<Town, TownError>;

    /// Starts a town; one that runs goes on running.
    async fn start_town(&self, caller: &UserId, town: TownId) -> Result<Town, TownError>;

    /// Adds a rig: `active` when the sandbox confirmed it, `pending` when the town does not answer now.
    async fn add_rig(&self, caller: &UserId, request: AddRig) -> Result<Rig, TownError>;

    /// Removes a rig.
    async fn remove_rig(&self, caller: &UserId, request: RemoveRig) -> Result<RigRemoval, TownError>;

    /// Everything about one town.
    async fn town_status(&self, caller: &UserId, town: TownId) -> Result<TownReport, TownError>;

    /// The caller's living towns, oldest first.
    async fn list_towns(&self, caller: &UserId) -> Result<Vec<Town>, TownError>;
}
