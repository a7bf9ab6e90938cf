//! Runs a write three times: undisturbed, with its commit lost, and with the answer lost.

use std::fmt::Debug;

use ephemeral_db::{Cut, PostgresProxy};
use gastown_domain::ports::StoreError;
use gastown_persistence::{Database, DatabaseSettings};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::Value;
use uuid::Uuid;

use crate::bed::{Bed, noon};

const TABLES: [&str; 9] = [
    "gastown_towns",
    "gastown_rigs",
    "gastown_operations",
    "gastown_town_events",
    "gastown_town_health",
    "gastown_orphans",
    "gastown_passes",
    "gastown_rollouts",
    "gastown_rollout_towns",
];

/// A database, a proxy that loses commits, and a pool of one connection through the proxy.
pub(super) struct Bench {
    pub(super) bed: Bed,
    pub(super) proxy: PostgresProxy,
    pub(super) database: Database,
}

impl Bench {
    pub(super) async fn new(change: impl FnOnce(&mut DatabaseSettings)) -> Self {
        let bed = Bed::postgres().await;
        let proxy = PostgresProxy::in_front_of(bed.place.url()).await.unwrap();
        let mut settings = DatabaseSettings { max_connections: 1, ..DatabaseSettings::at(proxy.url()) };
        change(&mut settings);
        let database = Database::connect(&settings).await.unwrap();
        Self { bed, proxy, database }
    }

    /// Deletes everything but the users.
    async fn clear(&self) {
        self.bed.sql(&format!("TRUNCATE {}", TABLES.join(", "))).await;
    }
}

/// A write, with the beginning of its first and its repeated answer.
pub(super) struct Write {
    name: &'static str,
    first: &'static str,
    again: &'static str,
    counts_once: bool,
}

impl Write {
    /// A write that counts once, even if it is repeated.
    pub(super) const fn once(name: &'static str, first: &'static str, again: &'static str) -> Self {
        Self { name, first, again, counts_once: true }
    }

    /// A write that counts each time, as intended.
    pub(super) const fn each_time(name: &'static str, answer: &'static str) -> Self {
        Self { name, first: answer, again: answer, counts_once: false }
    }

    /// Runs the test. `prepare` sets up the rows, and `write` runs through the proxy and is repeated as by its callers.
    pub(super) async fn check<P, T: Debug>(
        self,
        bench: &Bench,
        prepare: impl AsyncFn(&Bed) -> P,
        write: impl AsyncFn(&Database, &P) -> Result<T, StoreError>,
    ) {
        bench.clear().await;
        let prepared = prepare(&bench.bed).await;
        let undisturbed = self.undisturbed(bench, || write(&bench.database, &prepared)).await;
        for cut in [Cut::Request, Cut::Answer] {
            bench.clear().await;
            let prepared = prepare(&bench.bed).await;
            self.lost(bench, cut, &undisturbed, || write(&bench.database, &prepared)).await;
        }
    }

    /// Returns the content of the database after the write and after its repeat.
    async fn undisturbed<T: Debug>(
        &self,
        Bench { bed, proxy, .. }: &Bench,
        write: impl AsyncFn() -> Result<T, StoreError>,
    ) -> [Vec<String>; 2] {
        let (commits, before) = (proxy.commits(), content(bed).await);
        self.expect(self.first, &write().await);
        assert_eq!(proxy.commits() - commits, 1, "{}: it is one transaction", self.name);
        let once = content(bed).await;
        assert_ne!(once, before, "{}: it writes something", self.name);
        self.expect(self.again, &write().await);
        let twice = content(bed).await;
        assert_eq!(twice == once, self.counts_once, "{}: {once:#?} and then {twice:#?}", self.name);
        [once, twice]
    }

    /// Loses the commit or its answer. The caller gets `Unavailable`, and its repeat completes the write.
    async fn lost<T: Debug>(
        &self,
        Bench { bed, proxy, .. }: &Bench,
        cut: Cut,
        [once, twice]: &[Vec<String>; 2],
        write: impl AsyncFn() -> Result<T, StoreError>,
    ) {
        let name = format!("{}, {cut:?}", self.name);
        let (commits, cuts, before) = (proxy.commits(), proxy.cuts(), rows(bed).await);
        proxy.cut_nth_commit(1, cut);
        let Err(unknown) = write().await else { panic!("{name}: its caller gets a success") };
        assert!(matches!(unknown, StoreError::Unavailable { .. }) && unknown.is_transient(), "{name}: {unknown:?}");
        let seen = (proxy.commits() - commits, proxy.cuts() - cuts);
        assert_eq!(seen, (1, 1), "{name}: an unknown commit is not repeated automatically");

        let (answer, wanted) = if cut == Cut::Request {
            assert_eq!(rows(bed).await, before, "{name}: nothing is written");
            (self.first, once)
        } else {
            assert_eq!(&content(bed).await, once, "{name}: it is written, and once");
            (self.again, twice)
        };
        // The pool replaces its one lost connection.
        self.expect(answer, &write().await);
        assert_eq!(&content(bed).await, wanted, "{name}: after the repeat");
    }

    fn expect<T: Debug>(&self, wanted: &str, answer: &Result<T, StoreError>) {
        let answer = format!("{answer:?}");
        assert!(answer.starts_with(wanted), "{}: not {wanted}: {answer}", self.name);
    }
}

/// Returns every row of our tables.
async fn rows(bed: &Bed) -> Vec<String> {
    let mut rows = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1");
        let found = bed.raw.query_all_raw(Statement::from_string(bed.raw.get_database_backend(), sql)).await.unwrap();
        rows.extend(found.iter().map(|row| format!("{table} {}", row.try_get_by_index::<String>(0).unwrap())));
    }
    rows
}

/// Returns the rows without ids and current times, which differ in each run.
async fn content(bed: &Bed) -> Vec<String> {
    let mut content: Vec<_> = rows(bed).await.iter().map(|row| comparable(row)).collect();
    content.sort();
    content
}

fn comparable(row: &str) -> String {
    let (table, json) = row.split_once(' ').unwrap();
    let mut json = serde_json::from_str(json).unwrap();
    remove_variable(&mut json);
    format!("{table} {json}")
}

fn remove_variable(value: &mut Value) {
    match value {
        Value::Object(columns) => columns.values_mut().for_each(remove_variable),
        Value::Array(values) => values.iter_mut().for_each(remove_variable),
        Value::String(text) => *text = without_id_and_time(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Keeps times that a test has set, because only a write changes them.
fn without_id_and_time(text: &str) -> String {
    let (kept, last) = text.rfind('~').map_or(("", text), |at| text.split_at(at + 1));
    if last.parse::<Uuid>().is_ok() {
        return format!("{kept}(id)");
    }
    match text.parse::<chrono::DateTime<chrono::Utc>>() {
        Ok(time) if time > noon() => "(time)".to_owned(),
        _ => text.to_owned(),
    }
}
