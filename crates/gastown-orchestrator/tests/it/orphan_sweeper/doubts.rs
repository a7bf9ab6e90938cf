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

use super::{PASSES_OF_GRACE, asked, book, pass, pass_by, seen, strays, towns};
use crate::bench::{Bench, settings};
use crate::faults::{Call, Fault, Process};
use crate::fly::Line;
use crate::inventory::the_app;
use crate::world::Phase;

#[tokio::test(start_paused = true)]
async fn lists_that_come_back_empty_close_nothing_and_delete_nothing() {
    let bench = Bench::new();
    bench.running("mill").await;
    strays(&bench, 1);
    assert_eq!(pass(&bench).await, seen(4, 2));
    let before = book(&bench);

    for (case, call) in [("machines", Action::ListMachines), ("volumes", Action::ListVolumes)] {
        bench.fly.schedule().next(Call::Fly(call), 1, Fault::EmptyList);
        let report = pass(&bench).await;
        assert_eq!((report.closed, report.deleted), (0, 0), "{case}");
    }
    let kept = |entries: &[Orphan]| -> Vec<_> {
        entries.iter().map(|entry| (entry.resource.clone(), entry.first_seen_at)).collect()
    };
    assert_eq!(kept(&book(&bench)), kept(&before));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_listed_and_cannot_be_asked_for_stays_in_the_book() {
    let bench = Bench::new();
    bench.running("mill").await;
    strays(&bench, 1);
    pass(&bench).await;
    {
        let mut world = bench.fly.world();
        world.machines[1].phase = Phase::Gone(Instant::now());
        world.volumes[1].gone = true;
    }
    for fault in [Fault::NotSent, Fault::ServerError, Fault::Misconfigured, Fault::Throttled] {
        bench.fly.schedule().next(Call::Fly(Action::ReadMachine), 1, fault);
        bench.fly.schedule().next(Call::Fly(Action::ReadVolume), 1, fault);
        assert_eq!(pass(&bench).await, seen(2, 0), "{fault:?}");
        assert_eq!(book(&bench).len(), 2, "{fault:?}");
    }
    assert_eq!(pass(&bench).await, OrphanReport { closed: 2, ..seen(2, 0) });
}

#[tokio::test(start_paused = true)]
async fn where_nothing_may_be_seen_an_operator_is_alarmed_until_it_may() {
    let bench = Bench::new();
    bench.running("mill").await;
    bench.fly.schedule().always(Call::Fly(Action::ListMachines), Fault::Misconfigured);
    assert_eq!(pass(&bench).await, OrphanReport { apps: 0, failed: 1, alarm: Some(Alarm::Refused), ..seen(0, 0) });
    bench.fly.schedule().calm();
    bench.fly.schedule().always(Call::Fly(Action::ListMachines), Fault::ServerError);
    assert_eq!(pass(&bench).await.alarm, None, "trouble that passes is no refusal");
    bench.fly.schedule().calm();
    assert_eq!(pass(&bench).await, seen(2, 0));
}

#[tokio::test(start_paused = true)]
async fn many_orphans_at_once_are_an_alarm_and_nothing_is_touched() {
    for (living, stray_pairs) in [(0, 5), (9, 5)] {
        let bench = Bench::new();
        towns(&bench, living).await;
        strays(&bench, stray_pairs);
        for _ in 0..10 {
            let report = pass(&bench).await;
            assert_eq!(report, OrphanReport { alarm: Some(Alarm::ManyOrphans), ..seen(2 * living + 10, 10) });
        }
        assert_eq!((book(&bench), asked(&bench)), (vec![], (0, 0)));
        assert_eq!(bench.store.rows().books.passes["orphans"].alarm, Some(Alarm::ManyOrphans));
    }
}

/// An inventory of which a test decides what it adds to the truth.
struct Doctored {
    line: Line,
    doctor: fn(&AppName, AppInventory) -> Result<AppInventory, BoxError>,
    apps: Vec<&'static str>,
}

#[async_trait]
impl Inventory for Doctored {
    async fn apps(&self) -> Result<Vec<AppName>, ProviderError> {
        Ok(self.apps.iter().map(|app| app.parse().unwrap()).collect())
    }

    async fn stock(&self, app: &AppName) -> Result<AppInventory, ProviderError> {
        let stock = self.line.stock(&the_app()).await?;
        (self.doctor)(app, stock).map_err(|cause| ProviderError::Unknown { action: Action::ListMachines, cause })
    }
}

fn doctored(
    bench: &Bench,
    apps: &[&'static str],
    doctor: fn(&AppName, AppInventory) -> Result<AppInventory, BoxError>,
) -> OrphanSweeper {
    let process = Process::default();
    let mut ports = bench.ports(&process);
    let line = Line { fly: Arc::clone(&bench.fly), process };
    ports.provider.inventory = Arc::new(Doctored { line, doctor, apps: apps.to_vec() });
    OrphanSweeper::new(ports, settings().into(), WorkerId("sweeper".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_whole_is_no_ground_for_a_deletion() {
    let bench = Bench::new();
    bench.running("mill").await;
    strays(&bench, 1);
    let in_part = doctored(&bench, &["gastown"], |_, stock| Ok(AppInventory { is_whole: false, ..stock }));
    for _ in 0..10 {
        assert_eq!(pass_by(&in_part).await, seen(4, 2));
    }
    assert_eq!(pass(&bench).await.deleted, 1, "seen for long, and the list is whole");
}

/// As when an entry was in the book for long, but Fly says that it was made a moment ago: it is another thing.
#[tokio::test(start_paused = true)]
async fn what_fly_made_lately_is_not_deleted() {
    let bench = Bench::new();
    bench.running("mill").await;
    strays(&bench, 1);
    let young = doctored(&bench, &["gastown"], |_, mut stock| {
        // The paused clock begins there; it is an hour and a half later when they are due by the book.
        let made_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::minutes(30);
        stock.items.iter_mut().for_each(|item| item.made_at = Some(made_at));
        Ok(stock)
    });
    let mut deleted = Vec::new();
    let began = bench.store.clock.now();
    while bench.store.clock.now() < began + TimeDelta::minutes(100) {
        deleted.push(pass_by(&young).await.deleted);
    }
    // An hour after it was made, and some minutes for clocks that are apart.
    assert_eq!(deleted, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_does_not_answer_costs_that_app_only() {
    let bench = Bench::new();
    bench.running("mill").await;
    strays(&bench, 1);
    let sweeper = doctored(&bench, &["broken", "gastown", "empty"], |app, stock| match app.as_str() {
        "broken" => Err("no".into()),
        "empty" => Ok(AppInventory { items: Vec::new(), is_whole: true }),
        _ => Ok(stock),
    });
    for number in 1..=PASSES_OF_GRACE {
        assert_eq!(pass_by(&sweeper).await, OrphanReport { apps: 2, failed: 1, ..seen(4, 2) }, "pass {number}");
    }
    assert_eq!(pass_by(&sweeper).await.deleted, 1);
}

#[tokio::test(start_paused = true)]
async fn orphans_of_an_app_that_does_not_answer_are_not_asked_for_one_by_one() {
    let bench = Bench::new();
    strays(&bench, 1);
    pass(&bench).await;
    let before = bench.fly.count(Action::ReadMachine);
    bench.fly.world().machines[0].phase = Phase::Gone(Instant::now());

    let broken = doctored(&bench, &["gastown"], |_, _| Err("no".into()));
    assert_eq!(pass_by(&broken).await, OrphanReport { failed: 1, ..OrphanReport::default() });

    assert_eq!((book(&bench).len(), bench.fly.count(Action::ReadMachine)), (2, before));
}

/// Each app on its own has too few to be alarming.
#[tokio::test(start_paused = true)]
async fn many_apps_with_a_few_orphans_each_are_alarming_too() {
    let bench = Bench::new();
    strays(&bench, 2);
    let sweeper = doctored(&bench, &["one", "two", "three"], |_, stock| Ok(stock));
    let report = pass_by(&sweeper).await;
    assert_eq!(report, OrphanReport { apps: 3, alarm: Some(Alarm::ManyOrphans), ..seen(12, 12) });
    assert_eq!(book(&bench), []);
}
