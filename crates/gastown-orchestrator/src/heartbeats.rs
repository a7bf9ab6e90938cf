//! Heartbeats that wait to be written, and the task that writes them.
//!
//! A heartbeat is accepted in memory, and replaces an earlier one of its town that is not written yet. The writer writes all
//! of them every second, in batches. It stays in memory until the registry has it, so a failed or repeated write loses none.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gastown_domain::ports::{Measurement, Metrics, Registry};
use gastown_domain::{Backoff, Heartbeat, TownId};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::town_service::TownService;

/// The most heartbeats of one batch.
pub(crate) const BATCH: usize = 500;
/// The attempts to write what is left at a shutdown.
const LAST_ATTEMPTS: u32 = 4;
/// The pauses between them.
const LAST_PAUSE: Backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(1) };

/// The heartbeats that are not written yet, at most one for each town.
#[derive(Debug)]
pub(crate) struct WaitingHeartbeats {
    max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    by_town: HashMap<TownId, Heartbeat>,
    is_closed: bool,
}

/// A heartbeat that cannot wait, because too many do, or because the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom;

impl WaitingHeartbeats {
    /// Returns room for the heartbeats of this many towns.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, waiting: Mutex::default() }
    }

    /// Adds a heartbeat to be written. Never blocks.
    pub(crate) fn add(&self, beat: Heartbeat) -> Result<(), NoRoom> {
        let mut waiting = self.lock();
        let earlier = waiting.by_town.get(&beat.town).copied();
        if waiting.is_closed || (earlier.is_none() && waiting.by_town.len() >= self.max) {
            return Err(NoRoom);
        }
        waiting.by_town.insert(beat.town, earlier.map_or(beat, |earlier| earlier.merged(beat)));
        Ok(())
    }

    /// Returns all of them, in the order of their towns. They stay until they are removed.
    fn all(&self) -> Vec<Heartbeat> {
        let mut all: Vec<_> = self.lock().by_town.values().copied().collect();
        all.sort_unstable_by_key(|beat| beat.town);
        all
    }

    /// Removes heartbeats that need no write any more, unless a later one of the same town came meanwhile.
    fn remove(&self, done: &[Heartbeat]) {
        let mut waiting = self.lock();
        for beat in done {
            if waiting.by_town.get(&beat.town) == Some(beat) {
                waiting.by_town.remove(&beat.town);
            }
        }
        if waiting.by_town.is_empty() {
            waiting.by_town.shrink_to(self.max / 64);
        }
    }

    /// Accepts no more.
    fn close(&self) {
        self.lock().is_closed = true;
    }

    fn len(&self) -> usize {
        self.lock().by_town.len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the heartbeats that wait. Cheap to clone.
#[derive(Clone)]
pub struct HeartbeatWriter {
    waiting: Arc<WaitingHeartbeats>,
    registry: Arc<dyn Registry>,
    metrics: Arc<dyn Metrics>,
    every: Duration,
}

impl HeartbeatWriter {
    /// Returns a writer of the heartbeats that this service accepts. It writes them to this registry.
    pub fn new(service: &TownService, registry: Arc<dyn Registry>) -> Self {
        Self {
            waiting: Arc::clone(&service.heartbeats),
            registry,
            metrics: Arc::clone(&service.ports.env.metrics),
            every: service.settings.policy.backoff.heartbeat_write,
        }
    }

    /// Writes at the interval until `stop` is cancelled, and then once more.
    pub async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(self.every)).await.is_some() {
            self.write().await;
        }
        self.write().await;
    }

    /// Accepts no more heartbeats, and writes those that wait. An unavailable registry is tried a few times.
    pub async fn close(&self) {
        self.waiting.close();
        for attempt in 1..=LAST_ATTEMPTS {
            if self.write().await {
                return;
            }
            if attempt < LAST_ATTEMPTS {
                sleep(LAST_PAUSE.delay(attempt, 0.5)).await;
            }
        }
        tracing::error!(heartbeats = self.waiting.len(), "failed to write last heartbeats");
    }

    /// Writes the heartbeats that wait. Returns false if the registry was unavailable, and they wait for the next time.
    pub async fn write(&self) -> bool {
        let mut is_available = true;
        for batch in self.waiting.all().chunks(BATCH) {
            is_available = self.write_batch(batch).await;
            if !is_available {
                break;
            }
        }
        self.metrics.record(Measurement::HeartbeatsWaiting(self.waiting.len()));
        is_available
    }

    async fn write_batch(&self, batch: &[Heartbeat]) -> bool {
        match self.registry.record_heartbeats(batch).await {
            Ok(live) => {
                self.waiting.remove(batch);
                self.metrics.record(Measurement::HeartbeatsWritten(live.len()));
                if live.len() < batch.len() {
                    tracing::debug!(towns = batch.len() - live.len(), "heartbeats of destroyed towns ignored");
                }
                true
            }
            Err(error) if error.is_transient() => {
                tracing::warn!(error = &error as &dyn Error, "failed to write heartbeats; they wait");
                false
            }
            // They would be refused again and again, and the others would never be written.
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, "registry refused heartbeats");
                self.waiting.remove(batch);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use gastown_domain::SandboxReport;
    use gastown_domain::ports::{KeptMetrics, MockRegistry, StoreError};
    use uuid::Uuid;

    use super::*;

    fn beat(town: u128, seconds: i64) -> Heartbeat {
        let noon: DateTime<Utc> = "2026-11-23T12:00:00Z".parse().unwrap();
        let at = noon + TimeDelta::seconds(seconds);
        Heartbeat::received(TownId::new(Uuid::from_u128(town)), at, SandboxReport::default(), None)
    }

    fn writer(waiting: &Arc<WaitingHeartbeats>, registry: MockRegistry) -> HeartbeatWriter {
        let (waiting, registry) = (Arc::clone(waiting), Arc::new(registry));
        HeartbeatWriter { waiting, registry, metrics: Arc::<KeptMetrics>::default(), every: Duration::from_secs(1) }
    }

    fn unavailable() -> StoreError {
        StoreError::Unavailable { cause: "connection lost".into() }
    }

    #[test]
    fn one_heartbeat_of_each_town_waits_and_their_number_is_bounded() {
        let waiting = WaitingHeartbeats::new(2);
        for accepted in [beat(1, 0), beat(2, 0), beat(1, 5)] {
            waiting.add(accepted).unwrap();
        }
        assert_eq!(waiting.add(beat(3, 0)), Err(NoRoom));
        assert_eq!(waiting.all(), [beat(1, 5), beat(2, 0)]);
        waiting.remove(&[beat(1, 0), beat(2, 0)]);
        assert_eq!(waiting.all(), [beat(1, 5)], "the later one is not written yet");
        waiting.close();
        assert_eq!(waiting.add(beat(1, 9)), Err(NoRoom));
    }

    #[tokio::test(start_paused = true)]
    async fn batches_are_bounded_and_what_an_outage_leaves_is_written_later() {
        let waiting = Arc::new(WaitingHeartbeats::new(10_000));
        for town in 0..1100 {
            waiting.add(beat(town, 0)).unwrap();
        }
        let mut registry = MockRegistry::new();
        let mut order = mockall::Sequence::new();
        for (size, fails) in [(500, false), (500, true), (500, false), (100, false)] {
            registry
                .expect_record_heartbeats()
                .withf(move |batch| batch.len() == size)
                .times(1)
                .in_sequence(&mut order)
                .returning(
                    move |batch| {
                        if fails { Err(unavailable()) } else { Ok(batch.iter().map(|beat| beat.town).collect()) }
                    },
                );
        }
        let writer = writer(&waiting, registry);
        assert!(!writer.write().await);
        assert_eq!(waiting.len(), 600);
        writer.close().await;
        assert_eq!(waiting.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_batch_does_not_stand_in_the_way_of_others() {
        let waiting = Arc::new(WaitingHeartbeats::new(10));
        waiting.add(beat(1, 0)).unwrap();
        let mut registry = MockRegistry::new();
        registry
            .expect_record_heartbeats()
            .times(1)
            .returning(|_| Err(StoreError::Refused { constraint: None, cause: "type".into() }));
        assert!(writer(&waiting, registry).write().await);
        assert_eq!(waiting.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn last_attempts_at_a_shutdown_are_bounded() {
        let waiting = Arc::new(WaitingHeartbeats::new(10));
        waiting.add(beat(1, 0)).unwrap();
        let mut registry = MockRegistry::new();
        registry.expect_record_heartbeats().times(4).returning(|_| Err(unavailable()));
        writer(&waiting, registry).close().await;
        assert_eq!(waiting.len(), 1);
    }
}
