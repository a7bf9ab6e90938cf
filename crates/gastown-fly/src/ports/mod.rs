//! The domain's ports on Fly.

mod apps;
mod inventory;
mod machines;
mod volumes;
