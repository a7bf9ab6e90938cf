//! Deterministic secrets, clock, ids and jitter.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::{
    Clock, GatewayGrant, GatewayToken, Ids, Jitter, MintError, SealError, Sealer, TokenMint, TownKeys,
};
use gastown_domain::{OperationId, RigId, TownId};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) fn key_of(town: TownId) -> String {
    format!("key of {town}")
}

/// Mints tokens that contain their grant and a serial number.
#[derive(Default)]
pub(crate) struct FakeMint {
    pub(crate) minted: Mutex<Vec<GatewayGrant>>,
}

impl TokenMint for FakeMint {
    fn mint(&self, grant: &GatewayGrant) -> Result<GatewayToken, MintError> {
        let mut minted = self.minted.lock().unwrap();
        minted.push(grant.clone());
        let pepper = grant.pepper.as_ref().map(|pepper| pepper.expose_secret().to_owned()).unwrap_or_default();
        let token = format!("token {} for {} of {} with {pepper}", minted.len(), grant.town, grant.user).into();
        Ok(GatewayToken { token, expires_at: DateTime::<Utc>::UNIX_EPOCH })
    }
}

pub(crate) struct FakeSealer;

impl Sealer for FakeSealer {
    fn seal(&self, value: &SecretString) -> Result<String, SealError> {
        Ok(format!("sealed({})", value.expose_secret()))
    }
}

pub(crate) struct FakeTownKeys;

impl TownKeys for FakeTownKeys {
    fn key_of(&self, town: TownId) -> SecretString {
        key_of(town).into()
    }

    fn keys_of(&self, town: TownId) -> Vec<SecretString> {
        vec![self.key_of(town)]
    }

    fn key_id(&self) -> String {
        "id of the key".to_owned()
    }

    fn verify(&self, town: TownId, key: &SecretString) -> bool {
        key.expose_secret() == key_of(town)
    }
}

/// The clock of processes and database: tokio's paused time.
#[derive(Clone, Copy)]
pub(crate) struct PausedClock(pub(crate) Instant);

impl PausedClock {
    pub(crate) fn at(self, instant: Instant) -> DateTime<Utc> {
        let start = DateTime::<Utc>::from_timestamp(1_800_000_000, 0).unwrap();
        start + TimeDelta::from_std(instant.duration_since(self.0)).unwrap()
    }
}

impl Clock for PausedClock {
    fn now(&self) -> DateTime<Utc> {
        self.at(Instant::now())
    }
}

/// Sequential ids. They differ in their first digits, as real ones do.
#[derive(Default)]
pub(crate) struct SequentialIds(AtomicU64);

impl SequentialIds {
    fn next(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed) + 1) << 96)
    }
}

impl Ids for SequentialIds {
    fn town(&self) -> TownId {
        TownId::new(self.next())
    }

    fn rig(&self) -> RigId {
        RigId::new(self.next())
    }

    fn operation(&self) -> OperationId {
        OperationId::new(self.next())
    }
}

pub(crate) struct FixedJitter;

impl Jitter for FixedJitter {
    fn fraction(&self) -> f64 {
        0.5
    }
}
