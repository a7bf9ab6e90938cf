//! The domain's ports on Fly, one file each.

mod apps;
mod inventory;
mod machines;
mod volumes;
