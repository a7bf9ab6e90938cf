//! Tests of lost answers from the registry.

use gastown_domain::ports::{
    HeldOperation, MockOperations, MockOperator, Readable, TownDetails, TownEvent, TownHealth,
};
use gastown_domain::{
    Operation, OperationId, OperationKind, Phase, Progress, RecordedOperation, SandboxId, Town, TownConfig, TownStatus,
    UserId,
};
use uuid::Uuid;

use super::*;

const EVE: &str = "operator:eve";

fn noon() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn operation(id: u64) -> Operation {
    Operation {
        id: OperationId::new(Uuid::from_u64_pair(1, id)),
        town: TownId::new(Uuid::from_u64_pair(0, 1)),
        kind: OperationKind::Destroy,
        phase: Phase::Begun,
        step: None,
        attempt: 0,
        last_error: None,
        cause: None,
        requested_by: alice(),
        fence: 0,
        next_attempt_at: noon(),
        deadline_at: Some(noon()),
        progress: Progress::default(),
        created_at: noon(),
        updated_at: noon(),
    }
}

fn alice() -> UserId {
    "alice".parse().unwrap()
}

fn request() -> NewOperation {
    let Operation { id, town, kind, requested_by, .. } = operation(1);
    NewOperation { id, town, kind, requested_by, at: noon(), timeout: None, max_in_flight: None, claim: None }
}

fn lost<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable { cause: "the connection is gone".into() })
}

/// Returns the result of a destroy with a lost answer, for this operation in flight and this outcome.
async fn destroyed(in_flight: Option<Operation>, ended: bool) -> Result<Requested, StoreError> {
    let in_flight = in_flight.map(RecordedOperation::from);
    let (mut operator, mut operations) = (MockOperator::new(), MockOperations::new());
    operator.expect_destroy().times(1).returning(|_, _| lost());
    operations.expect_current().returning(move |_| Ok(in_flight.clone()));
    operations.expect_outcome().returning(move |_| Ok(ended.then_some(Ok(()))));
    destroy(&operator, &operations, &request(), EVE).await
}

/// Returns the result of a start with a lost answer, for this operation in flight and this outcome.
async fn requested(in_flight: Option<Operation>, ended: bool) -> Result<Option<Requested>, StoreError> {
    let in_flight = in_flight.map(RecordedOperation::from);
    let (mut operator, mut operations) = (MockOperator::new(), MockOperations::new());
    operator.expect_request_as().times(1).returning(|_, _| lost());
    operations.expect_current().returning(move |_| Ok(in_flight.clone()));
    operations.expect_outcome().returning(move |_| Ok(ended.then_some(Ok(()))));
    super::request(&operator, &operations, &request(), EVE).await
}

#[tokio::test]
async fn start_with_a_lost_answer_is_found_or_an_error() {
    let found = requested(Some(operation(1)), false).await.unwrap();
    assert_eq!(found, Some(Requested::Joined(operation(1).into())));
    assert_eq!(requested(None, true).await.unwrap(), None, "it has ended already");
    for in_flight in [None, Some(operation(2))] {
        let answer = requested(in_flight, false).await;
        assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn written_destroy_is_accepted() {
    assert_eq!(destroyed(Some(operation(1)), false).await.unwrap(), Requested::Joined(operation(1).into()));
    assert_eq!(destroyed(None, true).await.unwrap(), Requested::NotFound, "it has ended already");
}

#[tokio::test]
async fn unwritten_destroy_is_an_error() {
    for in_flight in [None, Some(operation(2))] {
        let answer = destroyed(in_flight, false).await;
        assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn other_errors_are_returned() {
    let mut operator = MockOperator::new();
    operator.expect_destroy().times(1).returning(|_, _| Err(StoreError::TownNotFound));
    let answer = destroy(&operator, &MockOperations::new(), &request(), EVE).await;
    assert!(matches!(answer, Err(StoreError::TownNotFound)), "{answer:?}");
}

/// Returns the town, with retries at these minutes past noon.
fn town_details(retries: &[i64]) -> TownDetails {
    let name = "mill".parse().unwrap();
    let event = |minutes: &i64| TownEvent {
        at: noon() + chrono::TimeDelta::minutes(*minutes),
        actor: EVE.to_owned(),
        action: "retry".to_owned(),
        outcome: "accepted".to_owned(),
        error: None,
        operation: Some(operation(1).id),
        last_step: None,
    };
    let held = HeldOperation {
        operation: operation(1).into(),
        owner: alice(),
        name: "mill".to_owned(),
        held_by: None,
        lease_expires_at: None,
    };
    TownDetails {
        town: Town {
            id: operation(1).town,
            sandbox_id: SandboxId::derive(&alice(), &name),
            owner: alice(),
            name,
            machine_id: None,
            volume_id: None,
            region: None,
            status: TownStatus::Running,
            last_r2_sync_at: None,
            last_heartbeat_at: None,
            config: TownConfig::default(),
            created_at: noon(),
            destroyed_at: None,
        },
        rigs: Vec::new(),
        health: Readable::Ok(TownHealth::default()),
        operation: Some(Ok(held)),
        events: retries.iter().map(event).collect(),
        orphans: Vec::new(),
        unreadable: Vec::new(),
    }
}

/// Returns the result of a retry with a lost answer, for the retries before and after it.
async fn retried(before: &'static [i64], after: &'static [i64]) -> Result<Retried, StoreError> {
    let mut operator = MockOperator::new();
    operator.expect_town_details().times(1).returning(|_, _, _| Ok(Some(town_details(before))));
    operator.expect_retry().times(1).returning(|_, _| lost());
    operator.expect_town_details().returning(|_, _, _| Ok(Some(town_details(after))));
    retry(&operator, operation(1).town, EVE).await
}

#[tokio::test]
async fn written_retry_is_known_by_its_event() {
    assert_eq!(retried(&[], &[1]).await.unwrap(), Retried::Due(Box::new(operation(1).into())));
    assert_eq!(retried(&[1], &[1, 2]).await.unwrap(), Retried::Due(Box::new(operation(1).into())));
    for before in [&[][..], &[1]] {
        let answer = retried(before, before).await;
        assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    }
}
