//! The requests of towns and their users at the busiest time of a day.

use crate::measure::latencies::number;

const SECONDS_PER_DAY: f64 = 86_400.0;
/// The rate of the busiest hour, as a multiple of the mean.
const PEAK: f64 = 3.0;

/// The kinds of requests that a simulation plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Status,
    List,
    Heartbeat,
    /// An operation of a town: a create, start, stop or destroy.
    Operation,
}

impl Request {
    pub(crate) const ALL: [Self; 4] = [Self::Status, Self::List, Self::Heartbeat, Self::Operation];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Status => "getTownStatus",
            Self::List => "listTowns",
            Self::Heartbeat => "heartbeat",
            Self::Operation => "operation",
        }
    }

    /// Returns how often a town causes this request in a day.
    const fn per_day(self) -> f64 {
        match self {
            Self::Status => 100.0,
            Self::List => 20.0,
            // One a minute (docs/sandbox-api.yaml), while the town runs, 8 hours a day.
            Self::Heartbeat => 480.0,
            // A start and a stop.
            Self::Operation => 2.0,
        }
    }
}

/// The requests of one second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    towns: f64,
}

impl Traffic {
    /// Returns the traffic of this many towns in their busiest hour.
    pub(crate) fn at_peak(towns: usize) -> Self {
        Self { towns: number(towns) }
    }

    /// Returns the rate of one kind of request.
    pub(crate) fn of(self, request: Request) -> f64 {
        self.towns * request.per_day() * PEAK / SECONDS_PER_DAY
    }

    /// Returns the rate of all requests.
    pub(crate) fn per_second(self) -> f64 {
        Request::ALL.into_iter().map(|request| self.of(request)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_grow_with_the_towns() {
        let (few, many) = (Traffic::at_peak(1_000), Traffic::at_peak(10_000));
        for request in Request::ALL {
            assert!((many.of(request) / few.of(request) - 10.0).abs() < 1e-9, "{request:?}");
        }
        // 100 reads of 86,400 towns in a day are 100 in a second, and three times as many at the peak.
        assert!((Traffic::at_peak(86_400).of(Request::Status) - 300.0).abs() < 1e-9);
    }
}
