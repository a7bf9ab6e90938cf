//! One pass: take stock, note what belongs to nobody, close what is over, delete what has been there for long.

use std::error::Error;

use chrono::{DateTime, Utc};
use gastown_domain::ResourceId;
use gastown_domain::ports::{Alarm, ObservedOrphan, Orphan, OrphanEnd, ProviderError};

use super::removal::Noted;
use super::stock::{AppStock, Stocks};
use super::verdict::{Times, verdict};
use super::{FoundOrphan, Grace, OrphanReport, OrphanSweeper, Removal, SweepError, Verdict};

/// Who deletes, as the town's history says.
const ACTOR: &str = "orphan sweeper";
/// Deletions that one pass asks for: a mistake that got through every proof stays a small one.
const MOST_DELETIONS: usize = 10;
/// Things that are not in their list any more and are looked at one by one in a pass.
const MOST_LOOKS: usize = 100;

impl OrphanSweeper {
    pub(super) async fn sweep(&self) -> Result<OrphanReport, SweepError> {
        let policy = &self.policy.orphans;
        let stocks = self.take_stock().await?;
        let mut report = OrphanReport {
            apps: stocks.read.len(),
            failed: stocks.failed.len(),
            seen: stocks.seen(),
            orphans: stocks.orphans(),
            alarm: stocks.alarm(policy.alarm_threshold),
            ..OrphanReport::default()
        };
        if let Some(alarm) = report.alarm {
            raise(alarm, &report);
            return Ok(report);
        }
        for stock in &stocks.read {
            self.note(stock).await;
        }
        let (book, now) = self.ports.book.list().await?;
        self.close_what_is_over(&stocks, &book, &mut report).await;
        if policy.delete {
            self.delete_what_is_due(&stocks, (&book, now), &mut report).await;
        }
        Ok(report)
    }

    /// Every orphan of the stocks, machines first, with its entry and verdict.
    pub(super) fn with_verdicts(
        &self,
        stocks: &Stocks,
        book: &[Orphan],
        now: DateTime<Utc>,
        grace: Grace,
    ) -> Vec<FoundOrphan> {
        let times = Times { book: now, ours: self.ports.env.clock.now() };
        let mut found = Vec::new();
        for stock in &stocks.read {
            for sighting in &stock.orphans {
                let entry =
                    book.iter().find(|entry| entry.app == sighting.app && entry.resource == sighting.item.resource);
                let verdict = verdict(sighting, entry, stock, grace, times);
                found.push(FoundOrphan { sighting: sighting.clone(), entry: entry.cloned(), verdict });
            }
        }
        found.sort_by(|one, other| one.sighting.item.resource.cmp(&other.sighting.item.resource));
        found
    }

    async fn note(&self, stock: &AppStock) {
        if stock.orphans.is_empty() {
            return;
        }
        match self.ports.book.record_seen(&stock.orphans).await {
            Ok(entries) => entries.iter().filter(|entry| entry.times_seen == 1).for_each(report_new),
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::warn!(fly.app = %stock.app, error, "orphans of an app were not written down");
            }
        }
    }

    /// Closes the entries of what a row accounts for again or is proven gone.
    async fn close_what_is_over(&self, stocks: &Stocks, book: &[Orphan], report: &mut OrphanReport) {
        let mut looks = MOST_LOOKS;
        for entry in book {
            let (app, resource) = (&entry.app, &entry.resource);
            let Some(end) = self.end_of(entry, stocks, &mut looks).await else { continue };
            match self.ports.book.close(app, resource, end).await {
                Ok(()) => {
                    tracing::info!(fly.app = %app, fly.thing = %resource, end = end.as_str(), "an orphan is none any more");
                    report.closed += 1;
                }
                Err(error) => {
                    let error: &dyn Error = &error;
                    tracing::warn!(fly.app = %app, fly.thing = %resource, error, "an orphan's entry was not closed");
                }
            }
        }
    }

    /// How an entry ends; `None` where it does not, or that is not known.
    async fn end_of(&self, entry: &Orphan, stocks: &Stocks, looks: &mut usize) -> Option<OrphanEnd> {
        match stocks.of(&entry.app) {
            Some(stock) if stock.orphan(&entry.resource).is_some() => return None,
            Some(stock) if stock.others.contains(&entry.resource) => return Some(OrphanEnd::AccountedFor),
            None if stocks.failed.contains(&entry.app) => return None,
            Some(_) | None => {}
        }
        // It is not in the list, which proves nothing.
        *looks = looks.checked_sub(1)?;
        match self.is_gone(entry).await {
            Ok(is_gone) => is_gone.then_some(OrphanEnd::Gone),
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::debug!(fly.thing = %entry.resource, error, "whether an orphan is gone is not known");
                None
            }
        }
    }

    async fn is_gone(&self, entry: &Orphan) -> Result<bool, ProviderError> {
        let provider = &self.ports;
        Ok(match &entry.resource {
            ResourceId::Machine(id) => provider.machines.machine(&entry.app, id).await?.is_none(),
            ResourceId::Volume(id) => provider.volumes.volume(&entry.app, id).await?.is_none(),
        })
    }

    /// Asks for the deletion of what is due. Whatever fails is due again at the next pass.
    async fn delete_what_is_due(
        &self,
        stocks: &Stocks,
        (book, now): (&[Orphan], DateTime<Utc>),
        report: &mut OrphanReport,
    ) {
        let grace = Grace::from(&self.policy.orphans);
        let found = self.with_verdicts(stocks, book, now, grace);
        for orphan in found.iter().filter(|orphan| orphan.verdict == Verdict::Deletable) {
            if report.deleted == MOST_DELETIONS {
                tracing::warn!(deleted = report.deleted, "more orphans are due than one pass deletes");
                return;
            }
            self.delete_and_log(&orphan.sighting, report).await;
        }
    }

    async fn delete_and_log(&self, sighting: &ObservedOrphan, report: &mut OrphanReport) {
        let (app, resource) = (&sighting.app, &sighting.item.resource);
        match self.remove(sighting, Noted::Yes, ACTOR).await {
            Ok(Removal::Asked) => report.deleted += 1,
            Ok(Removal::Gone) => report.closed += 1,
            Ok(Removal::Kept(verdict)) => {
                tracing::info!(fly.app = %app, fly.thing = %resource, %verdict, "an orphan is not deleted");
            }
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::warn!(fly.app = %app, fly.thing = %resource, error, "an orphan could not be deleted");
            }
        }
    }
}

fn report_new(orphan: &Orphan) {
    tracing::warn!(
        fly.app = %orphan.app,
        fly.thing = %orphan.resource,
        fly.name = orphan.name,
        reason = orphan.reason.as_str(),
        "something at Fly belongs to no row"
    );
}

/// Tells an operator why the pass was broken off.
fn raise(alarm: Alarm, report: &OrphanReport) {
    let OrphanReport { failed, seen, orphans, .. } = report;
    match alarm {
        Alarm::Refused => tracing::error!(
            failed,
            "Fly refuses to show what there is: no orphan can be found; is it the right token, organization and app?"
        ),
        Alarm::ManyOrphans | Alarm::ManyAbsent => tracing::error!(
            seen,
            orphans,
            "a large part of what is at Fly belongs to no row: nothing is deleted; is this the right database, and is it as \
             new as what Fly holds?"
        ),
    }
}
