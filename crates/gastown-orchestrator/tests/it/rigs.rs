//! Rigs: the table is the desired state, and the sandbox is reconciled with it.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::{
    Action, AddRig, Caller, DestroyTown, MockSandboxes, RemoveRig, RigRemoval, SandboxError, TownError, TownState,
    Towns as _, UpdateTown,
};
use gastown_domain::{Branch, FirstRig, OperationKind, Rig, RigStatus, TownId};

use crate::bench::{Bench, alice, request};
use crate::faults::{Call, Fault, Process, Query};

fn rig(town: TownId, name: &str) -> AddRig {
    AddRig {
        town,
        name: name.parse().unwrap(),
        repo: format!("https://github.com/acme/{name}").parse().unwrap(),
        branch: Some("main".parse().unwrap()),
        config: serde_json::Map::new(),
    }
}

fn present(bench: &Bench, town: TownId) -> Vec<String> {
    bench.fly.world().volumes_of(town)[0].rigs.iter().map(|rig| rig.name.to_string()).collect()
}

fn statuses(bench: &Bench) -> Vec<(String, RigStatus)> {
    bench.store.rows().rigs.iter().map(|rig| (rig.name.to_string(), rig.status)).collect()
}

async fn with_rig(bench: &Bench, name: &str) -> Rig {
    let town = bench.running("mill").await.id;
    bench.replica().towns.add_rig(&alice(), rig(town, name)).await.unwrap().rig
}

fn removal(rig: &Rig) -> RemoveRig {
    RemoveRig { town: rig.town, rig: rig.id, force: false }
}

#[tokio::test(start_paused = true)]
async fn first_rigs_are_active_when_created_town_runs() {
    let bench = Bench::new();
    let mut request = request("mill");
    request.config.rigs = vec![FirstRig {
        rig_name: "engine".parse().unwrap(),
        repo_url: "https://github.com/acme/engine".parse().unwrap(),
        branch: Some("main".parse().unwrap()),
    }];

    let town = bench.replica().towns.create_town(&alice(), request).await.unwrap();

    assert_eq!(present(&bench, town.town.id), ["engine"]);
    assert_eq!(statuses(&bench), [("engine".to_owned(), RigStatus::Active)]);
}

#[tokio::test(start_paused = true)]
async fn a_rig_of_a_running_town_is_active_at_once() {
    let bench = Bench::new();
    let added = with_rig(&bench, "engine").await;
    assert_eq!(added.status, RigStatus::Active);
    assert_eq!(present(&bench, added.town), ["engine"]);
    bench.assert_invariants("rig added");
}

#[tokio::test(start_paused = true)]
async fn rig_of_stopped_town_is_pending_until_next_start() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await.id;
    let towns = bench.replica().towns;

    let added = towns.add_rig(&alice(), rig(town, "engine")).await.unwrap().rig;
    assert_eq!(added.status, RigStatus::Pending);
    assert_eq!(bench.fly.schedule().count(Call::AddRig), 0);

    towns.start_town(&alice(), town).await.unwrap();
    assert_eq!(statuses(&bench), [("engine".to_owned(), RigStatus::Active)]);
    bench.assert_invariants("rig added at start");
}

#[tokio::test(start_paused = true)]
async fn rigs_survive_a_stop_and_a_start() {
    let bench = Bench::new();
    let added = with_rig(&bench, "engine").await;
    let towns = bench.replica().towns;
    towns.stop_town(&alice(), added.town).await.unwrap();
    towns.start_town(&alice(), added.town).await.unwrap();
    assert_eq!(present(&bench, added.town), ["engine"]);
    bench.assert_invariants("rigs survive");
}

#[tokio::test(start_paused = true)]
async fn a_refused_rig_is_not_kept() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.world().refused_rigs.insert("engine".to_owned());

    let error = bench.replica().towns.add_rig(&alice(), rig(town, "engine")).await.unwrap_err();

    assert!(matches!(&error, TownError::RigRefused { reason } if reason == "the clone failed"), "{error:?}");
    assert_eq!(statuses(&bench), []);
    assert_eq!(refused(&bench, town).await, [("engine".to_owned(), "the clone failed".to_owned())]);
}

/// The caller of a create is not told about its rigs, so the town's status must tell.
#[tokio::test(start_paused = true)]
async fn owner_sees_which_first_rig_was_refused_and_why() {
    let bench = Bench::new();
    bench.fly.world().refused_rigs.insert("engine".to_owned());
    let first = |name: &str| FirstRig {
        rig_name: name.parse().unwrap(),
        repo_url: format!("https://github.com/acme/{name}").parse().unwrap(),
        branch: None,
    };
    let mut request = request("mill");
    request.config.rigs = vec![first("engine"), first("wheel")];

    let town = bench.replica().towns.create_town(&alice(), request).await.unwrap();

    assert_eq!(statuses(&bench), [("wheel".to_owned(), RigStatus::Active)]);
    assert_eq!(refused(&bench, town.town.id).await, [("engine".to_owned(), "the clone failed".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn row_learns_the_default_branch_from_the_sandbox() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    let towns = bench.replica().towns;
    let without = |name: &str| AddRig { branch: None, ..rig(town, name) };
    let added = towns.add_rig(&alice(), without("engine")).await.unwrap().rig;
    assert_eq!(added.branch.as_ref().map(Branch::as_str), Some("trunk"));
    // The answer is lost, so the list of the sandbox tells.
    bench.fly.schedule().next(Call::AddRig, 1, Fault::ReplyLost);
    let pending = towns.add_rig(&alice(), without("wheel")).await.unwrap().rig;
    assert_eq!((pending.status, &pending.branch), (RigStatus::Pending, &None));
    bench.recover().await;
    let rows = bench.store.rows().rigs.clone();
    let branches: Vec<_> = rows.iter().map(|rig| rig.branch.as_ref().map(Branch::as_str)).collect();
    assert_eq!(branches, [Some("trunk"), Some("trunk")]);
    bench.assert_invariants("branches learned");
}

async fn refused(bench: &Bench, town: TownId) -> Vec<(String, String)> {
    let report = bench.replica().towns.town_status(&alice(), town).await.unwrap();
    report.health.refused_rigs.into_iter().map(|rig| (rig.rig_name.to_string(), rig.reason)).collect()
}

#[tokio::test(start_paused = true)]
async fn late_refusal_does_not_remove_rig_that_became_active() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    let mut ports = bench.ports(&Process::default());
    let mut sandboxes = MockSandboxes::new();
    let store = bench.store.clone();
    sandboxes.expect_add_rig().times(1).returning(move |_, _| {
        store.rows().rigs[0].status = RigStatus::Active;
        Err(SandboxError::Refused { reason: "its folder is there".to_owned() })
    });
    ports.provider.sandboxes = Arc::new(sandboxes);

    let towns = bench.replica_on(ports, Process::default()).towns;
    let added = towns.add_rig(&alice(), rig(town, "engine")).await.unwrap().rig;

    assert_eq!(added.status, RigStatus::Active);
    assert_eq!(statuses(&bench), [("engine".to_owned(), RigStatus::Active)]);
}

#[tokio::test(start_paused = true)]
async fn a_second_rig_of_the_same_name_in_other_case_is_refused() {
    let bench = Bench::new();
    let first = with_rig(&bench, "engine").await;
    let error = bench.replica().towns.add_rig(&alice(), rig(first.town, "Engine")).await.unwrap_err();
    assert!(matches!(error, TownError::RigNameTaken), "{error:?}");
}

/// Neither a lost request nor a lost response leaves the table and the sandbox different.
#[tokio::test(start_paused = true)]
async fn sweep_adds_pending_rig() {
    for fault in [Fault::NotSent, Fault::ReplyLost, Fault::NotNow, Fault::CrashBefore, Fault::CrashAfter] {
        let bench = Bench::new();
        let town = bench.running("mill").await.id;
        bench.fly.schedule().next(Call::AddRig, 1, fault);
        let replica = bench.replica();
        let alice = alice();
        let added = replica.unless_crashed(replica.towns.add_rig(&alice, rig(town, "engine"))).await;
        assert!(added.is_none_or(|added| added.unwrap().rig.status == RigStatus::Pending), "{fault:?}");

        bench.recover().await;

        assert_eq!(statuses(&bench), [("engine".to_owned(), RigStatus::Active)], "{fault:?}");
        bench.assert_invariants(&format!("{fault:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn slow_clone_delays_neither_the_sweep_nor_other_sandboxes() {
    let bench = Bench::new();
    for name in ["mill", "forge"] {
        let town = bench.running(name).await.id;
        bench.fly.schedule().next(Call::AddRig, 1, Fault::NotSent);
        bench.replica().towns.add_rig(&alice(), rig(town, name)).await.unwrap();
    }
    let replica = bench.replica();
    bench.fly.schedule().next(Call::AddRig, 1, Fault::Slow);

    for _ in 0..4 {
        let started = tokio::time::Instant::now();
        replica.workers.sweep().await.unwrap();
        assert!(started.elapsed().as_secs() < 1);
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    }

    let active = statuses(&bench).into_iter().filter(|(_, status)| *status == RigStatus::Active).count();
    assert_eq!(
        (active, bench.fly.schedule().count(Call::AddRig)),
        (1, 4),
        "two failed, one is slow, one has succeeded"
    );
    replica.workers.idle().await;
    bench.assert_invariants("both added");
}

#[tokio::test(start_paused = true)]
async fn removed_rig_is_gone_from_sandbox_and_table_and_frees_its_name() {
    let bench = Bench::new();
    let added = with_rig(&bench, "engine").await;
    let towns = bench.replica().towns;

    assert_eq!(towns.remove_rig(&alice(), removal(&added)).await.unwrap().removal, RigRemoval::Removed);

    assert_eq!((present(&bench, added.town).len(), statuses(&bench).len()), (0, 0));
    assert!(matches!(towns.remove_rig(&alice(), removal(&added)).await, Err(TownError::RigNotFound)));
    towns.add_rig(&alice(), rig(added.town, "engine")).await.unwrap();
    bench.assert_invariants("added again");
}

#[tokio::test(start_paused = true)]
async fn rig_removed_during_its_clone_leaves_no_clone() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.schedule().next(Call::AddRig, 1, Fault::OutlastsLease);
    let (towns, alice) = (bench.replica().towns, alice());
    let remove = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let pending = bench.store.rows().rigs[0].clone();
        towns.remove_rig(&alice, removal(&pending)).await
    };

    let (added, removed) = tokio::join!(towns.add_rig(&alice, rig(town, "engine")), remove);

    assert!(matches!(added, Err(TownError::RigNotFound)), "{added:?}");
    assert_eq!(removed.unwrap().removal, RigRemoval::Removed);
    bench.assert_invariants("no clone is left");
}

#[tokio::test(start_paused = true)]
async fn changes_of_rigs_answer_with_town_and_its_operation() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let (towns, alice) = (bench.replica().towns, alice());

    let added = towns.add_rig(&alice, rig(town.id, "engine")).await.unwrap();
    assert_eq!((added.rig.status, added.town), (RigStatus::Active, TownState::idle(town.clone())));

    // A stop that cannot reach the provider stays in flight.
    bench.fly.schedule().always(Call::Fly(Action::StopMachine), Fault::NotNow);
    towns.stop_town(&alice, town.id).await.unwrap();
    let removed = towns.remove_rig(&alice, removal(&added.rig)).await.unwrap();
    let stop = removed.town.operation.map(|operation| operation.kind);
    assert_eq!((removed.removal, stop), (RigRemoval::Pending, Some(OperationKind::Stop.into())));
    let added = towns.add_rig(&alice, rig(town.id, "wheel")).await.unwrap();
    let stop = added.town.operation.map(|operation| operation.kind);
    assert_eq!((added.rig.status, stop), (RigStatus::Pending, Some(OperationKind::Stop.into())));
}

/// The change is stored and made. A read that fails afterwards must not make the caller repeat it.
#[tokio::test(start_paused = true)]
async fn changed_rigs_are_answered_although_the_town_cannot_be_read_afterwards() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let towns = bench.replica().towns;
    bench.store.schedule().next(Call::Store(Query::Current), 2, Fault::NotSent);

    let added = towns.add_rig(&alice(), rig(town.id, "engine")).await.unwrap();
    assert_eq!((added.rig.status, &added.town.town), (RigStatus::Active, &town));
    let removed = towns.remove_rig(&alice(), removal(&added.rig)).await.unwrap();
    assert_eq!((removed.removal, removed.town.town), (RigRemoval::Removed, town));
}

#[tokio::test(start_paused = true)]
async fn changes_of_one_user_have_a_rate_of_their_own() {
    let mut bench = Bench::new();
    bench.change_policy(|policy| policy.limits.changes_per_minute = 4.try_into().unwrap());
    let town = bench.running("mill").await.id;
    let (towns, alice, bob) = (bench.replica().towns, alice(), Caller::Trusted("bob".parse().unwrap()));
    let expected = gastown_domain::TownConfig::default().version();
    let update = UpdateTown { town, config: gastown_domain::ConfigPatch::default(), expected };
    // A call that is not authorized does not count.
    for _ in 0..8 {
        assert!(matches!(towns.add_rig(&bob, rig(town, "engine")).await, Err(TownError::NotFound)));
    }
    towns.update_town(&alice, update.clone()).await.unwrap();
    let added = towns.add_rig(&alice, rig(town, "engine")).await.unwrap().rig;
    towns.add_rig(&alice, rig(town, "wheel")).await.unwrap();
    towns.remove_rig(&alice, removal(&added)).await.unwrap();

    for refused in [
        towns.add_rig(&alice, rig(town, "belt")).await.err(),
        towns.remove_rig(&alice, removal(&added)).await.err(),
        towns.update_town(&alice, update.clone()).await.err(),
        towns.stop_town(&alice, town).await.err(),
        towns.start_town(&alice, town).await.err(),
        towns.create_town(&alice, request("forge")).await.err(),
    ] {
        let Some(TownError::TooManyChanges { limit: 4, retry_after }) = refused else { panic!("{refused:?}") };
        assert!(retry_after <= Duration::from_secs(15), "{retry_after:?}");
    }
    assert_eq!(present(&bench, town), ["wheel"], "a refused change writes nothing");
    assert!(matches!(towns.update_town(&bob, update).await, Err(TownError::NotFound)), "another user is not refused");
    towns.destroy_town(&alice, DestroyTown::of(town)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn first_rigs_count_as_changes() {
    let mut bench = Bench::new();
    bench.change_policy(|policy| policy.limits.changes_per_minute = 4.try_into().unwrap());
    let towns = bench.replica().towns;
    let mut large = request("mill");
    let names = ["one", "two", "three", "four", "five", "six"];
    large.config.rigs = names
        .map(|name| FirstRig {
            rig_name: name.parse().unwrap(),
            repo_url: format!("https://github.com/acme/{name}").parse().unwrap(),
            branch: None,
        })
        .into();
    // A request beyond the limit counts as all of it, so that it is possible at all.
    towns.create_town(&alice(), large).await.unwrap();
    let refused = towns.create_town(&alice(), request("forge")).await;
    assert!(matches!(refused, Err(TownError::TooManyChanges { limit: 4, .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rig_in_use_stays_unless_forced() {
    let bench = Bench::new();
    let added = with_rig(&bench, "engine").await;
    bench.fly.world().busy_rigs.insert("engine".to_owned());
    let towns = bench.replica().towns;

    let error = towns.remove_rig(&alice(), removal(&added)).await.unwrap_err();
    assert!(matches!(&error, TownError::RigInUse { in_the_way } if in_the_way == &["a running session"]), "{error:?}");
    assert_eq!(statuses(&bench), [("engine".to_owned(), RigStatus::Active)]);

    let forced = RemoveRig { force: true, ..removal(&added) };
    assert_eq!(towns.remove_rig(&alice(), forced).await.unwrap().removal, RigRemoval::Removed);
}

#[tokio::test(start_paused = true)]
async fn rig_removed_from_stopped_town_is_deleted_at_next_start() {
    let bench = Bench::new();
    let added = with_rig(&bench, "engine").await;
    let towns = bench.replica().towns;
    towns.stop_town(&alice(), added.town).await.unwrap();

    assert_eq!(towns.remove_rig(&alice(), removal(&added)).await.unwrap().removal, RigRemoval::Pending);
    assert_eq!(statuses(&bench), [("engine".to_owned(), RigStatus::Removing)]);

    towns.start_town(&alice(), added.town).await.unwrap();
    assert_eq!((present(&bench, added.town).len(), statuses(&bench).len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn sweep_removes_rig_that_could_not_be_removed() {
    for fault in [Fault::NotSent, Fault::ReplyLost, Fault::NotNow, Fault::CrashBefore, Fault::CrashAfter] {
        let bench = Bench::new();
        let added = with_rig(&bench, "engine").await;
        bench.fly.schedule().next(Call::RemoveRig, 1, fault);
        let replica = bench.replica();
        let alice = alice();
        let removed = replica.unless_crashed(replica.towns.remove_rig(&alice, removal(&added))).await;
        assert!(removed.is_none_or(|removed| removed.unwrap().removal == RigRemoval::Pending), "{fault:?}");

        bench.recover().await;

        assert_eq!((present(&bench, added.town).len(), statuses(&bench).len()), (0, 0), "{fault:?}");
    }
}
