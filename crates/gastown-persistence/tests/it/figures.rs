//! The figures of the registry.

use std::time::Duration;

use gastown_domain::ports::{FigureLimits, Figures as _, Registry as _, RegistryFigures};
use gastown_domain::{Drift, OperationKind, TownStatus};

use crate::bed::{Bed, on_both};

on_both! {
    empty_registry_has_no_figures,
    towns_and_operations_are_counted,
    due_operations_are_counted_with_the_longest_wait,
    tokens_that_expire_soon_are_counted_of_running_towns,
    texts_of_a_newer_version_are_counted_apart,
}

const LIMITS: FigureLimits = FigureLimits { alert_attempts: 15, token_margin: Duration::from_secs(3600) };

/// Returns the figures, in an order of their own.
async fn figures(bed: &Bed) -> RegistryFigures {
    let mut figures = bed.database.figures(LIMITS).await.unwrap();
    figures.towns.sort_by_key(|(status, _)| status.map(TownStatus::as_str));
    figures.operations.sort_by_key(|(kind, _)| kind.map(OperationKind::as_str));
    figures
}

async fn empty_registry_has_no_figures(bed: Bed) {
    assert_eq!(figures(&bed).await, RegistryFigures::default());
}

async fn towns_and_operations_are_counted(bed: Bed) {
    bed.running("alice", "mill").await;
    let moved = bed.running("bob", "forge").await;
    bed.create("alice", "new").await;
    let removed = bed.running("alice", "old").await;
    bed.destroy(&removed).await;
    bed.request(&moved, OperationKind::Stop).await;
    let health = "INSERT INTO gastown_town_health (town_id, drift) \
                  SELECT id, 'machine_missing' FROM gastown_towns WHERE town_name IN ('forge', 'old') \
                  ON CONFLICT (town_id) DO UPDATE SET drift = 'machine_missing'";
    bed.sql(health).await;
    bed.sql("INSERT INTO gastown_passes (pass, number, alarm) VALUES ('orphans', 1, 'many_orphans')").await;
    let found = figures(&bed).await;
    assert_eq!(found.towns, [(Some(TownStatus::Provisioning), 1), (Some(TownStatus::Running), 2)]);
    assert_eq!(found.drifted, [(Some(Drift::MachineMissing), 1)], "a tombstone does not count");
    assert_eq!(found.operations, [(Some(OperationKind::Create), 1), (Some(OperationKind::Stop), 1)]);
    assert_eq!(found.alarms.len(), 1);
}

async fn due_operations_are_counted_with_the_longest_wait(bed: Bed) {
    bed.accept_newer_texts().await;
    for name in ["one", "two", "three", "four"] {
        bed.create("alice", name).await;
    }
    bed.sql("UPDATE gastown_operations SET next_attempt_at = '2026-01-01T00:00:00+00:00'").await;
    let of = |name: &str| format!("town_id = (SELECT id FROM gastown_towns WHERE town_name = '{name}')");
    bed.sql(&format!("UPDATE gastown_operations SET attempt = 15, kind = 'mend' WHERE {}", of("one"))).await;
    bed.sql(&format!("UPDATE gastown_operations SET attempt = 14 WHERE {}", of("two"))).await;
    bed.sql(&format!(
        "UPDATE gastown_operations SET next_attempt_at = '2099-01-01T00:00:00+00:00' WHERE {}",
        of("three")
    ))
    .await;
    let found = figures(&bed).await;
    assert_eq!((found.due, found.left_to_newer, found.stuck), (2, 1, 1));
    assert!(found.oldest_due > Duration::from_secs(3600), "{:?}", found.oldest_due);
    let claimed = bed.claim_due("driver", 10).await;
    assert_eq!(claimed.len(), 2);
    let found = figures(&bed).await;
    assert_eq!((found.due, found.oldest_due), (0, Duration::ZERO), "a claimed operation does not wait");
}

async fn tokens_that_expire_soon_are_counted_of_running_towns(bed: Bed) {
    let (past, future) = ("2020-01-01T00:00:00Z".parse().unwrap(), "2099-01-01T00:00:00Z".parse().unwrap());
    for (name, expires_at) in [("expired", past), ("late", future), ("stopped", past), ("destroyed", past)] {
        let town = bed.running("alice", name).await;
        assert!(bed.database.record_token(town.id, expires_at).await.unwrap());
        if name == "destroyed" {
            bed.destroy(&town).await;
        }
    }
    bed.running("alice", "unknown").await;
    bed.sql("UPDATE gastown_towns SET status = 'stopped' WHERE town_name = 'stopped'").await;
    assert_eq!(figures(&bed).await.expiring_tokens, 1);
    let a_century = FigureLimits { token_margin: Duration::from_secs(100 * 365 * 86_400), ..LIMITS };
    assert_eq!(bed.database.figures(a_century).await.unwrap().expiring_tokens, 2);
}

async fn texts_of_a_newer_version_are_counted_apart(bed: Bed) {
    bed.accept_newer_texts().await;
    bed.create("alice", "mill").await;
    bed.sql("UPDATE gastown_operations SET kind = 'mend'").await;
    assert_eq!(figures(&bed).await.operations, [(None, 1)]);
}
