//! The operation in flight: one row that is the lock, the intent and the progress.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Failure, ImageRef, OperationId, OperationKind, Phase, Recorded, Region, StepName, TownId, UnconfirmedCreate,
    UserId, VolumeId,
};

/// The reconciler's memory between steps, which cannot be observed. The JSON column `progress`.
///
/// Fields of a newer version are kept when the row is written back (FM-59). A new field is one of this struct, because those
/// inside its fields are not kept.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and a field of the stored form")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Regions without room, in the order they were tried.
    pub refused_regions: Vec<Region>,
    /// The refused regions in which only one host had no room. Each is tried again when no other region is left (FM-06).
    pub full_hosts: Vec<Region>,
    /// The refused regions that the provider does not offer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retired_regions: Vec<Region>,
    /// True while the regions of full hosts are tried again.
    pub second_round: bool,
    /// Unconfirmed creates of the volume.
    #[serde(rename = "volume_doubt")]
    pub unconfirmed_volume: UnconfirmedCreate,
    /// Unconfirmed creates of the machine.
    #[serde(rename = "machine_doubt")]
    pub unconfirmed_machine: UnconfirmedCreate,
    /// The result of the final sync before a stop, restart or destroy. `Some(false)` when it failed or was skipped (FM-12).
    pub synced: Option<bool>,
    /// True once a volume of this operation was observed or acknowledged. From then on it is looked for.
    pub volume_made: bool,
    /// True once a machine of this operation was observed or acknowledged. From then on its absence is a loss.
    pub machine_made: bool,
    /// True when the recorded machine is proven absent and no other was found (FM-19).
    pub machine_missing: bool,
    /// The volume that a restore replaces, because it is lost. Its operation neither uses nor deletes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_volume: Option<VolumeId>,
    /// The region of the lost volume, which the row names again if the restore is undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_region: Option<Region>,
    /// The time of the saved data. Before a restore it is the last confirmed sync, and then what the sandbox has restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_at: Option<DateTime<Utc>>,
    /// The time since which the town of an idle stop was not used. Every other operation has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<DateTime<Utc>>,
    /// True for a restart whose request was the owner's start, which came after an idle stop had begun to stop the machine.
    #[serde(skip_serializing_if = "is_false")]
    pub by_owner: bool,
    /// Time in rate limits so far, in milliseconds. The deadline has moved by this much (FM-53).
    pub queued_ms: u64,
    /// The expiry of the last token that a machine of this operation got, or was to get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_expires_at: Option<DateTime<Utc>>,
    /// The image that a machine of this operation got, or was to get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
    /// True once the provider has confirmed that the machine has the image.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub image_confirmed: bool,
    /// The rollout that requested this restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<i64>,
    /// The author of the request in the events, unless it is the owner: an operator, or a part of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The last steps that were begun, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<BegunStep>,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub newer: Map<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// A step that an operation has begun, for those who watch it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunStep {
    /// The number among the steps of the operation, from 1.
    #[serde(rename = "n")]
    pub number: u32,
    /// The stored text of its name.
    pub step: String,
    /// The time, by the database's clock.
    pub at: DateTime<Utc>,
}

impl BegunStep {
    /// Returns the text for the town's owner.
    pub fn message(&self) -> &'static str {
        self.step.parse::<StepName>().map_or("Working", StepName::message)
    }
}

/// The most steps that are kept.
const MAX_STEPS: usize = 32;

impl Progress {
    /// Adds a step, unless it is the last one or only looks.
    #[must_use]
    pub fn began(mut self, step: StepName, at: DateTime<Utc>) -> Self {
        let last = self.steps.last();
        if !step.is_shown() || last.is_some_and(|last| last.step == step.as_str()) {
            return self;
        }
        let number = last.map_or(1, |last| last.number.saturating_add(1));
        self.steps.push(BegunStep { number, step: step.as_str().to_owned(), at });
        let surplus = self.steps.len().saturating_sub(MAX_STEPS);
        self.steps.drain(..surplus);
        self
    }

    /// Returns true if both are the same, apart from the steps.
    pub fn is_same_without_steps(&self, other: &Self) -> bool {
        let bare = |progress: &Self| Self { steps: Vec::new(), ..progress.clone() };
        bare(self) == bare(other)
    }

    /// Returns the progress without the steps.
    #[must_use]
    pub fn without_steps(self) -> Self {
        Self { steps: Vec::new(), ..self }
    }

    /// Returns the progress for an operation that replaces another one. It tells which resources may exist, and no more.
    #[must_use]
    pub fn for_replacement(self) -> Self {
        Self { idle_since: None, by_owner: false, rollout: None, actor: None, ..self.without_steps() }
    }

    /// Returns the progress of an operation that this actor has requested. `owner` is the user in its row.
    #[must_use]
    pub fn requested_by(self, actor: &str, owner: &UserId) -> Self {
        Self { actor: (actor != owner.as_str()).then(|| actor.to_owned()), ..self }
    }

    /// Returns true if this operation gave a machine an image, or may have. The intent of the first call may lack the image.
    pub fn may_have_given_image(&self) -> bool {
        let gives = [StepName::CreateMachine, StepName::UpdateMachine].map(StepName::as_str);
        self.image.is_some() || self.steps.iter().any(|begun| gives.contains(&begun.step.as_str()))
    }

    /// Returns the image of the machine, if this operation gave it one and the provider has confirmed it.
    pub fn known_image(&self) -> Option<&ImageRef> {
        self.image.as_ref().filter(|_| self.image_confirmed)
    }

    /// Returns the progress without the expiries of unconfirmed creates. The next observation sets them again.
    #[must_use]
    pub fn without_expiry(self) -> Self {
        Self {
            unconfirmed_volume: self.unconfirmed_volume.without_expiry(),
            unconfirmed_machine: self.unconfirmed_machine.without_expiry(),
            ..self
        }
    }
}

/// A row of `gastown_operations`. A town without a row has nothing in flight.
///
/// Only an operation whose kind and phase this version knows is driven. [`RecordedOperation`] is one of any version.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation<K = OperationKind, P = Phase> {
    /// The operation's id.
    pub id: OperationId,
    /// The town. Primary key: one operation per town.
    pub town: TownId,
    /// The goal.
    pub kind: K,
    /// The phase.
    pub phase: P,
    /// The last step that was begun.
    pub step: Option<Recorded<StepName>>,
    /// Failed attempts since the last progress.
    pub attempt: u32,
    /// The cause of the last failed attempt.
    pub last_error: Option<Recorded<Failure>>,
    /// The cause of a roll back, or of the stop that undoes a failed start.
    pub cause: Option<Recorded<Failure>>,
    /// The user who requested it.
    pub requested_by: UserId,
    /// The fencing number. It rises with each claim, and every write carries the number of its claim.
    pub fence: i64,
    /// The earliest time of the next attempt, by the database's clock.
    pub next_attempt_at: DateTime<Utc>,
    /// The deadline, by the database's clock. Past it a create is rolled back, and a start, stop or restart fails. A
    /// destroy has none.
    pub deadline_at: Option<DateTime<Utc>>,
    /// The reconciler's memory between steps.
    pub progress: Progress,
    /// The time of acceptance.
    pub created_at: DateTime<Utc>,
    /// The time of the last write.
    pub updated_at: DateTime<Utc>,
}

/// An operation in flight as it is recorded. Its kind or its phase may be of a newer version, which alone drives it then
/// (FM-59).
pub type RecordedOperation = Operation<Recorded<OperationKind>, Recorded<Phase>>;

impl Operation {
    /// Returns the fencing token of the present claim.
    pub const fn fence(&self) -> Fence {
        Fence { town: self.town, operation: self.id, number: self.fence }
    }
}

impl RecordedOperation {
    /// Returns true if this version does not know the kind or the phase. Then it leaves the operation alone.
    pub const fn is_newer(&self) -> bool {
        self.kind.known().is_none() || self.phase.known().is_none()
    }

    /// Returns the operation if this version knows its kind and its phase.
    pub fn into_known(self) -> Option<Operation> {
        let (kind, phase) = (self.kind.known()?, self.phase.known()?);
        Some(self.with(kind, phase))
    }
}

impl From<Operation> for RecordedOperation {
    fn from(operation: Operation) -> Self {
        let (kind, phase) = (operation.kind.into(), operation.phase.into());
        operation.with(kind, phase)
    }
}

impl<K, P> Operation<K, P> {
    /// Returns the author of the request: the user, an operator, or a part of the service.
    pub fn author(&self) -> &str {
        self.progress.actor.as_deref().unwrap_or(self.requested_by.as_str())
    }

    fn with<K2, P2>(self, kind: K2, phase: P2) -> Operation<K2, P2> {
        Operation {
            id: self.id,
            town: self.town,
            kind,
            phase,
            step: self.step,
            attempt: self.attempt,
            last_error: self.last_error,
            cause: self.cause,
            requested_by: self.requested_by,
            fence: self.fence,
            next_attempt_at: self.next_attempt_at,
            deadline_at: self.deadline_at,
            progress: self.progress,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// The fencing token of a claim. A process that lost its lease holds an old number, and its writes fail (FM-49).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The town.
    pub town: TownId,
    /// The claimed operation.
    pub operation: OperationId,
    /// The number of the claim.
    pub number: i64,
}

/// The reason why an operation ended away from its goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// It failed and changed nothing. A start that failed half-way was undone by a stop.
    Failed(Recorded<Failure>),
    /// A create was undone. Nothing is left at the provider, and the row is a tombstone.
    RolledBack(Recorded<Failure>),
    /// A destroy pre-empted it, the owner's stop pre-empted a restart, or the owner's start or stop an idle stop.
    Preempted,
}
