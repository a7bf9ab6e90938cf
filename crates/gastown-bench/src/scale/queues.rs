//! Requests in the queues of replicas and databases, played event by event.
//!
//! Arrivals are random (Poisson). Each visit takes a random time (exponential) with the measured mean, so that the result
//! errs to the slow side. Cores of one machine share one queue.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::costs::Costs;
use super::fleet::{DATABASE_CORES, Fleet, REPLICA_CORES};
use super::traffic::{Request, Traffic};
use crate::measure::latencies::Latencies;
use crate::measure::random::Random;

/// The time of a provider call, between two visits of an operation.
const PROVIDER_NANOS: u64 = 100_000_000;

/// The latencies of a simulation.
pub(crate) struct Played([Latencies; 4]);

impl Played {
    pub(crate) const fn of(&self, request: Request) -> &Latencies {
        &self.0[request as usize]
    }
}

/// A request on its way, ordered by the time of its next visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: u64,
    job: usize,
}

struct Job {
    request: Request,
    arrived: u64,
    /// Visits that are left. Even: a replica is next. Odd: a database.
    visits: u32,
    replica: usize,
    database: usize,
}

/// Plays this many requests, and returns their latencies.
pub(crate) fn play(fleet: Fleet, traffic: Traffic, costs: &Costs, requests: usize, random: &mut Random) -> Played {
    let mut replicas = vec![Cores::new(REPLICA_CORES); fleet.replicas as usize];
    let mut databases = vec![Cores::new(DATABASE_CORES); fleet.databases as usize];
    let mut jobs = arrivals(fleet, traffic, requests, random);
    let mut events: BinaryHeap<_> =
        jobs.iter().enumerate().map(|(job, Job { arrived: at, .. })| Reverse(Event { at: *at, job })).collect();
    let mut latencies = [const { Vec::new() }; 4];
    while let Some(Reverse(Event { at, job: number })) = events.pop() {
        let job = &mut jobs[number];
        if job.visits == 0 {
            latencies[job.request as usize].push(Duration::from_nanos(at - job.arrived));
            continue;
        }
        let (cost, rounds) = (costs.of(job.request), f64::from(rounds(job.request)));
        let (cores, mean_ms) = if job.visits.is_multiple_of(2) {
            (&mut replicas[job.replica], cost.server_ms)
        } else {
            (&mut databases[job.database], cost.postgres_ms)
        };
        job.visits -= 1;
        let mut next = cores.serve(at, random.exponential_nanos(mean_ms / rounds * 1e6));
        // An operation calls the provider after each of its transactions but the last.
        if job.visits > 0 && job.visits.is_multiple_of(2) {
            next += PROVIDER_NANOS;
        }
        events.push(Reverse(Event { at: next, job: number }));
    }
    Played(latencies.map(Latencies::new))
}

/// Returns how often a request visits a replica and then a database.
const fn rounds(request: Request) -> u32 {
    match request {
        Request::Status | Request::List | Request::Heartbeat => 1,
        // The transactions of a create (`costs.rs` in the tests of the server).
        Request::Operation => 4,
    }
}

fn arrivals(fleet: Fleet, traffic: Traffic, requests: usize, random: &mut Random) -> Vec<Job> {
    let mean_nanos = 1e9 / traffic.per_second();
    let mut now = 0;
    let job = |_| {
        now += random.exponential_nanos(mean_nanos);
        let request = drawn(traffic, random);
        Job {
            request,
            arrived: now,
            visits: 2 * rounds(request),
            replica: random.below(fleet.replicas as usize),
            database: random.below(fleet.databases as usize),
        }
    };
    (0..requests).map(job).collect()
}

/// Draws a kind of request by its share of the traffic.
fn drawn(traffic: Traffic, random: &mut Random) -> Request {
    let mut point = random.unit() * traffic.per_second();
    let found = Request::ALL.into_iter().find(|request| {
        point -= traffic.of(*request);
        point < 0.0
    });
    found.unwrap_or(Request::Operation)
}

/// The cores of one machine: the time at which each is free again.
#[derive(Debug, Clone)]
struct Cores(BinaryHeap<Reverse<u64>>);

impl Cores {
    fn new(count: u32) -> Self {
        Self((0..count).map(|_| Reverse(0)).collect())
    }

    /// Serves a visit on the first free core, and returns the time of its end.
    fn serve(&mut self, at: u64, nanos: u64) -> u64 {
        let Reverse(free) = self.0.pop().unwrap_or(Reverse(0));
        let end = free.max(at) + nanos;
        self.0.push(Reverse(end));
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::costs::tests::sample;

    #[test]
    fn visits_wait_for_the_first_free_core() {
        let mut cores = Cores::new(2);
        let ends = [(0, 10), (0, 4), (1, 5), (20, 1)].map(|(at, nanos)| cores.serve(at, nanos));
        assert_eq!(ends, [10, 4, 9, 21]);
    }

    #[test]
    fn latency_is_the_service_time_on_an_idle_fleet_and_grows_with_the_load() {
        let costs = sample();
        let p50 = |towns| {
            let traffic = Traffic::at_peak(towns);
            let fleet = Fleet { replicas: 1, databases: 1 };
            let played = play(fleet, traffic, &costs, 20_000, &mut Random::seeded(1));
            [Request::Status, Request::Operation].map(|request| played.of(request).percentile_ms(50))
        };
        let [status, operation] = p50(100);
        // Two exponential visits of 0.2 and 0.1 ms have a median of about 0.25 ms.
        assert!((0.22..0.28).contains(&status), "{status}");
        // Four transactions with three provider calls between them.
        assert!((300.0..310.0).contains(&operation), "{operation}");
        // 400,000 towns need 1.7 cores of the two.
        let [loaded, _] = p50(400_000);
        assert!(loaded > 2.0 * status, "{loaded}");
    }
}
