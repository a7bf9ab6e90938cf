//! Throw-away databases for tests: a Postgres cluster of its own from installed binaries, and SQLite files.
