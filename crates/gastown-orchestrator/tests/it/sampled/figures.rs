//! The figures of the runs, which show whether enough faults and events occurred.

use std::collections::BTreeMap;

use gastown_domain::{ResourceId, TownId};

use crate::bench::Bench;
use crate::faults::Fault;
use crate::names::{machine_name, volume_name};
use crate::runner::grouped;

/// The figures of one run, or of many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) runs: usize,
    /// Accepted operations.
    operations: usize,
    /// Creates that were refused because their key belongs to another request.
    pub(super) keys_refused: usize,
    /// Rollouts that were started, and restarts that they requested.
    rollouts: usize,
    touched: usize,
    /// Processes that died in a step or by a fault.
    pub(super) deaths: usize,
    pub(super) restarts: usize,
    pub(super) hangs: usize,
    faults: BTreeMap<Fault, usize>,
    pub(super) events: BTreeMap<&'static str, usize>,
    /// Empty second volumes that were reported and left for an operator to delete.
    pub(super) left_to_operators: usize,
    /// Resources of accepted towns that the orphan sweeper had to delete.
    pub(super) left_to_sweeper: usize,
    /// The number of sweeps until everything was quiet, in the longest run.
    pub(super) sweeps: usize,
}

impl Figures {
    pub(super) fn one() -> Self {
        Self { runs: 1, ..Self::default() }
    }

    /// Adds the figures of the bench.
    pub(super) fn count(&mut self, bench: &Bench) {
        self.operations = bench.store.rows().accepted.len();
        self.left_to_sweeper = left_to_sweeper(bench).len();
        for injected in bench.all_injected_faults() {
            *self.faults.entry(injected.fault).or_default() += 1;
        }
    }

    /// Adds the figures of the rollouts.
    pub(super) fn rollouts(&mut self, bench: &Bench) {
        let rows = bench.store.rows();
        (self.rollouts, self.touched) = (rows.rollouts.all.len(), rows.rollouts.restarts.len());
    }

    /// Returns true if rollouts have touched towns.
    pub(super) const fn has_touched(&self) -> bool {
        self.touched > 0
    }

    pub(super) fn merge(mut self, other: Self) -> Self {
        self.runs += other.runs;
        self.operations += other.operations;
        self.keys_refused += other.keys_refused;
        self.rollouts += other.rollouts;
        self.touched += other.touched;
        self.deaths += other.deaths;
        self.restarts += other.restarts;
        self.hangs += other.hangs;
        for (fault, times) in other.faults {
            *self.faults.entry(fault).or_default() += times;
        }
        for (event, times) in other.events {
            *self.events.entry(event).or_default() += times;
        }
        self.left_to_operators += other.left_to_operators;
        self.left_to_sweeper += other.left_to_sweeper;
        self.sweeps = self.sweeps.max(other.sweeps);
        self
    }

    /// Returns the faults that fit a call and were never injected. Many runs must leave none.
    pub(super) fn never_injected(&self) -> Vec<Fault> {
        let fits = |fault: &Fault| crate::faults::Call::all().any(|call| fault.fits(call));
        Fault::ALL.iter().copied().filter(fits).filter(|fault| !self.faults.contains_key(fault)).collect()
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let faults: Vec<_> =
            self.faults.iter().map(|(fault, times)| format!("{fault:?} {}", grouped(*times))).collect();
        let events: Vec<_> = self.events.iter().map(|(event, times)| format!("{event} {}", grouped(*times))).collect();
        write!(
            f,
            "{} seeds: {} operations accepted; {} keys of other requests refused; {} rollouts touched {} towns; {} processes died, {} restarted, \
             {} hung; {} faults injected: {}; external events: {}; {} machines and volumes left to the orphan sweeper, \
             {} empty second volumes reported to operators; all quiet after at most {} sweeps",
            grouped(self.runs),
            grouped(self.operations),
            grouped(self.keys_refused),
            grouped(self.rollouts),
            grouped(self.touched),
            grouped(self.deaths),
            grouped(self.restarts),
            grouped(self.hangs),
            grouped(self.faults.values().sum()),
            faults.join(", "),
            events.join(", "),
            self.left_to_sweeper,
            self.left_to_operators,
            self.sweeps,
        )
    }
}

/// Returns the deleted resources with their towns, except those that an external event added.
pub(super) fn left_to_sweeper(bench: &Bench) -> BTreeMap<ResourceId, TownId> {
    let (rows, world) = (bench.store.rows(), bench.fly.world());
    let of = |name: &str| {
        let mut towns = rows.towns.keys().copied();
        towns.find(|town| name == machine_name(*town) || name == volume_name(*town))
    };
    let owner = |thing: &ResourceId| match thing {
        ResourceId::Machine(id) => of(&world.machines.iter().find(|machine| machine.id == *id)?.name),
        ResourceId::Volume(id) => of(&world.volumes.iter().find(|volume| volume.id == *id)?.name),
    };
    let deleted = rows.records.deletions.iter().map(|(thing, _)| thing);
    deleted.filter_map(|thing| Some((thing.clone(), owner(thing)?))).collect()
}
