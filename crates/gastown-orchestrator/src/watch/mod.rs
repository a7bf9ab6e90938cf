//! Watching towns: one hub of a process reads each watched town once for each change, and each watcher tells what is new.
//!
//! Start reading at [`WatchHub`]. A watcher keeps a position only. The pure function `changes` of the domain says what has
//! changed since.

mod hub;
mod watcher;

pub use hub::WatchHub;
