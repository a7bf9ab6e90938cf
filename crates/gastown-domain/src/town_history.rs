//! The history of a town as its owner reads it: who did what, how it ended, and why.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::text_enum::text_enum;
use crate::{Drift, EventId, Failure, HealthReason, HealthState, OperationKind, Recorded, RigName, UserId};

text_enum! {
    expected "a known actor";
    /// The kind of the author of an event.
    pub enum EventActor {
        /// The town's owner.
        User = "user",
        /// An operator of the service.
        Operator = "operator",
        /// The health monitor.
        Monitor = "monitor",
        /// The service, for a town that was idle and whose configuration asks for a stop then.
        Idle = "idle",
        /// Another part of the service.
        System = "system",
    }
}

impl EventActor {
    /// The actor of events that no person and no monitor caused.
    pub const SERVICE: &'static str = "control-plane";

    /// Returns the kind of a stored actor. The names of operators are not shown.
    pub fn of(actor: &str, owner: &UserId) -> Self {
        match actor {
            Self::SERVICE => Self::System,
            _ if actor == owner.as_str() => Self::User,
            _ if actor == Self::Monitor.as_str() => Self::Monitor,
            _ if actor == Self::Idle.as_str() => Self::Idle,
            _ => Self::Operator,
        }
    }
}

text_enum! {
    expected "a known action of an event";
    /// The actions that a town's owner sees in its history. Others are for operators only.
    pub enum EventAction {
        /// The creation of the town.
        Create = "create",
        /// A start.
        Start = "start",
        /// A stop.
        Stop = "stop",
        /// A restart, which the health monitor or a rollout requests, or the owner by starting a town whose idle stop had begun.
        Restart = "restart",
        /// A restore of the data on a new volume.
        Restore = "restore",
        /// The undo of a restore.
        UndoRestore = "undo_restore",
        /// The destruction of the town.
        Destroy = "destroy",
        /// The undo of a creation.
        RollBack = "roll_back",
        /// A rig was added.
        AddRig = "add_rig",
        /// A rig was removed.
        RemoveRig = "remove_rig",
        /// The configuration was changed.
        UpdateConfig = "update_config",
        /// The sandbox refused a rig for good.
        RigRefused = "rig_refused",
        /// The town was changed from outside.
        Drift = "drift",
        /// The health monitor found that the health of the town changed.
        Health = "health",
        /// An operator requested another attempt.
        Retry = "retry",
    }
}

text_enum! {
    expected "a known outcome of an event";
    /// The outcome of an event.
    pub enum EventOutcome {
        /// A request was accepted.
        Accepted = "accepted",
        /// The action succeeded.
        Done = "done",
        /// The operation failed.
        Failed = "failed",
        /// The creation failed and was undone.
        RolledBack = "rolled_back",
        /// A destroy ended the operation before its goal, a stop ended a restart, or the owner ended an idle stop.
        Preempted = "preempted",
        /// A change from outside, or of the health, was observed.
        Observed = "observed",
    }
}

/// The reason for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventCause {
    /// A failure of an operation.
    Failure(Recorded<Failure>),
    /// A change from outside.
    Drift(Recorded<Drift>),
    /// The reason for which the sandbox refused a rig, sanitized.
    Sandbox(String),
    /// A change of the health: the state, and the reason of failed checks.
    Health(Recorded<HealthState>, Option<Recorded<HealthReason>>),
    /// A restore brought back, or can bring back, the data of this time.
    SavedAt(DateTime<Utc>),
}

impl EventCause {
    /// Returns the code, which programs test.
    pub fn code(&self) -> &str {
        match self {
            Self::Failure(failure) => failure.as_str(),
            Self::Drift(drift) => drift.as_str(),
            Self::Sandbox(_) => "rig_refused",
            Self::Health(state, _) => state.as_str(),
            Self::SavedAt(_) => "saved_at",
        }
    }

    /// Returns the text for the town's owner.
    pub fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Failure(failure) => failure.message().into(),
            Self::Drift(drift) => drift.message().into(),
            Self::Sandbox(reason) => reason.into(),
            Self::Health(state, reason) => state.message(reason.as_ref()).into(),
            Self::SavedAt(at) => {
                let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
                format!("the data was saved at {at}; later changes are lost").into()
            }
        }
    }
}

/// An event in the history of a town, without anything that only operators may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEvent {
    /// The id.
    pub id: EventId,
    /// The time.
    pub at: DateTime<Utc>,
    /// The author.
    pub actor: EventActor,
    /// The action. The end of an operation has that of its request.
    pub action: EventAction,
    /// The outcome.
    pub outcome: Recorded<EventOutcome>,
    /// The time from the request to the end of an operation.
    pub duration: Option<Duration>,
    /// The rig, for events of rigs.
    pub rig: Option<RigName>,
    /// The reason.
    pub cause: Option<EventCause>,
}

impl HistoryEvent {
    /// Returns a sentence for the town's owner.
    pub fn message(&self) -> String {
        match self.action {
            EventAction::Create => self.operation(OperationKind::Create),
            EventAction::Start => self.operation(OperationKind::Start),
            EventAction::Stop if self.actor == EventActor::Idle => self.idle_stop().to_owned(),
            EventAction::Stop => self.operation(OperationKind::Stop),
            EventAction::Restart => self.operation(OperationKind::Restart),
            EventAction::Restore => self.operation(OperationKind::Restore),
            EventAction::UndoRestore => self.operation(OperationKind::UndoRestore),
            EventAction::Destroy => self.operation(OperationKind::Destroy),
            EventAction::RollBack => self.operation(OperationKind::RollBack),
            EventAction::AddRig => format!("{} was added", self.named_rig()),
            EventAction::RemoveRig => format!("{} was removed", self.named_rig()),
            EventAction::UpdateConfig => "The configuration was changed".to_owned(),
            EventAction::RigRefused => format!("The sandbox refused {}", self.named_rig().replacen("The", "the", 1)),
            EventAction::Drift => "The town was changed from outside".to_owned(),
            EventAction::Health => "The health of the town changed".to_owned(),
            EventAction::Retry => "An operator requested another attempt".to_owned(),
        }
    }

    fn named_rig(&self) -> String {
        self.rig.as_ref().map_or_else(|| "The rig".to_owned(), |rig| format!("The rig {rig}"))
    }

    fn idle_stop(&self) -> &'static str {
        match self.outcome.known() {
            Some(EventOutcome::Accepted) => "The stop was requested, because the town was idle",
            Some(EventOutcome::Done) => "The town was stopped because it was idle",
            Some(EventOutcome::Failed) => "The idle town could not be stopped",
            Some(EventOutcome::Preempted) => {
                "The stop of the idle town ended, because its owner started, stopped or destroyed it"
            }
            Some(EventOutcome::RolledBack | EventOutcome::Observed) | None => "The stop of the idle town ended",
        }
    }

    fn operation(&self, kind: OperationKind) -> String {
        match self.outcome.known() {
            Some(EventOutcome::Accepted) => format!("{} was requested", kind.noun()),
            Some(EventOutcome::Done) => format!("The town was {}", kind.participle()),
            Some(EventOutcome::Failed) => format!("The town could not be {}", kind.participle()),
            Some(EventOutcome::RolledBack) => "The town could not be created, and nothing is left of it".to_owned(),
            Some(EventOutcome::Preempted) if kind == OperationKind::Restart => {
                format!("{} ended, because the town was stopped or destroyed", kind.noun())
            }
            Some(EventOutcome::Preempted) => format!("{} ended, because the town was destroyed", kind.noun()),
            Some(EventOutcome::Observed) | None => format!("{} ended", kind.noun()),
        }
    }
}

impl OperationKind {
    /// Returns the name of the operation at the begin of a sentence.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Create => "The creation of the town",
            Self::Start => "The start",
            Self::Stop => "The stop",
            Self::Restart => "The restart",
            Self::Restore => "The restore from R2",
            Self::UndoRestore => "The undo of the restore",
            Self::Destroy => "The destruction of the town",
            Self::RollBack => "The undo of the creation",
        }
    }

    /// Returns the word for the town after the operation: "The town was ...".
    pub const fn participle(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Restart => "restarted",
            Self::Restore | Self::UndoRestore => "restored",
            Self::Destroy => "destroyed",
            Self::RollBack => "rolled back",
        }
    }
}

impl Recorded<Failure> {
    /// Returns the text for users. A failure of a newer version has a general one.
    pub const fn message(&self) -> &'static str {
        match self {
            Self::Known(failure) => failure.message(),
            Self::Newer(_) => Failure::Unrecognized.message(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn every_event_has_a_sentence() {
        let mut table = String::new();
        for action in EventAction::ALL {
            for outcome in EventOutcome::ALL {
                let event = event_of(EventActor::User, action, outcome);
                writeln!(table, "{:<12} {:<12} {}", action.as_str(), outcome.as_str(), event.message()).unwrap();
            }
        }
        for outcome in EventOutcome::ALL {
            let event = event_of(EventActor::Idle, EventAction::Stop, outcome);
            writeln!(table, "{:<12} {:<12} {}", "stop (idle)", outcome.as_str(), event.message()).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    fn event_of(actor: EventActor, action: EventAction, outcome: EventOutcome) -> HistoryEvent {
        HistoryEvent {
            id: EventId::new(uuid::Uuid::nil()),
            at: DateTime::UNIX_EPOCH,
            actor,
            action,
            outcome: outcome.into(),
            duration: None,
            rig: Some("web".parse().unwrap()),
            cause: None,
        }
    }

    #[test]
    fn names_of_operators_are_not_shown() {
        let owner: UserId = "alice".parse().unwrap();
        for (actor, shown) in [
            ("alice", EventActor::User),
            ("control-plane", EventActor::System),
            ("monitor", EventActor::Monitor),
            ("idle", EventActor::Idle),
            ("root@host", EventActor::Operator),
        ] {
            assert_eq!(EventActor::of(actor, &owner), shown);
        }
    }

    #[test]
    fn every_operation_is_an_action() {
        for kind in OperationKind::ALL {
            assert!(kind.as_str().parse::<EventAction>().is_ok(), "{kind}");
        }
    }
}
