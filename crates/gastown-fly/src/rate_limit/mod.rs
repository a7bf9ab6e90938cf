//! Queues calls for Fly's rate limits, so that Fly does not refuse them.
//!
//! Fly counts by action and by machine or app, and so do the queues here. In each queue, users take turns, and a user's
//! calls are first in, first out. Background calls go after all foreground calls. Queues are bounded in length and in time,
//! and a caller that stops waiting leaves at once.

mod bucket;
mod limiter;
mod priority;
mod queue_stats;
mod rates;
mod setting;
mod turns;

pub(crate) use limiter::RateLimiter;
pub(crate) use priority::Priority;
pub use queue_stats::QueueStats;
pub use rates::{Rate, RateLimiting, Rates};
pub use setting::InvalidRateLimits;
pub(crate) use turns::Turn;
