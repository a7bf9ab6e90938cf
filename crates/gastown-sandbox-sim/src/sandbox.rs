//! Sandboxes as the workload of a simulator.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use fly_sim::{Boot, Host, Program, ProgramAnswer, ProgramCall, ProgramRequest, Workload, WorkloadError};
use secrecy::SecretString;

use crate::{
    api,
    boot::{self, Environment},
    calls::{self, SandboxCall},
    heartbeat,
    r2::SimulatedR2,
    rules::SandboxRules,
};

/// The sandboxes of one simulator.
#[derive(Debug, Default)]
pub struct SimulatedSandboxes {
    rules: Arc<SandboxRules>,
    heartbeat: Option<Duration>,
    serving: Arc<ServingSandboxes>,
    r2: Arc<SimulatedR2>,
}

impl SimulatedSandboxes {
    /// Returns sandboxes that send no heartbeats.
    pub fn new(rules: SandboxRules) -> Self {
        Self { rules: Arc::new(rules), ..Self::default() }
    }

    /// Sends heartbeats at this interval, and renews tokens that expire soon.
    ///
    /// A sandbox without `GASTOWN_CLOUD_URL` in its environment sends none.
    #[must_use]
    pub fn with_heartbeat(self, interval: Duration) -> Self {
        Self { heartbeat: Some(interval), ..self }
    }

    /// Returns the value for the field `workload` of the simulator's settings.
    pub fn into_workload(self) -> Option<Arc<dyn Workload>> {
        Some(Arc::new(self))
    }
}

impl Workload for SimulatedSandboxes {
    fn start(&self, host: Host) -> Result<(), WorkloadError> {
        if let Some(interval) = self.heartbeat {
            let client = reqwest::Client::builder().no_proxy().build()?;
            let refresh_before = self.rules.refresh_before;
            host.spawn(heartbeat::send_all(host.clone(), self.serving.clone(), client, interval, refresh_before));
        }
        Ok(())
    }

    fn boot(&self, machine: Boot<'_>) -> Result<Option<Box<dyn Program>>, WorkloadError> {
        let Some(environment) = boot::open(machine.env)? else { return Ok(None) };
        let Environment { identity, token_expires_at, restores } = environment;
        let (image, volume) = (machine.image.to_owned(), machine.volume.map(str::to_owned));
        let expiry = Mutex::new(token_expires_at);
        let (rules, has_answered) = (self.rules.clone(), AtomicBool::default());
        let r2 = Arc::clone(&self.r2);
        let sandbox =
            Arc::new(Sandbox { identity, image, volume, token_expires_at: expiry, rules, has_answered, restores, r2 });
        self.serving.add(&sandbox);
        Ok(Some(Box::new(SandboxProgram(sandbox))))
    }

    fn classify(&self, method: &str, path: &str) -> ProgramCall {
        SandboxCall::parse(method, path).map_or(ProgramCall::OTHER, SandboxCall::kind)
    }

    fn kinds(&self) -> &[ProgramCall] {
        &calls::ALL
    }
}

/// The properties of a sandbox that its environment gives.
pub(crate) struct Identity {
    pub(crate) town_id: String,
    /// The key that callers must send.
    pub(crate) key: SecretString,
    /// The base URL for heartbeats.
    pub(crate) cloud_url: Option<String>,
}

/// A serving sandbox.
pub(crate) struct Sandbox {
    pub(crate) identity: Identity,
    pub(crate) image: String,
    /// The id of its volume.
    pub(crate) volume: Option<String>,
    /// The expiry of the gateway token, if the token states one.
    token_expires_at: Mutex<Option<DateTime<Utc>>>,
    pub(crate) rules: Arc<SandboxRules>,
    has_answered: AtomicBool,
    /// True if an empty volume is to be restored from R2.
    pub(crate) restores: bool,
    pub(crate) r2: Arc<SimulatedR2>,
}

impl Sandbox {
    /// Returns true for the first answer since the boot.
    pub(crate) fn answers_first(&self) -> bool {
        !self.has_answered.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn token_expires_at(&self) -> Option<DateTime<Utc>> {
        *locked(&self.token_expires_at)
    }

    pub(crate) fn renew_token_until(&self, expiry: DateTime<Utc>) {
        *locked(&self.token_expires_at) = Some(expiry);
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("town_id", &self.identity.town_id).finish_non_exhaustive()
    }
}

/// The program in a machine. Dropping it ends the heartbeats of its sandbox.
#[derive(Debug)]
struct SandboxProgram(Arc<Sandbox>);

impl Program for SandboxProgram {
    fn answer(&mut self, request: ProgramRequest<'_>) -> ProgramAnswer {
        api::answer(&self.0, request)
    }
}

/// The sandboxes whose programs run, for heartbeats.
#[derive(Debug, Default)]
pub(crate) struct ServingSandboxes(Mutex<Vec<Weak<Sandbox>>>);

impl ServingSandboxes {
    fn add(&self, sandbox: &Arc<Sandbox>) {
        let mut sandboxes = locked(&self.0);
        // Amortized: ended sandboxes are removed before the list grows.
        if sandboxes.len() == sandboxes.capacity() {
            sandboxes.retain(|sandbox| sandbox.strong_count() > 0);
        }
        sandboxes.push(Arc::downgrade(sandbox));
    }

    pub(crate) fn all(&self) -> Vec<Arc<Sandbox>> {
        locked(&self.0).iter().filter_map(Weak::upgrade).collect()
    }
}

/// Locks a mutex, even one that a panic has poisoned.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_serving_sandboxes_forgets_ended_ones() {
        let serving = ServingSandboxes::default();
        let sandbox = || {
            let identity = Identity { town_id: "t".into(), key: "k".into(), cloud_url: None };
            let rules = Arc::default();
            let (token_expires_at, has_answered) = (Mutex::default(), AtomicBool::default());
            let r2 = Arc::default();
            Arc::new(Sandbox {
                identity,
                image: String::new(),
                volume: None,
                token_expires_at,
                rules,
                has_answered,
                restores: false,
                r2,
            })
        };
        let kept = sandbox();
        serving.add(&kept);
        for _ in 0..1000 {
            serving.add(&sandbox());
        }
        assert_eq!(serving.all().len(), 1);
        assert!(locked(&serving.0).len() < 100);
    }
}
