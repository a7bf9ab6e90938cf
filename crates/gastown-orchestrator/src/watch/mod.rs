//! Watching towns: one hub of a process reads what is watched once for each change, and each watcher tells what is new.
//!
//! Start reading at [`WatchHub`]. Pure functions of the domain, `changes` and `list_changes`, say what has changed.

mod hub;
mod list_watcher;
mod news;
mod topics;
mod town_watcher;
mod watching;

pub use hub::WatchHub;
