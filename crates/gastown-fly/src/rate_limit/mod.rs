//! Holds calls back to Fly's limits, so that Fly need not refuse: per action and machine or app, as Fly counts.

mod bucket;
mod limiter;
mod urgency;

pub(crate) use limiter::Pace;
pub use limiter::Queue;
pub(crate) use urgency::Urgency;
