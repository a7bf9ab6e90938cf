//! The reads of a user who does nothing else, at every replica and all the time, with the bounds that they must keep.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::disturbances::{Disturbances, Expected};
use super::ledger::Ledger;
use super::replica::url_of;
use super::stage::Stage;
use crate::progress::Elapsed;
use crate::trpc::{Refused, Trpc};

/// The pause between two reads at one replica.
const PAUSE: Duration = Duration::from_millis(200);
/// 99 of 100 reads at a replica with a database are answered in this time.
const BOUND: Duration = Duration::from_secs(2);
/// Every read at a running replica is answered or refused in this time. A call has 15 seconds, and a busy machine some more.
const LIMIT: Duration = Duration::from_secs(20);
/// The most reads in a thousand that a replica with a database may refuse.
const MAX_REFUSED: usize = 10;
/// Beyond every limit.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One read.
#[derive(Debug, Clone)]
struct Read {
    replica: usize,
    sent: Instant,
    took: Duration,
    result: ReadResult,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadResult {
    Data,
    Refused,
    Unanswered,
}

/// A client of the reading user for each replica.
pub(super) struct Reader {
    clients: Vec<Trpc>,
    town: String,
}

impl Reader {
    /// Creates the town of the reading user.
    pub(super) async fn prepare(stage: &Stage, ledger: &Mutex<Ledger>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        let token = stage.reader.token.expose_secret();
        let clients: Vec<_> =
            stage.ports.iter().map(|port| Trpc::with_http(http.clone(), &url_of(*port), token)).collect();
        let key = "reads";
        let first = clients.first().context("no replica")?;
        let town = first.mutate("createTown", &json!({ "townName": "reads", "idempotencyKey": key })).await?;
        let town = town["townId"].as_str().context("a town without an id")?.to_owned();
        ledger.lock().unwrap_or_else(PoisonError::into_inner).created(key, &town);
        Ok(Self { clients, town })
    }

    /// Reads at all replicas until `end`.
    pub(super) async fn read_until(self, end: Instant) -> anyhow::Result<Reads> {
        let (town, mut running) = (Arc::new(self.town), JoinSet::new());
        for (replica, client) in self.clients.into_iter().enumerate() {
            running.spawn(read_one(client, replica, Arc::clone(&town), end));
        }
        let mut all = Vec::new();
        while let Some(reads) = running.join_next().await {
            all.extend(reads.context("a reader panicked")?);
        }
        Ok(Reads(all))
    }
}

async fn read_one(client: Trpc, replica: usize, town: Arc<String>, end: Instant) -> Vec<Read> {
    let mut reads = Vec::new();
    while Instant::now() < end {
        let sent = Instant::now();
        let answer = match reads.len() % 2 {
            0 => client.query("listTowns", &json!({})).await,
            _ => client.query("getTownStatus", &json!({ "townId": *town })).await,
        };
        reads.push(Read { replica, sent, took: sent.elapsed(), result: result_of(&answer) });
        tokio::time::sleep(PAUSE).await;
    }
    reads
}

fn result_of(answer: &anyhow::Result<Value>) -> ReadResult {
    match answer {
        Ok(_) => ReadResult::Data,
        Err(error) if error.is::<Refused>() => ReadResult::Refused,
        Err(_) => ReadResult::Unanswered,
    }
}

/// All reads of a run.
#[derive(Debug, Default)]
pub(super) struct Reads(Vec<Read>);

impl Reads {
    /// Compares the reads with what could be expected.
    pub(super) fn judged(&self, disturbances: &Disturbances) -> JudgedReads {
        let mut judged = JudgedReads::default();
        for read in &self.0 {
            let expected = disturbances.expected(read.replica, read.sent, read.sent + read.took);
            judged.add(read, expected);
        }
        judged.answered.sort_unstable();
        judged
    }
}

/// The reads by what could be expected.
#[derive(Debug, Clone, Default)]
pub(super) struct JudgedReads {
    /// The times of reads that were answered, at replicas with a database.
    answered: Vec<Duration>,
    /// The reads that were refused or not answered, at replicas with a database.
    failed: usize,
    /// The reads at replicas without a database.
    without_database: usize,
    /// The longest time of any read at a running replica.
    longest: Duration,
    /// The reads at running replicas without an answer.
    unanswered: usize,
}

impl JudgedReads {
    fn add(&mut self, read: &Read, expected: Expected) {
        match expected {
            Expected::Nothing => return,
            Expected::Refusal => self.without_database += 1,
            Expected::Data if read.result == ReadResult::Data => self.answered.push(read.took),
            Expected::Data => self.failed += 1,
        }
        self.longest = self.longest.max(read.took);
        self.unanswered += usize::from(read.result == ReadResult::Unanswered);
    }

    /// Returns the time in which this part of the reads was answered.
    fn percentile(&self, hundredths: usize) -> Duration {
        let at = (self.answered.len() * hundredths / 100).min(self.answered.len().saturating_sub(1));
        self.answered.get(at).copied().unwrap_or_default()
    }

    /// Returns the figures, with their limits.
    pub(super) fn figures(&self) -> [(&'static str, String); 2] {
        let (median, late) = (millis(self.percentile(50)), millis(self.percentile(99)));
        let answered = format!(
            "{} answered, {} failed, median {median}, p99 {late}, limit {}",
            self.answered.len(),
            self.failed,
            Elapsed(BOUND)
        );
        let others = format!(
            "{} without a database, longest of all {}, limit {}",
            self.without_database,
            Elapsed(self.longest),
            Elapsed(LIMIT)
        );
        [("reads of another user", answered), ("reads at other times", others)]
    }

    /// Returns the bounds that were not kept.
    pub(super) fn shortcomings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let late = self.percentile(99);
        if late > BOUND {
            found.push(format!("reads took {} (p99), more than {}", Elapsed(late), Elapsed(BOUND)));
        }
        let all = self.answered.len() + self.failed;
        if self.failed * 1000 > all * MAX_REFUSED {
            found.push(format!("{} of {all} reads failed at replicas with a database", self.failed));
        }
        if self.longest > LIMIT {
            found.push(format!("a read took {}, more than {}", Elapsed(self.longest), Elapsed(LIMIT)));
        }
        if self.unanswered > 0 {
            found.push(format!("{} reads at running replicas had no answer", self.unanswered));
        }
        found
    }
}

fn millis(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(milliseconds: u64, result: ReadResult) -> Read {
        Read { replica: 0, sent: Instant::now(), took: Duration::from_millis(milliseconds), result }
    }

    fn judged(reads: &[(u64, ReadResult, Expected)]) -> JudgedReads {
        let mut judged = JudgedReads::default();
        for (took, result, expected) in reads {
            judged.add(&read(*took, *result), *expected);
        }
        judged.answered.sort_unstable();
        judged
    }

    #[test]
    fn fast_reads_and_refusals_without_a_database_keep_the_bounds() {
        let mut reads = vec![(10, ReadResult::Data, Expected::Data); 200];
        reads.extend([
            (15_000, ReadResult::Refused, Expected::Refusal),
            (30_000, ReadResult::Unanswered, Expected::Nothing),
            (5_000, ReadResult::Data, Expected::Data),
            (10, ReadResult::Refused, Expected::Data),
        ]);
        let judged = judged(&reads);
        assert_eq!(judged.shortcomings(), Vec::<String>::new());
        let [(_, answered), (_, others)] = judged.figures();
        assert_eq!(answered, "201 answered, 1 failed, median 10 ms, p99 10 ms, limit 2.0 s");
        assert_eq!(others, "1 without a database, longest of all 15.0 s, limit 20.0 s");
    }

    #[test]
    fn each_broken_bound_is_found() {
        for (reads, what) in [
            (vec![(2_100, ReadResult::Data, Expected::Data)], "p99"),
            (vec![(10, ReadResult::Refused, Expected::Data)], "1 of 1 reads failed"),
            (vec![(20_001, ReadResult::Refused, Expected::Refusal)], "a read took"),
            (vec![(10, ReadResult::Unanswered, Expected::Refusal)], "had no answer"),
        ] {
            let found = judged(&reads).shortcomings();
            assert!(matches!(&found[..], [one] if one.contains(what)), "{what}: {found:?}");
        }
    }
}
