//! The newest rollout.

use gastown_domain::ports::{self, FailedTouch, RolloutReport};
use gastown_domain::{ImageRef, TownId};
use serde::{Deserialize, Serialize};

use super::Moment;

/// The newest rollout, if there was one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NewestRollout {
    pub(crate) rollout: Option<Rollout>,
    #[serde(flatten)]
    pub(crate) towns: Option<RolloutTowns>,
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rollout {
    pub(crate) number: i64,
    pub(crate) image: ImageRef,
    pub(crate) settings_image: Option<ImageRef>,
    pub(crate) state: String,
    pub(crate) direction: String,
    pub(crate) reason: Option<String>,
    pub(crate) percent: u8,
    pub(crate) only_stopped: bool,
    pub(crate) max_unavailable: u16,
    pub(crate) started_by: String,
    pub(crate) changed_by: String,
    pub(crate) started_at: Moment,
    pub(crate) changed_at: Moment,
    pub(crate) ended_at: Option<Moment>,
}

/// The towns of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RolloutTowns {
    pub(crate) done: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
    pub(crate) in_flight: u32,
    pub(crate) waiting: u64,
    pub(crate) unhealthy: u64,
    pub(crate) stopped: u64,
    pub(crate) failures: Vec<FailedTown>,
    pub(crate) images: Vec<TownsOfImage>,
    pub(crate) at: Moment,
}

/// A town that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailedTown {
    pub(crate) town_id: TownId,
    pub(crate) town_name: String,
    /// `None`: it became unhealthy after its restart.
    pub(crate) code: Option<String>,
    pub(crate) message: String,
}

/// The number of towns that have an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TownsOfImage {
    /// `None`: it is not known.
    pub(crate) image: Option<String>,
    pub(crate) towns: u64,
}

impl From<Option<&RolloutReport>> for NewestRollout {
    fn from(report: Option<&RolloutReport>) -> Self {
        Self { rollout: report.map(|report| (&report.rollout).into()), towns: report.map(RolloutTowns::from) }
    }
}

impl From<&gastown_domain::Rollout> for Rollout {
    fn from(rollout: &gastown_domain::Rollout) -> Self {
        Self {
            number: rollout.number.get(),
            image: rollout.image.clone(),
            settings_image: rollout.setting.clone(),
            state: rollout.state.as_str().to_owned(),
            direction: rollout.state.pass().as_str().to_owned(),
            reason: rollout.reason.clone(),
            percent: rollout.percent.get(),
            only_stopped: rollout.only_stopped,
            max_unavailable: rollout.max_unavailable.get(),
            started_by: rollout.started_by.clone(),
            changed_by: rollout.changed_by.clone(),
            started_at: rollout.started_at.into(),
            changed_at: rollout.changed_at.into(),
            ended_at: rollout.ended_at.map(Moment),
        }
    }
}

impl From<&RolloutReport> for RolloutTowns {
    fn from(report: &RolloutReport) -> Self {
        let ports::RolloutReport { rollout: _, counts, waiting, unhealthy, stopped, failures, images, at } = report;
        let of_image = |(image, towns): &(Option<String>, u64)| TownsOfImage { image: image.clone(), towns: *towns };
        Self {
            done: counts.done,
            failed: counts.failed,
            skipped: counts.skipped,
            in_flight: counts.in_flight,
            waiting: *waiting,
            unhealthy: *unhealthy,
            stopped: *stopped,
            failures: failures.iter().map(FailedTown::from).collect(),
            images: images.iter().map(of_image).collect(),
            at: (*at).into(),
        }
    }
}

impl From<&FailedTouch> for FailedTown {
    fn from(failed: &FailedTouch) -> Self {
        let code = failed.failure.as_ref().map(|failure| failure.as_str().to_owned());
        let message = failed.failure.as_ref().map_or_else(
            || "became unhealthy after its restart".to_owned(),
            |failure| format!("{}: {}", failure.as_str(), failure.message()),
        );
        Self { town_id: failed.town, town_name: failed.name.clone(), code, message }
    }
}
