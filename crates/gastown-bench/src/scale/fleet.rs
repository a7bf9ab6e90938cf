//! The replicas and databases for a load.

use super::costs::Load;

/// The cores of one replica.
pub(crate) const REPLICA_CORES: u32 = 2;
/// The cores of one database.
pub(crate) const DATABASE_CORES: u32 = 16;
/// The share of the cores that may be busy at the peak. Above it, waiting grows fast.
const MAX_BUSY: f64 = 0.6;
/// The least number of replicas, so that one may fail.
const MIN_REPLICAS: u32 = 2;

/// The machines of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fleet {
    pub(crate) replicas: u32,
    /// Databases among which users are partitioned. One is the design of today.
    pub(crate) databases: u32,
}

impl Fleet {
    /// Returns the smallest fleet whose cores are busy for at most 60 %.
    pub(crate) fn for_load(load: Load) -> Self {
        Self {
            replicas: units(load.server_cores, REPLICA_CORES).max(MIN_REPLICAS),
            databases: units(load.postgres_cores, DATABASE_CORES),
        }
    }
}

/// Returns how many machines keep this many cores free enough, at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far below 2^32, and never negative")]
fn units(busy_cores: f64, cores: u32) -> u32 {
    (busy_cores / (f64::from(cores) * MAX_BUSY)).ceil().max(1.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fleet_keeps_two_fifths_of_its_cores_free() {
        for (server_cores, postgres_cores, replicas, databases) in
            [(0.1, 0.1, 2, 1), (2.4, 9.6, 2, 1), (2.5, 9.7, 3, 2), (120.0, 96.0, 100, 10)]
        {
            let fleet = Fleet::for_load(Load { server_cores, postgres_cores });
            assert_eq!(fleet, Fleet { replicas, databases }, "{server_cores} {postgres_cores}");
        }
    }
}
