//! Logs the queues for Fly's rate limits while calls wait in them.

use std::time::Duration;

use gastown_fly::QueueStats;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// The time between two logs.
pub(crate) const EVERY: Duration = Duration::from_secs(5);
/// The most queues that are logged at once, those with the longest waits. The others are counted.
const MAX_LOGGED: usize = 10;

/// Logs the queues every so often until `stop` is cancelled. Nothing is logged while no call waits.
pub(crate) async fn log_queues(
    queue_stats: impl Fn() -> Vec<QueueStats> + Send,
    every: Duration,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => log(&queue_stats()),
        }
    }
}

fn log(queues: &[QueueStats]) {
    let (logged, rest) = queues.split_at(queues.len().min(MAX_LOGGED));
    for queue in logged {
        tracing::info!(
            fly.action = ?queue.action,
            fly.subject = queue.subject,
            waiting = queue.foreground,
            behind = queue.background,
            waited_ms = queue.waited.as_millis(),
            ahead_ms = queue.remaining.as_millis(),
            "calls to Fly queued"
        );
    }
    if !rest.is_empty() {
        let waiting: usize = rest.iter().map(|queue| queue.foreground).sum();
        let behind: usize = rest.iter().map(|queue| queue.background).sum();
        tracing::info!(queues = rest.len(), waiting, behind, "calls to Fly queued in more queues");
    }
}

#[cfg(test)]
mod tests {
    use gastown_fly::api::Action;

    use super::*;
    use crate::captured_log::CapturedLog;

    fn queue(subject: &str) -> QueueStats {
        QueueStats {
            action: Action::CreateMachine,
            subject: subject.to_owned(),
            foreground: 7,
            background: 2,
            waited: Duration::from_millis(1_500),
            remaining: Duration::from_millis(8_200),
        }
    }

    /// Returns the log of these queues after at least `reads` reads.
    async fn logged(queues: Vec<QueueStats>, reads: usize) -> Vec<String> {
        let log = CapturedLog::default();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(log.clone()).finish();
        let _here = tracing::subscriber::set_default(subscriber);
        let (read, mut reads_done) = tokio::sync::mpsc::unbounded_channel();
        let queue_stats = move || {
            read.send(()).unwrap();
            queues.clone()
        };
        let stop = CancellationToken::new();
        let logging = tokio::spawn(log_queues(queue_stats, Duration::from_millis(1), stop.clone()));
        for _ in 0..reads {
            reads_done.recv().await.unwrap();
        }
        stop.cancel();
        logging.await.unwrap();
        log.take_lines()
    }

    #[tokio::test]
    async fn queues_are_logged_repeatedly_while_calls_wait() {
        assert_eq!(logged(vec![], 3).await, Vec::<String>::new());
        let lines = logged(vec![queue("mill")], 3).await;
        assert!(lines.len() >= 3, "{lines:?}");
        let first: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        for (field, want) in [("fly.action", "CreateMachine"), ("fly.subject", "mill"), ("level", "INFO")] {
            assert_eq!(first[field], want, "{first}");
        }
        for (field, want) in [("waiting", 7), ("behind", 2)] {
            assert_eq!(first[field], want, "{first}");
        }
        for (field, want) in [("waited_ms", 1_500), ("ahead_ms", 8_200)] {
            assert_eq!(first[field].to_string().trim_matches('"'), want.to_string(), "{first}");
        }
    }

    #[tokio::test]
    async fn the_longest_waits_are_logged_and_the_other_queues_are_counted() {
        let many = (0..25).map(|app| queue(&format!("mill-{app}"))).collect();
        let lines = logged(many, 1).await;
        let rest: serde_json::Value = serde_json::from_str(&lines[MAX_LOGGED]).unwrap();
        assert_eq!(
            (&rest["queues"], &rest["waiting"], &rest["behind"]),
            (&15.into(), &105.into(), &30.into()),
            "{rest}"
        );
    }
}
