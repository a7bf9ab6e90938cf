//! The start of a call's handler, decided once for its task and for its caller.

use std::sync::{Arc, OnceLock};

use super::error::CallError;
use crate::reason::Reason;

/// Decides whether a handler starts before its request times out.
///
/// The task of a mutation may still wait for its place when the time-out passes. The first decision is final, so a caller
/// with the answer that nothing was done can rely on it.
#[derive(Clone, Default)]
pub(super) struct Start(Arc<OnceLock<Decision>>);

#[derive(Debug, Clone, Copy)]
enum Decision {
    Started,
    TimedOut,
}

impl Start {
    /// Lets the handler start.
    ///
    /// Errors: `TIMEOUT` if the request has timed out. The handler must not run then.
    pub(super) fn proceed(&self) -> Result<(), CallError> {
        match self.decide(Decision::Started) {
            Decision::Started => Ok(()),
            Decision::TimedOut => Err(not_started()),
        }
    }

    /// Ends the time in which the handler may start.
    ///
    /// Errors: `TIMEOUT` if the handler has not started. It never will.
    pub(super) fn time_out(&self) -> Result<(), CallError> {
        match self.decide(Decision::TimedOut) {
            Decision::Started => Ok(()),
            Decision::TimedOut => Err(not_started()),
        }
    }

    fn decide(&self, decision: Decision) -> Decision {
        *self.0.get_or_init(|| decision)
    }
}

/// Returns the error of a call whose handler has not started in time.
pub(super) fn not_started() -> CallError {
    let message = "The request timed out before this call started; nothing was done and you may repeat it";
    Reason::NotStarted.error(message).with_detail("started", false.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_decision_is_final_for_both_sides() {
        let started = Start::default();
        assert_eq!((started.proceed(), started.clone().time_out()), (Ok(()), Ok(())));
        let late = Start::default();
        assert_eq!((late.time_out(), late.clone().proceed()), (Err(not_started()), Err(not_started())));
    }
}
