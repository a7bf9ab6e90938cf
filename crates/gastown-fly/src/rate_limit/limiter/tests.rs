use std::{future::Future, num::NonZeroU32, sync::mpsc, task::Poll};

use tokio::task::JoinHandle;

use super::*;
use crate::{
    api::{machines, volumes},
    rate_limit::Rate,
};

const SECOND: Duration = Duration::from_secs(1);

fn limiter() -> Arc<RateLimiter> {
    Arc::new(RateLimiter::new(RateLimiting::On(Rates::default())))
}

/// Returns a call with a burst of three and one a second after that.
fn stop(machine: &str) -> Call {
    machines::stop("mill", machine, SECOND)
}

/// The admitted calls, by name and in milliseconds since the start.
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

    /// Lets a call wait in a task of its own, which is in its queue when this returns.
    async fn wait(
        &self,
        limiter: &Arc<RateLimiter>,
        priority: Priority,
        name: &'static str,
    ) -> JoinHandle<Result<(), RateLimited>> {
        self.wait_in_turn(limiter, priority, Turn::default(), name).await
    }

    /// Like [`Self::wait`], for a call of a user.
    async fn wait_in_turn(
        &self,
        limiter: &Arc<RateLimiter>,
        priority: Priority,
        turn: Turn,
        name: &'static str,
    ) -> JoinHandle<Result<(), RateLimited>> {
        let (limiter, sender, start) = (limiter.clone(), self.sender.clone(), self.start);
        let task = tokio::spawn(async move {
            let admitted = limiter.acquire(&stop("m1"), priority, &turn).await;
            if admitted.is_ok() {
                sender.send((name, start.elapsed().as_millis())).unwrap();
            }
            admitted
        });
        tokio::task::yield_now().await;
        task
    }

    fn seen(&self) -> Vec<(&'static str, u128)> {
        self.receiver.try_iter().collect()
    }
}

async fn spend_burst(limiter: &RateLimiter) {
    for _ in 0..3 {
        assert_eq!(
            now_or_never(limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default())).await,
            Some(Ok(()))
        );
    }
}

/// Returns the future's output if it is ready at once.
async fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_three_is_admitted_then_one_call_a_second() {
    let (limiter, start) = (limiter(), Instant::now());
    let mut went = Vec::new();
    for _ in 0..6 {
        limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default()).await.unwrap();
        went.push(start.elapsed().as_secs());
    }
    assert_eq!(went, [0, 0, 0, 1, 2, 3]);
    // A pause fills the bucket again, up to its size.
    tokio::time::advance(60 * SECOND).await;
    let rested = Instant::now();
    for _ in 0..4 {
        limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default()).await.unwrap();
    }
    assert_eq!(rested.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn each_action_and_machine_has_its_own_bucket() {
    let limiter = limiter();
    spend_burst(&limiter).await;
    assert_eq!(now_or_never(limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default())).await, None);
    for other in [stop("m2"), machines::start("mill", "m1"), volumes::list("mill"), volumes::list("other")] {
        assert_eq!(
            now_or_never(limiter.acquire(&other, Priority::Foreground, &Turn::default())).await,
            Some(Ok(())),
            "{other:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn reads_of_a_machine_have_a_burst_of_ten() {
    let (limiter, start) = (limiter(), Instant::now());
    for _ in 0..12 {
        limiter.acquire(&machines::get("mill", "m1"), Priority::Foreground, &Turn::default()).await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::from_millis(400));
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_are_admitted_in_order_of_arrival() {
    let (limiter, log) = (limiter(), Log::new());
    spend_burst(&limiter).await;
    for name in ["first", "second", "third", "fourth"] {
        log.wait(&limiter, Priority::Foreground, name).await;
    }
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(log.seen(), [("first", 1_000), ("second", 2_000), ("third", 3_000), ("fourth", 4_000)]);
    assert_eq!(limiter.queue_stats(), []);
}

#[tokio::test(start_paused = true)]
async fn a_user_with_many_calls_delays_another_by_one() {
    let (limiter, log) = (limiter(), Log::new());
    spend_burst(&limiter).await;
    for name in ["a1", "a2", "a3", "a4"] {
        log.wait_in_turn(&limiter, Priority::Foreground, Turn::of("alice"), name).await;
    }
    for (user, name) in [("bob", "b1"), ("carol", "c1"), ("bob", "b2")] {
        log.wait_in_turn(&limiter, Priority::Foreground, Turn::of(user), name).await;
    }
    tokio::time::sleep(10 * SECOND).await;
    let order: Vec<_> = log.seen().into_iter().map(|(name, _)| name).collect();
    assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_call_never_overtakes_a_waiting_one() {
    let (limiter, log) = (limiter(), Log::new());
    spend_burst(&limiter).await;
    log.wait(&limiter, Priority::Foreground, "early").await;
    // The bucket has room now, but not for the new call.
    tokio::time::advance(SECOND).await;
    log.wait(&limiter, Priority::Foreground, "late").await;
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(log.seen(), [("early", 1_000), ("late", 2_000)]);
}

#[tokio::test(start_paused = true)]
async fn background_calls_go_after_all_foreground_calls() {
    let (limiter, log) = (limiter(), Log::new());
    spend_burst(&limiter).await;
    log.wait(&limiter, Priority::Background, "sweep").await;
    log.wait(&limiter, Priority::Background, "inspection").await;
    log.wait(&limiter, Priority::Foreground, "create").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    log.wait(&limiter, Priority::Foreground, "destroy").await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(log.seen(), [("create", 1_000), ("destroy", 2_000), ("sweep", 3_000), ("inspection", 4_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_would_wait_too_long_is_refused_at_once_with_the_expected_wait() {
    let (limiter, log) = (limiter(), Log::new());
    spend_burst(&limiter).await;
    for _ in 0..20 {
        log.wait(&limiter, Priority::Foreground, "patient").await;
    }
    let held = now_or_never(limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default())).await;
    assert_eq!(held, Some(Err(RateLimited { retry_after: 21 * SECOND })));
    tokio::time::sleep(30 * SECOND).await;
    let seen = log.seen();
    assert_eq!((seen.len(), seen.last()), (20, Some(&("patient", 20_000))));
}

#[tokio::test(start_paused = true)]
async fn background_calls_do_not_delay_foreground_calls_and_give_up_in_time() {
    let (limiter, log) = (limiter(), Log::new());
    spend_burst(&limiter).await;
    let sweep = log.wait(&limiter, Priority::Background, "sweep").await;
    for _ in 0..20 {
        log.wait(&limiter, Priority::Foreground, "create").await;
    }
    // At the sweep's deadline one of the twenty is still before it.
    assert_eq!(sweep.await.unwrap(), Err(RateLimited { retry_after: SECOND }));
    assert_eq!(log.seen().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_bounded() {
    let one = NonZeroU32::MIN;
    let mut rates = Rates::default().with(Action::StopMachine, Rate::per_second(one, one));
    rates.max_waiting = 2;
    let (limiter, log) = (Arc::new(RateLimiter::new(RateLimiting::On(rates))), Log::new());
    for urgency in [Priority::Foreground, Priority::Foreground, Priority::Foreground, Priority::Background] {
        log.wait(&limiter, urgency, "patient").await;
    }
    let one_more = now_or_never(limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default())).await;
    assert_eq!(one_more, Some(Err(RateLimited { retry_after: 3 * SECOND })));
    assert_eq!(
        limiter.queue_stats().iter().map(|queue| (queue.foreground, queue.background)).collect::<Vec<_>>(),
        [(2, 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_fly_asks_for_applies_to_the_whole_bucket() {
    let (limiter, log) = (limiter(), Log::new());
    limiter.throttle(&stop("m1"), Some(7 * SECOND));
    assert_eq!(now_or_never(limiter.acquire(&stop("m2"), Priority::Foreground, &Turn::default())).await, Some(Ok(())));
    log.wait(&limiter, Priority::Foreground, "first").await;
    log.wait(&limiter, Priority::Foreground, "second").await;
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(log.seen(), [("first", 7_000), ("second", 7_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_429_delays_waiting_calls_and_spends_the_burst() {
    let (limiter, log) = (limiter(), Log::new());
    for name in ["one", "two", "three", "four"] {
        log.wait(&limiter, Priority::Foreground, name).await;
    }
    assert_eq!(log.seen(), [("one", 0), ("two", 0), ("three", 0)]);
    tokio::time::sleep(SECOND / 2).await;
    // The default pause is one second.
    limiter.throttle(&stop("m1"), None);
    log.wait(&limiter, Priority::Foreground, "five").await;
    tokio::time::sleep(10 * SECOND).await;
    let seen = log.seen();
    assert_eq!(seen, [("four", 1_500), ("five", 2_000)]);

    let fresh = Log::new();
    let start = fresh.start;
    limiter.throttle(&stop("m1"), Some(Duration::ZERO));
    limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default()).await.unwrap();
    assert_eq!(start.elapsed(), SECOND, "the burst that had come back is spent");
}

#[tokio::test(start_paused = true)]
async fn calls_are_refused_when_a_pause_exceeds_the_longest_wait() {
    let (limiter, log) = (limiter(), Log::new());
    spend_burst(&limiter).await;
    let early = log.wait(&limiter, Priority::Foreground, "early").await;
    let second = log.wait(&limiter, Priority::Foreground, "second").await;
    tokio::time::advance(SECOND / 2).await;
    // A pause is cut to one minute.
    limiter.throttle(&stop("m1"), Some(3600 * SECOND));
    let late = now_or_never(limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default())).await;
    assert_eq!(late, Some(Err(RateLimited { retry_after: 62 * SECOND })));
    for waiting in [early, second] {
        assert!(matches!(waiting.await.unwrap(), Err(RateLimited { retry_after }) if retry_after > 58 * SECOND));
    }
    assert!(log.start.elapsed() < 2 * SECOND, "{:?}", log.start.elapsed());
    tokio::time::sleep(60 * SECOND).await;
    limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_no_gap() {
    let (limiter, log) = (limiter(), Log::new());
    spend_burst(&limiter).await;
    let mut waiting = Vec::new();
    for name in ["first", "second", "third", "fourth"] {
        waiting.push(log.wait(&limiter, Priority::Foreground, name).await);
    }
    let background = log.wait(&limiter, Priority::Background, "sweep").await;
    for gone in [&waiting[0], &waiting[2], &background] {
        gone.abort();
    }
    tokio::task::yield_now().await;
    assert_eq!(
        limiter.queue_stats().iter().map(|queue| (queue.foreground, queue.background)).collect::<Vec<_>>(),
        [(2, 0)]
    );
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(log.seen(), [("second", 1_000), ("fourth", 2_000)]);
    assert_eq!(limiter.queue_stats(), []);
}

#[tokio::test(start_paused = true)]
async fn queue_stats_show_the_waiting_calls() {
    let (limiter, log) = (limiter(), Log::new());
    assert_eq!(limiter.queue_stats(), []);
    spend_burst(&limiter).await;
    assert_eq!(limiter.queue_stats(), [], "no call waits");
    log.wait(&limiter, Priority::Background, "sweep").await;
    tokio::time::advance(SECOND / 4).await;
    log.wait(&limiter, Priority::Foreground, "stop").await;
    let create = machines::list("mill", None);
    for _ in 0..3 {
        limiter.acquire(&create, Priority::Foreground, &Turn::default()).await.unwrap();
    }
    let other = limiter.clone();
    let waiting = tokio::spawn(async move { other.acquire(&create, Priority::Foreground, &Turn::default()).await });
    tokio::time::advance(SECOND / 4).await;
    let first = QueueStats {
        action: Action::StopMachine,
        subject: "m1".to_owned(),
        foreground: 1,
        background: 1,
        waited: SECOND / 2,
        // The first is admitted in half a second, the second a second later.
        remaining: SECOND * 3 / 2,
    };
    let queues = limiter.queue_stats();
    assert_eq!(queues.first(), Some(&first));
    assert_eq!((queues.len(), queues[1].action, queues[1].subject.as_str()), (2, Action::ListMachines, "mill"));
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn idle_buckets_are_dropped() {
    let limiter = limiter();
    let Some(limits) = &limiter.0 else { panic!("off") };
    let held = limits.state().buckets.len();
    for machine in 0..2_000 {
        limiter.acquire(&stop(&machine.to_string()), Priority::Foreground, &Turn::default()).await.unwrap();
    }
    assert!(limits.state().buckets.len() > held + 1_000);
    tokio::time::advance(60 * SECOND).await;
    for _ in 0..CALLS_BETWEEN_CLEAN_UPS {
        let _ = now_or_never(limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default())).await;
    }
    assert_eq!(limits.state().buckets.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_was_just_used_is_not_dropped() {
    let limiter = limiter();
    limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default()).await.unwrap();
    tokio::time::advance(60 * SECOND).await;
    spend_burst(&limiter).await;
    // A clean-up runs. A dropped bucket would start again with a full burst.
    for machine in 0..CALLS_BETWEEN_CLEAN_UPS {
        limiter.acquire(&stop(&format!("other-{machine}")), Priority::Foreground, &Turn::default()).await.unwrap();
    }
    assert_eq!(now_or_never(limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default())).await, None);
}

#[tokio::test(start_paused = true)]
async fn configured_rate_replaces_the_one_of_fly_for_its_action_only() {
    let limiting: RateLimiting = "stop_machine=10/4".parse().unwrap();
    let (limiter, start) = (RateLimiter::new(limiting), Instant::now());
    for _ in 0..6 {
        limiter.acquire(&stop("m1"), Priority::Foreground, &Turn::default()).await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::from_millis(200), "four at once, then ten a second");
    for _ in 0..4 {
        limiter.acquire(&machines::start("mill", "m1"), Priority::Foreground, &Turn::default()).await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::from_millis(1_200), "three at once, then one a second");
}

#[tokio::test]
async fn without_limits_no_call_waits() {
    let limiter = RateLimiter::new("off".parse().unwrap());
    limiter.throttle(&stop("m1"), None);
    for _ in 0..100 {
        assert_eq!(
            now_or_never(limiter.acquire(&stop("m1"), Priority::Background, &Turn::default())).await,
            Some(Ok(()))
        );
    }
    assert_eq!(limiter.queue_stats(), []);
}
