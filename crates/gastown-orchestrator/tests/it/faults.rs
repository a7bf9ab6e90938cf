//! The schedule of faults, and the death of a process.

use std::future::pending;
use std::time::Duration;

use gastown_domain::ports::{Action, BoxError, ProviderError, SandboxError, StoreError};
use tokio_util::sync::CancellationToken;

/// One process of the control plane: its calls hang for ever once it is dead.
#[derive(Clone, Default)]
pub(crate) struct Process(CancellationToken);

impl Process {
    pub(crate) async fn died(&self) {
        self.0.cancelled().await;
    }

    pub(crate) fn kill(&self) {
        self.0.cancel();
    }

    /// Goes on only while the process lives.
    pub(crate) async fn breathe(&self) {
        if self.0.is_cancelled() {
            pending::<()>().await;
        }
    }

    pub(crate) async fn die<T>(&self) -> T {
        self.kill();
        pending().await
    }
}

/// A call that can be struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Fly(Action),
    Health,
    Rigs,
    AddRig,
    RemoveRig,
    Sync,
    Store(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request never left.
    NotSent,
    /// Applied, and the answer is lost.
    ReplyLost,
    /// Applied a few seconds after the caller was told nothing.
    LateApplied,
    /// A 5xx, and nothing was done.
    ServerError,
    /// The call takes as long as it may, then works, whether or not the caller is still there.
    Slow,
    /// Slower than any call should be: a Fly call outlives a lease, a sandbox answers the next call before it is done with
    /// this one.
    LandsLate,
    Throttled,
    Refused,
    NoCapacity,
    HostFull,
    VolumeBound,
    NotNow,
    Misconfigured,
    /// A list comes back empty.
    StaleList,
    CrashBefore,
    CrashAfter,
}

impl Fault {
    /// Every one of which all recovers.
    pub(crate) const ALL: [Self; 15] = [
        Self::NotSent,
        Self::ReplyLost,
        Self::LateApplied,
        Self::ServerError,
        Self::Slow,
        Self::Throttled,
        Self::Refused,
        Self::NoCapacity,
        Self::HostFull,
        Self::VolumeBound,
        Self::NotNow,
        Self::Misconfigured,
        Self::StaleList,
        Self::CrashBefore,
        Self::CrashAfter,
    ];
}

/// Which calls are struck.
#[derive(Debug, Clone)]
struct Rule {
    only: Option<Call>,
    skip: usize,
    times: usize,
    fault: Fault,
}

/// Every call that was made, and what strikes those to come.
#[derive(Default)]
pub(crate) struct Schedule {
    pub(crate) journal: Vec<Call>,
    rules: Vec<Rule>,
}

impl Schedule {
    /// Strikes the `nth` call from now (0 is the next), of every kind.
    pub(crate) fn at(&mut self, nth: usize, fault: Fault) {
        self.rules.push(Rule { only: None, skip: nth, times: 1, fault });
    }

    /// Strikes the next `times` calls of this kind.
    pub(crate) fn next(&mut self, call: Call, times: usize, fault: Fault) {
        self.rules.push(Rule { only: Some(call), skip: 0, times, fault });
    }

    /// Strikes one call of this kind, after `skip` that go well.
    pub(crate) fn after(&mut self, call: Call, skip: usize, fault: Fault) {
        self.rules.push(Rule { only: Some(call), skip, times: 1, fault });
    }

    /// Strikes every call of this kind from now on.
    pub(crate) fn always(&mut self, call: Call, fault: Fault) {
        self.next(call, usize::MAX, fault);
    }

    /// Strikes every call of every kind.
    pub(crate) fn everything(&mut self, fault: Fault) {
        self.rules.push(Rule { only: None, skip: 0, times: usize::MAX, fault });
    }

    pub(crate) fn calm(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn count(&self, call: Call) -> usize {
        self.journal.iter().filter(|made| **made == call).count()
    }

    pub(crate) fn strike(&mut self, call: Call) -> Option<Fault> {
        self.journal.push(call);
        let mut struck = None;
        for rule in self.rules.iter_mut().filter(|rule| rule.only.is_none_or(|only| only == call)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if struck.is_none() && rule.times > 0 {
                rule.times -= 1;
                struck = Some(rule.fault);
            }
        }
        struck
    }
}

fn cause() -> BoxError {
    "by the test's schedule".into()
}

/// An error that a schedule can cause.
pub(crate) trait Struck: Sized {
    /// Nothing was done.
    fn by(fault: Fault, call: Call) -> Self;
}

impl Struck for ProviderError {
    fn by(fault: Fault, call: Call) -> Self {
        let Call::Fly(action) = call else { panic!("not a call to Fly: {call:?}") };
        let cause = cause();
        match fault {
            Fault::NotSent => Self::NotSent { action, cause },
            Fault::Throttled => Self::Throttled { action, retry_after: Some(Duration::from_secs(3)) },
            Fault::Refused => Self::Refused { action, cause },
            Fault::NoCapacity => Self::NoCapacity { action, cause },
            Fault::HostFull => Self::HostFull { action, cause },
            Fault::VolumeBound => Self::VolumeBound { action, cause },
            Fault::NotNow => Self::NotNow { action, cause },
            Fault::Misconfigured => Self::Misconfigured { action, cause },
            _ => Self::Unknown { action, cause },
        }
    }
}

impl Struck for SandboxError {
    fn by(fault: Fault, call: Call) -> Self {
        match fault {
            Fault::Refused if call == Call::AddRig => Self::Refused { reason: "the schedule says so".to_owned() },
            Fault::VolumeBound if call == Call::RemoveRig => {
                Self::InTheWay { in_the_way: vec!["a session".to_owned()] }
            }
            Fault::NotNow | Fault::Throttled => Self::Unhealthy,
            Fault::Misconfigured => Self::Unauthorized,
            Fault::NoCapacity | Fault::HostFull => Self::Wrong { cause: cause() },
            _ => Self::Unreachable { cause: cause() },
        }
    }
}

impl Struck for StoreError {
    fn by(_: Fault, _: Call) -> Self {
        Self::Unavailable { cause: cause() }
    }
}
