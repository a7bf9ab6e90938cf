//! The calls of sandboxes: heartbeats and token refreshes, each at a limited rate.

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{GatewayToken, HomeCalls, HomeError, Measurement};
use gastown_domain::{Heartbeat, SandboxReport, TownId};
use governor::Quota;
use secrecy::{ExposeSecret as _, SecretString};

use crate::heartbeats::NoRoom;
use crate::keyed_rate::KeyedRate;
use crate::settings::Policy;
use crate::tokens::{SecretError, gateway_token};
use crate::town_service::TownService;

/// The part of a minute's calls that may come at once.
const BURST: u32 = 6;
/// The time after which there may be room for a heartbeat.
const ROOM_AFTER: Duration = Duration::from_secs(5);

/// The recent calls of each town's sandbox, in this process. Only calls with the town's key are counted.
pub(crate) struct RecentCalls {
    heartbeats: KeyedRate<TownId>,
    tokens: KeyedRate<TownId>,
}

impl RecentCalls {
    pub(crate) fn new(policy: &Policy) -> Self {
        let rate = policy.limits.sandbox_calls_per_minute;
        let burst = NonZeroU32::new(rate.get() / BURST).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(rate).allow_burst(burst);
        Self { heartbeats: KeyedRate::new(quota), tokens: KeyedRate::new(quota) }
    }
}

#[async_trait]
impl HomeCalls for TownService {
    async fn heartbeat(
        &self,
        town: TownId,
        key: SecretString,
        report: SandboxReport,
        claimed_sync: Option<DateTime<Utc>>,
    ) -> Result<(), HomeError> {
        self.authorize(town, &key)?;
        admit(&self.sandbox_calls.heartbeats, town)?;
        if !self.ports.store.registry.lives(town).await.map_err(HomeError::Store)? {
            return Err(HomeError::Unauthorized);
        }
        let beat = Heartbeat::received(town, self.ports.env.clock.now(), report, claimed_sync);
        self.heartbeats.add(beat).map_err(|NoRoom| HomeError::Overloaded { retry_after: ROOM_AFTER })?;
        self.log_old_key(town, &key);
        self.ports.env.metrics.record(Measurement::HeartbeatAccepted);
        Ok(())
    }

    async fn refresh_token(&self, town: TownId, key: SecretString) -> Result<GatewayToken, HomeError> {
        self.authorize(town, &key)?;
        admit(&self.sandbox_calls.tokens, town)?;
        let row = self.ports.store.registry.load(town).await.map_err(HomeError::Store)?;
        let row = row.filter(|row| !row.is_tombstone()).ok_or(HomeError::Unauthorized)?;
        let token = gateway_token(&self.ports, &row).await.map_err(|error| match error {
            SecretError::Store(error) => HomeError::Store(error),
            SecretError::Failed(failure) => HomeError::NoToken(failure),
        })?;
        // A sandbox that got no answer asks again.
        let recorded = self.ports.store.registry.record_token(town, token.expires_at).await;
        if recorded.map_err(HomeError::Store)? { Ok(token) } else { Err(HomeError::Unauthorized) }
    }
}

fn admit(calls: &KeyedRate<TownId>, town: TownId) -> Result<(), HomeError> {
    calls.admit(&town).map_err(|retry_after| HomeError::TooManyCalls { retry_after })
}

impl TownService {
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
