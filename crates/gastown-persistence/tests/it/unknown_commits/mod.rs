//! Unanswered commits (FM-46): the content of the database, the caller's answer and the repeat, for every write.
//!
//! The tests run on Postgres, through a proxy that cuts the connection at the commit. Each test is a table of writes with
//! their first and repeated answers. `loss.rs` loses the commits.

mod loss;

use std::time::{Duration, Instant};

use ephemeral_db::Cut;
use gastown_domain::ports::{
    Adoption, Alarm, DriftChecks, DriftRecord, LeaderLease, NewCreate, NewRollout, ObservedOrphan, OperationUpdate,
    Operations, Operator as _, OrphanEnd, Orphans as _, Registry as _, Rigs as _, RolloutChanged, RolloutEnd,
    RolloutOrder, Rollouts as _, RoundFigures, SingletonJob, SingletonJobs, StoreError, Touch, TownChange, UpdateTown,
};
use gastown_domain::{
    AppName, Change, ConfigPatch, Drift, Failure, Fence, HealthLimits, InventoryItem, MaxUnavailable, Operation,
    OperationKind, OrphanReason, Percent, Progress, ResourceId, Rig, RigStatus, RolloutState, StepName, Town,
    TownStatus, TownTag,
};
use gastown_persistence::DatabaseSettings;

use self::loss::{Bench, Write};
use crate::bed::{Bed, LEASE, beat, create_of, keyed, new_town, noon, record, request, rig, take_due, user, worker};

const EVERY: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_counts_once() {
    let bench = &Bench::new(|_| {}).await;
    // Each request of a client has new ids.
    Write::once("accept_create", "Ok(Inserted", "Err(TownNameTaken)")
        .check(bench, async |_| (), async |database, ()| database.accept_create(&with_rigs()).await)
        .await;
    Write::once("accept_create with a key", "Ok(Inserted", "Ok(Known")
        .check(bench, async |_| (), async |database, ()| database.accept_create(&keyed(with_rigs(), "k1")).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_counts_once() {
    let bench = &Bench::new(|_| {}).await;
    for kind in [OperationKind::Stop, OperationKind::Start, OperationKind::Destroy] {
        Write::once(kind.as_str(), "Ok(Accepted", "Ok(Joined")
            .check(bench, running, async |database, town| database.request(&request(town, kind)).await)
            .await;
    }
    Write::once("a destroy that pre-empts", "Ok(Accepted", "Ok(Joined")
        .check(bench, in_flight, async |database, (town, _)| {
            database.request(&request(town, OperationKind::Destroy)).await
        })
        .await;
    Write::once("an operator's destroy", "Ok(Accepted", "Ok(Joined")
        .check(bench, in_flight, async |database, (town, _)| {
            database.destroy(&request(town, OperationKind::Destroy), "olga").await
        })
        .await;
    Write::once("an operator's stop", "Ok(Accepted", "Ok(Joined")
        .check(bench, running, async |database, town| {
            database.request_as(&request(town, OperationKind::Stop), "olga").await
        })
        .await;
    Write::once("adopt", "Ok(Inserted)", "Ok(Known)")
        .check(
            bench,
            async |_| {
                let town = new_town("alice", "mill").row();
                let rigs = Some(vec![rig(town.id, "app")]);
                Adoption { town, rigs }
            },
            async |database, adoption| database.adopt(adoption, "olga").await,
        )
        .await;
    // Each request adds an event.
    Write::each_time("retry", "Ok(Due")
        .check(bench, in_flight, async |database, (town, _)| database.retry(town.id, "olga").await)
        .await;
    Write::once("restart", "Ok(true)", "Ok(false)")
        .check(bench, running, async |database, town| {
            database.restart(&request(town, OperationKind::Restart), &Progress::default(), None).await
        })
        .await;
    Write::once("turn in a rollout", "Ok(Accepted)", "Ok(Refused)")
        .check(bench, in_a_rollout, async |database, turn| database.touch(turn).await)
        .await;
    Write::once("reinstate", "Ok(true)", "Ok(false)")
        .check(bench, stranded, async |database, town| {
            database.reinstate(&request(town, OperationKind::Create), &Progress::default()).await
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_counts_once_and_excludes_its_own_worker() {
    let bench = &Bench::new(|_| {}).await;
    Write::once("claim", "Ok(Some", "Ok(None)")
        .check(bench, accepted, async |database, town| {
            Operations::claim(database, town.id, &worker("one"), LEASE).await
        })
        .await;
    Write::once("claim_due", "Ok([Operation", "Ok([])")
        .check(bench, accepted, async |database, _| database.claim_due(&worker("one"), LEASE, 10).await)
        .await;
    Write::once("renew", "Ok(20", "Ok(20")
        .check(bench, expired, async |database, fence| Operations::renew(database, *fence, LEASE).await)
        .await;
    Write::once("release", "Ok(())", "Ok(())")
        .check(bench, expired, async |database, fence| database.release(*fence).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_of_a_claim_count_once() {
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
            .check(bench, expired, async |database, fence| {
                Operations::record(database, *fence, &record).await.map(drop)
            })
            .await;
    }
    let runs = TownChange { status: Some(TownStatus::Running), ..TownChange::default() };
    Write::once("finish", "Ok(())", "Err(Fenced")
        .check(bench, expired_operation, async |database, operation| {
            Operations::finish(database, operation, Ok(()), &runs).await.map(drop)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_a_configuration_counts_once() {
    let bench = &Bench::new(|_| {}).await;
    Write::once("update_config", "Ok(Done", "Ok(Done")
        .check(bench, running, async |database, town| {
            let config = ConfigPatch { max_polecats: Change::Set(4), ..ConfigPatch::default() };
            let update = UpdateTown { town: town.id, config, expected: town.config.version() };
            database.update_config(&user("alice"), &update).await
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rig_counts_once() {
    let bench = &Bench::new(|_| {}).await;
    Write::once("insert", "Ok(())", "Err(RigNameTaken)")
        .check(
            bench,
            async |bed| rig(running(bed).await.id, "app"),
            async |database, rig| database.insert(&user("alice"), rig, u32::MAX).await,
        )
        .await;
    Write::once("set_status", "Ok(true)", "Ok(false)")
        .check(bench, with_a_rig, async |database, rig| {
            database.set_status(rig.town, rig.id, RigStatus::Pending, RigStatus::Active).await
        })
        .await;
    Write::once("confirm", "Ok(())", "Ok(())")
        .check(bench, with_a_rig, async |database, rig| database.confirm(rig.town, rig.id, None).await)
        .await;
    Write::once("refuse", "Ok(true)", "Ok(false)")
        .check(bench, with_a_rig, async |database, rig| database.refuse(rig.town, rig.id, "no").await)
        .await;
    Write::once("remove", "Ok(true)", "Ok(false)")
        .check(bench, with_a_rig, async |database, rig| database.remove(rig.town, rig.id, rig.status).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drift_check_counts_once() {
    let bench = &Bench::new(|_| {}).await;
    Write::once("take_due", "Ok([(Town", "Ok([])")
        .check(bench, in_a_round, async |database, round| database.take_due(*round, 10, EVERY, LEASE).await)
        .await;
    let off = async |bed: &Bed| {
        not_seen(bed).await;
        let (town, _, taken_at) = take_due(&bed.database, 1, EVERY).await.remove(0);
        let change = TownChange { status: Some(TownStatus::Stopped), ..TownChange::default() };
        (town, DriftRecord { taken_at, suspicion: None, drift: Some(Drift::MachineStopped.into()), change })
    };
    Write::once("record of a drift check", "Ok(true)", "Ok(true)")
        .check(bench, off, async |database, (town, finding)| DriftChecks::record(database, town, finding).await)
        .await;
    Write::once("heartbeat", "Ok(true)", "Ok(true)")
        .check(bench, running, async |database, town| beat(database, town.id, noon()).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_of_drift_checks_begins_and_ends_once() {
    let bench = &Bench::new(|_| {}).await;
    Write::once("join_round", "Ok(Some(DriftRound { number: 1", "Ok(Some(DriftRound { number: 1")
        .check(bench, not_seen, async |database, ()| database.join_round(EVERY).await)
        .await;
    // A replica does not repeat it: an unknown report leaves its round without a verdict.
    let batch = RoundFigures { finished: 1, compared: 1, ..RoundFigures::default() };
    Write::each_time("report", "Ok(Some(RoundState")
        .check(bench, in_a_round, async |database, round| DriftChecks::report(database, *round, batch, &[]).await)
        .await;
    Write::once("end_round", "Ok(true)", "Ok(false)")
        .check(bench, in_a_round, async |database, round| database.end_round(*round, Some(Alarm::Refused)).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orphan_is_recorded_once() {
    let bench = &Bench::new(|_| {}).await;
    // The count is one of several proofs, and the next sweep repeats it anyway.
    Write::each_time("record_seen", "Ok([Orphan")
        .check(
            bench,
            async |bed| observed(&running(bed).await),
            async |database, seen| database.record_seen(std::slice::from_ref(seen)).await,
        )
        .await;
    Write::once("log_deletion", "Ok(())", "Ok(())")
        .check(bench, recorded, async |database, (app, resource)| database.log_deletion(app, resource, "olga").await)
        .await;
    Write::once("close", "Ok(())", "Ok(())")
        .check(bench, recorded, async |database, (app, resource)| database.close(app, resource, OrphanEnd::Gone).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_changes_once() {
    let bench = &Bench::new(|_| {}).await;
    Write::once("start of a rollout", "Ok(Done", "Ok(Refused")
        .check(bench, async |_| (), async |database, ()| database.start(&rollout(), "olga").await)
        .await;
    Write::once("undo of a rollout", "Ok(Done", "Ok(Refused")
        .check(bench, in_a_rollout, async |database, _| database.order(RolloutOrder::Undo, "olga").await)
        .await;
    let end = &RolloutEnd { from: RolloutState::Running, to: RolloutState::Finished, reason: None };
    Write::once("end of a rollout", "Ok(true)", "Ok(false)")
        .check(bench, in_a_rollout, async |database, turn| database.conclude(turn.rollout, end).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_claimed_and_finished_once() {
    let bench = &Bench::new(|_| {}).await;
    Write::once("claim of a job", "Ok(Some", "Ok(None)")
        .check(
            bench,
            async |_| (),
            async |database, ()| {
                SingletonJobs::claim(database, SingletonJob::Orphans, &worker("one"), LEASE, EVERY).await
            },
        )
        .await;
    Write::once("renewal of a job", "Ok(true)", "Ok(true)")
        .check(bench, claimed_job, async |database, claim| SingletonJobs::renew(database, *claim, LEASE).await)
        .await;
    Write::once("finish of a job", "Ok(())", "Ok(())")
        .check(bench, claimed_job, async |database, claim| {
            SingletonJobs::finish(database, *claim, Some(Alarm::Refused)).await
        })
        .await;
}

/// The network or the server disappears without an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_commit_times_out_and_its_connection_is_dropped() {
    let hasty = |settings: &mut DatabaseSettings| {
        (settings.answer_timeout, settings.connect_timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    };
    let Bench { bed, proxy, database } = Bench::new(hasty).await;
    let town = running(&bed).await;
    proxy.cut_nth_commit(1, Cut::Silence);
    let unknown = beat(&database, town.id, noon()).await.unwrap_err();
    assert!(matches!(unknown, StoreError::Unavailable { .. }) && unknown.is_transient(), "{unknown:?}");
    assert_eq!(proxy.cuts(), 1);
    let written = bed.database.load(town.id).await.unwrap().unwrap();
    assert_eq!(written.last_heartbeat_at, Some(noon()));
    // The only connection of the pool still hangs.
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = beat(&database, town.id, noon()).await {
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

/// A create without a claim.
async fn accepted(bed: &Bed) -> Town {
    bed.create("alice", "mill").await
}

/// A claimed create that has failed before.
async fn in_flight(bed: &Bed) -> (Town, Operation) {
    let town = accepted(bed).await;
    let operation = bed.claimed(town.id, "one").await;
    let failed =
        OperationUpdate { attempt: 3, last_error: Some(Failure::Throttled.into()), ..record(StepName::CreateVolume) };
    Operations::record(&bed.database, operation.fence(), &failed).await.unwrap();
    (town, operation)
}

/// The claim of such a create, with an expired lease.
async fn expired(bed: &Bed) -> Fence {
    expired_operation(bed).await.fence()
}

async fn expired_operation(bed: &Bed) -> Operation {
    let (_, operation) = in_flight(bed).await;
    bed.expire_leases().await;
    operation
}

async fn stranded(bed: &Bed) -> Town {
    let town = accepted(bed).await;
    bed.sql("DELETE FROM gastown_operations").await;
    town
}

async fn with_a_rig(bed: &Bed) -> Rig {
    let rig = rig(running(bed).await.id, "app");
    bed.database.insert(&user("alice"), &rig, u32::MAX).await.unwrap();
    rig
}

/// A running town whose last check is long ago.
async fn not_seen(bed: &Bed) {
    running(bed).await;
    bed.sql("UPDATE gastown_town_health SET checked_at = '2000-01-01T00:00:00+00:00'").await;
}

/// A round that has begun, with a due town.
async fn in_a_round(bed: &Bed) -> i64 {
    not_seen(bed).await;
    bed.database.join_round(EVERY).await.unwrap().unwrap().number
}

fn observed(town: &Town) -> ObservedOrphan {
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

async fn recorded(bed: &Bed) -> (AppName, ResourceId) {
    let seen = observed(&running(bed).await);
    bed.database.record_seen(std::slice::from_ref(&seen)).await.unwrap();
    (seen.app, seen.item.resource)
}

fn rollout() -> NewRollout {
    NewRollout {
        image: "registry.example/town:2".parse().unwrap(),
        percent: Percent::ALL,
        only_stopped: false,
        max_unavailable: MaxUnavailable::DEFAULT,
        replace: false,
    }
}

/// The turn of a running town in a rollout.
async fn in_a_rollout(bed: &Bed) -> Touch {
    let town = running(bed).await;
    let RolloutChanged::Done(rollout) = bed.database.start(&rollout(), "olga").await.unwrap() else { panic!() };
    Touch {
        rollout: rollout.number,
        pass: rollout.state.pass(),
        town: town.id,
        restart: Some(request(&town, OperationKind::Restart)),
        limits: HealthLimits::DEFAULT,
    }
}

/// A claimed job with an expired lease.
async fn claimed_job(bed: &Bed) -> LeaderLease {
    let claim = SingletonJobs::claim(&bed.database, SingletonJob::Orphans, &worker("one"), LEASE, EVERY)
        .await
        .unwrap()
        .unwrap();
    bed.sql("UPDATE gastown_passes SET lease_expires_at = '2000-01-01T00:00:00+00:00'").await;
    claim
}
