//! Maps Fly's terms to the domain's, and back.

pub(crate) mod errors;
pub(crate) mod machine_config;
pub(crate) mod names;
pub(crate) mod sizes;
pub(crate) mod states;
