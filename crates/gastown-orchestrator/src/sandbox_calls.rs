//! The calls of sandboxes: heartbeats and token refreshes, each at a limited rate.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::TownId;
use gastown_domain::ports::{GatewayToken, HomeCalls, HomeError};
use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use secrecy::SecretString;

use crate::settings::Policy;
use crate::tokens::{SecretError, gateway_token};
use crate::town_service::TownService;

/// The towns after which those without recent calls are forgotten.
const MAX_REMEMBERED: usize = 1024;
/// The part of a minute's calls that may come at once.
const BURST: u32 = 6;

type Limiter = RateLimiter<TownId, HashMapStateStore<TownId>, MonotonicClock>;

/// The recent calls of each town's sandbox, in this process. Only calls with the town's key are counted.
pub(crate) struct RecentCalls {
    heartbeats: Limiter,
    tokens: Limiter,
    written: Mutex<HashMap<TownId, DateTime<Utc>>>,
    write_every: Duration,
}

impl RecentCalls {
    pub(crate) fn new(policy: &Policy) -> Self {
        let rate = policy.limits.sandbox_calls_per_minute;
        let burst = NonZeroU32::new(rate.get() / BURST).unwrap_or(NonZeroU32::MIN);
        let limiter =
            || Limiter::new(Quota::per_minute(rate).allow_burst(burst), HashMapStateStore::default(), MonotonicClock);
        Self {
            heartbeats: limiter(),
            tokens: limiter(),
            written: Mutex::default(),
            write_every: policy.backoff.heartbeat_write,
        }
    }

    /// Returns true if a heartbeat is to be written now, and counts it as written.
    fn is_due(&self, town: TownId, now: DateTime<Utc>) -> bool {
        let is_recent = |at: &DateTime<Utc>| (now - *at).to_std().is_ok_and(|age| age < self.write_every);
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.get(&town).is_some_and(is_recent) {
            return false;
        }
        if written.len() >= MAX_REMEMBERED {
            written.retain(|_, at| is_recent(at));
        }
        written.insert(town, now);
        true
    }

    fn forget(&self, town: TownId) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(&town);
    }
}

fn admit(limiter: &Limiter, town: TownId) -> Result<(), HomeError> {
    if limiter.len() >= MAX_REMEMBERED {
        limiter.retain_recent();
    }
    limiter
        .check_key(&town)
        .map_err(|early| HomeError::TooManyCalls { retry_after: early.wait_time_from(MonotonicClock.now()) })
}

#[async_trait]
impl HomeCalls for TownService {
    async fn heartbeat(&self, town: TownId, key: SecretString) -> Result<(), HomeError> {
        self.authorize(town, &key)?;
        admit(&self.sandbox_calls.heartbeats, town)?;
        let at = self.ports.env.clock.now();
        if !self.sandbox_calls.is_due(town, at) {
            let row = self.ports.store.registry.load(town).await.map_err(HomeError::Store)?;
            return row.filter(|row| !row.is_tombstone()).map(drop).ok_or(HomeError::Unauthorized);
        }
        let written = self.ports.store.registry.heartbeat(town, at).await;
        if !matches!(written, Ok(true)) {
            self.sandbox_calls.forget(town);
        }
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err(HomeError::Unauthorized),
            Err(error) => Err(HomeError::Store(error)),
        }
    }

    async fn refresh_token(&self, town: TownId, key: SecretString) -> Result<GatewayToken, HomeError> {
        self.authorize(town, &key)?;
        admit(&self.sandbox_calls.tokens, town)?;
        let row = self.ports.store.registry.load(town).await.map_err(HomeError::Store)?;
        let row = row.filter(|row| !row.is_tombstone()).ok_or(HomeError::Unauthorized)?;
        gateway_token(&self.ports, &row).await.map_err(|error| match error {
            SecretError::Store(error) => HomeError::Store(error),
            SecretError::Failed(failure) => HomeError::NoToken(failure),
        })
    }
}

impl TownService {
    fn authorize(&self, town: TownId, key: &SecretString) -> Result<(), HomeError> {
        if self.ports.secrets.towns.verify(town, key) { Ok(()) } else { Err(HomeError::Unauthorized) }
    }
}
