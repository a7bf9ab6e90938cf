//! The verdicts on orphans.

use std::collections::HashSet;

use chrono::TimeDelta;
use gastown_domain::{InventoryItem, OrphanReason};

use super::*;

const GRACE: Grace = Grace { time: Duration::from_secs(3600), passes: 3 };

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn ago(minutes: i64) -> DateTime<Utc> {
    now() - TimeDelta::minutes(minutes)
}

fn machine() -> ResourceId {
    ResourceId::Machine("machine1".parse().unwrap())
}

fn volume() -> ResourceId {
    ResourceId::Volume("vol_1".parse().unwrap())
}

fn sighting(thing: ResourceId, reason: OrphanReason) -> ObservedOrphan {
    let tags = Vec::new();
    let item = InventoryItem {
        resource: thing,
        name: "town-1".to_owned(),
        tags,
        made_at: None,
        held_by: None,
        destroying: false,
    };
    ObservedOrphan { app: "gastown".parse().unwrap(), item, reason }
}

fn entry(of: &ObservedOrphan, first_seen_at: DateTime<Utc>, times_seen: u32) -> Orphan {
    Orphan {
        app: of.app.clone(),
        resource: of.item.resource.clone(),
        name: of.item.name.clone(),
        reason: of.reason.into(),
        first_seen_at,
        last_seen_at: now(),
        times_seen,
        deletion_asked_at: None,
    }
}

fn inventory(others: impl IntoIterator<Item = ResourceId>) -> SortedInventory {
    let others = HashSet::from_iter(others);
    SortedInventory { app: "gastown".parse().unwrap(), is_whole: true, orphans: Vec::new(), others }
}

fn judged(sighting: &ObservedOrphan, app: &SortedInventory) -> Verdict {
    let entry = entry(sighting, ago(60), 3);
    verdict(sighting, Some(&entry), app, GRACE, Times { database: now(), ours: now() })
}

#[test]
fn only_orphans_without_a_living_town_are_deleted_without_an_operator() {
    for (thing, reason, want) in [
        (machine(), OrphanReason::NoTown, Verdict::Deletable),
        (machine(), OrphanReason::TownDestroyed, Verdict::Deletable),
        (machine(), OrphanReason::Second, Verdict::NeedsOperator),
        (volume(), OrphanReason::NoTown, Verdict::SeenTooShort { until: ago(60 - 24 * 60) }),
        (volume(), OrphanReason::TownDestroyed, Verdict::Deletable),
        (volume(), OrphanReason::Second, Verdict::MayHoldData),
    ] {
        let sighting = sighting(thing, reason);
        assert_eq!(judged(&sighting, &inventory([])), want, "{sighting:?}");
    }
}

#[test]
fn a_volume_of_a_town_that_the_registry_never_had_is_kept_for_a_day() {
    let sighting = sighting(volume(), OrphanReason::NoTown);
    let times = Times { database: now(), ours: now() };
    for (first_seen, deletable) in [(ago(24 * 60 - 1), false), (ago(24 * 60), true)] {
        let verdict = verdict(&sighting, Some(&entry(&sighting, first_seen, 3)), &inventory([]), GRACE, times);
        assert_eq!(verdict == Verdict::Deletable, deletable, "{verdict}");
    }
}

#[test]
fn grace_counts_the_record_the_passes_and_the_age_at_the_provider() {
    let old = Some(ago(66));
    for (first_seen, times, made_at, want) in [
        (ago(60), 3, None, Verdict::Deletable),
        (ago(60), 3, old, Verdict::Deletable),
        (ago(59), 9, old, Verdict::SeenTooShort { until: ago(-1) }),
        (ago(90), 2, old, Verdict::SeenTooSeldom { times: 2, of: 3 }),
        // Created an hour ago by the provider's clock, which may be ahead of ours.
        (ago(60), 3, Some(ago(61)), Verdict::TooYoung { until: ago(-4) }),
    ] {
        let mut sighting = sighting(machine(), OrphanReason::NoTown);
        sighting.item.made_at = made_at;
        let entry = entry(&sighting, first_seen, times);
        let times = Times { database: now(), ours: now() };
        assert_eq!(verdict(&sighting, Some(&entry), &inventory([]), GRACE, times), want, "{entry:?} {made_at:?}");
    }
}

#[test]
fn an_unrecorded_orphan_waits_unless_there_is_no_grace() {
    let sighting = sighting(machine(), OrphanReason::NoTown);
    let times = Times { database: now(), ours: now() };
    for (grace, want) in [(GRACE, Verdict::SeenTooShort { until: ago(-60) }), (Grace::NONE, Verdict::Deletable)] {
        assert_eq!(verdict(&sighting, None, &inventory([]), grace, times), want, "{grace:?}");
    }
}

#[test]
fn a_destroying_attached_or_incompletely_listed_orphan_is_kept() {
    let mut destroying = sighting(machine(), OrphanReason::NoTown);
    destroying.item.destroying = true;
    assert_eq!(judged(&destroying, &inventory([])), Verdict::Destroying);

    let mut held = sighting(volume(), OrphanReason::TownDestroyed);
    held.item.held_by = Some("machine1".parse().unwrap());
    assert_eq!(judged(&held, &inventory([machine()])), Verdict::HeldBy("machine1".parse().unwrap()));
    // A holder that no list shows is asked for itself, at the last look.
    assert_eq!(judged(&held, &inventory([])), Verdict::Deletable);

    let in_part = SortedInventory { is_whole: false, ..inventory([]) };
    assert_eq!(judged(&sighting(machine(), OrphanReason::NoTown), &in_part), Verdict::ListNotWhole);
}
