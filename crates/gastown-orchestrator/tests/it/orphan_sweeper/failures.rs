//! Failing calls, dying processes and concurrent replicas.

use gastown_domain::ports::Action;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    EVERY, add_orphans, deletions_sent, found, orphan_records, pass, pass_grace_period, sweeper, sweeper_on,
    unknown_town,
};
use crate::bench::Bench;
use crate::faults::{Call, Fault, Process, Query};

#[tokio::test(start_paused = true)]
async fn failed_deletion_is_retried() {
    let faults =
        [Fault::NotSent, Fault::ReplyLost, Fault::ServerError, Fault::Throttled, Fault::NotNow, Fault::Refused];
    for fault in faults {
        for call in [Action::ReadMachine, Action::DeleteMachine] {
            let bench = Bench::new();
            bench.running("mill").await;
            add_orphans(&bench, 1);
            pass_grace_period(&bench).await;
            bench.fly.schedule().next(Call::Fly(call), 1, fault);

            assert_eq!(pass(&bench).await.deleted, 0, "{fault:?} of {call}");
            assert_eq!(orphan_records(&bench).len(), 2, "{fault:?} of {call}");
            for _ in 0..4 {
                pass(&bench).await;
            }
            assert_eq!(
                (bench.fly.world().machines_of(unknown_town(0)).len(), orphan_records(&bench).len()),
                (0, 0),
                "{fault:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn deletion_is_not_sent_unless_recorded() {
    for query in [Query::TownRecords, Query::RecordDeletion] {
        let bench = Bench::new();
        bench.running("mill").await;
        add_orphans(&bench, 1);
        pass_grace_period(&bench).await;
        // The survey makes the first query for town records.
        let skip = usize::from(query == Query::TownRecords);
        bench.store.schedule().after(Call::Store(query), skip, Fault::NotSent);

        let report = pass(&bench).await;

        assert_eq!((report.deleted, deletions_sent(&bench)), (0, (0, 0)), "{query:?}");
        assert_eq!(pass(&bench).await.deleted, 1, "{query:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_replicas_make_one_pass() {
    let bench = Bench::new();
    add_orphans(&bench, 1);
    sleep(EVERY).await;
    let (one, other) = (sweeper(&bench), sweeper(&bench));
    let (first, second) = tokio::join!(one.pass(), other.pass());
    let mut reports = [first.unwrap(), second.unwrap()];
    reports.sort_by_key(Option::is_some);
    assert_eq!(reports, [None, Some(found(2, 2))]);
    assert_eq!(orphan_records(&bench)[0].times_seen, 1);
}

#[tokio::test(start_paused = true)]
async fn another_process_makes_pass_after_a_crash() {
    for call in [
        Call::Fly(Action::ListVolumes),
        Call::Store(Query::RecordOrphans),
        Call::Store(Query::RecordDeletion),
        Call::Fly(Action::DeleteMachine),
        Call::Store(Query::EndJob),
    ] {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let bench = Bench::new();
            bench.running("mill").await;
            add_orphans(&bench, 1);
            pass_grace_period(&bench).await;
            bench.fly.schedule().next(call, 1, fault);
            bench.store.schedule().next(call, 1, fault);
            sleep(EVERY).await;
            let process = Process::default();
            let crashing = sweeper_on(&bench, &process);
            tokio::select! {
                biased;
                report = crashing.pass() => panic!("{call:?}: {report:?}"),
                () = process.died() => {}
            }

            for _ in 0..4 {
                pass(&bench).await;
            }
            assert_eq!(
                (bench.fly.world().machines_of(unknown_town(0)).len(), orphan_records(&bench).len()),
                (0, 0),
                "{call:?}"
            );
            assert_eq!(bench.fly.world().volumes_of(unknown_town(0)).len(), 0, "{fault:?} of {call:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn job_continues_after_failures_until_stopped() {
    let bench = Bench::new();
    add_orphans(&bench, 1);
    bench.store.schedule().next(Call::Store(Query::ClaimJob), 1, Fault::NotSent);
    bench.store.schedule().next(Call::Store(Query::OrphanRecords), 1, Fault::NotSent);
    bench.fly.schedule().next(Call::Fly(Action::ListApps), 1, Fault::ServerError);
    let (stop, sweeper) = (CancellationToken::new(), sweeper(&bench));
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { sweeper.run(stop).await }
    });
    sleep(EVERY * 15).await;
    assert_eq!((bench.fly.world().machines_of(unknown_town(0)).len(), orphan_records(&bench).len()), (0, 0));
    stop.cancel();
    running.await.unwrap();
}
