//! Orphans: machines and volumes at Fly without a row.

use gastown_domain::ports::{self, Alarm, ObservedOrphan};
use gastown_domain::{Recorded, ResourceId};
use gastown_orchestrator::{self as orchestrator, Removal, Verdict};
use serde::{Deserialize, Serialize};

use super::{Cause, Moment};

/// A recorded orphan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Orphan {
    pub(crate) app: String,
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) reason: String,
    pub(crate) first_seen_at: Moment,
    pub(crate) last_seen_at: Moment,
    pub(crate) times_seen: u32,
    pub(crate) deletion_asked_at: Option<Moment>,
}

/// An orphan that Fly shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundOrphan {
    pub(crate) app: String,
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) reason: String,
    pub(crate) made_at: Option<Moment>,
    pub(crate) held_by: Option<String>,
    pub(crate) first_seen_at: Option<Moment>,
    pub(crate) times_seen: u32,
    pub(crate) deletion_asked_at: Option<Moment>,
    /// The decision on its deletion.
    pub(crate) verdict: Cause,
}

/// The outcome of the deletion of an orphan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deletion {
    pub(crate) kind: String,
    pub(crate) id: String,
    /// `asked`, `gone`, `kept` or `failed`.
    pub(crate) outcome: String,
    pub(crate) why: Option<Cause>,
}

/// All orphans, and the outcome of the deletions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Survey {
    /// The number of apps that were read.
    pub(crate) apps: usize,
    pub(crate) failed_apps: Vec<String>,
    /// The number of our machines and volumes that were seen.
    pub(crate) seen: usize,
    pub(crate) alarm: Option<String>,
    pub(crate) orphans: Vec<FoundOrphan>,
    /// Recorded orphans that were not seen this time.
    pub(crate) unseen: Vec<Orphan>,
    pub(crate) removals: Vec<Deletion>,
}

impl From<&ports::Orphan> for Orphan {
    fn from(orphan: &ports::Orphan) -> Self {
        Self {
            app: orphan.app.to_string(),
            kind: orphan.resource.kind().to_owned(),
            id: orphan.resource.id().to_owned(),
            name: orphan.name.clone(),
            reason: orphan.reason.as_str().to_owned(),
            first_seen_at: orphan.first_seen_at.into(),
            last_seen_at: orphan.last_seen_at.into(),
            times_seen: orphan.times_seen,
            deletion_asked_at: orphan.deletion_asked_at.map(Moment),
        }
    }
}

impl From<&orchestrator::FoundOrphan> for FoundOrphan {
    fn from(found: &orchestrator::FoundOrphan) -> Self {
        let (ObservedOrphan { app, item, reason }, entry) = (&found.sighting, found.entry.as_ref());
        Self {
            app: app.to_string(),
            kind: item.resource.kind().to_owned(),
            id: item.resource.id().to_owned(),
            name: item.name.clone(),
            reason: reason.as_str().to_owned(),
            made_at: item.made_at.map(Moment),
            held_by: item.held_by.as_ref().map(ToString::to_string),
            first_seen_at: entry.map(|entry| entry.first_seen_at.into()),
            times_seen: entry.map_or(0, |entry| entry.times_seen),
            deletion_asked_at: entry.and_then(|entry| entry.deletion_asked_at).map(Moment),
            verdict: (&found.verdict).into(),
        }
    }
}

impl From<&Verdict> for Cause {
    fn from(verdict: &Verdict) -> Self {
        let code = match verdict {
            Verdict::Deletable => "deletable",
            Verdict::NeedsOperator => "needs_word",
            Verdict::MayHoldData => "may_hold_data",
            Verdict::Destroying => "leaving",
            Verdict::HeldBy(_) => "held_by",
            Verdict::ListNotWhole => "list_not_whole",
            Verdict::SeenTooShort { .. } => "seen_too_short",
            Verdict::SeenTooSeldom { .. } => "seen_too_seldom",
            Verdict::TooYoung { .. } => "too_young",
            Verdict::AccountedFor => "accounted_for",
            Verdict::InUse => "in_use",
        };
        Self { code: code.to_owned(), message: verdict.to_string() }
    }
}

impl Deletion {
    /// Returns the outcome. The text of an error contains its causes. It is meant for operators.
    pub(crate) fn of(resource: &ResourceId, result: Result<&Removal, &str>) -> Self {
        let (outcome, why) = match result {
            Ok(Removal::Requested) => ("asked", None),
            Ok(Removal::Gone) => ("gone", None),
            Ok(Removal::Kept(kept)) => ("kept", Some(kept.into())),
            Err(error) => ("failed", Some(Cause { code: "error".to_owned(), message: error.to_owned() })),
        };
        let (kind, id) = (resource.kind().to_owned(), resource.id().to_owned());
        Self { kind, id, outcome: outcome.to_owned(), why }
    }

    /// Returns true if it failed.
    pub(crate) fn is_failed(&self) -> bool {
        self.outcome == "failed"
    }
}

impl From<&orchestrator::Survey> for Survey {
    fn from(survey: &orchestrator::Survey) -> Self {
        Self {
            apps: survey.apps,
            failed_apps: survey.failed.iter().map(ToString::to_string).collect(),
            seen: survey.seen,
            alarm: survey.alarm.map(|alarm| alarm.as_str().to_owned()),
            orphans: survey.orphans.iter().map(FoundOrphan::from).collect(),
            unseen: survey.unseen.iter().map(Orphan::from).collect(),
            removals: Vec::new(),
        }
    }
}

/// Returns the code of an alarm, with its likely cause if this version knows it.
pub(crate) fn alarm_in_words(code: &str) -> String {
    match Recorded::<Alarm>::read(code) {
        Recorded::Known(known) => format!("{}: {}", known.as_str(), known.message()),
        Recorded::Newer(code) => code,
    }
}
