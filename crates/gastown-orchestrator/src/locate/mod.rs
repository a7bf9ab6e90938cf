//! Locating a town's machine and volume: by recorded id, then by name, then by holder. Shared by the reconciler, the drift
//! checks and the orphan sweeper, so that all of them apply the same tie rule.

pub(crate) mod machine;
pub(crate) mod volume;
