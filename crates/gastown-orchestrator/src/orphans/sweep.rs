//! One pass: read the inventory, record orphans, close records that are over, delete old orphans.

use std::error::Error;

use chrono::{DateTime, Utc};
use gastown_domain::ResourceId;
use gastown_domain::ports::{Alarm, ObservedOrphan, Orphan, OrphanEnd, ProviderError};

use super::inventory::{SortedInventory, WholeInventory};
use super::removal::Recording;
use super::verdict::{Times, verdict};
use super::{FoundOrphan, Grace, OrphanReport, OrphanSweeper, Removal, SweepError, Verdict};

/// The actor of deletions in the town's history.
const ACTOR: &str = "orphan sweeper";
/// Deletions of one pass. The limit keeps a mistake small that passed every proof.
const MAX_DELETIONS: usize = 10;
/// Reads by id in one pass, of resources that are missing from their list.
const MAX_READS: usize = 100;

impl OrphanSweeper {
    pub(super) async fn sweep(&self) -> Result<OrphanReport, SweepError> {
        let policy = &self.policy.orphans;
        let inventory = self.read_inventory().await?;
        let mut report = OrphanReport {
            apps: inventory.read.len(),
            failed: inventory.failed.len(),
            seen: inventory.seen(),
            orphans: inventory.orphans(),
            alarm: inventory.alarm(policy.alarm_threshold),
            ..OrphanReport::default()
        };
        if let Some(alarm) = report.alarm {
            log_alarm(alarm, &report);
            return Ok(report);
        }
        for app in &inventory.read {
            self.record(app).await;
        }
        let (records, now) = self.ports.orphans.list().await?;
        self.close_records(&inventory, &records, &mut report).await;
        if policy.delete {
            self.delete_due(&inventory, (&records, now), &mut report).await;
        }
        Ok(report)
    }

    /// Returns every orphan of the inventory with its record and verdict, machines first.
    pub(super) fn with_verdicts(
        &self,
        inventory: &WholeInventory,
        records: &[Orphan],
        now: DateTime<Utc>,
        grace: Grace,
    ) -> Vec<FoundOrphan> {
        let times = Times { database: now, ours: self.ports.env.clock.now() };
        let mut found = Vec::new();
        for app in &inventory.read {
            for sighting in &app.orphans {
                let entry =
                    records.iter().find(|entry| entry.app == sighting.app && entry.resource == sighting.item.resource);
                let verdict = verdict(sighting, entry, app, grace, times);
                found.push(FoundOrphan { sighting: sighting.clone(), entry: entry.cloned(), verdict });
            }
        }
        found.sort_by(|one, other| one.sighting.item.resource.cmp(&other.sighting.item.resource));
        found
    }

    async fn record(&self, app: &SortedInventory) {
        if app.orphans.is_empty() {
            return;
        }
        match self.ports.orphans.record_seen(&app.orphans).await {
            Ok(entries) => entries.iter().filter(|entry| entry.times_seen == 1).for_each(log_new),
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::warn!(app = %app.app, error, "failed to record orphans");
            }
        }
    }

    /// Closes the records of resources that a row references again, or that are proven absent.
    async fn close_records(&self, inventory: &WholeInventory, records: &[Orphan], report: &mut OrphanReport) {
        let mut reads = MAX_READS;
        for entry in records {
            let (app, resource) = (&entry.app, &entry.resource);
            let Some(end) = self.end_of(entry, inventory, &mut reads).await else { continue };
            match self.ports.orphans.close(app, resource, end).await {
                Ok(()) => {
                    tracing::info!(%app, %resource, end = end.as_str(), "orphan record closed");
                    report.closed += 1;
                }
                Err(error) => {
                    let error: &dyn Error = &error;
                    tracing::warn!(%app, %resource, error, "failed to close orphan record");
                }
            }
        }
    }

    /// Returns the end of a record, or `None` if it stays or that is not known.
    async fn end_of(&self, entry: &Orphan, inventory: &WholeInventory, reads: &mut usize) -> Option<OrphanEnd> {
        match inventory.of(&entry.app) {
            Some(app) if app.orphan(&entry.resource).is_some() => return None,
            Some(app) if app.others.contains(&entry.resource) => return Some(OrphanEnd::AccountedFor),
            None if inventory.failed.contains(&entry.app) => return None,
            Some(_) | None => {}
        }
        // A gap in the list proves nothing.
        *reads = reads.checked_sub(1)?;
        match self.is_gone(entry).await {
            Ok(is_gone) => is_gone.then_some(OrphanEnd::Gone),
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::debug!(resource = %entry.resource, error, "failed to read orphan");
                None
            }
        }
    }

    async fn is_gone(&self, entry: &Orphan) -> Result<bool, ProviderError> {
        let ports = &self.ports;
        Ok(match &entry.resource {
            ResourceId::Machine(id) => ports.machines.machine(&entry.app, id).await?.is_none(),
            ResourceId::Volume(id) => ports.volumes.volume(&entry.app, id).await?.is_none(),
        })
    }

    /// Requests the deletions that are due. A failed one is due again at the next pass.
    async fn delete_due(
        &self,
        inventory: &WholeInventory,
        (records, now): (&[Orphan], DateTime<Utc>),
        report: &mut OrphanReport,
    ) {
        let grace = Grace::from(&self.policy.orphans);
        let found = self.with_verdicts(inventory, records, now, grace);
        for orphan in found.iter().filter(|orphan| orphan.verdict == Verdict::Deletable) {
            if report.deleted == MAX_DELETIONS {
                tracing::warn!(deleted = report.deleted, "deletion limit of the pass reached");
                return;
            }
            self.delete_and_log(&orphan.sighting, report).await;
        }
    }

    async fn delete_and_log(&self, sighting: &ObservedOrphan, report: &mut OrphanReport) {
        let (app, resource) = (&sighting.app, &sighting.item.resource);
        match self.remove(sighting, Recording::Done, ACTOR).await {
            Ok(Removal::Requested) => report.deleted += 1,
            Ok(Removal::Gone) => report.closed += 1,
            Ok(Removal::Kept(verdict)) => {
                tracing::info!(%app, %resource, %verdict, "orphan kept");
            }
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::warn!(%app, %resource, error, "failed to delete orphan");
            }
        }
    }
}

fn log_new(orphan: &Orphan) {
    tracing::warn!(
        app = %orphan.app,
        resource = %orphan.resource,
        name = orphan.name,
        reason = orphan.reason.as_str(),
        "orphan found"
    );
}

/// Logs the reason why the pass stopped early.
fn log_alarm(alarm: Alarm, report: &OrphanReport) {
    let OrphanReport { failed, seen, orphans, .. } = report;
    match alarm {
        Alarm::Refused => {
            tracing::error!(failed, "provider rejects the token, organization or app; no orphan can be found");
        }
        Alarm::ManyOrphans | Alarm::ManyAbsent => tracing::error!(
            seen,
            orphans,
            "too many resources are orphans; nothing deleted: check that the database is the right one and up to date"
        ),
    }
}
