use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use comfy_table::{Table, presets};

use crate::progress::{Elapsed, watched};

/// The interval of progress lines in a log.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// The output of the demo: each step as it runs, and a table of all steps at the end.
pub(super) struct Show {
    started: Instant,
    rows: Vec<Row>,
    note: Note,
}

struct Row {
    title: &'static str,
    took: Duration,
    result: &'static str,
}

/// The text that says what a step is waiting for.
#[derive(Clone, Default)]
pub(super) struct Note(Arc<Mutex<String>>);

impl Note {
    pub(super) fn write(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    fn read(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Show {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), rows: Vec::new(), note: Note::default() }
    }

    /// Returns the note to which steps write what they wait for.
    pub(super) fn note(&self) -> Note {
        self.note.clone()
    }

    /// Runs a step, shows its progress, and prints its result.
    pub(super) async fn step<T>(
        &mut self,
        title: &'static str,
        work: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> anyhow::Result<T> {
        self.note.write(String::new());
        let started = Instant::now();
        let done = watched(title, PROGRESS_INTERVAL, || self.note.read(), work).await;
        let took = started.elapsed();
        let (result, remark) = match &done {
            Ok((_, seen)) => ("ok", seen.clone()),
            Err(error) => ("FAILED", format!("{error:#}")),
        };
        println!("{result:<6}  {title:<28}  {:>7}  {remark}", Elapsed(took).to_string());
        self.rows.push(Row { title, took, result });
        done.map(|(answer, _)| answer).context(title)
    }

    /// Prints the table of steps and the result.
    pub(super) fn conclude(&self, result: &anyhow::Result<()>) {
        let mut table = Table::new();
        table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header(["step", "result", "time"]);
        for row in &self.rows {
            table.add_row([row.title, row.result, &Elapsed(row.took).to_string()]);
        }
        println!("\n{table}\n");
        match result {
            Ok(()) => println!("{} steps, all ok, {}", self.rows.len(), Elapsed(self.started.elapsed())),
            Err(error) => println!("FAILED: {error:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_step_is_listed_with_its_error() {
        let mut show = Show::new();
        let good = show.step("open", async { Ok((1, "it is open".to_owned())) }).await;
        let bad: anyhow::Result<()> = show.step("close", async { Err(anyhow::anyhow!("it is stuck")) }).await;
        assert_eq!(good.unwrap(), 1);
        assert_eq!(format!("{:#}", bad.unwrap_err()), "close: it is stuck");
        let rows: Vec<_> = show.rows.iter().map(|row| (row.title, row.result)).collect();
        assert_eq!(rows, [("open", "ok"), ("close", "FAILED")]);
    }
}
