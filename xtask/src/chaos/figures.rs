//! What is shown in the end, and what is kept for whoever looks for the reason.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Context;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::account::{Finding, Kind, account};
use super::ledger::{Ledger, Mischief};
use super::proof::Proof;
use super::recovery;
use super::replica::{PANIC, Replica};
use super::rows::{EventRow, Rows};
use super::stage::Stage;
use super::storm::Storm;
use super::world::World;
use crate::progress::Elapsed;

/// Findings of one kind that are printed; all of them are in the file.
const SHOWN: usize = 20;

/// What was counted, and where the books do not balance.
pub(super) struct Figures {
    rows: Vec<(&'static str, String)>,
    /// None where the storm was broken off: then nothing is at its end, and the books are open.
    findings: Option<Vec<Finding>>,
    /// Why the run proves nothing, whatever the books say.
    shortcomings: Vec<String>,
}

impl Figures {
    /// Counts, closes the books where everything came to its end, and writes down what they were made of.
    pub(super) async fn gather(stage: &Stage, storm: &Storm, duration: Duration, over: bool) -> anyhow::Result<Self> {
        let rows = Rows::read(stage.database.pool(), &stage.user_ids()).await;
        let rows = match rows {
            // Broken off while the database was down.
            Err(_) if !over => Rows::default(),
            read => read.context("the rows cannot be read any more")?,
        };
        let world = World::of(&stage.fly);
        let told = storm.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let findings = over.then(|| account(&rows, &world, &told));
        let proof = proof_of(stage, storm, &rows, duration);
        let mut figures = Self { rows: Vec::new(), findings, shortcomings: proof.shortcomings() };
        figures.count_calls(&told);
        figures.count_operations(&rows);
        figures.count_mishaps(stage, storm, &told.mischief);
        figures.count_recoveries(storm, &proof, over);
        keep(stage.logs(), &Kept { rows: &rows, world: &world, told: &told, findings: figures.findings.as_deref() })?;
        keep_calls(stage)?;
        Ok(figures)
    }

    /// Whether nothing is lost, orphaned, double, stuck or wrong, after a run that proves something.
    pub(super) fn balance(&self) -> bool {
        self.findings.as_ref().is_some_and(Vec::is_empty) && self.shortcomings.is_empty()
    }

    /// The table, then whatever is not as it should be.
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
                count.map_or("not known: broken off".to_owned(), |count| count.to_string()),
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

    fn count_calls(&mut self, told: &Ledger) {
        self.add("calls answered", told.given.to_string());
        let refused = told.refused.values().sum::<u64>();
        self.add("calls refused or failed", format!("{refused}{}", in_brackets(&told.refused)));
        self.add("calls without an answer", told.unanswered.to_string());
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

    fn count_mishaps(&mut self, stage: &Stage, storm: &Storm, mischief: &Mischief) {
        self.add("kills", storm.toll.kills().to_string());
        self.add("starts in vain, for want of a database", storm.toll.vain_starts().to_string());
        self.add("replicas that ended by themselves", storm.toll.crashes().to_string());
        let errors = errors_of(stage);
        self.add("errors in their logs", format!("{}{}", errors.values().sum::<u64>(), in_brackets(&errors)));
        self.add("database restarts", u8::from(storm.outage.is_some()).to_string());
        let calls = stage.fly.calls();
        let struck = calls.iter().filter(|call| call.faulted).count();
        self.add("faults", format!("{struck} in {} calls to Fly and sandboxes", calls.len()));
        let (machines, volumes) = (mischief.machines, mischief.volumes.len());
        self.add("behind everybody's back", format!("{machines} machines ended, {volumes} volumes lost"));
    }

    fn count_recoveries(&mut self, storm: &Storm, proof: &Proof, over: bool) {
        let recovery = recovery::locked(&storm.recovery);
        let (taken_over, waiting) = (recovery.taken_over(), recovery.waiting());
        self.add("operations of the dead", format!("{taken_over} taken over, {waiting} waiting"));
        if let (Some(longest), Some(median)) = (recovery.longest(), recovery.median()) {
            let (longest, median, bound) = (Elapsed(longest), Elapsed(median), Elapsed(proof.recovery_within()));
            self.add(
                "longest recovery",
                format!("{longest} after its driver's death, half of them within {median}; bound {bound}"),
            );
        }
        if over {
            let quiet = storm.quiet_after.map_or("never".to_owned(), |after| Elapsed(after).to_string());
            self.add("quiet after the storm", quiet);
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
        kills: storm.toll.kills(),
        crashes: storm.toll.crashes(),
        panics: errors_of(stage).get(PANIC).copied().unwrap_or_default(),
        outage: storm.outage.unwrap_or_default(),
        longest_recovery: recovery::locked(&storm.recovery).longest(),
    }
}

/// Errors in the logs of all replicas, by message.
fn errors_of(stage: &Stage) -> BTreeMap<String, u64> {
    stage.replicas.iter().flat_map(Replica::errors).fold(BTreeMap::new(), |mut all, (error, count)| {
        *all.entry(error).or_default() += count;
        all
    })
}

/// What the books were made of.
#[derive(Serialize)]
struct Kept<'a> {
    findings: Option<&'a [Finding]>,
    rows: &'a Rows,
    world: &'a World,
    told: &'a Ledger,
}

fn keep(folder: &Path, kept: &Kept<'_>) -> anyhow::Result<()> {
    let path = folder.join("books.json");
    std::fs::write(&path, serde_json::to_vec_pretty(kept)?).with_context(|| format!("cannot write {}", path.display()))
}

/// Every call to Fly and to sandboxes, one a line.
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

/// ` (create 3, stop 1)`, the most frequent first.
fn in_brackets(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let listed: Vec<String> = counts.iter().map(|(word, count)| format!("{word} {count}")).collect();
    if listed.is_empty() { String::new() } else { format!(" ({})", listed.join(", ")) }
}

/// From being accepted to its end, by the database's clock and ours, which are the same.
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
    fn the_longest_operation_is_one_that_has_ended() {
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
    fn counts_are_listed_with_the_most_frequent_first() {
        let words = ["stop", "create", "create"].map(str::to_owned);
        assert_eq!(in_brackets(&tally(words.iter())), " (create 2, stop 1)");
        assert_eq!(in_brackets(&BTreeMap::new()), "");
    }

    #[test]
    fn books_that_were_never_closed_do_not_balance_nor_do_those_of_a_run_that_proves_nothing() {
        let figures = |findings| Figures { rows: Vec::new(), findings, shortcomings: Vec::new() };
        assert!(figures(Some(Vec::new())).balance());
        assert!(!figures(None).balance());
        assert!(!figures(Some(vec![Finding { kind: Kind::Lost, what: "a town".into() }])).balance());
        let idle = Figures { shortcomings: vec!["no kills".into()], ..figures(Some(Vec::new())) };
        assert!(!idle.balance());
    }
}
