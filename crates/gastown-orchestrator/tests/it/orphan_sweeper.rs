//! Orphans: what no row accounts for is reported, and deleted only after a grace period and on several proofs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use gastown_domain::ports::{
    Action, Alarm, BoxError, Clock as _, Inventory, MachineSpec, Orphan, OrphanEnd, ProviderError, Stock, Towns as _,
    WorkerId,
};
use gastown_domain::{AppName, Guest, MachineId, OrphanReason, Thing, Town, TownId, VolumeId};
use gastown_orchestrator::{Grace, OrphanReport, OrphanSweeper, Policy, Removal, Settings, Verdict};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bench::{Bench, alice, request, settings};
use crate::books::the_app;
use crate::faults::{Call, Fault, Process, Query};
use crate::fly::Line;
use crate::world::{Phase, World};

const EVERY: Duration = Duration::from_secs(600);
/// Until grace has passed: the first pass notes, those after an hour delete.
const PASSES_OF_GRACE: usize = 6;

fn settings_with(change: impl FnOnce(&mut Policy)) -> Arc<Settings> {
    let mut settings = settings();
    change(&mut settings.policy);
    settings.into()
}

fn sweeper_on(bench: &Bench, process: &Process) -> OrphanSweeper {
    OrphanSweeper::new(bench.ports(process), settings().into(), WorkerId("sweeper".to_owned()))
}

fn sweeper(bench: &Bench) -> OrphanSweeper {
    sweeper_on(bench, &Process::default())
}

async fn pass_by(sweeper: &OrphanSweeper) -> OrphanReport {
    sleep(EVERY).await;
    sweeper.pass().await.unwrap().unwrap()
}

/// One pass of a fresh process, a period after whatever was before, when it is due.
async fn pass(bench: &Bench) -> OrphanReport {
    pass_by(&sweeper(bench)).await
}

/// As many passes as pass before anything is deleted.
async fn passes_of_grace(bench: &Bench) {
    for number in 1..=PASSES_OF_GRACE {
        assert_eq!(pass(bench).await.deleted, 0, "pass {number} is within grace");
    }
}

fn seen(seen: usize, orphans: usize) -> OrphanReport {
    OrphanReport { apps: 1, seen, orphans, ..OrphanReport::default() }
}

/// A town that the registry has never had.
fn nobody(number: u128) -> TownId {
    TownId::new(Uuid::from_u128((0xdead_0000 + number) << 96))
}

/// A machine of that town's name on a volume of its own.
fn stray(world: &mut World, town: TownId) -> (MachineId, VolumeId) {
    let region = "iad".parse().unwrap();
    let volume = world.add_volume(town, &region).id;
    let metadata = [("gastown_town_id".to_owned(), town.to_string())];
    let spec = MachineSpec {
        app: the_app(),
        town,
        region,
        image: "registry.fly.io/gastown:1".parse().unwrap(),
        guest: Guest::TOWN,
        volume: volume.clone(),
        env: [].into(),
        metadata: metadata.into(),
    };
    (world.add_machine(&spec, Instant::now()), volume)
}

fn strays(bench: &Bench, count: u128) {
    for number in 0..count {
        stray(&mut bench.fly.world(), nobody(number));
    }
}

async fn towns(bench: &Bench, count: usize) {
    for number in 0..count {
        bench.running(&format!("mill-{number}")).await;
    }
}

async fn destroyed(bench: &Bench, name: &str) -> TownId {
    let town = bench.running(name).await.id;
    bench.replica().towns.destroy_town(&alice(), town).await.unwrap();
    bench.recover().await;
    town
}

fn book(bench: &Bench) -> Vec<Orphan> {
    bench.store.rows().books.orphans.values().cloned().collect()
}

fn asked(bench: &Bench) -> (usize, usize) {
    (bench.fly.count(Action::DeleteMachine), bench.fly.count(Action::DeleteVolume))
}

#[tokio::test(start_paused = true)]
async fn what_a_row_accounts_for_is_no_orphan() {
    let bench = Bench::new();
    bench.running("mill").await;
    bench.stopped("forge").await;
    destroyed(&bench, "barn").await;
    assert_eq!(pass(&bench).await, seen(4, 0));
    assert_eq!(book(&bench), []);
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_no_town_or_a_destroyed_one_is_reported_and_deleted_after_grace() {
    for reason in [OrphanReason::NoTown, OrphanReason::TownDestroyed] {
        let bench = Bench::new();
        let kept = bench.running("mill").await;
        let town = match reason {
            OrphanReason::TownDestroyed => destroyed(&bench, "barn").await,
            _ => nobody(0),
        };
        let (machine, volume) = stray(&mut bench.fly.world(), town);
        let (machine, volume) = (Thing::Machine(machine), Thing::Volume(volume));
        let before = asked(&bench);

        passes_of_grace(&bench).await;
        let noted: Vec<_> = book(&bench).into_iter().map(|entry| (entry.thing, entry.reason)).collect();
        assert_eq!(noted, [(machine.clone(), reason), (volume.clone(), reason)]);
        assert_eq!(asked(&bench), before);

        // The machine goes before its volume, and each leaves the book only when it is proven gone.
        let report = pass(&bench).await;
        assert_eq!(report, OrphanReport { deleted: 1, ..seen(4, 2) }, "{reason:?}");
        assert_eq!(book(&bench).len(), 2, "{reason:?}");
        let report = pass(&bench).await;
        assert_eq!(report, OrphanReport { deleted: 1, closed: 1, ..seen(3, 1) }, "{reason:?}");
        assert_eq!(pass(&bench).await, OrphanReport { closed: 1, ..seen(2, 0) }, "{reason:?}");
        let books = &bench.store.rows().books;
        let by_sweeper = |thing: &Thing| (thing.clone(), "orphan sweeper".to_owned());
        assert_eq!(books.deletions, [by_sweeper(&machine), by_sweeper(&volume)], "{reason:?}");
        assert_eq!(books.closed, [(machine, OrphanEnd::Gone), (volume, OrphanEnd::Gone)], "{reason:?}");
        let world = bench.fly.world();
        assert_eq!((world.machines_of(kept.id).len(), world.volumes_of(kept.id).len()), (1, 1));
        assert_eq!((world.machines_of(town).len(), world.volumes_of(town).len()), (0, 0), "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_machine_or_volume_of_a_living_town_is_reported_and_left_alone() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    stray(&mut bench.fly.world(), town.id);
    for _ in 0..20 {
        assert_eq!(pass(&bench).await, seen(4, 2));
    }
    let reasons: Vec<_> = book(&bench).iter().map(|entry| (entry.reason, entry.times_seen)).collect();
    assert_eq!(reasons, [(OrphanReason::Second, 20), (OrphanReason::Second, 20)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_made_or_removed_is_its_drivers() {
    for action in [Action::CreateVolume, Action::CreateMachine, Action::StopMachine] {
        let bench = Bench::new();
        bench.fly.schedule().next(Call::Fly(action), 1, Fault::CrashAfter);
        let (replica, alice) = (bench.replica(), alice());
        let life = async {
            let town = replica.towns.create_town(&alice, request("mill")).await.unwrap();
            replica.towns.stop_town(&alice, town.id).await
        };
        assert!(replica.survives(life).await.is_none());

        let report = pass(&bench).await;

        assert!(report.seen > 0, "{action}");
        assert_eq!((report.orphans, book(&bench)), (0, vec![]), "{action}");
    }
    let bench = Bench::new();
    bench.running("mill").await;
    bench.fly.world().deletes_are_ignored = true;
    bench.replica().towns.destroy_town(&alice(), bench.only_town()).await.unwrap();
    assert_eq!(pass(&bench).await, seen(2, 0), "a tombstone that is still being removed");
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_not_deleted_while_a_machine_has_it() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let volume = bench.fly.world().add_volume(nobody(0), &"iad".parse().unwrap()).id;
    bench.fly.world().volume(&volume).unwrap().held_by = town.machine_id;
    for _ in 0..10 {
        assert_eq!(pass(&bench).await, seen(3, 1));
    }

    // Nor under one that no list of ours shows.
    let (foreign, _) = stray(&mut bench.fly.world(), nobody(1));
    {
        let mut world = bench.fly.world();
        world.volumes.pop();
        let machine = world.machine(&foreign).unwrap();
        machine.name.replace_range(.., "somebody-elses");
        machine.metadata.clear();
        world.volume(&volume).unwrap().held_by = Some(foreign.clone());
    }
    for _ in 0..3 {
        assert_eq!(pass(&bench).await, seen(3, 1));
    }
    assert_eq!(asked(&bench), (0, 0));

    // What Fly still calls bound to a machine that is gone is for Fly to refuse, or not.
    bench.fly.world().volume(&volume).unwrap().held_by = Some("long_gone".parse().unwrap());
    assert_eq!(pass(&bench).await, seen(3, 1));
    assert_eq!(asked(&bench), (0, 1));
    bench.fly.world().volume(&volume).unwrap().held_by = None;
    assert_eq!(pass(&bench).await.deleted, 1);
}

/// A row as an operator writes it back from a backup.
fn bring_back(bench: &Bench, like: &Town, town: TownId, machine: &MachineId, volume: &VolumeId) {
    let row = Town {
        id: town,
        name: "barn".parse().unwrap(),
        machine_id: Some(machine.clone()),
        volume_id: Some(volume.clone()),
        ..like.clone()
    };
    bench.store.rows().towns.insert(town, row);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_comes_back_in_time_keeps_what_it_names() {
    let bench = Bench::new();
    let like = bench.running("mill").await;
    let (machine, volume) = stray(&mut bench.fly.world(), nobody(0));
    passes_of_grace(&bench).await;

    bring_back(&bench, &like, nobody(0), &machine, &volume);
    assert_eq!(pass(&bench).await, OrphanReport { closed: 2, ..seen(4, 0) });
    let ends: Vec<_> = bench.store.rows().books.closed.iter().map(|(_, end)| *end).collect();
    assert_eq!(ends, [OrphanEnd::AccountedFor, OrphanEnd::AccountedFor]);

    // Gone once more: its grace begins anew.
    bench.store.rows().towns.remove(&nobody(0));
    passes_of_grace(&bench).await;
    assert_eq!(pass(&bench).await.deleted, 1);
}

/// Between the list and the deletion the registry is asked once more.
#[tokio::test(start_paused = true)]
async fn a_row_that_comes_back_under_the_pass_keeps_what_it_names() {
    let bench = Bench::new();
    let like = bench.running("mill").await;
    let (machine, volume) = stray(&mut bench.fly.world(), nobody(0));
    passes_of_grace(&bench).await;
    sleep(EVERY).await;
    let looks_before = bench.fly.count(Action::ReadMachine);
    let restored = async {
        while bench.fly.count(Action::ReadMachine) == looks_before {
            sleep(Duration::from_millis(1)).await;
        }
        bring_back(&bench, &like, nobody(0), &machine, &volume);
    };

    let sweeper = sweeper(&bench);
    let (report, ()) = tokio::join!(sweeper.pass(), restored);

    assert_eq!(report.unwrap(), Some(seen(4, 2)), "found, and not deleted");
    assert_eq!(asked(&bench), (0, 0));
}

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
        entries.iter().map(|entry| (entry.thing.clone(), entry.first_seen_at)).collect()
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

#[tokio::test(start_paused = true)]
async fn one_pass_deletes_no_more_than_ten() {
    let bench = Bench::new();
    towns(&bench, 24).await;
    strays(&bench, 12);
    passes_of_grace(&bench).await;
    let mut deleted = Vec::new();
    for _ in 0..4 {
        deleted.push(pass(&bench).await.deleted);
    }
    assert_eq!(deleted, [10, 10, 4, 0]);
    assert_eq!(pass(&bench).await.orphans, 0);
    assert_eq!((bench.fly.world().machines_of(nobody(0)).len(), book(&bench).len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_fails_is_asked_for_again() {
    let faults =
        [Fault::NotSent, Fault::ReplyLost, Fault::ServerError, Fault::Throttled, Fault::NotNow, Fault::Refused];
    for fault in faults {
        for call in [Action::ReadMachine, Action::DeleteMachine] {
            let bench = Bench::new();
            bench.running("mill").await;
            strays(&bench, 1);
            passes_of_grace(&bench).await;
            bench.fly.schedule().next(Call::Fly(call), 1, fault);

            assert_eq!(pass(&bench).await.deleted, 0, "{fault:?} of {call}");
            assert_eq!(book(&bench).len(), 2, "{fault:?} of {call}");
            for _ in 0..4 {
                pass(&bench).await;
            }
            assert_eq!((bench.fly.world().machines_of(nobody(0)).len(), book(&bench).len()), (0, 0), "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_is_not_written_down_is_not_asked_for() {
    for query in [Query::Accounts, Query::DeletingOrphan] {
        let bench = Bench::new();
        bench.running("mill").await;
        strays(&bench, 1);
        passes_of_grace(&bench).await;
        // The first look at the accounts is the survey's.
        let skip = usize::from(query == Query::Accounts);
        bench.store.schedule().after(Call::Store(query), skip, Fault::NotSent);

        let report = pass(&bench).await;

        assert_eq!((report.deleted, asked(&bench)), (0, (0, 0)), "{query:?}");
        assert_eq!(pass(&bench).await.deleted, 1, "{query:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_replicas_at_once_make_one_pass() {
    let bench = Bench::new();
    strays(&bench, 1);
    sleep(EVERY).await;
    let (one, other) = (sweeper(&bench), sweeper(&bench));
    let (first, second) = tokio::join!(one.pass(), other.pass());
    let mut reports = [first.unwrap(), second.unwrap()];
    reports.sort_by_key(Option::is_some);
    assert_eq!(reports, [None, Some(seen(2, 2))]);
    assert_eq!(book(&bench)[0].times_seen, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pass_whose_process_dies_is_made_by_another() {
    for call in [
        Call::Fly(Action::ListVolumes),
        Call::Store(Query::NoteOrphans),
        Call::Store(Query::DeletingOrphan),
        Call::Fly(Action::DeleteMachine),
        Call::Store(Query::EndPass),
    ] {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let bench = Bench::new();
            bench.running("mill").await;
            strays(&bench, 1);
            passes_of_grace(&bench).await;
            bench.fly.schedule().next(call, 1, fault);
            bench.store.schedule().next(call, 1, fault);
            sleep(EVERY).await;
            let process = Process::default();
            let dying = sweeper_on(&bench, &process);
            tokio::select! {
                biased;
                report = dying.pass() => panic!("{call:?}: {report:?}"),
                () = process.died() => {}
            }

            for _ in 0..4 {
                pass(&bench).await;
            }
            assert_eq!((bench.fly.world().machines_of(nobody(0)).len(), book(&bench).len()), (0, 0), "{call:?}");
            assert_eq!(bench.fly.world().volumes_of(nobody(0)).len(), 0, "{fault:?} of {call:?}");
        }
    }
}

/// An inventory of which a test decides what it adds to the truth.
struct Doctored {
    line: Line,
    doctor: fn(&AppName, Stock) -> Result<Stock, BoxError>,
    apps: Vec<&'static str>,
}

#[async_trait]
impl Inventory for Doctored {
    async fn apps(&self) -> Result<Vec<AppName>, ProviderError> {
        Ok(self.apps.iter().map(|app| app.parse().unwrap()).collect())
    }

    async fn stock(&self, app: &AppName) -> Result<Stock, ProviderError> {
        let stock = self.line.stock(&the_app()).await?;
        (self.doctor)(app, stock).map_err(|cause| ProviderError::Unknown { action: Action::ListMachines, cause })
    }
}

fn doctored(
    bench: &Bench,
    apps: &[&'static str],
    doctor: fn(&AppName, Stock) -> Result<Stock, BoxError>,
) -> OrphanSweeper {
    let process = Process::default();
    let mut ports = bench.ports(&process);
    let line = Line { fly: Arc::clone(&bench.fly), process };
    ports.outside.inventory = Arc::new(Doctored { line, doctor, apps: apps.to_vec() });
    OrphanSweeper::new(ports, settings().into(), WorkerId("sweeper".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_whole_is_no_ground_for_a_deletion() {
    let bench = Bench::new();
    bench.running("mill").await;
    strays(&bench, 1);
    let in_part = doctored(&bench, &["gastown"], |_, stock| Ok(Stock { is_whole: false, ..stock }));
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
        "empty" => Ok(Stock { items: Vec::new(), is_whole: true }),
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

#[tokio::test(start_paused = true)]
async fn where_it_may_not_delete_it_only_reports() {
    let bench = Bench::new();
    strays(&bench, 1);
    let settings = settings_with(|policy| policy.orphans.delete = false);
    let sweeper = OrphanSweeper::new(bench.ports(&Process::default()), settings, WorkerId("sweeper".to_owned()));
    for _ in 0..10 {
        assert_eq!(pass_by(&sweeper).await, seen(2, 2));
    }
    assert_eq!((book(&bench).len(), asked(&bench)), (2, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn an_operator_sees_what_a_pass_would_do_and_why_not_yet() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let (machine, volume) = stray(&mut bench.fly.world(), nobody(0));
    let (second, second_volume) = stray(&mut bench.fly.world(), town.id);
    let sweeper = sweeper(&bench);
    let policy = settings().policy.orphans;

    let survey = sweeper.survey(Grace::from(&policy)).await.unwrap();

    let verdicts: Vec<_> =
        survey.orphans.into_iter().map(|orphan| (orphan.sighting.item.thing, orphan.verdict)).collect();
    let until = bench.store.clock.now() + policy.grace;
    assert_eq!(
        verdicts,
        [
            (Thing::Machine(machine.clone()), Verdict::SeenTooShort { until }),
            (Thing::Machine(second), Verdict::NeedsWord),
            (Thing::Volume(volume), Verdict::HeldBy(machine)),
            (Thing::Volume(second_volume), Verdict::MayHoldData),
        ]
    );
    assert_eq!((survey.apps, survey.seen, survey.failed, survey.alarm, survey.unseen), (1, 6, vec![], None, vec![]));
    assert_eq!(book(&bench), [], "a survey writes nothing");

    pass(&bench).await;
    let survey = sweeper.survey(Grace::from(&policy)).await.unwrap();
    assert!(survey.orphans.iter().all(|orphan| orphan.entry.is_some()));
}

#[tokio::test(start_paused = true)]
async fn an_operator_need_not_wait() {
    let bench = Bench::new();
    bench.running("mill").await;
    strays(&bench, 1);
    let sweeper = sweeper(&bench);
    let mut removals = Vec::new();
    for _ in 0..3 {
        let survey = sweeper.survey(Grace::NONE).await.unwrap();
        for orphan in survey.orphans.iter().filter(|orphan| orphan.verdict == Verdict::Deletable) {
            removals.push(sweeper.delete(&orphan.sighting, "carol").await.unwrap());
        }
        sleep(Duration::from_secs(30)).await;
    }
    assert_eq!(removals, [Removal::Asked, Removal::Asked]);
    let by: Vec<_> = bench.store.rows().books.deletions.iter().map(|(_, actor)| actor.clone()).collect();
    assert_eq!(by, ["carol", "carol"]);
    assert_eq!(bench.fly.world().volumes_of(nobody(0)).len(), 0);
    let survey = sweeper.survey(Grace::NONE).await.unwrap();
    assert_eq!((survey.orphans.len(), survey.unseen.len()), (0, 2));
    assert_eq!(pass(&bench).await, OrphanReport { closed: 2, ..seen(2, 0) });
}

#[tokio::test(start_paused = true)]
async fn a_second_machine_goes_on_an_operators_word_unless_it_is_the_one_in_use() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    stray(&mut bench.fly.world(), town.id);
    let sweeper = sweeper(&bench);
    let survey = sweeper.survey(Grace::NONE).await.unwrap();
    let [machine, volume] = survey.orphans.as_slice() else { panic!("{survey:?}") };
    let refused = Removal::Kept(Verdict::MayHoldData);
    assert_eq!(sweeper.delete(&volume.sighting, "carol").await.unwrap(), refused, "whoever says so");

    // It has the town's data.
    let own = bench.fly.world().machines[1].volume.clone();
    bench.fly.world().machines[1].volume = town.volume_id.clone().unwrap();
    let in_use = Removal::Kept(Verdict::InUse);
    assert_eq!(sweeper.delete(&machine.sighting, "carol").await.unwrap(), in_use);
    bench.fly.world().machines[1].volume = own;

    // The row's own machine is gone: this one will be adopted.
    bench.fly.world().machines[0].phase = Phase::Gone(Instant::now());
    assert_eq!(sweeper.delete(&machine.sighting, "carol").await.unwrap(), in_use);
    bench.fly.world().machines[0].phase = Phase::On(Instant::now());
    assert_eq!(asked(&bench), (0, 0));

    assert_eq!(sweeper.delete(&machine.sighting, "carol").await.unwrap(), Removal::Asked);
    assert_eq!(bench.store.town(town.id), town);
    assert_eq!(asked(&bench), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_operators_word_on_something_that_changed_meanwhile_is_not_obeyed() {
    let bench = Bench::new();
    let like = bench.running("mill").await;
    let (machine, volume) = stray(&mut bench.fly.world(), nobody(0));
    let sweeper = sweeper(&bench);
    let survey = sweeper.survey(Grace::NONE).await.unwrap();
    let sighting = &survey.orphans[0].sighting;

    bring_back(&bench, &like, nobody(0), &machine, &volume);
    let kept = sweeper.delete(sighting, "carol").await.unwrap();
    assert_eq!(kept, Removal::Kept(Verdict::AccountedFor));
    assert_eq!(book(&bench), [], "nothing is said of it either");

    bench.store.rows().towns.remove(&nobody(0));
    bench.fly.world().machine(&machine).unwrap().phase = Phase::Leaving(Instant::now() + EVERY);
    assert_eq!(sweeper.delete(sighting, "carol").await.unwrap(), Removal::Kept(Verdict::Leaving));

    bench.fly.world().machine(&machine).unwrap().phase = Phase::Gone(Instant::now());
    assert_eq!(sweeper.delete(sighting, "carol").await.unwrap(), Removal::Gone);

    let sighting = &survey.orphans[1].sighting;
    {
        let mut world = bench.fly.world();
        let volume = world.volume(&volume).unwrap();
        (volume.held_by, volume.leaving) = (None, Some(Instant::now() + EVERY));
    }
    assert_eq!(sweeper.delete(sighting, "carol").await.unwrap(), Removal::Kept(Verdict::Leaving));
    bench.fly.world().volume(&volume).unwrap().gone = true;
    assert_eq!(sweeper.delete(sighting, "carol").await.unwrap(), Removal::Gone);
    assert_eq!(asked(&bench), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_whatever_fails_until_it_is_told_to_stop() {
    let bench = Bench::new();
    strays(&bench, 1);
    bench.store.schedule().next(Call::Store(Query::BeginPass), 1, Fault::NotSent);
    bench.store.schedule().next(Call::Store(Query::Book), 1, Fault::NotSent);
    bench.fly.schedule().next(Call::Fly(Action::Other), 1, Fault::ServerError);
    let (stop, sweeper) = (CancellationToken::new(), sweeper(&bench));
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { sweeper.run(stop).await }
    });
    sleep(EVERY * 15).await;
    assert_eq!((bench.fly.world().machines_of(nobody(0)).len(), book(&bench).len()), (0, 0));
    stop.cancel();
    running.await.unwrap();
}
