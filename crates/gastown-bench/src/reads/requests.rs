//! The requests of users who read their own towns.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gastown_domain::ports::TownKeys as _;
use gastown_secrets::DerivedTownKeys;
use secrecy::ExposeSecret as _;

use crate::measure::closed_loop::Requests;
use crate::measure::random::Random;
use crate::measure::trpc;
use crate::stage::{seed, tokens, town_keys};

/// The most users that read. Their towns are spread evenly over all rows.
const MAX_READERS: usize = 20_000;

/// Users with tokens, and the number of each.
#[derive(Debug, Clone)]
pub(crate) struct Readers(Arc<Vec<(usize, String)>>);

/// Requests for the status of a random town.
#[derive(Debug, Clone)]
pub(crate) struct StatusReads(pub(crate) Readers);

/// Heartbeats of one town after another, so that no town is heard twice in a short time.
#[derive(Clone)]
pub(crate) struct Heartbeats {
    keys: Arc<DerivedTownKeys>,
    sent: Arc<AtomicUsize>,
    towns: usize,
}

/// Requests for the towns of a random user.
#[derive(Debug, Clone)]
pub(crate) struct ListReads(pub(crate) Readers);

impl Readers {
    /// Mints the tokens of users among the owners of `towns` towns.
    pub(crate) fn of(towns: usize) -> anyhow::Result<Self> {
        let numbers = spread(towns / seed::TOWNS_PER_USER, MAX_READERS);
        Ok(Self(Arc::new(numbers.iter().copied().zip(tokens(numbers.clone())?).collect())))
    }

    fn any(&self, random: &mut Random) -> &(usize, String) {
        &self.0[random.below(self.0.len())]
    }
}

impl Requests for StatusReads {
    fn write_next(&self, random: &mut Random, request: &mut String) {
        let (user, token) = self.0.any(random);
        let town = (user - 1) * seed::TOWNS_PER_USER + 1 + random.below(seed::TOWNS_PER_USER);
        let input = format!(r#"{{"townId":"{}"}}"#, seed::town_id(town));
        trpc::write_query(request, "getTownStatus", Some(&input), token);
    }
}

impl Requests for ListReads {
    fn write_next(&self, random: &mut Random, request: &mut String) {
        let (_, token) = self.0.any(random);
        trpc::write_query(request, "listTowns", None, token);
    }
}

impl Heartbeats {
    /// Prepares heartbeats of this many towns.
    pub(crate) fn of(towns: usize) -> anyhow::Result<Self> {
        Ok(Self { keys: Arc::new(town_keys()?), sent: Arc::default(), towns })
    }
}

impl Requests for Heartbeats {
    fn write_next(&self, _: &mut Random, request: &mut String) {
        let town = seed::town_id(1 + self.sent.fetch_add(1, Ordering::Relaxed) % self.towns);
        let Ok(id) = town.parse() else { return request.clear() };
        trpc::write_home_call(request, "heartbeat", &town, self.keys.key_of(id).expose_secret());
    }
}

/// Returns at most `most` numbers between 1 and `last`, evenly spread.
fn spread(last: usize, most: usize) -> Vec<usize> {
    let count = last.min(most);
    (0..count).map(|at| 1 + at * last / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_all_users_or_spread_over_them() {
        assert_eq!(spread(3, 10), [1, 2, 3]);
        assert_eq!(spread(10, 5), [1, 3, 5, 7, 9]);
        assert_eq!(spread(0, 5), [0; 0]);
    }

    #[test]
    fn a_reader_asks_for_a_town_of_its_own() {
        let readers = Readers(Arc::new(vec![(3, "t".to_owned())]));
        let (mut random, mut request) = (Random::seeded(1), String::new());
        for _ in 0..50 {
            StatusReads(readers.clone()).write_next(&mut random, &mut request);
            let own = (11..=15).any(|town| request.contains(&seed::town_id(town)));
            assert!(own, "{request}");
        }
    }
}
