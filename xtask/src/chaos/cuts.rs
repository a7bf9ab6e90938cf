//! Cuts of the network between replicas and the database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ephemeral_db::PostgresProxy;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::Instant;

use super::disturbances::{Disturbances, Part};

/// Milliseconds between two cuts.
const PAUSE: std::ops::RangeInclusive<u64> = 6000..=15_000;
/// Milliseconds that the network of a replica is cut.
pub(super) const LENGTH: std::ops::RangeInclusive<u64> = 1000..=6000;

/// Cuts the network of random replicas, one at a time, until `end`. Nothing is lost or closed: packets arrive later.
pub(super) async fn cut_until(
    end: Instant,
    networks: &[std::sync::Arc<PostgresProxy>],
    rng: &mut StdRng,
    (disturbances, count): (&Disturbances, &AtomicU64),
) {
    loop {
        let (pause, length) = (rng.random_range(PAUSE), rng.random_range(LENGTH));
        let (from, length) = (Instant::now() + Duration::from_millis(pause), Duration::from_millis(length));
        if networks.is_empty() || from + length >= end {
            return tokio::time::sleep_until(end).await;
        }
        tokio::time::sleep_until(from).await;
        let replica = rng.random_range(0..networks.len());
        disturbances.begin(Part::Network(replica));
        networks[replica].set_network_cut(true);
        tokio::time::sleep(length).await;
        networks[replica].set_network_cut(false);
        disturbances.end(Part::Network(replica));
        count.fetch_add(1, Ordering::Relaxed);
    }
}
