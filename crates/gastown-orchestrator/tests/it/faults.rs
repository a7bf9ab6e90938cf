//! The schedule of faults: what strikes which call, and what that means to whoever made it.

use std::time::Duration;

use gastown_domain::ports::{Action, BoxError, ProviderError, SandboxError, StoreError};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

pub(crate) use crate::calls::{Call, Query, listed};
pub(crate) use crate::process::Process;

listed! {
    /// What can befall a call. Those that Fly causes are named with their statuses; what each becomes on this side of the
    /// adapter is said once, in the three `impl Struck` below.
    Fault {
        /// The request never left.
        NotSent,
        /// Applied, and the answer is lost.
        ReplyLost,
        /// Applied a few seconds after the caller was told nothing.
        AppliedLate,
        /// A create of which the caller was told nothing is carried out almost a lease after it was asked for.
        AppliedMuchLater,
        /// A create was carried out and answered, and Fly does not show yet what it made.
        NotYetVisible,
        /// 408 of a gateway: it gave up, and behind it the call was carried out.
        Status408,
        /// 429 with `Retry-After`, and nothing was done.
        Throttled,
        /// 429 that does not say for how long.
        Status429,
        /// 500 at once, and nothing was done.
        ServerError,
        /// 503 after a long time, and nothing was done.
        Status503,
        /// 422: refused for good.
        Refused,
        /// 409, 422 or 403 in the words of capacity or quota: no room in the region.
        NoCapacity,
        /// 412 or 409 in the words of capacity: no room on the host.
        HostFull,
        /// 412: a machine holds the volume; of a sandbox, 409: somebody works in the rig.
        VolumeBound,
        /// 412 or 409: the machine's state or somebody's lease forbids it.
        NotNow,
        /// 401 or 403: our credentials, our app.
        Misconfigured,
        /// A list misses its newest entry.
        StaleList,
        /// A list comes back empty.
        EmptyList,
        /// The call takes as long as it may, then works, whether or not the caller is still there.
        Slow,
        /// Slower than any call should be: a Fly call outlives a lease, a sandbox answers the next call before it is done
        /// with this one.
        OutlastsLease,
        /// The transaction was retried too often against others, and nothing was done.
        Contended,
        /// The process dies before the call is made.
        CrashBefore,
        /// The process dies when the call has been carried out.
        CrashAfter,
        /// The process hangs for longer than its lease, then makes the call as if nothing had been.
        HangBefore,
        /// The call is carried out; the process hangs for longer than its lease, then goes on with the answer.
        HangAfter,
    }
}

impl Fault {
    pub(crate) const fn hangs(self) -> bool {
        matches!(self, Self::HangBefore | Self::HangAfter)
    }

    /// How likely it is where faults come by chance: where something is made, what leaves it unknown; in lists, what is
    /// not shown; elsewhere, what ends a process least.
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

    /// Whether all must recover when it befalls this call: what Fly, a sandbox or the database can do, and no more than
    /// that. `LandsLate` breaks what is assumed of Fly: that it is done with a call soon after its time is up.
    pub(crate) const fn fits(self, call: Call) -> bool {
        match self {
            Self::NotSent | Self::ReplyLost => true,
            Self::CrashBefore | Self::CrashAfter | Self::HangBefore | Self::HangAfter => true,
            Self::AppliedLate => matches!(call, Call::Fly(_)),
            Self::AppliedMuchLater | Self::NotYetVisible => creates(call),
            Self::Status408 | Self::Throttled | Self::Status429 | Self::ServerError => call.is_remote(),
            Self::Status503 | Self::Slow | Self::Misconfigured => call.is_remote(),
            Self::Refused => matches!(call, Call::Fly(_) | Call::AddRig),
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

/// Faults by chance.
struct RandomFaults {
    rng: StdRng,
    /// Of so many in a thousand calls.
    permille: u32,
}

impl RandomFaults {
    fn inject(&mut self, call: Call) -> Option<Fault> {
        if self.rng.random_range(0..1000) >= self.permille {
            return None;
        }
        let fitting: Vec<_> = Fault::ALL.iter().copied().filter(|fault| fault.fits(call)).collect();
        fitting.choose_weighted(&mut self.rng, |fault| fault.weight(call)).ok().copied()
    }
}

/// Which calls are struck.
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
    /// Of this kind.
    Call(Call),
    /// What the fault can befall.
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

/// A call that was struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InjectedFault {
    /// Its place in the journal.
    pub(crate) at: usize,
    pub(crate) call: Call,
    pub(crate) fault: Fault,
    pub(crate) when: Instant,
}

/// Every call that was made, and what strikes those to come.
#[derive(Default)]
pub(crate) struct Schedule {
    pub(crate) journal: Vec<Call>,
    /// When each of them was made.
    pub(crate) times: Vec<Instant>,
    pub(crate) injected: Vec<InjectedFault>,
    rules: Vec<Rule>,
    random: Option<RandomFaults>,
}

impl Schedule {
    /// Strikes the `nth` call from now (0 is the next), of every kind, whatever else would.
    pub(crate) fn at(&mut self, nth: usize, fault: Fault) {
        self.rules.insert(0, Rule { target: Target::Any, skip: nth, times: 1, fault });
    }

    /// Strikes the next `times` calls of this kind.
    pub(crate) fn next(&mut self, call: Call, times: usize, fault: Fault) {
        self.rules.push(Rule { target: Target::Call(call), skip: 0, times, fault });
    }

    /// Strikes one call of this kind, after `skip` that go well.
    pub(crate) fn after(&mut self, call: Call, skip: usize, fault: Fault) {
        self.rules.push(Rule { target: Target::Call(call), skip, times: 1, fault });
    }

    /// Strikes every call of this kind from now on.
    pub(crate) fn always(&mut self, call: Call, fault: Fault) {
        self.next(call, usize::MAX, fault);
    }

    /// Strikes `times` of the calls that the fault can befall, after `skip` of them that go well.
    pub(crate) fn fitting(&mut self, skip: usize, times: usize, fault: Fault) {
        self.rules.push(Rule { target: Target::Fitting, skip, times, fault });
    }

    /// From now on strikes so many in a thousand calls with whatever fits.
    pub(crate) fn inject_randomly(&mut self, permille: u32, seed: u64) {
        self.random = Some(RandomFaults { rng: StdRng::seed_from_u64(seed), permille });
    }

    /// Strikes every call of every kind.
    pub(crate) fn every_call(&mut self, fault: Fault) {
        self.rules.push(Rule { target: Target::Any, skip: 0, times: usize::MAX, fault });
    }

    /// The journal begins here.
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
        let injected = injected.or_else(|| self.random.as_mut()?.inject(call));
        self.injected.extend(injected.map(|fault| InjectedFault { at, call, fault, when }));
        injected
    }
}

fn cause() -> BoxError {
    "by the test's schedule".into()
}

/// An error that a schedule can cause: what the adapter makes of the fault.
pub(crate) trait FromFault: Sized {
    /// What the caller is told.
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
            Fault::HostFull => Self::HostFull { action, cause },
            Fault::VolumeBound => Self::VolumeBound { action, cause },
            Fault::NotNow => Self::NotNow { action, cause },
            Fault::Misconfigured => Self::Misconfigured { action, cause },
            // 408, 500, 503 and silence are one: nobody can tell whether it was done.
            _ => Self::Unknown { action, cause },
        }
    }
}

impl FromFault for SandboxError {
    fn from_fault(fault: Fault, call: Call) -> Self {
        match fault {
            Fault::Refused if call == Call::AddRig => Self::Refused { reason: "the schedule says so".to_owned() },
            Fault::VolumeBound if call == Call::RemoveRig => {
                Self::InTheWay { in_the_way: vec!["a session".to_owned()] }
            }
            // 500 is the sandbox's own word.
            Fault::ServerError | Fault::NotNow | Fault::Throttled => Self::Unhealthy,
            Fault::Misconfigured => Self::Unauthorized,
            Fault::NoCapacity | Fault::HostFull => Self::Wrong { cause: cause() },
            // 408, 429 and 503 are a proxy's.
            _ => Self::Unreachable { cause: cause() },
        }
    }
}

impl FromFault for StoreError {
    fn from_fault(fault: Fault, _: Call) -> Self {
        match fault {
            Fault::Contended => Self::Contention { transaction: "by the test's schedule", cause: cause() },
            _ => Self::Unavailable { cause: cause() },
        }
    }
}
