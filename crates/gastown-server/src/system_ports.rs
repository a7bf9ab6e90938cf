//! The system's clock, random ids and dice: the production side of the ports that tests replace.

use chrono::{DateTime, SubsecRound as _, Utc};
use gastown_domain::ports::{Clock, Ids, Jitter};
use gastown_domain::{OperationId, RigId, TownId};
use uuid::Uuid;

/// The machine's clock, in whole microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the port's one implementation")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// Random ids (UUID version 4): they tell nothing of when a town was made, and volume names cut from them stay unique.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl RandomIds {
    #[expect(clippy::disallowed_methods, reason = "the port's one implementation")]
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

/// Randomness for jitter.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadJitter;

impl Jitter for ThreadJitter {
    fn fraction(&self) -> f64 {
        rand::random()
    }
}
