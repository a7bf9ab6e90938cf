//! Seals what must not be readable in a machine's configuration and derives the per-town keys.
