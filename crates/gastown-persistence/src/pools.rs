//! The figures of the pools of connections, for operators.

use sea_orm::DbBackend;

use crate::Database;

/// The connections of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// The name of the pool: `reads`, or `others` for everything else.
    pub name: &'static str,
    /// The connections in use.
    pub in_use: usize,
    /// The open connections that nothing uses.
    pub idle: usize,
    /// The most connections that it opens.
    pub max: usize,
}

impl Database {
    /// Returns the figures of the pools at present. Makes no call. The pool of reads of SQLite is not counted.
    pub fn pools(&self) -> Vec<Pool> {
        let (open, idle) = match self.connection.get_database_backend() {
            #[cfg(feature = "sqlite")]
            DbBackend::Sqlite => {
                let pool = self.connection.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
            _ => {
                let pool = self.connection.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
        };
        let count = |connections| usize::try_from(connections).unwrap_or(usize::MAX);
        let in_use = count(open).saturating_sub(idle);
        let others = Pool { name: "others", in_use, idle, max: count(self.max_connections) };
        [Some(others), self.reads.figures()].into_iter().flatten().collect()
    }
}
