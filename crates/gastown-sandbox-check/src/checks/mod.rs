//! The checks, by topic.

pub(crate) mod boot;
pub(crate) mod health;
pub(crate) mod home;
pub(crate) mod keys;
pub(crate) mod removal;
pub(crate) mod rigs;
pub(crate) mod sync;
