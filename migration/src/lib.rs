//! The schema of the registry, as migrations for Postgres and SQLite.
