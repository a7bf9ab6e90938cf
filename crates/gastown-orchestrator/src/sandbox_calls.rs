//! The calls of sandboxes: heartbeats and token refreshes, each at a limited rate.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::TownId;
use gastown_domain::ports::{GatewayToken, HomeCalls, HomeError, Measurement};
use governor::Quota;
use secrecy::{ExposeSecret as _, SecretString};

use crate::keyed_rate::{ForgetAt, KeyedRate};
use crate::settings::Policy;
use crate::tokens::{SecretError, gateway_token};
use crate::town_service::TownService;

/// The part of a minute's calls that may come at once.
const BURST: u32 = 6;

/// The recent calls of each town's sandbox, in this process. Only calls with the town's key are counted.
pub(crate) struct RecentCalls {
    heartbeats: KeyedRate<TownId>,
    tokens: KeyedRate<TownId>,
    written: Mutex<HashMap<TownId, DateTime<Utc>>>,
    forget_written: ForgetAt,
    write_every: Duration,
}

impl RecentCalls {
    pub(crate) fn new(policy: &Policy) -> Self {
        let rate = policy.limits.sandbox_calls_per_minute;
        let burst = NonZeroU32::new(rate.get() / BURST).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(rate).allow_burst(burst);
        Self {
            heartbeats: KeyedRate::new(quota),
            tokens: KeyedRate::new(quota),
            written: Mutex::default(),
            forget_written: ForgetAt::start(),
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
        if self.forget_written.is_due(written.len()) {
            written.retain(|_, at| is_recent(at));
            self.forget_written.done(written.len());
        }
        written.insert(town, now);
        true
    }

    fn forget(&self, town: TownId) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(&town);
    }
}

#[async_trait]
impl HomeCalls for TownService {
    async fn heartbeat(&self, town: TownId, key: SecretString) -> Result<(), HomeError> {
        self.authorize(town, &key)?;
        admit(&self.sandbox_calls.heartbeats, town)?;
        self.record_heartbeat(town, &key).await?;
        self.ports.env.metrics.record(Measurement::HeartbeatAccepted);
        Ok(())
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

fn admit(calls: &KeyedRate<TownId>, town: TownId) -> Result<(), HomeError> {
    calls.admit(&town).map_err(|retry_after| HomeError::TooManyCalls { retry_after })
}

impl TownService {
    /// Writes a heartbeat, or only reads that the town lives if the last one was written a moment ago.
    async fn record_heartbeat(&self, town: TownId, key: &SecretString) -> Result<(), HomeError> {
        let at = self.ports.env.clock.now();
        if !self.sandbox_calls.is_due(town, at) {
            let row = self.ports.store.registry.load(town).await.map_err(HomeError::Store)?;
            return row.filter(|row| !row.is_tombstone()).map(drop).ok_or(HomeError::Unauthorized);
        }
        self.log_old_key(town, key);
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

    /// Logs that the town must be stopped and started before a rotation is over. The key is verified already.
    fn log_old_key(&self, town: TownId, key: &SecretString) {
        if key.expose_secret() != self.ports.secrets.towns.key_of(town).expose_secret() {
            tracing::debug!(town.id = %town, "sandbox has a key from before a rotation");
        }
    }

    fn authorize(&self, town: TownId, key: &SecretString) -> Result<(), HomeError> {
        if self.ports.secrets.towns.verify(town, key) { Ok(()) } else { Err(HomeError::Unauthorized) }
    }
}
