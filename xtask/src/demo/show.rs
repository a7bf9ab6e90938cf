use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use comfy_table::{Table, presets};

use crate::progress::{Elapsed, watched};

/// A log gets a line that often while a step takes its time.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// What is shown of the story: each step as it happens, and all of them at the end.
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

/// What a step waits for at the moment.
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

    /// Where steps write what they wait for.
    pub(super) fn note(&self) -> Note {
        self.note.clone()
    }

    /// Shows the step while it is done, and what it has seen.
    pub(super) async fn step<T>(
        &mut self,
        title: &'static str,
        work: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> anyhow::Result<T> {
        self.note.write(String::new());
        let started = Instant::now();
        let done = watched(title, SIGN_OF_LIFE, || self.note.read(), work).await;
        let took = started.elapsed();
        let (result, remark) = match &done {
            Ok((_, seen)) => ("ok", seen.clone()),
            Err(error) => ("FAILED", format!("{error:#}")),
        };
        println!("{result:<6}  {title:<28}  {:>7}  {remark}", Elapsed(took).to_string());
        self.rows.push(Row { title, took, result });
        done.map(|(answer, _)| answer).context(title)
    }

    /// The table, and how it ended.
    pub(super) fn conclude(&self, told: &anyhow::Result<()>) {
        let mut table = Table::new();
        table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header(["step", "result", "time"]);
        for row in &self.rows {
            table.add_row([row.title, row.result, &Elapsed(row.took).to_string()]);
        }
        println!("\n{table}\n");
        match told {
            Ok(()) => println!("{} steps, all ok, {}", self.rows.len(), Elapsed(self.started.elapsed())),
            Err(error) => println!("FAILED: {error:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_step_is_kept_and_named() {
        let mut show = Show::new();
        let good = show.step("open", async { Ok((1, "it is open".to_owned())) }).await;
        let bad: anyhow::Result<()> = show.step("close", async { Err(anyhow::anyhow!("it is stuck")) }).await;
        assert_eq!(good.unwrap(), 1);
        assert_eq!(format!("{:#}", bad.unwrap_err()), "close: it is stuck");
        let rows: Vec<_> = show.rows.iter().map(|row| (row.title, row.result)).collect();
        assert_eq!(rows, [("open", "ok"), ("close", "FAILED")]);
    }
}
