//! What an operator sees, and may do by hand.

use std::time::Duration;

use gastown_domain::ResourceId;
use gastown_domain::ports::Clock as _;
use gastown_orchestrator::{Grace, OrphanReport, Removal, Verdict};
use tokio::time::{Instant, sleep};

use super::{EVERY, asked, book, bring_back, nobody, pass, seen, stray, strays, sweeper};
use crate::bench::{Bench, settings};
use crate::world::Phase;

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
        survey.orphans.into_iter().map(|orphan| (orphan.sighting.item.resource, orphan.verdict)).collect();
    let until = bench.store.clock.now() + policy.grace;
    assert_eq!(
        verdicts,
        [
            (ResourceId::Machine(machine.clone()), Verdict::SeenTooShort { until }),
            (ResourceId::Machine(second), Verdict::NeedsWord),
            (ResourceId::Volume(volume), Verdict::HeldBy(machine)),
            (ResourceId::Volume(second_volume), Verdict::MayHoldData),
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
    assert_eq!(asked(&bench), (0, 0));
}
