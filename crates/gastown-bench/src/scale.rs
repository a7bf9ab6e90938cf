//! `bench scale`: a simulation of many towns with the costs that `reads` and `lifecycle` measured.
//!
//! It runs no server. For each number of towns it sizes replicas and databases, and plays requests through their queues.

use crate::measure::random::Random;
use crate::options::Options;
use crate::progress::say;
use crate::report::{self, Figure, Unit};

mod costs;
mod fleet;
mod queues;
mod traffic;

use costs::Costs;
use fleet::Fleet;
use traffic::{Request, Traffic};

const TOWNS: [usize; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
const QUICK_TOWNS: [usize; 2] = [10_000, 100_000];
/// Requests that are simulated for each number of towns.
const REQUESTS: usize = 2_000_000;
const QUICK_REQUESTS: usize = 50_000;

/// Simulates each number of towns, and returns sizes and latencies.
pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let costs = Costs::measured(&report::folder())?;
    let (towns, requests): (&[usize], _) =
        if options.quick { (&QUICK_TOWNS, QUICK_REQUESTS) } else { (&TOWNS, REQUESTS) };
    let simulated = towns.iter().flat_map(|towns| {
        say(format!("simulating {towns} towns"));
        figures(*towns, &costs, requests)
    });
    Ok(simulated.collect())
}

fn figures(towns: usize, costs: &Costs, requests: usize) -> Vec<Figure> {
    let traffic = Traffic::at_peak(towns);
    let fleet = Fleet::for_load(costs.load_of(traffic));
    let played = queues::play(fleet, traffic, costs, requests, &mut Random::seeded(1));
    let figure =
        |name: &str, unit, value| Figure { name: format!("{towns} towns: {name}"), unit, value, reference: None };
    let load = costs.load_of(traffic);
    let mut figures = vec![
        figure("requests at peak", Unit::PerSecond, traffic.per_second()),
        figure("busy server cores", Unit::Count, load.server_cores),
        figure("busy Postgres cores", Unit::Count, load.postgres_cores),
        figure("replicas of 2 cores", Unit::Count, f64::from(fleet.replicas)),
        figure("databases of 16 cores", Unit::Count, f64::from(fleet.databases)),
    ];
    for request in Request::ALL {
        let latencies = played.of(request);
        for percent in [50, 99] {
            let name = format!("{} p{percent}", request.name());
            figures.push(figure(&name, Unit::Milliseconds, latencies.percentile_ms(percent)));
        }
    }
    figures
}
