//! The fault schedule: which faults are injected into which calls, and the errors that callers get.

use std::time::Duration;

use gastown_domain::ports::{Action, BoxError, ProviderError, SandboxError, StoreError};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

pub(crate) use crate::calls::{Call, Query, listed};
pub(crate) use crate::process::Process;

listed! {
    /// A fault of one call. Faults that Fly causes are named by their HTTP status. The three implementations of
    /// `FromFault` below define the error of each fault on this side of the adapter.
    Fault {
        /// The request is never sent.
        NotSent,
        /// The call is applied, and the response is lost.
        ReplyLost,
        /// The call is applied a few seconds after the caller got an unknown result.
        AppliedLate,
        /// A create is applied almost a lease after it was sent. The caller gets an unknown result.
        AppliedMuchLater,
        /// A create succeeds, but reads do not return the new resource yet.
        NotYetVisible,
        /// 408 of a gateway that gave up. The call is applied behind it.
        Status408,
        /// 429 with `Retry-After`. The call is not applied.
        Throttled,
        /// 429 without `Retry-After`.
        Status429,
        /// 500 at once. The call is not applied.
        ServerError,
        /// 503 after a long time. The call is not applied.
        Status503,
        /// 422: a permanent refusal.
        Refused,
        /// 409, 422 or 403 with a text about capacity or quota: no capacity in the region.
        NoCapacity,
        /// 400, 403, 412 or 422 with a text about the region: it is not offered.
        RegionRefused,
        /// 412 or 409 with a text about capacity: no capacity on the host.
        HostFull,
        /// 412: a machine holds the volume. From a sandbox, 409: the rig is in use.
        VolumeBound,
        /// 412 or 409: the machine's state or another lease forbids the call.
        NotNow,
        /// 401 or 403: the credentials or the app are refused.
        Misconfigured,
        /// A list misses its newest entry.
        StaleList,
        /// A list is empty.
        EmptyList,
        /// The call takes as long as it may, then succeeds, even if the caller has disconnected.
        Slow,
        /// The call takes longer than allowed: a Fly call outlasts a lease, and a sandbox answers the next call before
        /// this one is done.
        OutlastsLease,
        /// The transaction conflicted with others too often. Nothing is written.
        Contended,
        /// The process dies before the call is made.
        CrashBefore,
        /// The process dies after the call is applied.
        CrashAfter,
        /// The process hangs for longer than its lease, then makes the call.
        HangBefore,
        /// The call is applied. The process hangs for longer than its lease, then continues with the response.
        HangAfter,
    }
}

impl Fault {
    pub(crate) const fn hangs(self) -> bool {
        matches!(self, Self::HangBefore | Self::HangAfter)
    }

    /// Returns the weight of this fault among random faults. Unknown results of creates and stale lists are more
    /// likely; crashes of other calls are less likely.
    const fn weight(self, call: Call) -> u32 {
        let creates = creates(call);
        match self {
            Self::StaleList | Self::EmptyList => 16,
            Self::ReplyLost | Self::AppliedLate | Self::Status408 => 6,
            Self::AppliedMuchLater | Self::NotYetVisible => 6,
            Self::CrashAfter | Self::Slow if creates => 6,
            Self::HangBefore if creates => 3,
            Self::CrashBefore | Self::CrashAfter | Self::HangBefore | Self::HangAfter => 1,
            _ => 2,
        }
    }

    /// Returns true if the system must recover from this fault of this call: what Fly, a sandbox or the database can
    /// do. `OutlastsLease` is excluded, because it breaks the assumption that Fly finishes a call soon after its
    /// timeout.
    pub(crate) const fn fits(self, call: Call) -> bool {
        match self {
            Self::NotSent | Self::ReplyLost => true,
            Self::CrashBefore | Self::CrashAfter | Self::HangBefore | Self::HangAfter => true,
            Self::AppliedLate => matches!(call, Call::Fly(_)),
            Self::AppliedMuchLater | Self::NotYetVisible => creates(call),
            Self::Status408 | Self::Throttled | Self::Status429 | Self::ServerError => call.is_remote(),
            Self::Status503 | Self::Slow | Self::Misconfigured => call.is_remote(),
            Self::Refused => matches!(call, Call::Fly(_) | Call::AddRig),
            Self::RegionRefused => creates(call),
            Self::NoCapacity | Self::HostFull => call.needs_capacity(),
            Self::VolumeBound => call.may_find_resource_in_use(),
            Self::NotNow => call.depends_on_machine_state(),
            Self::StaleList | Self::EmptyList => call.is_list(),
            Self::Contended => matches!(call, Call::Store(_)),
            Self::OutlastsLease => false,
        }
    }
}

const fn creates(call: Call) -> bool {
    matches!(call, Call::Fly(Action::CreateVolume | Action::CreateMachine))
}

/// Random faults.
struct RandomFaults {
    rng: StdRng,
    /// The share of calls that get a fault, in thousandths.
    permille: u32,
}

impl RandomFaults {
    fn draw(&mut self, call: Call) -> Option<Fault> {
        if self.rng.random_range(0..1000) >= self.permille {
            return None;
        }
        let fitting: Vec<_> = Fault::ALL.iter().copied().filter(|fault| fault.fits(call)).collect();
        fitting.choose_weighted(&mut self.rng, |fault| fault.weight(call)).ok().copied()
    }
}

/// A rule that injects a fault into some calls.
#[derive(Debug, Clone)]
struct Rule {
    target: Target,
    skip: usize,
    times: usize,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Any,
    /// Calls of this kind.
    Call(Call),
    /// Calls that the fault fits.
    Fitting,
}

impl Rule {
    fn matches(&self, call: Call) -> bool {
        match self.target {
            Target::Any => true,
            Target::Call(only) => only == call,
            Target::Fitting => self.fault.fits(call),
        }
    }
}

/// A fault that was injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InjectedFault {
    /// The index of the call in the journal.
    pub(crate) at: usize,
    pub(crate) call: Call,
    pub(crate) fault: Fault,
    pub(crate) when: Instant,
}

/// Every call that was made, and the faults for the calls to come.
#[derive(Default)]
pub(crate) struct Schedule {
    pub(crate) journal: Vec<Call>,
    /// The time of each call.
    pub(crate) times: Vec<Instant>,
    pub(crate) injected: Vec<InjectedFault>,
    rules: Vec<Rule>,
    random: Option<RandomFaults>,
}

impl Schedule {
    /// Injects the fault into the `nth` call from now (0 is the next) of any kind. Takes precedence over other rules.
    pub(crate) fn at(&mut self, nth: usize, fault: Fault) {
        self.rules.insert(0, Rule { target: Target::Any, skip: nth, times: 1, fault });
    }

    /// Injects the fault into the next `times` calls of this kind.
    pub(crate) fn next(&mut self, call: Call, times: usize, fault: Fault) {
        self.rules.push(Rule { target: Target::Call(call), skip: 0, times, fault });
    }

    /// Injects the fault into one call of this kind, after `skip` calls without it.
    pub(crate) fn after(&mut self, call: Call, skip: usize, fault: Fault) {
        self.rules.push(Rule { target: Target::Call(call), skip, times: 1, fault });
    }

    /// Injects the fault into every call of this kind from now on.
    pub(crate) fn always(&mut self, call: Call, fault: Fault) {
        self.next(call, usize::MAX, fault);
    }

    /// Injects the fault into `times` calls that it fits, after `skip` such calls without it.
    pub(crate) fn fitting(&mut self, skip: usize, times: usize, fault: Fault) {
        self.rules.push(Rule { target: Target::Fitting, skip, times, fault });
    }

    /// Injects a random fitting fault into the given share of calls from now on.
    pub(crate) fn inject_randomly(&mut self, permille: u32, seed: u64) {
        self.random = Some(RandomFaults { rng: StdRng::seed_from_u64(seed), permille });
    }

    /// Injects the fault into every call of every kind.
    pub(crate) fn every_call(&mut self, fault: Fault) {
        self.rules.push(Rule { target: Target::Any, skip: 0, times: usize::MAX, fault });
    }

    /// Clears the journal, so that it begins here.
    pub(crate) fn clear_journal(&mut self) {
        self.journal.clear();
        self.times.clear();
        self.injected.clear();
    }

    pub(crate) fn stop_faults(&mut self) {
        self.rules.clear();
        self.random = None;
    }

    pub(crate) fn count(&self, call: Call) -> usize {
        self.journal.iter().filter(|made| **made == call).count()
    }

    pub(crate) fn inject(&mut self, call: Call) -> Option<Fault> {
        let (at, when) = (self.journal.len(), Instant::now());
        self.journal.push(call);
        self.times.push(when);
        let mut injected = None;
        for rule in self.rules.iter_mut().filter(|rule| rule.matches(call)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if injected.is_none() && rule.times > 0 {
                rule.times -= 1;
                injected = Some(rule.fault);
            }
        }
        let injected = injected.or_else(|| self.random.as_mut()?.draw(call));
        self.injected.extend(injected.map(|fault| InjectedFault { at, call, fault, when }));
        injected
    }
}

fn cause() -> BoxError {
    "injected by the test".into()
}

/// An error that a fault causes, as the adapter would map it.
pub(crate) trait FromFault: Sized {
    /// Returns the error that the caller gets.
    fn from_fault(fault: Fault, call: Call) -> Self;
}

impl FromFault for ProviderError {
    fn from_fault(fault: Fault, call: Call) -> Self {
        let Call::Fly(action) = call else { panic!("not a call to Fly: {call:?}") };
        let cause = cause();
        match fault {
            Fault::NotSent => Self::NotSent { action, cause },
            Fault::Throttled => Self::Throttled { action, retry_after: Some(Duration::from_secs(3)) },
            Fault::Status429 => Self::Throttled { action, retry_after: None },
            Fault::Refused => Self::Refused { action, cause },
            Fault::NoCapacity => Self::NoCapacity { action, cause },
            Fault::RegionRefused => Self::RegionRefused { action, cause },
            Fault::HostFull => Self::HostFull { action, cause },
            Fault::VolumeBound => Self::VolumeBound { action, cause },
            Fault::NotNow => Self::NotNow { action, cause },
            Fault::Misconfigured => Self::Misconfigured { action, cause },
            // 408, 500, 503 and a timeout are the same: the caller cannot know whether the call was applied.
            _ => Self::Unknown { action, cause },
        }
    }
}

impl FromFault for SandboxError {
    fn from_fault(fault: Fault, call: Call) -> Self {
        match fault {
            Fault::Refused if call == Call::AddRig => Self::Refused { reason: "injected by the test".to_owned() },
            Fault::VolumeBound if call == Call::RemoveRig => {
                Self::InTheWay { in_the_way: vec!["a session".to_owned()] }
            }
            // 500 comes from the sandbox itself.
            Fault::ServerError | Fault::NotNow | Fault::Throttled => {
                Self::Unhealthy { reason: gastown_domain::HealthReason::NotReady }
            }
            Fault::Misconfigured => Self::Unauthorized,
            Fault::NoCapacity | Fault::HostFull => Self::Wrong { cause: cause() },
            // 408, 429 and 503 come from a proxy.
            _ => Self::Unreachable { cause: cause() },
        }
    }
}

impl FromFault for StoreError {
    fn from_fault(fault: Fault, _: Call) -> Self {
        match fault {
            Fault::Contended => Self::Contention { transaction: "injected by the test", cause: cause() },
            _ => Self::Unavailable { cause: cause() },
        }
    }
}
