//! In-memory records of health checks.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{CheckNeed, HealthBatch, HealthCheck, HealthChecks, HealthRecord, StoreError};
use gastown_domain::{Health, Town, TownId, TownStatus};

use crate::faults::Query;
use crate::store::{Connection, Rows};

fn need_of(rows: &Rows, town: &Town) -> CheckNeed {
    match (rows.operations.contains_key(&town.id), town.status) {
        (true, _) => CheckNeed::Busy,
        (false, TownStatus::Running) => CheckNeed::Check,
        (false, _) => CheckNeed::NotRunning,
    }
}

fn check_of(rows: &Rows, town: TownId) -> HealthCheck {
    let (row, health) = (&rows.towns[&town], rows.records.health_of(town));
    HealthCheck {
        town,
        owner: row.owner.clone(),
        machine: row.machine_id.clone(),
        need: need_of(rows, row),
        health: Health {
            state: health.state,
            since: health.since,
            reason: health.reason,
            failures: health.failures,
            restarts: health.restarts,
            window_started_at: health.window_started_at,
        },
    }
}

#[async_trait]
impl HealthChecks for Connection {
    async fn enrol(&self, limit: u32) -> Result<u32, StoreError> {
        self.query(Query::EnrolTowns, |rows, now| {
            let forgotten = rows
                .towns
                .values()
                .filter(|town| town.status == TownStatus::Running && !rows.records.next_checks.contains_key(&town.id));
            let forgotten: Vec<_> = forgotten.map(|town| town.id).take(limit as usize).collect();
            for town in &forgotten {
                rows.records.next_checks.insert(*town, now);
            }
            Ok(u32::try_from(forgotten.len()).unwrap())
        })
        .await
    }

    async fn take(&self, limit: u32, ahead: Duration, lease: Duration) -> Result<Option<HealthBatch>, StoreError> {
        self.query(Query::TakeHealthChecks, |rows, now| {
            let due = rows.records.next_checks.iter().filter(|(_, at)| **at <= now + ahead);
            let mut due: Vec<_> = due.map(|(town, at)| (*at, *town)).collect();
            due.sort();
            if due.first().is_none_or(|(at, _)| *at > now) {
                return Ok(None);
            }
            let mark = now + lease;
            let towns: Vec<_> = due.into_iter().take(limit as usize).map(|(_, town)| town).collect();
            for town in &towns {
                rows.records.next_checks.insert(*town, mark);
            }
            let checks = towns.into_iter().map(|town| check_of(rows, town)).collect();
            Ok(Some(HealthBatch { mark, taken_at: now, checks }))
        })
        .await
    }

    async fn record(&self, mark: DateTime<Utc>, records: &[HealthRecord]) -> Result<Vec<TownId>, StoreError> {
        self.query(Query::RecordHealth, |rows, _| {
            let mut written = Vec::new();
            for record in records {
                if rows.records.next_checks.get(&record.town) != Some(&mark) {
                    continue;
                }
                match record.next_check_at {
                    Some(at) => rows.records.next_checks.insert(record.town, at),
                    None => rows.records.next_checks.remove(&record.town),
                };
                let row = rows.records.health.entry(record.town).or_default();
                let health = record.health.clone();
                (row.state, row.since, row.reason) = (health.state, health.since, health.reason);
                (row.failures, row.restarts) = (health.failures, health.restarts);
                row.window_started_at = health.window_started_at;
                if record.is_news {
                    rows.records.news.push((record.town, record.health.state.to_string()));
                }
                written.push(record.town);
            }
            Ok(written)
        })
        .await
    }
}
