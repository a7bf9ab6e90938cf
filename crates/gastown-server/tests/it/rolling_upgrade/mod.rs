//! A rolling upgrade: this version and the next one on one database (FM-59).
//!
//! The next version is the present code with one more step, kind, phase, failure and progress field (`next_version`).
//! Operations are cut in the middle by an upgrade and by a roll back. Neither version gets stuck or loses what the other
//! wrote.

mod next_version;

use std::time::Duration;

use gastown_domain::OperationKind;
use serde_json::json;
use tokio::time::sleep;

use self::next_version::{NextReplica, accept_next_version, is_of_next_version};
use crate::losses::{lose_saved, watched};
use crate::rows::Operation;
use crate::stage::{ALICE, Setup, Stage, id_of, until};

on_both! {
    roll_back_in_the_middle_of_each_operation_loses_nothing,
    upgrade_in_the_middle_of_each_operation_loses_nothing,
    both_versions_side_by_side_lose_nothing,
}

/// The times after which an operation is cut.
const CUTS: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(40), Duration::from_millis(120)];
/// Several sweeps of the present version.
const SWEEPS: Duration = Duration::from_millis(500);

async fn roll_back_in_the_middle_of_each_operation_loses_nothing(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    accept_next_version(&stage).await;
    let mut left_alone = 0;
    for (kind, cut) in cases() {
        let town = prepared(&stage, kind).await;
        let next = NextReplica::start(&stage).await;
        next.begin(kind, town);
        sleep(cut).await;
        left_alone += usize::from(roll_back_and_upgrade(&stage, next).await);
    }
    // A fast machine may have finished each operation before its cut.
    while left_alone == 0 {
        let town = prepared(&stage, OperationKind::Stop).await;
        let next = NextReplica::start(&stage).await;
        next.begin(OperationKind::Stop, town);
        until("the next version has begun", async || !stage.rows.operations().await.is_empty()).await;
        until("its row is its own, or it has ended", async || {
            stage.rows.operations().await.iter().all(is_of_next_version)
        })
        .await;
        left_alone += usize::from(roll_back_and_upgrade(&stage, next).await);
    }
    stage
}

/// Crashes the next version. The present one works alone, then the next one finishes what it began. Returns true if there
/// was an operation that the present version left alone.
async fn roll_back_and_upgrade(stage: &Stage, next: NextReplica) -> bool {
    let dead = next.crash().await;
    let left_alone = only_known_operations_end(stage, &dead).await;
    let next = NextReplica::start(stage).await;
    next.work();
    stage.idle().await;
    next.crash().await;
    destroy_all(stage).await;
    left_alone
}

async fn upgrade_in_the_middle_of_each_operation_loses_nothing(setup: Setup) -> Stage {
    let mut stage = watched(setup).start().await;
    accept_next_version(&stage).await;
    for (kind, cut) in cases() {
        let town = prepared(&stage, kind).await;
        let call = match town {
            None => stage.spawn_call(ALICE, "createTown", json!({ "townName": "mill" })),
            Some(town) => stage.spawn_call(ALICE, procedure(kind), json!({ "townId": town, "confirm": "mill" })),
        };
        sleep(cut).await;
        call.abort();
        let dead: Vec<_> = stage.rows.operations().await.into_iter().filter_map(|row| row.owner).collect();
        stage.crash().await;
        let next = NextReplica::start(&stage).await;
        next.work();
        until("the next version has finished the operation", async || {
            for owner in &dead {
                stage.rows.expire_leases_of(owner).await;
            }
            stage.rows.operations().await.is_empty()
        })
        .await;
        next.crash().await;
        stage.add_replica().await;
        destroy_all(&stage).await;
    }
    stage
}

async fn both_versions_side_by_side_lose_nothing(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    accept_next_version(&stage).await;
    stage.add_replica().await;
    let next = NextReplica::start(&stage).await;
    next.work();
    for round in 0..3 {
        let names = ["barn", "mill", "yard"].map(|name| format!("{name}-{round}"));
        let creates = names.map(|name| stage.spawn_call(ALICE, "createTown", json!({ "townName": name })));
        let mut towns = Vec::new();
        for create in creates {
            towns.push(id_of(&create.await.unwrap().unwrap()));
        }
        // Each town gets its operations from one version and its sweeps from both.
        for (at, town) in towns.iter().enumerate() {
            for kind in [OperationKind::Stop, OperationKind::Start, OperationKind::Stop] {
                if at % 2 == 0 {
                    next.call(kind, *town).await;
                } else {
                    let _ = stage.on_town(procedure(kind), *town).await;
                }
            }
        }
        stage.idle().await;
        for town in towns {
            assert_eq!(stage.rows.town(town).await.status, "stopped");
            next.begin(OperationKind::Destroy, Some(town));
        }
        stage.idle().await;
    }
    next.crash().await;
    stage
}

fn cases() -> impl Iterator<Item = (OperationKind, Duration)> {
    let kinds = [
        OperationKind::Create,
        OperationKind::Start,
        OperationKind::Stop,
        OperationKind::Restore,
        OperationKind::Destroy,
    ];
    kinds.into_iter().flat_map(|kind| CUTS.map(|cut| (kind, cut)))
}

fn procedure(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Start => "startTown",
        OperationKind::Stop => "stopTown",
        OperationKind::Restore => "restoreTown",
        OperationKind::Create
        | OperationKind::Restart
        | OperationKind::Destroy
        | OperationKind::RollBack
        | OperationKind::UndoRestore => "destroyTown",
    }
}

/// Returns a town on which the operation can begin, or `None` for a create.
async fn prepared(stage: &Stage, kind: OperationKind) -> Option<uuid::Uuid> {
    if kind == OperationKind::Create {
        return None;
    }
    let town = stage.running("mill").await;
    if kind == OperationKind::Start {
        stage.on_town("stopTown", town.id).await.unwrap();
    }
    if kind == OperationKind::Restore {
        lose_saved(stage, &town).await;
    }
    Some(town.id)
}

/// Lets the present version work alone. It finishes the operations that it knows, and leaves those of the next version as
/// they are. Returns true if there was one of the next version.
async fn only_known_operations_end(stage: &Stage, dead: &str) -> bool {
    let of_next = |rows: Vec<Operation>| rows.into_iter().filter(is_of_next_version).collect::<Vec<_>>();
    let has_field = |progress: &String| progress.contains("checksum");
    let was_written = stage.rows.progress().await.iter().any(has_field);
    stage.rows.expire_leases_of(dead).await;
    let before = of_next(stage.rows.operations().await);
    until("the present version has finished what it knows", async || {
        stage.rows.expire_leases_of(dead).await;
        let progress = stage.rows.progress().await;
        assert!(
            !was_written || progress.iter().all(has_field),
            "a field of the next version was dropped: {progress:?}"
        );
        stage.rows.operations().await.iter().all(is_of_next_version)
    })
    .await;
    sleep(SWEEPS).await;
    assert_eq!(of_next(stage.rows.operations().await), before, "an operation of the next version was changed");
    !before.is_empty()
}

async fn destroy_all(stage: &Stage) {
    for town in stage.rows.towns().await.into_iter().filter(|town| town.destroyed_at.is_none()) {
        stage.on_town("destroyTown", town.id).await.unwrap();
    }
    stage.idle().await;
}
