//! Unreliable lists and apps, and too many orphans at once.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use gastown_domain::AppName;
use gastown_domain::ports::{
    Action, Alarm, AppInventory, AppLists, BoxError, Clock as _, Inventory, Orphan, ProviderError, WorkerId,
};
use gastown_orchestrator::{OrphanReport, OrphanSweeper};
use tokio::time::Instant;

use super::{GRACE_PASSES, add_orphans, deletions_sent, found, orphan_records, pass, pass_by, towns};
use crate::bench::{Bench, settings};
use crate::faults::{Call, Fault, Process};
use crate::fly::FlyClient;
use crate::inventory::the_app;
use crate::world::Phase;

#[tokio::test(start_paused = true)]
async fn empty_lists_close_and_delete_nothing() {
    let bench = Bench::new();
    bench.running("mill").await;
    add_orphans(&bench, 1);
    assert_eq!(pass(&bench).await, found(4, 2));
    let before = orphan_records(&bench);

    for (case, call) in [("machines", Action::ListMachines), ("volumes", Action::ListVolumes)] {
        bench.fly.schedule().next(Call::Fly(call), 1, Fault::EmptyList);
        let report = pass(&bench).await;
        assert_eq!((report.closed, report.deleted), (0, 0), "{case}");
    }
    let kept = |entries: &[Orphan]| -> Vec<_> {
        entries.iter().map(|entry| (entry.resource.clone(), entry.first_seen_at)).collect()
    };
    assert_eq!(kept(&orphan_records(&bench)), kept(&before));
}

#[tokio::test(start_paused = true)]
async fn unlisted_orphan_stays_recorded_while_reads_fail() {
    let bench = Bench::new();
    bench.running("mill").await;
    add_orphans(&bench, 1);
    pass(&bench).await;
    {
        let mut world = bench.fly.world();
        world.machines[1].phase = Phase::Gone(Instant::now());
        world.volumes[1].gone = true;
    }
    for fault in [Fault::NotSent, Fault::ServerError, Fault::Misconfigured, Fault::Throttled] {
        bench.fly.schedule().next(Call::Fly(Action::ReadMachine), 1, fault);
        bench.fly.schedule().next(Call::Fly(Action::ReadVolume), 1, fault);
        assert_eq!(pass(&bench).await, found(2, 0), "{fault:?}");
        assert_eq!(orphan_records(&bench).len(), 2, "{fault:?}");
    }
    assert_eq!(pass(&bench).await, OrphanReport { closed: 2, ..found(2, 0) });
}

#[tokio::test(start_paused = true)]
async fn alarm_is_raised_while_lists_are_refused() {
    let bench = Bench::new();
    bench.running("mill").await;
    bench.fly.schedule().always(Call::Fly(Action::ListMachines), Fault::Misconfigured);
    assert_eq!(pass(&bench).await, OrphanReport { apps: 0, failed: 1, alarm: Some(Alarm::Refused), ..found(0, 0) });
    bench.fly.schedule().stop_faults();
    bench.fly.schedule().always(Call::Fly(Action::ListMachines), Fault::ServerError);
    assert_eq!(pass(&bench).await.alarm, None, "a temporary failure raises no alarm");
    bench.fly.schedule().stop_faults();
    assert_eq!(pass(&bench).await, found(2, 0));
}

#[tokio::test(start_paused = true)]
async fn many_orphans_at_once_raise_an_alarm_and_nothing_is_deleted() {
    for (living, stray_pairs) in [(0, 5), (9, 5)] {
        let bench = Bench::new();
        towns(&bench, living).await;
        add_orphans(&bench, stray_pairs);
        for _ in 0..10 {
            let report = pass(&bench).await;
            assert_eq!(report, OrphanReport { alarm: Some(Alarm::ManyOrphans), ..found(2 * living + 10, 10) });
        }
        assert_eq!((orphan_records(&bench), deletions_sent(&bench)), (vec![], (0, 0)));
        assert_eq!(bench.store.rows().records.jobs["orphans"].alarm, Some(Alarm::ManyOrphans));
    }
}

/// An inventory that a test modifies.
struct ModifiedInventory {
    client: FlyClient,
    modify: fn(&AppName, AppInventory) -> Result<AppInventory, BoxError>,
    apps: Vec<&'static str>,
}

#[async_trait]
impl Inventory for ModifiedInventory {
    async fn apps(&self) -> Result<Vec<AppName>, ProviderError> {
        Ok(self.apps.iter().map(|app| app.parse().unwrap()).collect())
    }

    async fn list(&self, app: &AppName) -> Result<AppInventory, ProviderError> {
        let stock = self.client.list(&the_app()).await?;
        (self.modify)(app, stock).map_err(|cause| ProviderError::Unknown { action: Action::ListMachines, cause })
    }

    async fn lists(&self, app: &AppName) -> Result<AppLists, ProviderError> {
        self.client.lists(app).await
    }
}

fn with_inventory(
    bench: &Bench,
    apps: &[&'static str],
    modify: fn(&AppName, AppInventory) -> Result<AppInventory, BoxError>,
) -> OrphanSweeper {
    let process = Process::default();
    let mut ports = bench.ports(&process);
    let client = FlyClient { fly: Arc::clone(&bench.fly), process };
    ports.provider.inventory = Arc::new(ModifiedInventory { client, modify, apps: apps.to_vec() });
    OrphanSweeper::new(ports, settings().into(), WorkerId("sweeper".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn incomplete_list_deletes_nothing() {
    let bench = Bench::new();
    bench.running("mill").await;
    add_orphans(&bench, 1);
    let incomplete = with_inventory(&bench, &["gastown"], |_, stock| Ok(AppInventory { is_whole: false, ..stock }));
    for _ in 0..10 {
        assert_eq!(pass_by(&incomplete).await, found(4, 2));
    }
    assert_eq!(pass(&bench).await.deleted, 1, "the grace period is over and the list is complete");
}

/// A record may be old while Fly reports a recent creation. Then it is another resource.
#[tokio::test(start_paused = true)]
async fn recently_created_resource_is_not_deleted() {
    let bench = Bench::new();
    bench.running("mill").await;
    add_orphans(&bench, 1);
    let recently_created = with_inventory(&bench, &["gastown"], |_, mut stock| {
        // The paused clock begins there. The grace period of the records ends an hour and a half later.
        let made_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::minutes(30);
        stock.items.iter_mut().for_each(|item| item.made_at = Some(made_at));
        Ok(stock)
    });
    let mut deleted = Vec::new();
    let began = bench.store.clock.now();
    while bench.store.clock.now() < began + TimeDelta::minutes(100) {
        deleted.push(pass_by(&recently_created).await.deleted);
    }
    // An hour after the creation, and some minutes for clock skew.
    assert_eq!(deleted, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn failing_app_does_not_affect_other_apps() {
    let bench = Bench::new();
    bench.running("mill").await;
    add_orphans(&bench, 1);
    let sweeper = with_inventory(&bench, &["broken", "gastown", "empty"], |app, stock| match app.as_str() {
        "broken" => Err("no".into()),
        "empty" => Ok(AppInventory { items: Vec::new(), is_whole: true }),
        _ => Ok(stock),
    });
    for number in 1..=GRACE_PASSES {
        assert_eq!(pass_by(&sweeper).await, OrphanReport { apps: 2, failed: 1, ..found(4, 2) }, "pass {number}");
    }
    assert_eq!(pass_by(&sweeper).await.deleted, 1);
}

#[tokio::test(start_paused = true)]
async fn orphans_of_failing_app_are_not_read_one_by_one() {
    let bench = Bench::new();
    add_orphans(&bench, 1);
    pass(&bench).await;
    let before = bench.fly.count(Action::ReadMachine);
    bench.fly.world().machines[0].phase = Phase::Gone(Instant::now());

    let broken = with_inventory(&bench, &["gastown"], |_, _| Err("no".into()));
    assert_eq!(pass_by(&broken).await, OrphanReport { failed: 1, ..OrphanReport::default() });

    assert_eq!((orphan_records(&bench).len(), bench.fly.count(Action::ReadMachine)), (2, before));
}

/// The orphans of one app alone are too few for an alarm.
#[tokio::test(start_paused = true)]
async fn few_orphans_in_each_of_many_apps_raise_an_alarm() {
    let bench = Bench::new();
    add_orphans(&bench, 2);
    let sweeper = with_inventory(&bench, &["one", "two", "three"], |_, stock| Ok(stock));
    let report = pass_by(&sweeper).await;
    assert_eq!(report, OrphanReport { apps: 3, alarm: Some(Alarm::ManyOrphans), ..found(12, 12) });
    assert_eq!(orphan_records(&bench), []);
}
