//! The system's clock, random ids and jitter: the implementations of these ports in production.

use chrono::{DateTime, SubsecRound as _, Utc};
use gastown_domain::ports::{Clock, Ids, Jitter, WorkerId};
use gastown_domain::{OperationId, RigId, TownId};
use secrecy::SecretString;
use uuid::Uuid;

/// The clock of the machine, in whole microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only implementation of the port")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// Random ids (UUID version 4). They do not reveal the time of creation, and their prefixes in volume names are unique.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl RandomIds {
    #[expect(clippy::disallowed_methods, reason = "the only implementation of the port")]
    fn fresh() -> Uuid {
        Uuid::new_v4()
    }
}

impl Ids for RandomIds {
    fn town(&self) -> TownId {
        TownId::new(Self::fresh())
    }

    fn rig(&self) -> RigId {
        RigId::new(Self::fresh())
    }

    fn operation(&self) -> OperationId {
        OperationId::new(Self::fresh())
    }
}

/// Random jitter.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadJitter;

impl Jitter for ThreadJitter {
    fn fraction(&self) -> f64 {
        rand::random()
    }
}

/// Returns a new name for this process in the rows that it claims. Two processes never share one.
pub fn worker_id() -> WorkerId {
    WorkerId(RandomIds::fresh().to_string())
}

/// Returns a new secret of 48 hexadecimal digits.
pub fn random_secret() -> SecretString {
    let bytes: [u8; 24] = rand::random();
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")).into()
}
