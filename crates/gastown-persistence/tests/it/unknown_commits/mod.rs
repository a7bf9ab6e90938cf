//! Commits that go unanswered (FM-46): of every write, what is in the database afterwards, what its caller is told, and
//! what the repeat comes to. On Postgres, through a proxy that cuts the connection exactly there.
//!
//! Each test is a table: a write, and what it and its repeat answer where nothing is lost. `loss.rs` loses them.

mod loss;

use std::time::{Duration, Instant};

use ephemeral_db::Cut;
use gastown_domain::ports::{
    Alarm, DriftChecks, DriftRecord, LeaderLease, NewCreate, ObservedOrphan, OperationUpdate, Operations,
    Operator as _, OrphanEnd, Orphans as _, Registry as _, Rigs as _, SingletonJob, SingletonJobs, StoreError,
    TownChange,
};
use gastown_domain::{
    AppName, Drift, Failure, Fence, InventoryItem, OperationKind, OrphanReason, Progress, ResourceId, Rig, RigStatus,
    StepName, Town, TownStatus, TownTag,
};
use gastown_persistence::DatabaseSettings;

use self::loss::{Bench, Write};
use crate::bed::{Bed, LEASE, create_of, keyed, new_town, noon, record, rig, user, wish, worker};

const EVERY: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_counts_once() {
    let bench = &Bench::new(|_| {}).await;
    // Each time a client asks, the ids are new.
    Write::once("accept_create", "Ok(Inserted)", "Err(TownNameTaken)")
        .told(bench, async |_| (), async |database, ()| database.accept_create(&with_rigs()).await)
        .await;
    Write::once("accept_create with a key", "Ok(Inserted)", "Ok(Known")
        .told(bench, async |_| (), async |database, ()| database.accept_create(&keyed(with_rigs(), "k1")).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_counts_once() {
    let bench = &Bench::new(|_| {}).await;
    for kind in [OperationKind::Stop, OperationKind::Start, OperationKind::Destroy] {
        Write::once(kind.as_str(), "Ok(Accepted", "Ok(Joined")
            .told(bench, running, async |database, town| database.request(&wish(town, kind)).await)
            .await;
    }
    Write::once("a destroy that pre-empts", "Ok(Accepted", "Ok(Joined")
        .told(bench, in_flight, async |database, (town, _)| database.request(&wish(town, OperationKind::Destroy)).await)
        .await;
    Write::once("an operator's destroy", "Ok(Accepted", "Ok(Joined")
        .told(bench, in_flight, async |database, (town, _)| {
            database.destroy(&wish(town, OperationKind::Destroy), "olga").await
        })
        .await;
    // Each time somebody asks, the history says so.
    Write::each_time("retry", "Ok(Due")
        .told(bench, in_flight, async |database, (town, _)| database.retry(town.id, "olga").await)
        .await;
    Write::once("reinstate", "Ok(true)", "Ok(false)")
        .told(bench, stranded, async |database, town| {
            database.reinstate(&wish(town, OperationKind::Create), &Progress::default()).await
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_counts_once_and_its_lease_holds_against_its_own_worker() {
    let bench = &Bench::new(|_| {}).await;
    Write::once("claim", "Ok(Some", "Ok(None)")
        .told(bench, accepted, async |database, town| Operations::claim(database, town.id, &worker("one"), LEASE).await)
        .await;
    Write::once("claim_due", "Ok([Operation", "Ok([])")
        .told(bench, accepted, async |database, _| database.claim_due(&worker("one"), LEASE, 10).await)
        .await;
    Write::once("renew", "Ok(20", "Ok(20")
        .told(bench, run_out, async |database, fence| Operations::renew(database, *fence, LEASE).await)
        .await;
    Write::once("release", "Ok(())", "Ok(())")
        .told(bench, run_out, async |database, fence| database.release(*fence).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_driver_writes_counts_once() {
    let bench = &Bench::new(|_| {}).await;
    let made = TownChange {
        machine: Some(Some("148ed21a031189".parse().unwrap())),
        volume: Some(Some("vol_5456e1j33p16378r".parse().unwrap())),
        ..TownChange::default()
    };
    let kept = OperationUpdate { town: made, ..record(StepName::CreateMachine) };
    let given_back =
        OperationUpdate { hold: None, last_error: Some(Failure::Throttled.into()), attempt: 1, ..kept.clone() };
    let hidden = TownChange { soft_deleted_at: Some(noon()), ..TownChange::default() };
    let hiding = OperationUpdate { kind: OperationKind::RollBack, town: hidden, ..record(StepName::SoftDelete) };
    for record in [kept, given_back, hiding] {
        Write::once("record", "Ok(())", "Ok(())")
            .told(bench, run_out, async |database, fence| Operations::record(database, *fence, &record).await)
            .await;
    }
    let runs = TownChange { status: Some(TownStatus::Running), ..TownChange::default() };
    Write::once("finish", "Ok(())", "Err(Fenced")
        .told(bench, run_out, async |database, fence| Operations::finish(database, *fence, Ok(()), &runs).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rig_counts_once() {
    let bench = &Bench::new(|_| {}).await;
    Write::once("insert", "Ok(())", "Err(RigNameTaken)")
        .told(
            bench,
            async |bed| rig(running(bed).await.id, "app"),
            async |database, rig| database.insert(&user("alice"), rig).await,
        )
        .await;
    Write::once("set_status", "Ok(true)", "Ok(false)")
        .told(bench, with_a_rig, async |database, rig| {
            database.set_status(rig.town, rig.id, RigStatus::Pending, RigStatus::Active).await
        })
        .await;
    Write::once("remove", "Ok(true)", "Ok(false)")
        .told(bench, with_a_rig, async |database, rig| database.remove(rig.town, rig.id, rig.status).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_counts_once() {
    let bench = &Bench::new(|_| {}).await;
    Write::once("take", "Ok([(Town", "Ok([])")
        .told(bench, not_seen, async |database, ()| database.take_due(10, EVERY).await)
        .await;
    let off = async |bed: &Bed| {
        not_seen(bed).await;
        let (town, _, taken_at) = bed.database.take_due(1, EVERY).await.unwrap().remove(0);
        let change = TownChange { status: Some(TownStatus::Stopped), ..TownChange::default() };
        (town, DriftRecord { taken_at, suspicion: None, drift: Some(Drift::MachineStopped), change })
    };
    Write::once("settle", "Ok(true)", "Ok(true)")
        .told(bench, off, async |database, (town, finding)| DriftChecks::record(database, town, finding).await)
        .await;
    Write::once("heartbeat", "Ok(true)", "Ok(true)")
        .told(bench, running, async |database, town| database.heartbeat(town.id, noon()).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_book_of_orphans_has_one_entry_of_each() {
    let bench = &Bench::new(|_| {}).await;
    // How often it was seen is one of several proofs; a repeat comes no sooner than the next pass.
    Write::each_time("note", "Ok([Orphan")
        .told(
            bench,
            async |bed| sighting(&running(bed).await),
            async |database, seen| database.record_seen(std::slice::from_ref(seen)).await,
        )
        .await;
    Write::once("deleting", "Ok(())", "Ok(())")
        .told(bench, noted, async |database, (app, resource)| database.log_deletion(app, resource, "olga").await)
        .await;
    Write::once("close", "Ok(())", "Ok(())")
        .told(bench, noted, async |database, (app, resource)| database.close(app, resource, OrphanEnd::Gone).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_is_begun_and_ended_once() {
    let bench = &Bench::new(|_| {}).await;
    Write::once("claim_pass", "Ok(Some", "Ok(None)")
        .told(
            bench,
            async |_| (),
            async |database, ()| {
                SingletonJobs::claim(database, SingletonJob::Orphans, &worker("one"), LEASE, EVERY).await
            },
        )
        .await;
    Write::once("prolong", "Ok(true)", "Ok(true)")
        .told(bench, begun, async |database, claim| SingletonJobs::renew(database, *claim, LEASE).await)
        .await;
    Write::once("end", "Ok(())", "Ok(())")
        .told(bench, begun, async |database, claim| SingletonJobs::finish(database, *claim, Some(Alarm::Refused)).await)
        .await;
}

/// Neither a refusal nor an end of the connection: the network is gone, or the machine behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_never_answered_is_not_waited_for_and_its_connection_is_given_up() {
    let hasty = |settings: &mut DatabaseSettings| {
        (settings.answer_timeout, settings.connect_timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    };
    let Bench { bed, proxy, database } = Bench::new(hasty).await;
    let town = running(&bed).await;
    proxy.cut_nth_commit(1, Cut::Silence);
    let unknown = database.heartbeat(town.id, noon()).await.unwrap_err();
    assert!(matches!(unknown, StoreError::Unavailable { .. }) && unknown.is_transient(), "{unknown:?}");
    assert_eq!(proxy.cuts(), 1);
    let written = bed.database.load(town.id).await.unwrap().unwrap();
    assert_eq!(written.last_heartbeat_at, Some(noon()));
    // The pool has room for one connection, and that one still hangs.
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = database.heartbeat(town.id, noon()).await {
        assert!(error.is_transient() && Instant::now() < deadline, "the pool is lost: {error:?}");
    }
}

fn with_rigs() -> NewCreate {
    let mut create = create_of(new_town("alice", "mill"));
    create.town.rigs = vec![rig(create.town.id, "app"), rig(create.town.id, "lib")];
    create
}

async fn running(bed: &Bed) -> Town {
    bed.running("alice", "mill").await
}

/// A create that nobody has claimed.
async fn accepted(bed: &Bed) -> Town {
    bed.create("alice", "mill").await
}

/// A create that somebody drives and that has failed before.
async fn in_flight(bed: &Bed) -> (Town, Fence) {
    let town = accepted(bed).await;
    let fence = bed.claimed(town.id, "one").await.fence();
    let failed =
        OperationUpdate { attempt: 3, last_error: Some(Failure::Throttled.into()), ..record(StepName::CreateVolume) };
    Operations::record(&bed.database, fence, &failed).await.unwrap();
    (town, fence)
}

/// The claim of such a one; its lease has run out, and nobody has taken it over.
async fn run_out(bed: &Bed) -> Fence {
    let (_, fence) = in_flight(bed).await;
    bed.let_leases_run_out().await;
    fence
}

async fn stranded(bed: &Bed) -> Town {
    let town = accepted(bed).await;
    bed.sql("DELETE FROM gastown_operations").await;
    town
}

async fn with_a_rig(bed: &Bed) -> Rig {
    let rig = rig(running(bed).await.id, "app");
    bed.database.insert(&user("alice"), &rig).await.unwrap();
    rig
}

/// A running town that no look was taken at for long.
async fn not_seen(bed: &Bed) {
    running(bed).await;
    bed.sql("UPDATE gastown_town_health SET checked_at = '2000-01-01T00:00:00+00:00'").await;
}

fn sighting(town: &Town) -> ObservedOrphan {
    let item = InventoryItem {
        resource: ResourceId::Machine("148ed21a031189".parse().unwrap()),
        name: "town".to_owned(),
        tags: vec![TownTag::Whole(town.id)],
        made_at: None,
        held_by: None,
        destroying: false,
    };
    ObservedOrphan { app: "gastown".parse().unwrap(), item, reason: OrphanReason::NoTown }
}

async fn noted(bed: &Bed) -> (AppName, ResourceId) {
    let seen = sighting(&running(bed).await);
    bed.database.record_seen(std::slice::from_ref(&seen)).await.unwrap();
    (seen.app, seen.item.resource)
}

/// A pass that somebody makes; its lease has run out, and nobody has taken it over.
async fn begun(bed: &Bed) -> LeaderLease {
    let claim = SingletonJobs::claim(&bed.database, SingletonJob::Orphans, &worker("one"), LEASE, EVERY)
        .await
        .unwrap()
        .unwrap();
    bed.sql("UPDATE gastown_passes SET lease_expires_at = '2000-01-01T00:00:00+00:00'").await;
    claim
}
