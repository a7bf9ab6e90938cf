//! The figures that are printed at the end, and the files that explain them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::account::{Finding, Kind, account};
use super::ledger::{ExternalChanges, Ledger};
use super::proof::Proof;
use super::recovery;
use super::replica::{PANIC, Replica};
use super::rows::{EventRow, Rows};
use super::stage::Stage;
use super::storm::{Outages, Storm};
use super::world::World;
use crate::progress::Elapsed;

/// Findings of one kind that are printed. The file holds all of them.
const SHOWN: usize = 20;

/// The counts and the findings of a run.
pub(super) struct Figures {
    rows: Vec<(&'static str, String)>,
    /// `None` if the run was aborted, because operations are then still in flight.
    findings: Option<Vec<Finding>>,
    /// Reasons why the run proves nothing, even without findings.
    shortcomings: Vec<String>,
}

impl Figures {
    /// Counts, runs the checks if the run was completed, and writes rows and calls to files.
    pub(super) async fn gather(
        stage: &Stage,
        storm: &Storm,
        duration: Duration,
        completed: bool,
    ) -> anyhow::Result<Self> {
        let rows = Rows::read(stage.database.pool(), &stage.user_ids()).await;
        let rows = match rows {
            // The run was aborted while the database was down.
            Err(_) if !completed => Rows::default(),
            read => read.context("cannot read the rows")?,
        };
        let world = World::of(&stage.fly);
        let ledger = storm.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let findings = completed.then(|| account(&rows, &world, &ledger));
        let proof = proof_of(stage, storm, &rows, duration);
        let reads = storm.reads.judged(&storm.disturbances);
        let shortcomings = [proof.shortcomings(), reads.shortcomings()].concat();
        let mut figures = Self { rows: Vec::new(), findings, shortcomings };
        figures.count_calls(&ledger);
        figures.count_operations(&rows);
        figures.count_faults(stage, storm, &ledger.external);
        figures.count_recoveries(storm, &proof, completed);
        reads.figures().into_iter().for_each(|(what, figure)| figures.add(what, figure));
        keep(
            stage.logs(),
            &Kept { rows: &rows, world: &world, ledger: &ledger, findings: figures.findings.as_deref() },
        )?;
        keep_calls(stage)?;
        Ok(figures)
    }

    /// Returns true after a complete run without findings and without shortcomings.
    pub(super) fn is_success(&self) -> bool {
        self.findings.as_ref().is_some_and(Vec::is_empty) && self.shortcomings.is_empty()
    }

    /// Prints the table, the findings and the shortcomings.
    pub(super) fn print(&self) {
        let mut table = Table::new();
        table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
        for (what, figure) in &self.rows {
            table.add_row([*what, figure]);
        }
        for kind in Kind::ALL {
            let count = self.findings.as_ref().map(|all| all.iter().filter(|found| found.kind == kind).count());
            table.add_row([
                kind.to_string(),
                count.map_or("unknown, the run was aborted".to_owned(), |count| count.to_string()),
            ]);
        }
        println!("\n{table}\n");
        let findings = self.findings.as_deref().unwrap_or_default();
        for kind in Kind::ALL {
            let found: Vec<_> = findings.iter().filter(|finding| finding.kind == kind).collect();
            found.iter().take(SHOWN).for_each(|finding| println!("{kind}: {}", finding.what));
            if found.len() > SHOWN {
                println!("{kind}: … and {} more", found.len() - SHOWN);
            }
        }
        self.shortcomings.iter().for_each(|shortcoming| println!("proves nothing: {shortcoming}"));
    }

    fn count_calls(&mut self, ledger: &Ledger) {
        self.add("calls answered", ledger.given.to_string());
        let refused = ledger.refused.values().sum::<u64>();
        self.add("calls that failed", format!("{refused}{}", in_brackets(&ledger.refused)));
        self.add("calls without an answer", ledger.unanswered.to_string());
    }

    fn count_operations(&mut self, rows: &Rows) {
        let of_operations = rows.events.iter().filter(|event| event.operation.is_some());
        let accepted = tally(of_operations.clone().filter(|event| event.is_acceptance()).map(|event| &event.action));
        self.add("operations accepted", format!("{}{}", accepted.values().sum::<u64>(), in_brackets(&accepted)));
        let ended = tally(of_operations.filter(|event| event.ended().is_some()).map(|event| &event.outcome));
        self.add("operations ended", format!("{}{}", ended.values().sum::<u64>(), in_brackets(&ended)));
        if let Some(longest) = longest_operation(&rows.events) {
            self.add("longest operation", Elapsed(longest).to_string());
        }
        let rigs = tally(rows.events.iter().filter(|event| event.rig.is_some()).map(|event| &event.action));
        self.add("rigs", format!("{} left{}", rows.rigs.len(), in_brackets(&rigs)));
    }

    fn count_faults(&mut self, stage: &Stage, storm: &Storm, external: &ExternalChanges) {
        self.add("kills", storm.counts.kills().to_string());
        self.add("freezes beyond the lease", storm.counts.freezes().to_string());
        self.add("starts that failed without a database", storm.counts.failed_starts().to_string());
        self.add("replicas that crashed", storm.counts.crashes().to_string());
        let errors = errors_of(stage);
        self.add("errors in logs of replicas", format!("{}{}", errors.values().sum::<u64>(), in_brackets(&errors)));
        let Outages { restarts, fail_overs, longest } = storm.outages_of_database;
        self.add(
            "database",
            format!("{fail_overs} failovers, {restarts} restarts, longest outage {}", Elapsed(longest)),
        );
        self.add("cuts of a replica's network", storm.network_cuts.load(Ordering::Relaxed).to_string());
        let calls = stage.fly.calls();
        let struck = calls.iter().filter(|call| call.faulted).count();
        self.add("faults", format!("{struck} in {} calls to Fly and sandboxes", calls.len()));
        let (machines, volumes) = (external.machines, external.volumes.len());
        self.add("external changes", format!("{machines} machines ended, {volumes} volumes lost"));
    }

    fn count_recoveries(&mut self, storm: &Storm, proof: &Proof, completed: bool) {
        let recovery = recovery::locked(&storm.recovery);
        let (taken_over, waiting) = (recovery.taken_over(), recovery.waiting());
        self.add("operations of killed replicas", format!("{taken_over} taken over, {waiting} waiting"));
        if let (Some(longest), Some(median)) = (recovery.longest(), recovery.median()) {
            let (longest, median, bound) = (Elapsed(longest), Elapsed(median), Elapsed(proof.max_recovery()));
            self.add("longest recovery", format!("{longest}, median {median}, limit {bound}"));
        }
        if completed {
            let idle = storm.idle_after.map_or("never".to_owned(), |after| Elapsed(after).to_string());
            self.add("idle after the last fault", idle);
        }
    }

    fn add(&mut self, what: &'static str, figure: impl Into<String>) {
        self.rows.push((what, figure.into()));
    }
}

fn proof_of(stage: &Stage, storm: &Storm, rows: &Rows, duration: Duration) -> Proof {
    let accepted = rows.events.iter().filter(|event| event.operation.is_some() && event.is_acceptance());
    Proof {
        storm: duration,
        accepted: accepted.count() as u64,
        faults: stage.fly.calls().iter().filter(|call| call.faulted).count(),
        kills: storm.counts.kills(),
        crashes: storm.counts.crashes(),
        panics: errors_of(stage).get(PANIC).copied().unwrap_or_default(),
        disturbs_database: !stage.database.networks().is_empty(),
        freezes: storm.counts.freezes(),
        cuts: storm.network_cuts.load(Ordering::Relaxed),
        fail_overs: storm.outages_of_database.fail_overs,
        outage: storm.outages_of_database.longest,
        longest_recovery: recovery::locked(&storm.recovery).longest(),
    }
}

/// Counts the errors in the logs of all replicas, by message.
fn errors_of(stage: &Stage) -> BTreeMap<String, u64> {
    stage.replicas.iter().flat_map(Replica::errors).fold(BTreeMap::new(), |mut all, (error, count)| {
        *all.entry(error).or_default() += count;
        all
    })
}

/// The content of `books.json`.
#[derive(Serialize)]
struct Kept<'a> {
    findings: Option<&'a [Finding]>,
    rows: &'a Rows,
    world: &'a World,
    ledger: &'a Ledger,
}

fn keep(folder: &Path, kept: &Kept<'_>) -> anyhow::Result<()> {
    let path = folder.join("books.json");
    std::fs::write(&path, serde_json::to_vec_pretty(kept)?).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes every call to Fly and to sandboxes, one per line.
fn keep_calls(stage: &Stage) -> anyhow::Result<()> {
    let path = stage.logs().join("fly-calls.jsonl");
    let lines: Result<Vec<String>, _> = stage.fly.calls().iter().map(serde_json::to_string).collect();
    std::fs::write(&path, lines?.join("\n")).with_context(|| format!("cannot write {}", path.display()))
}

fn tally<'a>(words: impl Iterator<Item = &'a String>) -> BTreeMap<String, u64> {
    words.fold(BTreeMap::new(), |mut counts, word| {
        *counts.entry(word.clone()).or_default() += 1;
        counts
    })
}

/// Formats counts as ` (create 3, stop 1)`, the most frequent first.
fn in_brackets(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let listed: Vec<String> = counts.iter().map(|(word, count)| format!("{word} {count}")).collect();
    if listed.is_empty() { String::new() } else { format!(" ({})", listed.join(", ")) }
}

/// Returns the longest time from acceptance to end, by the clock of the database.
fn longest_operation(events: &[EventRow]) -> Option<Duration> {
    let accepted: BTreeMap<&str, f64> = events
        .iter()
        .filter(|event| event.is_acceptance())
        .filter_map(|event| Some((event.operation.as_deref()?, event.at)))
        .collect();
    let took = events.iter().filter_map(|event| Some(event.at - accepted.get(event.ended()?)?));
    took.max_by(f64::total_cmp).map(|seconds| Duration::from_secs_f64(seconds.max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(operation: &str, outcome: &str, at: f64) -> EventRow {
        EventRow {
            town: "t".into(),
            operation: Some(operation.into()),
            action: "create".into(),
            outcome: outcome.into(),
            error: None,
            rig: None,
            rig_name: None,
            at,
        }
    }

    #[test]
    fn only_operations_that_ended_count_for_the_longest() {
        let events = [
            event("1", "accepted", 10.0),
            event("2", "accepted", 11.0),
            event("1", "done", 13.5),
            event("3", "accepted", 14.0),
            event("2", "rolled_back", 12.0),
        ];
        assert_eq!(longest_operation(&events), Some(Duration::from_millis(3500)));
        assert_eq!(longest_operation(&events[..2]), None);
    }

    #[test]
    fn the_most_frequent_count_comes_first() {
        let words = ["stop", "create", "create"].map(str::to_owned);
        assert_eq!(in_brackets(&tally(words.iter())), " (create 2, stop 1)");
        assert_eq!(in_brackets(&BTreeMap::new()), "");
    }

    #[test]
    fn an_aborted_run_and_a_run_that_proves_nothing_fail() {
        let figures = |findings| Figures { rows: Vec::new(), findings, shortcomings: Vec::new() };
        assert!(figures(Some(Vec::new())).is_success());
        assert!(!figures(None).is_success());
        assert!(!figures(Some(vec![Finding { kind: Kind::Lost, what: "a town".into() }])).is_success());
        let idle = Figures { shortcomings: vec!["no kills".into()], ..figures(Some(Vec::new())) };
        assert!(!idle.is_success());
    }
}
