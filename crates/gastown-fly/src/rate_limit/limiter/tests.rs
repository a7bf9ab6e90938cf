use std::{future::Future, num::NonZeroU32, sync::mpsc, task::Poll};

use tokio::task::JoinHandle;

use super::*;
use crate::{
    api::{machines, volumes},
    settings::Rate,
};

const SECOND: Duration = Duration::from_secs(1);

fn pace() -> Arc<Pace> {
    Arc::new(Pace::new(Pacing::On(Rates::default())))
}

/// A call of which three may go at once, and one a second from then on.
fn stop(machine: &str) -> Call {
    machines::stop("mill", machine, SECOND)
}

/// Who went when, by name and in milliseconds since the start.
struct Log {
    start: Instant,
    sender: mpsc::Sender<(&'static str, u128)>,
    receiver: mpsc::Receiver<(&'static str, u128)>,
}

impl Log {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { start: Instant::now(), sender, receiver }
    }

    /// Lets a call wait in a task of its own, which has joined its line when this returns.
    async fn wait(&self, pace: &Arc<Pace>, urgency: Urgency, name: &'static str) -> JoinHandle<Result<(), HeldBack>> {
        let (pace, sender, start) = (pace.clone(), self.sender.clone(), self.start);
        let task = tokio::spawn(async move {
            let turn = pace.turn(&stop("m1"), urgency).await;
            if turn.is_ok() {
                sender.send((name, start.elapsed().as_millis())).unwrap();
            }
            turn
        });
        tokio::task::yield_now().await;
        task
    }

    fn seen(&self) -> Vec<(&'static str, u128)> {
        self.receiver.try_iter().collect()
    }
}

async fn spend_burst(pace: &Pace) {
    for _ in 0..3 {
        assert_eq!(now_or_never(pace.turn(&stop("m1"), Urgency::Foreground)).await, Some(Ok(())));
    }
}

/// What the future gives without waiting.
async fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_three_goes_then_one_a_second() {
    let (pace, start) = (pace(), Instant::now());
    let mut went = Vec::new();
    for _ in 0..6 {
        pace.turn(&stop("m1"), Urgency::Foreground).await.unwrap();
        went.push(start.elapsed().as_secs());
    }
    assert_eq!(went, [0, 0, 0, 1, 2, 3]);
    // A rest fills the bucket again, and not beyond its size.
    tokio::time::advance(60 * SECOND).await;
    let rested = Instant::now();
    for _ in 0..4 {
        pace.turn(&stop("m1"), Urgency::Foreground).await.unwrap();
    }
    assert_eq!(rested.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn other_actions_and_other_machines_have_buckets_of_their_own() {
    let pace = pace();
    spend_burst(&pace).await;
    assert_eq!(now_or_never(pace.turn(&stop("m1"), Urgency::Foreground)).await, None);
    for other in [stop("m2"), machines::start("mill", "m1"), volumes::list("mill"), volumes::list("other")] {
        assert_eq!(now_or_never(pace.turn(&other, Urgency::Foreground)).await, Some(Ok(())), "{other:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn reading_a_machine_may_burst_to_ten() {
    let (pace, start) = (pace(), Instant::now());
    for _ in 0..12 {
        pace.turn(&machines::get("mill", "m1"), Urgency::Foreground).await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::from_millis(400));
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_in_order_of_arrival() {
    let (pace, log) = (pace(), Log::new());
    spend_burst(&pace).await;
    for name in ["first", "second", "third", "fourth"] {
        log.wait(&pace, Urgency::Foreground, name).await;
    }
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(log.seen(), [("first", 1_000), ("second", 2_000), ("third", 3_000), ("fourth", 4_000)]);
    assert_eq!(pace.queues(), []);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_never_overtakes_who_waits() {
    let (pace, log) = (pace(), Log::new());
    spend_burst(&pace).await;
    log.wait(&pace, Urgency::Foreground, "early").await;
    // There is room at this very moment, and it is not the newcomer's.
    tokio::time::advance(SECOND).await;
    log.wait(&pace, Urgency::Foreground, "late").await;
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(log.seen(), [("early", 1_000), ("late", 2_000)]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_goes_after_all_others_whenever_it_came() {
    let (pace, log) = (pace(), Log::new());
    spend_burst(&pace).await;
    log.wait(&pace, Urgency::Background, "sweep").await;
    log.wait(&pace, Urgency::Background, "inspection").await;
    log.wait(&pace, Urgency::Foreground, "create").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    log.wait(&pace, Urgency::Foreground, "destroy").await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(log.seen(), [("create", 1_000), ("destroy", 2_000), ("sweep", 3_000), ("inspection", 4_000)]);
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_too_long_is_told_at_once_for_how_long() {
    let (pace, log) = (pace(), Log::new());
    spend_burst(&pace).await;
    for _ in 0..20 {
        log.wait(&pace, Urgency::Foreground, "patient").await;
    }
    let held = now_or_never(pace.turn(&stop("m1"), Urgency::Foreground)).await;
    assert_eq!(held, Some(Err(HeldBack { retry_after: 21 * SECOND })));
    tokio::time::sleep(30 * SECOND).await;
    let seen = log.seen();
    assert_eq!((seen.len(), seen.last()), (20, Some(&("patient", 20_000))));
}

#[tokio::test(start_paused = true)]
async fn background_calls_neither_hold_others_back_nor_wait_for_ever() {
    let (pace, log) = (pace(), Log::new());
    spend_burst(&pace).await;
    let sweep = log.wait(&pace, Urgency::Background, "sweep").await;
    for _ in 0..20 {
        log.wait(&pace, Urgency::Foreground, "create").await;
    }
    // At the sweep's last moment one of the twenty still goes before it.
    assert_eq!(sweep.await.unwrap(), Err(HeldBack { retry_after: SECOND }));
    assert_eq!(log.seen().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_line_has_an_end() {
    let one = NonZeroU32::MIN;
    let rates = Rates { machine: Rate::per_second(one, one), max_waiting: 2, ..Rates::default() };
    let (pace, log) = (Arc::new(Pace::new(Pacing::On(rates))), Log::new());
    for urgency in [Urgency::Foreground, Urgency::Foreground, Urgency::Foreground, Urgency::Background] {
        log.wait(&pace, urgency, "patient").await;
    }
    let one_more = now_or_never(pace.turn(&stop("m1"), Urgency::Foreground)).await;
    assert_eq!(one_more, Some(Err(HeldBack { retry_after: 3 * SECOND })));
    assert_eq!(pace.queues().iter().map(|queue| (queue.foreground, queue.background)).collect::<Vec<_>>(), [(2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_fly_asks_for_holds_for_everybody_in_the_bucket() {
    let (pace, log) = (pace(), Log::new());
    pace.throttled(&stop("m1"), Some(7 * SECOND));
    assert_eq!(now_or_never(pace.turn(&stop("m2"), Urgency::Foreground)).await, Some(Ok(())));
    log.wait(&pace, Urgency::Foreground, "first").await;
    log.wait(&pace, Urgency::Foreground, "second").await;
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(log.seen(), [("first", 7_000), ("second", 7_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_also_stops_who_waits_already_and_spends_the_burst() {
    let (pace, log) = (pace(), Log::new());
    for name in ["one", "two", "three", "four"] {
        log.wait(&pace, Urgency::Foreground, name).await;
    }
    assert_eq!(log.seen(), [("one", 0), ("two", 0), ("three", 0)]);
    tokio::time::sleep(SECOND / 2).await;
    // Without words of Fly's it is a second.
    pace.throttled(&stop("m1"), None);
    log.wait(&pace, Urgency::Foreground, "five").await;
    tokio::time::sleep(10 * SECOND).await;
    let seen = log.seen();
    assert_eq!(seen, [("four", 1_500), ("five", 2_000)]);

    let fresh = Log::new();
    let start = fresh.start;
    pace.throttled(&stop("m1"), Some(Duration::ZERO));
    pace.turn(&stop("m1"), Urgency::Foreground).await.unwrap();
    assert_eq!(start.elapsed(), SECOND, "the burst that had come back is spent");
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_patience_is_told_and_not_waited_for() {
    let (pace, log) = (pace(), Log::new());
    spend_burst(&pace).await;
    let early = log.wait(&pace, Urgency::Foreground, "early").await;
    let second = log.wait(&pace, Urgency::Foreground, "second").await;
    tokio::time::advance(SECOND / 2).await;
    // Longer than anybody believes: a minute at most.
    pace.throttled(&stop("m1"), Some(3600 * SECOND));
    let late = now_or_never(pace.turn(&stop("m1"), Urgency::Foreground)).await;
    assert_eq!(late, Some(Err(HeldBack { retry_after: 62 * SECOND })));
    for waiting in [early, second] {
        assert!(matches!(waiting.await.unwrap(), Err(HeldBack { retry_after }) if retry_after > 58 * SECOND));
    }
    assert!(log.start.elapsed() < 2 * SECOND, "{:?}", log.start.elapsed());
    tokio::time::sleep(60 * SECOND).await;
    pace.turn(&stop("m1"), Urgency::Foreground).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_leaves_no_gap() {
    let (pace, log) = (pace(), Log::new());
    spend_burst(&pace).await;
    let mut waiting = Vec::new();
    for name in ["first", "second", "third", "fourth"] {
        waiting.push(log.wait(&pace, Urgency::Foreground, name).await);
    }
    let background = log.wait(&pace, Urgency::Background, "sweep").await;
    for gone in [&waiting[0], &waiting[2], &background] {
        gone.abort();
    }
    tokio::task::yield_now().await;
    assert_eq!(pace.queues().iter().map(|queue| (queue.foreground, queue.background)).collect::<Vec<_>>(), [(2, 0)]);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(log.seen(), [("second", 1_000), ("fourth", 2_000)]);
    assert_eq!(pace.queues(), []);
}

#[tokio::test(start_paused = true)]
async fn the_lines_can_be_looked_at() {
    let (pace, log) = (pace(), Log::new());
    assert_eq!(pace.queues(), []);
    spend_burst(&pace).await;
    assert_eq!(pace.queues(), [], "nobody waits");
    log.wait(&pace, Urgency::Background, "sweep").await;
    tokio::time::advance(SECOND / 4).await;
    log.wait(&pace, Urgency::Foreground, "stop").await;
    let create = machines::list("mill", None);
    for _ in 0..3 {
        pace.turn(&create, Urgency::Foreground).await.unwrap();
    }
    let other = pace.clone();
    let waiting = tokio::spawn(async move { other.turn(&create, Urgency::Foreground).await });
    tokio::time::advance(SECOND / 4).await;
    let first = Queue {
        action: Action::StopMachine,
        subject: "m1".to_owned(),
        foreground: 1,
        background: 1,
        longest: SECOND / 2,
        // The first goes in half a second, the second a second later.
        ahead: SECOND * 3 / 2,
    };
    let queues = pace.queues();
    assert_eq!(queues.first(), Some(&first));
    assert_eq!((queues.len(), queues[1].action, queues[1].subject.as_str()), (2, Action::ListMachines, "mill"));
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn buckets_that_remember_nothing_are_dropped() {
    let pace = pace();
    let Some(limits) = &pace.0 else { panic!("it is on") };
    let held = limits.state().buckets.len();
    for machine in 0..2_000 {
        pace.turn(&stop(&machine.to_string()), Urgency::Foreground).await.unwrap();
    }
    assert!(limits.state().buckets.len() > held + 1_000);
    tokio::time::advance(60 * SECOND).await;
    for _ in 0..CALLS_BETWEEN_CLEAN_UPS {
        let _ = now_or_never(pace.turn(&stop("m1"), Urgency::Foreground)).await;
    }
    assert_eq!(limits.state().buckets.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_was_just_used_is_not_dropped() {
    let pace = pace();
    pace.turn(&stop("m1"), Urgency::Foreground).await.unwrap();
    tokio::time::advance(60 * SECOND).await;
    spend_burst(&pace).await;
    // A clean-up comes by, and what it drops would begin anew with a burst.
    for machine in 0..CALLS_BETWEEN_CLEAN_UPS {
        pace.turn(&stop(&format!("other-{machine}")), Urgency::Foreground).await.unwrap();
    }
    assert_eq!(now_or_never(pace.turn(&stop("m1"), Urgency::Foreground)).await, None);
}

#[tokio::test]
async fn what_is_off_holds_nothing_back() {
    let pace = Pace::new(Pacing::Off);
    pace.throttled(&stop("m1"), None);
    for _ in 0..100 {
        assert_eq!(now_or_never(pace.turn(&stop("m1"), Urgency::Background)).await, Some(Ok(())));
    }
    assert_eq!(pace.queues(), []);
}
