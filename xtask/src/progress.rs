//! The progress line of long work.

use std::fmt;
use std::io::IsTerminal;
use std::pin::pin;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The interval at which the line of a terminal is redrawn.
const FRAME: Duration = Duration::from_millis(125);

/// Runs the work and shows its progress. A terminal gets one line that is redrawn, a log gets a line per `interval`.
/// Both show the time so far and the text of `note`.
pub(crate) async fn watched<T>(
    title: &str,
    interval: Duration,
    note: impl Fn() -> String,
    work: impl Future<Output = T>,
) -> T {
    let started = Instant::now();
    let terminal = std::io::stderr().is_terminal();
    let line = if terminal { spinner() } else { ProgressBar::hidden() };
    let mut ticks = tokio::time::interval(if terminal { FRAME } else { interval });
    ticks.tick().await; // the first tick is immediate
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                line.finish_and_clear();
                return done;
            }
            _ = ticks.tick() => {
                let state = format!("{title}  {}  {}", Elapsed(started.elapsed()), note());
                if terminal {
                    line.set_message(state);
                    line.tick();
                } else {
                    println!("      ... {}", state.trim_end());
                }
            }
        }
    }
}

fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// A duration for readers: `0.3 s`, `12.0 s`, `3 min 05 s`.
pub(crate) struct Elapsed(pub(crate) Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 {
            write!(out, "{:.1} s", self.0.as_secs_f64())
        } else {
            write!(out, "{} min {:02} s", seconds / 60, seconds % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_in_seconds_or_minutes() {
        for (time, want) in [(0, "0.0 s"), (340, "0.3 s"), (12_000, "12.0 s"), (185_900, "3 min 05 s")] {
            assert_eq!(Elapsed(Duration::from_millis(time)).to_string(), want);
        }
    }

    #[tokio::test]
    async fn the_result_of_the_work_is_returned() {
        assert_eq!(watched("add", FRAME, String::new, async { 1 + 1 }).await, 2);
    }
}
