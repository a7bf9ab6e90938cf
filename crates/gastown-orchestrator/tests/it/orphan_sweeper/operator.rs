//! The survey and the manual deletion for operators.

use std::time::Duration;

use gastown_domain::ResourceId;
use gastown_domain::ports::Clock as _;
use gastown_orchestrator::{Grace, OrphanReport, Removal, Verdict};
use tokio::time::{Instant, sleep};

use super::{
    EVERY, add_orphan, add_orphans, deletions_sent, found, orphan_records, pass, restore_row, sweeper, unknown_town,
};
use crate::bench::{Bench, settings};
use crate::world::Phase;

#[tokio::test(start_paused = true)]
async fn survey_shows_verdict_of_each_orphan() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let (machine, volume) = add_orphan(&mut bench.fly.world(), unknown_town(0));
    let (second, second_volume) = add_orphan(&mut bench.fly.world(), town.id);
    let sweeper = sweeper(&bench);
    let policy = settings().policy.orphans.clone();

    let survey = sweeper.survey(Grace::from(&policy)).await.unwrap();

    let verdicts: Vec<_> =
        survey.orphans.into_iter().map(|orphan| (orphan.sighting.item.resource, orphan.verdict)).collect();
    let until = bench.store.clock.now() + policy.grace;
    assert_eq!(
        verdicts,
        [
            (ResourceId::Machine(machine.clone()), Verdict::SeenTooShort { until }),
            (ResourceId::Machine(second), Verdict::NeedsOperator),
            (ResourceId::Volume(volume), Verdict::HeldBy(machine)),
            (ResourceId::Volume(second_volume), Verdict::MayHoldData),
        ]
    );
    assert_eq!((survey.apps, survey.seen, survey.failed, survey.alarm, survey.unseen), (1, 6, vec![], None, vec![]));
    assert_eq!(orphan_records(&bench), [], "a survey writes nothing");

    pass(&bench).await;
    let survey = sweeper.survey(Grace::from(&policy)).await.unwrap();
    assert!(survey.orphans.iter().all(|orphan| orphan.entry.is_some()));
}

#[tokio::test(start_paused = true)]
async fn operator_can_delete_without_grace_period() {
    let bench = Bench::new();
    bench.running("mill").await;
    add_orphans(&bench, 1);
    let sweeper = sweeper(&bench);
    let mut removals = Vec::new();
    for _ in 0..3 {
        let survey = sweeper.survey(Grace::NONE).await.unwrap();
        for orphan in survey.orphans.iter().filter(|orphan| orphan.verdict == Verdict::Deletable) {
            removals.push(sweeper.delete(&orphan.sighting, "carol").await.unwrap());
        }
        sleep(Duration::from_secs(30)).await;
    }
    assert_eq!(removals, [Removal::Requested, Removal::Requested]);
    let by: Vec<_> = bench.store.rows().records.deletions.iter().map(|(_, actor)| actor.clone()).collect();
    assert_eq!(by, ["carol", "carol"]);
    assert_eq!(bench.fly.world().volumes_of(unknown_town(0)).len(), 0);
    let survey = sweeper.survey(Grace::NONE).await.unwrap();
    assert_eq!((survey.orphans.len(), survey.unseen.len()), (0, 2));
    assert_eq!(pass(&bench).await, OrphanReport { closed: 2, ..found(2, 0) });
}

#[tokio::test(start_paused = true)]
async fn operator_can_delete_second_machine_unless_in_use() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    add_orphan(&mut bench.fly.world(), town.id);
    let sweeper = sweeper(&bench);
    let survey = sweeper.survey(Grace::NONE).await.unwrap();
    let [machine, volume] = survey.orphans.as_slice() else { panic!("{survey:?}") };
    let refused = Removal::Kept(Verdict::MayHoldData);
    assert_eq!(sweeper.delete(&volume.sighting, "carol").await.unwrap(), refused, "even for an operator");

    // It mounts the town's volume.
    let own = bench.fly.world().machines[1].volume.clone();
    bench.fly.world().machines[1].volume = town.volume_id.clone().unwrap();
    let in_use = Removal::Kept(Verdict::InUse);
    assert_eq!(sweeper.delete(&machine.sighting, "carol").await.unwrap(), in_use);
    bench.fly.world().machines[1].volume = own;

    // The row's own machine is gone, so this one will be adopted.
    bench.fly.world().machines[0].phase = Phase::Gone(Instant::now());
    assert_eq!(sweeper.delete(&machine.sighting, "carol").await.unwrap(), in_use);
    bench.fly.world().machines[0].phase = Phase::On(Instant::now());
    assert_eq!(deletions_sent(&bench), (0, 0));

    assert_eq!(sweeper.delete(&machine.sighting, "carol").await.unwrap(), Removal::Requested);
    assert_eq!(bench.store.town(town.id), town);
    assert_eq!(deletions_sent(&bench), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn operator_deletion_is_refused_when_the_resource_changed() {
    let bench = Bench::new();
    let like = bench.running("mill").await;
    let (machine, volume) = add_orphan(&mut bench.fly.world(), unknown_town(0));
    let sweeper = sweeper(&bench);
    let survey = sweeper.survey(Grace::NONE).await.unwrap();
    let sighting = &survey.orphans[0].sighting;

    restore_row(&bench, &like, unknown_town(0), &machine, &volume);
    let kept = sweeper.delete(sighting, "carol").await.unwrap();
    assert_eq!(kept, Removal::Kept(Verdict::AccountedFor));
    assert_eq!(orphan_records(&bench), [], "the deletion is not recorded");

    bench.store.rows().towns.remove(&unknown_town(0));
    bench.fly.world().machine(&machine).unwrap().phase = Phase::Destroying(Instant::now() + EVERY);
    assert_eq!(sweeper.delete(sighting, "carol").await.unwrap(), Removal::Kept(Verdict::Destroying));

    bench.fly.world().machine(&machine).unwrap().phase = Phase::Gone(Instant::now());
    assert_eq!(sweeper.delete(sighting, "carol").await.unwrap(), Removal::Gone);

    let sighting = &survey.orphans[1].sighting;
    {
        let mut world = bench.fly.world();
        let volume = world.volume(&volume).unwrap();
        (volume.held_by, volume.destroying) = (None, Some(Instant::now() + EVERY));
    }
    assert_eq!(sweeper.delete(sighting, "carol").await.unwrap(), Removal::Kept(Verdict::Destroying));
    bench.fly.world().volume(&volume).unwrap().gone = true;
    assert_eq!(sweeper.delete(sighting, "carol").await.unwrap(), Removal::Gone);
    assert_eq!(deletions_sent(&bench), (0, 0));
}
