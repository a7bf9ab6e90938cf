//! Tells operators who waits for Fly's limits, while anybody does.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::{Line, Lines};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often they are told.
pub(crate) const EVERY: Duration = Duration::from_secs(5);
/// How many lines are told of at once; the longest waits come first.
const MOST: usize = 10;

/// Logs the lines every so often until `stop` is cancelled; says nothing while nobody waits.
pub(crate) async fn tell(lines: Arc<dyn Lines>, every: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => note(&lines.lines()),
        }
    }
}

fn note(lines: &[Line]) {
    let (told, untold) = lines.split_at(lines.len().min(MOST));
    for line in told {
        tracing::info!(
            fly.action = ?line.action,
            fly.subject = line.subject,
            waiting = line.foreground,
            behind = line.background,
            waited_ms = line.waited.as_millis(),
            ahead_ms = line.ahead.as_millis(),
            "calls to Fly wait in line"
        );
    }
    if !untold.is_empty() {
        let waiting: usize = untold.iter().map(|line| line.foreground).sum();
        let behind: usize = untold.iter().map(|line| line.background).sum();
        tracing::info!(lines = untold.len(), waiting, behind, "calls to Fly wait in more lines");
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use gastown_domain::ports::{Action, MockLines};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn lines(&self) -> Vec<String> {
            let text = std::mem::take(&mut *self.0.lock().unwrap());
            String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
        }
    }

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn line(subject: &str) -> Line {
        Line {
            action: Action::CreateMachine,
            subject: subject.to_owned(),
            foreground: 7,
            background: 2,
            waited: Duration::from_millis(1_500),
            ahead: Duration::from_millis(8_200),
        }
    }

    /// What is logged while this is so, and somebody looks at least so many times.
    async fn logged(now: Vec<Line>, looks: usize) -> Vec<String> {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(log.clone()).finish();
        let _here = tracing::subscriber::set_default(subscriber);
        let (looked, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let mut lines = MockLines::new();
        lines.expect_lines().returning(move || {
            looked.send(()).unwrap();
            now.clone()
        });
        let stop = CancellationToken::new();
        let telling = tokio::spawn(tell(Arc::new(lines), Duration::from_millis(1), stop.clone()));
        for _ in 0..looks {
            seen.recv().await.unwrap();
        }
        stop.cancel();
        telling.await.unwrap();
        log.lines()
    }

    #[tokio::test]
    async fn who_waits_is_told_again_and_again_and_nobody_is_not() {
        assert_eq!(logged(vec![], 3).await, Vec::<String>::new());
        let told = logged(vec![line("mill")], 3).await;
        assert!(told.len() >= 3, "{told:?}");
        let first: serde_json::Value = serde_json::from_str(&told[0]).unwrap();
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
    async fn of_many_lines_the_first_are_told_and_the_rest_are_counted() {
        let many = (0..25).map(|app| line(&format!("mill-{app}"))).collect();
        let told = logged(many, 1).await;
        let rest: serde_json::Value = serde_json::from_str(&told[MOST]).unwrap();
        assert_eq!(
            (&rest["lines"], &rest["waiting"], &rest["behind"]),
            (&15.into(), &105.into(), &30.into()),
            "{rest}"
        );
    }
}
