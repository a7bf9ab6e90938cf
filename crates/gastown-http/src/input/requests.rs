use chrono::{DateTime, Utc};
use gastown_domain::{
    ListPosition, RigId, SandboxReport, TownId, WatchPosition,
    ports::{AddRig, CreateTown, DestroyTown, EventPage, RemoveRig, RestoreTown, TownPage, UpdateTown},
};
use serde_json::Value;

use super::{
    config::{config_patch, free_config, town_config},
    fields::Fields,
};
use crate::trpc::{CallError, Input};

/// An input that may name a town.
pub(crate) trait NamesTown {
    /// Returns the town that the call is about, if it exists already.
    fn town(&self) -> Option<TownId>;
}

impl NamesTown for () {
    fn town(&self) -> Option<TownId> {
        None
    }
}

impl NamesTown for TownPage {
    fn town(&self) -> Option<TownId> {
        None
    }
}

impl NamesTown for EventPage {
    fn town(&self) -> Option<TownId> {
        Some(self.town)
    }
}

impl NamesTown for TownRef {
    fn town(&self) -> Option<TownId> {
        Some(self.0)
    }
}

impl NamesTown for CreateTown {
    fn town(&self) -> Option<TownId> {
        None
    }
}

impl NamesTown for DestroyTown {
    fn town(&self) -> Option<TownId> {
        Some(self.town)
    }
}

impl NamesTown for RestoreTown {
    fn town(&self) -> Option<TownId> {
        Some(self.town)
    }
}

impl NamesTown for UpdateTown {
    fn town(&self) -> Option<TownId> {
        Some(self.town)
    }
}

impl NamesTown for AddRig {
    fn town(&self) -> Option<TownId> {
        Some(self.town)
    }
}

impl NamesTown for RemoveRig {
    fn town(&self) -> Option<TownId> {
        Some(self.town)
    }
}

impl NamesTown for RigRef {
    fn town(&self) -> Option<TownId> {
        Some(self.town)
    }
}

/// `{townId, rigId}`.
pub(crate) struct RigRef {
    pub(crate) town: TownId,
    pub(crate) rig: RigId,
}

impl Input for RigRef {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        let mut fields = Fields::of(raw)?;
        let town = fields.id("townId");
        let rig = fields.id("rigId");
        fields.finish(town.zip(rig).map(|(town, rig)| Self { town, rig }))
    }
}

/// `{townId}`.
pub(crate) struct TownRef(pub(crate) TownId);

impl Input for TownRef {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        let mut fields = Fields::of(raw)?;
        let town = fields.id("townId");
        fields.finish(town.map(Self))
    }
}

/// The most polecats and the most bytes that a sandbox may report. The latter is the largest number that JavaScript keeps.
const MAX_POLECATS: u32 = 100_000;
const MAX_DISK_BYTES: u64 = (1 << 53) - 1;

/// `{townId, gtRunning?, doltRunning?, activePolecats?, diskUsedBytes?, lastR2SyncAt?}`.
pub(crate) struct SandboxBeat {
    pub(crate) town: TownId,
    pub(crate) report: SandboxReport,
    pub(crate) claimed_sync: Option<DateTime<Utc>>,
}

impl NamesTown for SandboxBeat {
    fn town(&self) -> Option<TownId> {
        Some(self.town)
    }
}

impl Input for SandboxBeat {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        let mut fields = Fields::of(raw)?;
        let town = fields.id("townId");
        let report = SandboxReport {
            gt_running: fields.optional_flag("gtRunning"),
            dolt_running: fields.optional_flag("doltRunning"),
            active_polecats: fields.optional_number("activePolecats", 0, MAX_POLECATS),
            disk_used_bytes: fields.optional_amount("diskUsedBytes", MAX_DISK_BYTES),
        };
        let claimed_sync = fields.optional_moment("lastR2SyncAt");
        fields.finish(town.map(|town| Self { town, report, claimed_sync }))
    }
}

/// `{townId, lastEventId?}`.
pub(crate) struct WatchedTown {
    pub(crate) town: TownId,
    pub(crate) after: Option<WatchPosition>,
}

impl NamesTown for WatchedTown {
    fn town(&self) -> Option<TownId> {
        Some(self.town)
    }
}

impl Input for WatchedTown {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        let mut fields = Fields::of(raw)?;
        let town = fields.id("townId");
        let after = fields.position("lastEventId");
        fields.finish(town.map(|town| Self { town, after }))
    }
}

/// `{lastEventId?}`.
pub(crate) struct WatchedList {
    pub(crate) after: Option<ListPosition>,
}

impl NamesTown for WatchedList {
    fn town(&self) -> Option<TownId> {
        None
    }
}

impl Input for WatchedList {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        let Some(raw) = raw else { return Ok(Self { after: None }) };
        let mut fields = Fields::of(Some(raw))?;
        let after = fields.position("lastEventId");
        fields.finish(Some(Self { after }))
    }
}

/// The most towns of a page.
const MAX_PAGE: u32 = 100;

/// `{cursor?, limit?}`. Once there was no input, so one that is no object is none.
impl Input for TownPage {
    const LENIENT: bool = true;

    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        if raw.is_none() {
            return Ok(Self::default());
        }
        let mut fields = Fields::of(raw)?;
        let after = fields.optional_id("cursor");
        let limit = fields.optional_number("limit", 1, MAX_PAGE);
        fields.finish(Some(Self { after, limit }))
    }
}

/// The most events of a page, and the number without a limit.
const MAX_EVENTS: u32 = 200;
const DEFAULT_EVENTS: u32 = 50;

/// `{townId, cursor?, limit?}`.
impl Input for EventPage {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        let mut fields = Fields::of(raw)?;
        let town = fields.id("townId");
        let before = fields.optional_id("cursor");
        let limit = fields.optional_number("limit", 1, MAX_EVENTS).unwrap_or(DEFAULT_EVENTS);
        fields.finish(town.map(|town| Self { town, before, limit }))
    }
}

/// `{townName, config?, region?, idempotencyKey?}`.
impl Input for CreateTown {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        let mut fields = Fields::of(raw)?;
        let name = fields.required("townName");
        let config = town_config(&mut fields, "config");
        let region = fields.optional("region");
        let key = fields.optional("idempotencyKey");
        fields.finish(name.map(|name| Self { name, config, region, key }))
    }
}

/// `{townId, waitUntilGone?}`.
impl Input for DestroyTown {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        let mut fields = Fields::of(raw)?;
        let town = fields.id("townId");
        let wait_until_gone = fields.flag("waitUntilGone");
        fields.finish(town.map(|town| Self { town, wait_until_gone }))
    }
}

/// `{townId, confirm}`.
impl Input for RestoreTown {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        let mut fields = Fields::of(raw)?;
        let town = fields.id("townId");
        let confirm = fields.required("confirm");
        fields.finish(town.zip(confirm).map(|(town, confirm)| Self { town, confirm }))
    }
}

/// `{townId, config, configVersion}`.
impl Input for UpdateTown {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        let mut fields = Fields::of(raw)?;
        let town = fields.id("townId");
        let config = config_patch(&mut fields, "config");
        let expected = fields.required("configVersion");
        fields.finish(town.zip(expected).map(|(town, expected)| Self { town, config, expected }))
    }
}

/// `{townId, rigName, repoUrl, branch?, config?}`.
impl Input for AddRig {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        let mut fields = Fields::of(raw)?;
        let town = fields.id("townId");
        let name = fields.required("rigName");
        let repo = fields.required("repoUrl");
        let branch = fields.optional("branch");
        let config = free_config(&mut fields, "config");
        let built = match (town, name, repo) {
            (Some(town), Some(name), Some(repo)) => Some(Self { town, name, repo, branch, config }),
            _ => None,
        };
        fields.finish(built)
    }
}

/// `{townId, rigId, force?}`.
impl Input for RemoveRig {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        let mut fields = Fields::of(raw)?;
        let town = fields.id("townId");
        let rig = fields.id("rigId");
        let force = fields.flag("force");
        let built = town.zip(rig).map(|(town, rig)| Self { town, rig, force });
        fields.finish(built)
    }
}
