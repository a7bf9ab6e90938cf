//! What is at Fly with our names or metadata and belongs to no row: reported, and past a grace period deleted (FM-55).
//!
//! A pass takes stock of every app (`stock`), writes down in the book what no row accounts for (`sweep`), and deletes what
//! has been there for long (`verdict`, pure), each after a last look at it and at the registry (`removal`). Nothing is
//! deleted on one sign, nothing because a list does not show it, and nothing at all where too much is wrong at once. An
//! operator may do the same by hand: [`OrphanSweeper::survey`], [`OrphanSweeper::delete`].

mod removal;
mod stock;
mod sweep;
mod verdict;

use std::error::Error;
use std::sync::Arc;

use gastown_domain::ports::{Alarm, ObservedOrphan, Orphan, ProviderError, SingletonJob, StoreError, WorkerId};
use gastown_domain::{AppName, ResourceId};
use tokio_util::sync::CancellationToken;

pub use self::removal::Removal;
pub use self::verdict::{Grace, Verdict};

use self::removal::Noted;
use crate::passes::{Turn, until_stopped};
use crate::ports::{OrphanPorts, Ports};
use crate::settings::{Policy, Settings};

/// Looks for orphans. Cheap to clone; every clone is the same sweeper.
#[derive(Clone)]
pub struct OrphanSweeper {
    ports: OrphanPorts,
    policy: Arc<Policy>,
    worker: WorkerId,
}

/// What one pass came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrphanReport {
    /// Apps that were looked through.
    pub apps: usize,
    /// Apps that could not be.
    pub failed: usize,
    /// Machines and volumes of ours that were seen.
    pub seen: usize,
    /// Those of them that no row accounts for.
    pub orphans: usize,
    /// Those whose deletion was asked for.
    pub deleted: usize,
    /// Those that left the book: accounted for again, or proven gone.
    pub closed: usize,
    /// Why the pass was broken off.
    pub alarm: Option<Alarm>,
}

/// Everything that no row accounts for, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// How many apps were looked through.
    pub apps: usize,
    /// Apps that could not be.
    pub failed: Vec<AppName>,
    /// How many machines and volumes of ours were seen.
    pub seen: usize,
    /// What no row accounts for.
    pub orphans: Vec<FoundOrphan>,
    /// In the book, and not seen this time: perhaps gone, which the next pass proves.
    pub unseen: Vec<Orphan>,
    /// Too much is wrong at once. A pass would touch none of it; an operator should know why before they do.
    pub alarm: Option<Alarm>,
}

/// An orphan, as a survey found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundOrphan {
    /// What and where.
    pub sighting: ObservedOrphan,
    /// Its entry in the book; `None` where no pass has seen it yet.
    pub entry: Option<Orphan>,
    /// Whether it may be deleted, or why not yet.
    pub verdict: Verdict,
}

/// A failed look for orphans.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Fly could not be asked.
    #[error("the provider could not be asked about orphans")]
    Provider(#[from] ProviderError),
    /// The registry could not be asked.
    #[error("the registry could not be asked about orphans")]
    Store(#[from] StoreError),
}

impl OrphanSweeper {
    /// A sweeper on these ports.
    pub fn new(ports: Ports, settings: Arc<Settings>, worker: WorkerId) -> Self {
        Self::with(ports.into(), Arc::unwrap_or_clone(settings).policy, worker)
    }

    /// The same where there is nothing but what a sweeper needs: no secret of any town, no sandbox.
    pub fn with(ports: OrphanPorts, policy: Policy, worker: WorkerId) -> Self {
        Self { ports, policy: Arc::new(policy), worker }
    }

    /// Makes passes until `stop` is cancelled, whenever one is due and no other replica is at it.
    pub async fn run(&self, stop: CancellationToken) {
        let every = self.policy.orphans.every;
        until_stopped(&stop, self.ports.env.jitter.as_ref(), every, || self.pass_and_log()).await;
    }

    async fn pass_and_log(&self) {
        match self.pass().await {
            Ok(Some(report)) => tracing::debug!(?report, "orphans were looked for"),
            Ok(None) => {}
            Err(error) => tracing::warn!(error = &error as &dyn Error, "orphans could not be looked for"),
        }
    }

    /// One pass over every app. `None` where it is not due, another replica is at it, or took it over.
    ///
    /// Errors: the list of apps or the book could not be read; the next pass comes anyway. What fails in one app costs that
    /// app only.
    pub async fn pass(&self) -> Result<Option<OrphanReport>, SweepError> {
        let turn = Turn {
            passes: self.ports.passes.as_ref(),
            pass: SingletonJob::Orphans,
            worker: &self.worker,
            lease: self.policy.lease,
            every: self.policy.orphans.every,
        };
        let work = async { self.sweep().await.map(|report| (report, report.alarm)) };
        turn.make(work).await
    }

    /// What a pass would find, with the verdict that `grace` makes of each. Nothing is written and nothing deleted.
    ///
    /// Errors: the list of apps or the book could not be read.
    pub async fn survey(&self, grace: Grace) -> Result<Survey, SweepError> {
        let stocks = self.take_stock().await?;
        let (book, now) = self.ports.book.list().await?;
        let found = self.with_verdicts(&stocks, &book, now, grace);
        let is_seen = |app: &AppName, resource: &ResourceId| {
            found.iter().any(|orphan| orphan.sighting.app == *app && orphan.sighting.item.resource == *resource)
        };
        let unseen = book.iter().filter(|entry| !is_seen(&entry.app, &entry.resource)).cloned().collect();
        Ok(Survey {
            apps: stocks.read.len(),
            seen: stocks.seen(),
            alarm: stocks.alarm(self.policy.orphans.alarm_threshold),
            failed: stocks.failed,
            orphans: found,
            unseen,
        })
    }

    /// Deletes one orphan on an operator's word, after the same last look that a pass takes. What is a matter of patience is
    /// for the operator to judge, by the verdict of the survey; so is a second machine of a living town, which no pass
    /// deletes. A second volume is never deleted here: it may hold the town's data.
    ///
    /// Errors: something could not be asked; whether the deletion was is then in the book.
    pub async fn delete(&self, sighting: &ObservedOrphan, actor: &str) -> Result<Removal, SweepError> {
        self.remove(sighting, Noted::No, actor).await
    }
}
