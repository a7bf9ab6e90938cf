//! The places for connections: in all, per address, and a few for probes.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use gastown_domain::ports::{Measurement, Metrics};
use tokio_util::sync::CancellationToken;

use super::limits::ConnectionLimits;
use crate::refusals::Refusals;

/// The connections that are taken beyond the limit, for probes. A newer one replaces the oldest.
pub(super) const PROBE_CONNECTIONS: usize = 16;

/// The places of one server. The lock is never held across an await.
pub(super) struct Slots {
    limits: Arc<ConnectionLimits>,
    metrics: Arc<dyn Metrics>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
    for_probes: VecDeque<CancellationToken>,
    refusals: Refusals,
}

/// The place of a new connection.
pub(super) enum Place {
    /// A place for any request.
    Any(Slot),
    /// A place for one probe, beyond the limit. The token is cancelled when a newer connection takes the place.
    Probe(CancellationToken),
    /// No place: too many connections of this address.
    Refused,
}

impl Slots {
    pub(super) fn new(limits: Arc<ConnectionLimits>, metrics: Arc<dyn Metrics>) -> Arc<Self> {
        Arc::new(Self { limits, metrics, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Place {
        let network = network(address);
        let mut state = self.state();
        if state.by_address.get(&network).is_some_and(|count| *count >= self.limits.max_per_address) {
            self.metrics.record(Measurement::ConnectionRefused);
            state.log_refusal();
            return Place::Refused;
        }
        if state.total >= self.limits.max_connections {
            self.metrics.record(Measurement::ConnectionRefused);
            state.log_refusal();
            return Place::Probe(state.place_for_probe());
        }
        state.total += 1;
        *state.by_address.entry(network).or_default() += 1;
        // Under the lock, so that the last number is that of the last change.
        self.metrics.record(Measurement::ConnectionsOpen(state.total));
        Place::Any(Slot { slots: Arc::clone(self), network })
    }
}

impl State {
    fn place_for_probe(&mut self) -> CancellationToken {
        self.for_probes.retain(|token| !token.is_cancelled());
        if self.for_probes.len() >= PROBE_CONNECTIONS
            && let Some(oldest) = self.for_probes.pop_front()
        {
            oldest.cancel();
        }
        let token = CancellationToken::new();
        self.for_probes.push_back(token.clone());
        token
    }

    fn log_refusal(&mut self) {
        if let Some(refused) = self.refusals.count() {
            tracing::warn!(refused, open = self.total, "connections refused");
        }
    }
}

/// Returns the address that is counted: the network of 64 bits of an IPv6 address, because one client has all of it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(prefix.into())
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// The place of a connection, until it is dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    network: IpAddr,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        state.total -= 1;
        self.slots.metrics.record(Measurement::ConnectionsOpen(state.total));
        if let Some(count) = state.by_address.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gastown_domain::ports::NoMetrics;

    use super::*;

    fn slots(max_connections: usize, max_per_address: usize) -> Arc<Slots> {
        let long = Duration::from_secs(60);
        Slots::new(
            Arc::new(ConnectionLimits {
                max_connections,
                max_per_address,
                head_timeout: long,
                idle_timeout: long,
                write_timeout: long,
                stream_timeout: long,
            }),
            Arc::new(NoMetrics),
        )
    }

    fn is_any(place: &Place) -> bool {
        matches!(place, Place::Any(_))
    }

    #[test]
    fn places_are_counted_per_address_and_released() {
        let slots = slots(10, 2);
        let alone: IpAddr = "192.0.2.1".parse().unwrap();
        let first = slots.take(alone);
        let second = slots.take("::ffff:192.0.2.1".parse().unwrap());
        assert!(is_any(&first) && is_any(&second));
        assert!(matches!(slots.take(alone), Place::Refused));
        assert!(is_any(&slots.take("192.0.2.2".parse().unwrap())));
        drop(first);
        assert!(is_any(&slots.take(alone)));
        drop(second);
        assert!(slots.state().by_address.is_empty(), "the addresses of ended connections are forgotten");
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let slots = slots(10, 1);
        let _first = slots.take("2001:db8::1".parse().unwrap());
        assert!(matches!(slots.take("2001:db8::ffff:2".parse().unwrap()), Place::Refused));
        assert!(is_any(&slots.take("2001:db8:0:1::1".parse().unwrap())));
    }

    #[test]
    fn newer_connection_replaces_the_oldest_for_probes() {
        let slots = slots(0, 10);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let mut taken = (0..=PROBE_CONNECTIONS).map(|_| match slots.take(address) {
            Place::Probe(token) => token,
            Place::Any(_) | Place::Refused => panic!("the limit is 0"),
        });
        let oldest = taken.next().unwrap();
        assert!(taken.all(|token| !token.is_cancelled()));
        assert!(oldest.is_cancelled());
    }
}
