//! What is remembered: the registry of towns and rigs, operations and events, on Postgres and SQLite.
