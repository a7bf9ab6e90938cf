//! The times at which replicas were disturbed. They tell which reads had to succeed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time in which reads succeed again after a replica has its database again.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// The part that is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The process of a replica is killed or frozen.
    Process(usize),
    /// The network between a replica and the database is cut.
    Network(usize),
    /// The database is down, or fails over.
    Database,
}

/// The result that could be expected from a replica during a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Nothing, because there was no running process.
    Nothing,
    /// An answer or a refusal, because there was no database.
    Refusal,
    /// Data.
    Data,
}

/// All disturbances of a run.
#[derive(Debug, Default)]
pub(super) struct Disturbances(Mutex<Vec<Disturbance>>);

#[derive(Debug)]
struct Disturbance {
    part: Part,
    from: Instant,
    to: Option<Instant>,
}

impl Disturbances {
    /// Records that a part is disturbed from now on.
    pub(super) fn begin(&self, part: Part) {
        self.lock().push(Disturbance { part, from: Instant::now(), to: None });
    }

    /// Records that the part is not disturbed any more.
    pub(super) fn end(&self, part: Part) {
        let now = Instant::now();
        let mut all = self.lock();
        all.iter_mut().filter(|one| one.part == part && one.to.is_none()).for_each(|one| one.to = Some(now));
    }

    /// Returns true while the part is disturbed.
    pub(super) fn is_open(&self, part: Part) -> bool {
        self.lock().iter().any(|one| one.part == part && one.to.is_none())
    }

    /// Returns what could be expected from a replica between these times.
    pub(super) fn expected(&self, replica: usize, from: Instant, to: Instant) -> Expected {
        let all = self.lock();
        let touching = |margin: Duration| {
            all.iter().filter(move |one| one.from <= to && one.to.is_none_or(|end| end + margin >= from))
        };
        if touching(Duration::ZERO).any(|one| one.part == Part::Process(replica)) {
            return Expected::Nothing;
        }
        let is_database = |part| part == Part::Database || part == Part::Network(replica);
        if touching(BACK_WITHIN).any(|one| is_database(one.part)) { Expected::Refusal } else { Expected::Data }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Disturbance>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_reads_of_undisturbed_replicas_are_expected_to_succeed() {
        let (all, second) = (Disturbances::default(), Duration::from_secs(1));
        let start = Instant::now();
        tokio::time::advance(second).await;
        all.begin(Part::Process(0));
        all.begin(Part::Network(1));
        assert!(all.is_open(Part::Process(0)) && !all.is_open(Part::Process(1)));
        tokio::time::advance(second).await;
        all.end(Part::Process(0));
        all.end(Part::Network(1));
        let during = start + second + second / 2;
        let of = |replica, from, to| all.expected(replica, from, to);
        assert_eq!(
            [0, 1, 2].map(|replica| of(replica, during, during)),
            [Expected::Nothing, Expected::Refusal, Expected::Data]
        );
        assert_eq!(of(0, start, start + second / 2), Expected::Data, "before it");
        assert_eq!(of(0, start, during), Expected::Nothing, "it began during the read");
        let after = start + 3 * second;
        assert_eq!(of(0, after, after), Expected::Data);
        assert_eq!(of(1, after, after), Expected::Refusal, "the sessions may still be old");
        let later = start + 2 * second + BACK_WITHIN + second;
        assert_eq!(of(1, later, later), Expected::Data);
        tokio::time::advance(later - Instant::now()).await;
        all.begin(Part::Database);
        assert_eq!(of(2, start, after), Expected::Data, "before it");
        assert_eq!(of(2, start, Instant::now()), Expected::Refusal);
    }
}
