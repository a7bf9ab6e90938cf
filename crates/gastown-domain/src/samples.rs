//! Values for tests of crates that use the domain: complete, valid, and the same at each call.
//!
//! A test changes only the fields that it is about: `Town { status: TownStatus::Stopped, ..Town::sample() }`.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::ports::{TownHealth, TownReport};
use crate::{
    Operation, OperationId, OperationKind, Phase, Progress, Rig, RigId, RigStatus, SandboxId, Town, TownConfig, TownId,
    TownStatus, UserId,
};

impl Town {
    /// Returns the running town `mill` of the user `alice`, with a machine and a volume in `iad`.
    pub fn sample() -> Self {
        let (owner, name) = (parsed::<UserId>("alice"), parsed("mill"));
        Self {
            id: TownId::new(Uuid::from_u128(0x0190_a1b2_c3d4_7e5f_8a9b_0c1d_2e3f_4a5b)),
            sandbox_id: SandboxId::derive(&owner, &name),
            owner,
            name,
            machine_id: Some(parsed("d8d9c4a1b2c3e4")),
            volume_id: Some(parsed("vol_4a5b6c7d8e9f")),
            region: Some(parsed("iad")),
            status: TownStatus::Running,
            last_r2_sync_at: None,
            last_heartbeat_at: None,
            config: TownConfig::default(),
            created_at: noon(),
            destroyed_at: None,
        }
    }
}

impl Rig {
    /// Returns the active rig `app` of [`Town::sample`].
    pub fn sample() -> Self {
        Self {
            id: RigId::new(Uuid::from_u128(0x0190_a1b2_c3d4_7e5f_8a9b_0000_0000_0001)),
            town: Town::sample().id,
            name: parsed("app"),
            repo: parsed("https://github.com/acme/app"),
            branch: Some(parsed("main")),
            status: RigStatus::Active,
            config: serde_json::Map::new(),
            created_at: noon(),
        }
    }
}

impl Operation {
    /// Returns a start of [`Town::sample`] that has just been accepted.
    pub fn sample() -> Self {
        Self {
            id: OperationId::new(Uuid::from_u128(0x0190_a1b2_c3d4_7e5f_8a9b_0000_0000_0002)),
            town: Town::sample().id,
            kind: OperationKind::Start,
            phase: Phase::Begun,
            step: None,
            attempt: 0,
            last_error: None,
            cause: None,
            requested_by: Town::sample().owner,
            fence: 1,
            next_attempt_at: noon(),
            deadline_at: Some(noon() + TimeDelta::minutes(3)),
            progress: Progress::default(),
            created_at: noon(),
            updated_at: noon(),
        }
    }
}

impl TownReport {
    /// Returns the report of [`Town::sample`] with [`Rig::sample`], in good health and without an operation.
    pub fn sample() -> Self {
        Self {
            town: Town::sample(),
            rigs: vec![Rig::sample()],
            health: TownHealth::default(),
            operation: None,
            last_outcome: None,
            owner_is_blocked: false,
            use_is_recorded: false,
        }
    }
}

/// Returns noon of 23 November 2026.
fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_435_200, 0).unwrap_or_default()
}

#[expect(clippy::unwrap_used, reason = "the texts are constants, and a test builds each sample")]
fn parsed<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_belong_together() {
        let report = TownReport::sample();
        assert_eq!(report.town, Town::sample());
        assert_eq!(report.rigs[0].town, report.town.id);
        assert_eq!(Operation::sample().town, report.town.id);
        assert!(report.town.holds_provider_id() && !report.town.is_tombstone());
        assert_eq!(report.town.created_at.to_rfc3339(), "2026-11-23T12:00:00+00:00");
    }
}
