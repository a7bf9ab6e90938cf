//! Towns: rows, health, rigs.

use std::collections::HashMap;

use gastown_domain::ports::{self, TownDetails, TownHealth};
use gastown_domain::{
    self as domain, MachineId, Recorded, RefusedRig, Region, SandboxReport, TownId, TownName, UserId, VolumeId,
};
use serde::{Deserialize, Serialize};

use super::{Event, HeldOperation, Moment, Orphan, Readable, UnreadableRow};

/// The row of a town.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "named like the members of the answer")]
pub(crate) struct Town {
    pub(crate) town_id: TownId,
    pub(crate) user_id: UserId,
    pub(crate) town_name: TownName,
    pub(crate) status: String,
    pub(crate) sandbox_id: String,
    pub(crate) fly_machine_id: Option<MachineId>,
    pub(crate) fly_volume_id: Option<VolumeId>,
    pub(crate) fly_region: Option<Region>,
    pub(crate) created_at: Moment,
    pub(crate) destroyed_at: Option<Moment>,
    pub(crate) last_heartbeat_at: Option<Moment>,
    #[serde(rename = "lastR2SyncAt")]
    pub(crate) last_r2_sync_at: Option<Moment>,
}

/// A rig.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "named like the members of the answer")]
pub(crate) struct Rig {
    pub(crate) rig_id: domain::RigId,
    pub(crate) rig_name: String,
    pub(crate) repo_url: String,
    pub(crate) branch: Option<String>,
    pub(crate) status: String,
    pub(crate) created_at: Moment,
}

/// The health of a town.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    pub(crate) state: String,
    pub(crate) since: Option<Moment>,
    pub(crate) reason: Option<String>,
    pub(crate) failures: u32,
    pub(crate) restarts: u32,
    pub(crate) last_report_at: Option<Moment>,
    pub(crate) report: Report,
    pub(crate) token_expires_at: Option<Moment>,
    pub(crate) image: Option<String>,
    pub(crate) checked_at: Option<Moment>,
    /// The last drift check that showed the town. An older server does not say it.
    #[serde(default)]
    pub(crate) compared_at: Option<Moment>,
    pub(crate) suspicion: Option<Suspicion>,
    pub(crate) refused_rigs: Vec<RefusedRig>,
    pub(crate) drift: Option<Drift>,
}

/// The report of a sandbox about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) gt_running: Option<bool>,
    pub(crate) dolt_running: Option<bool>,
    pub(crate) active_polecats: Option<u32>,
    pub(crate) disk_used_bytes: Option<u64>,
}

/// Observations of a drift that are too few to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Suspicion {
    pub(crate) code: String,
    pub(crate) looks: u32,
}

/// A confirmed change from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Drift {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) since: Moment,
}

/// Everything about a town.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TownReport {
    pub(crate) town: Town,
    pub(crate) rigs: Vec<Rig>,
    pub(crate) health: Readable<Health>,
    pub(crate) operation: Option<Readable<HeldOperation>>,
    pub(crate) events: Vec<Event>,
    pub(crate) orphans: Vec<Orphan>,
    pub(crate) unreadable: Vec<UnreadableRow>,
}

/// A town in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ListedTown {
    #[serde(flatten)]
    pub(crate) town: Town,
    pub(crate) health: Readable<Health>,
    pub(crate) operation: Option<Readable<HeldOperation>>,
    /// Its machine at Fly, if the list was compared with Fly.
    #[serde(flatten)]
    pub(crate) machine: Option<MachineOfTown>,
}

/// The machine of a town, as Fly shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MachineOfTown {
    /// It must be there, so that a town without a machine does not look like one without an image.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) image: Option<String>,
    /// True if it has a key from before a rotation. `None`: not compared.
    pub(crate) has_old_key: Option<bool>,
}

/// A list of towns, by owner and name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TownList {
    pub(crate) towns: Vec<Readable<ListedTown>>,
    /// True if the limit has left some out.
    pub(crate) more: bool,
}

impl Town {
    /// Returns true if it is destroyed.
    pub(crate) const fn is_tombstone(&self) -> bool {
        self.destroyed_at.is_some()
    }

    /// Returns true while the row records a machine or a volume.
    pub(crate) const fn holds_provider_id(&self) -> bool {
        self.fly_machine_id.is_some() || self.fly_volume_id.is_some()
    }
}

impl From<&domain::Town> for Town {
    fn from(town: &domain::Town) -> Self {
        Self {
            town_id: town.id,
            user_id: town.owner.clone(),
            town_name: town.name.clone(),
            status: town.status.as_str().to_owned(),
            sandbox_id: town.sandbox_id.as_str().to_owned(),
            fly_machine_id: town.machine_id.clone(),
            fly_volume_id: town.volume_id.clone(),
            fly_region: town.region.clone(),
            created_at: town.created_at.into(),
            destroyed_at: town.destroyed_at.map(Moment),
            last_heartbeat_at: town.last_heartbeat_at.map(Moment),
            last_r2_sync_at: town.last_r2_sync_at.map(Moment),
        }
    }
}

impl From<&domain::Rig> for Rig {
    fn from(rig: &domain::Rig) -> Self {
        Self {
            rig_id: rig.id,
            rig_name: rig.name.to_string(),
            repo_url: rig.repo.to_string(),
            branch: rig.branch.as_ref().map(ToString::to_string),
            status: rig.status.as_str().to_owned(),
            created_at: rig.created_at.into(),
        }
    }
}

impl From<&TownHealth> for Health {
    fn from(health: &TownHealth) -> Self {
        let suspicion = health.suspicion.map(|of| Suspicion { code: of.drift.as_str().to_owned(), looks: of.looks });
        let drift = health.drift.as_ref().map(|(drift, since)| Drift {
            code: drift.as_str().to_owned(),
            message: drift.message().to_owned(),
            since: (*since).into(),
        });
        Self {
            state: health.state.as_str().to_owned(),
            since: health.since.map(Moment),
            reason: health.reason.as_ref().map(|reason| reason.as_str().to_owned()),
            failures: health.failures,
            restarts: health.restarts,
            last_report_at: health.last_report_at.map(Moment),
            report: health.report.into(),
            token_expires_at: health.token_expires_at.map(Moment),
            image: health.image.as_ref().map(ToString::to_string),
            checked_at: health.checked_at.map(Moment),
            compared_at: health.compared_at.map(Moment),
            suspicion,
            refused_rigs: health.refused_rigs.clone(),
            drift,
        }
    }
}

impl From<SandboxReport> for Report {
    fn from(report: SandboxReport) -> Self {
        Self {
            gt_running: report.gt_running,
            dolt_running: report.dolt_running,
            active_polecats: report.active_polecats,
            disk_used_bytes: report.disk_used_bytes,
        }
    }
}

impl From<&TownDetails> for TownReport {
    fn from(found: &TownDetails) -> Self {
        Self {
            town: (&found.town).into(),
            rigs: found.rigs.iter().map(Rig::from).collect(),
            health: Readable::of(&found.health),
            operation: found.operation.as_ref().map(Readable::of),
            events: found.events.iter().map(Event::from).collect(),
            orphans: found.orphans.iter().map(Orphan::from).collect(),
            unreadable: found.unreadable.iter().map(UnreadableRow::from).collect(),
        }
    }
}

impl From<&ports::ListedTown> for ListedTown {
    fn from(listed: &ports::ListedTown) -> Self {
        Self {
            town: (&listed.town).into(),
            health: Readable::of(&listed.health),
            operation: listed.operation.as_ref().map(Readable::of),
            machine: None,
        }
    }
}

impl TownList {
    /// Returns the first `limit` towns. One more shows that there are more.
    pub(crate) fn of(towns: &[ports::Readable<ports::ListedTown>], limit: u32) -> Self {
        let limit = limit as usize;
        let listed = towns.iter().take(limit).map(Readable::of);
        Self { towns: listed.collect(), more: towns.len() > limit }
    }

    /// Adds the machines at Fly, and keeps only the towns that `is_wanted`. Rows that cannot be read may be wanted.
    pub(crate) fn with_machines(
        mut self,
        machines: &HashMap<TownId, MachineOfTown>,
        is_wanted: impl Fn(&MachineOfTown) -> bool,
    ) -> Self {
        self.towns.retain_mut(|listed| match listed {
            Readable::Unreadable(_) => true,
            Readable::Read(listed) => {
                listed.machine = machines.get(&listed.town.town_id).cloned();
                listed.machine.as_ref().is_some_and(&is_wanted)
            }
        });
        self
    }

    /// Keeps the first `limit` towns.
    pub(crate) fn cut(mut self, limit: u32) -> Self {
        self.more |= self.towns.len() > limit as usize;
        self.towns.truncate(limit as usize);
        self
    }
}

/// Returns the meaning of a stored reason of the health.
pub(crate) fn reason_in_words(code: &str) -> &'static str {
    Recorded::<domain::HealthReason>::read(code).message()
}
