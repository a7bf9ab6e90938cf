//! Lists and apps that are not to be relied on, and too much at once.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use gastown_domain::AppName;
use gastown_domain::ports::{
    Action, Alarm, AppInventory, BoxError, Clock as _, Inventory, Orphan, ProviderError, WorkerId,
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
async fn lists_that_come_back_empty_close_nothing_and_delete_nothing() {
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
        entries.iter().map(|entry| (entry.thing.clone(), entry.first_seen_at)).collect()
    };
    assert_eq!(kept(&orphan_records(&bench)), kept(&before));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_listed_and_cannot_be_asked_for_stays_in_the_book() {
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
async fn where_nothing_may_be_seen_an_operator_is_alarmed_until_it_may() {
    let bench = Bench::new();
    bench.running("mill").await;
    bench.fly.schedule().always(Call::Fly(Action::ListMachines), Fault::Misconfigured);
    assert_eq!(pass(&bench).await, OrphanReport { apps: 0, failed: 1, alarm: Some(Alarm::Refused), ..found(0, 0) });
    bench.fly.schedule().stop_faults();
    bench.fly.schedule().always(Call::Fly(Action::ListMachines), Fault::ServerError);
    assert_eq!(pass(&bench).await.alarm, None, "trouble that passes is no refusal");
    bench.fly.schedule().stop_faults();
    assert_eq!(pass(&bench).await, found(2, 0));
}

#[tokio::test(start_paused = true)]
async fn many_orphans_at_once_are_an_alarm_and_nothing_is_touched() {
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

/// An inventory of which a test decides what it adds to the truth.
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

    async fn stock(&self, app: &AppName) -> Result<AppInventory, ProviderError> {
        let stock = self.client.stock(&the_app()).await?;
        (self.modify)(app, stock).map_err(|cause| ProviderError::Unknown { action: Action::ListMachines, cause })
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
async fn a_list_that_is_not_whole_is_no_ground_for_a_deletion() {
    let bench = Bench::new();
    bench.running("mill").await;
    add_orphans(&bench, 1);
    let incomplete = with_inventory(&bench, &["gastown"], |_, stock| Ok(AppInventory { is_whole: false, ..stock }));
    for _ in 0..10 {
        assert_eq!(pass_by(&incomplete).await, found(4, 2));
    }
    assert_eq!(pass(&bench).await.deleted, 1, "seen for long, and the list is whole");
}

/// As when an entry was in the book for long, but Fly says that it was made a moment ago: it is another thing.
#[tokio::test(start_paused = true)]
async fn what_fly_made_lately_is_not_deleted() {
    let bench = Bench::new();
    bench.running("mill").await;
    add_orphans(&bench, 1);
    let recently_created = with_inventory(&bench, &["gastown"], |_, mut stock| {
        // The paused clock begins there; it is an hour and a half later when they are due by the book.
        let made_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::minutes(30);
        stock.items.iter_mut().for_each(|item| item.made_at = Some(made_at));
        Ok(stock)
    });
    let mut deleted = Vec::new();
    let began = bench.store.clock.now();
    while bench.store.clock.now() < began + TimeDelta::minutes(100) {
        deleted.push(pass_by(&recently_created).await.deleted);
    }
    // An hour after it was made, and some minutes for clocks that are apart.
    assert_eq!(deleted, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_does_not_answer_costs_that_app_only() {
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
async fn orphans_of_an_app_that_does_not_answer_are_not_asked_for_one_by_one() {
    let bench = Bench::new();
    add_orphans(&bench, 1);
    pass(&bench).await;
    let before = bench.fly.count(Action::ReadMachine);
    bench.fly.world().machines[0].phase = Phase::Gone(Instant::now());

    let broken = with_inventory(&bench, &["gastown"], |_, _| Err("no".into()));
    assert_eq!(pass_by(&broken).await, OrphanReport { failed: 1, ..OrphanReport::default() });

    assert_eq!((orphan_records(&bench).len(), bench.fly.count(Action::ReadMachine)), (2, before));
}

/// Each app on its own has too few to be alarming.
#[tokio::test(start_paused = true)]
async fn many_apps_with_a_few_orphans_each_are_alarming_too() {
    let bench = Bench::new();
    add_orphans(&bench, 2);
    let sweeper = with_inventory(&bench, &["one", "two", "three"], |_, stock| Ok(stock));
    let report = pass_by(&sweeper).await;
    assert_eq!(report, OrphanReport { apps: 3, alarm: Some(Alarm::ManyOrphans), ..found(12, 12) });
    assert_eq!(orphan_records(&bench), []);
}
