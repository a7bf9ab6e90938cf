//! A write told three times: undisturbed, with its commit lost, with the answer lost.

use std::fmt::Debug;

use ephemeral_db::{Cut, PostgresProxy};
use gastown_domain::ports::StoreError;
use gastown_persistence::{Database, DatabaseSettings};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::Value;
use uuid::Uuid;

use crate::bed::{Bed, noon};

const TABLES: [&str; 7] = [
    "gastown_towns",
    "gastown_rigs",
    "gastown_operations",
    "gastown_town_events",
    "gastown_town_health",
    "gastown_orphans",
    "gastown_passes",
];

/// A database, the way to it that loses commits, and a pool of one connection on that way.
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

    /// A town, rigs and all the rest are forgotten; the users stay.
    async fn clear(&self) {
        self.bed.sql(&format!("TRUNCATE {}", TABLES.join(", "))).await;
    }
}

/// A write, and how its answers begin where nothing is lost.
pub(super) struct Write {
    name: &'static str,
    first: &'static str,
    again: &'static str,
    counts_once: bool,
}

impl Write {
    /// One that counts once, however often it is asked for.
    pub(super) const fn once(name: &'static str, first: &'static str, again: &'static str) -> Self {
        Self { name, first, again, counts_once: true }
    }

    /// One that counts each time, and is meant to.
    pub(super) const fn each_time(name: &'static str, answer: &'static str) -> Self {
        Self { name, first: answer, again: answer, counts_once: false }
    }

    /// Tells it: `prepare` makes what it needs, `write` is done through the proxy and repeated as its callers repeat it.
    pub(super) async fn told<P, T: Debug>(
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
            self.struck(bench, cut, &undisturbed, || write(&bench.database, &prepared)).await;
        }
    }

    /// What is in the database after the write, and after its repeat.
    async fn undisturbed<T: Debug>(
        &self,
        Bench { bed, proxy, .. }: &Bench,
        write: impl AsyncFn() -> Result<T, StoreError>,
    ) -> [Vec<String>; 2] {
        let (commits, before) = (proxy.commits(), content(bed).await);
        self.check(self.first, &write().await);
        assert_eq!(proxy.commits() - commits, 1, "{}: it is one transaction", self.name);
        let once = content(bed).await;
        assert_ne!(once, before, "{}: it writes something", self.name);
        self.check(self.again, &write().await);
        let twice = content(bed).await;
        assert_eq!(twice == once, self.counts_once, "{}: {once:#?} and then {twice:#?}", self.name);
        [once, twice]
    }

    /// The commit is struck: the caller is told that nothing is known, and its repeat makes up for it.
    async fn struck<T: Debug>(
        &self,
        Bench { bed, proxy, .. }: &Bench,
        cut: Cut,
        [once, twice]: &[Vec<String>; 2],
        write: impl AsyncFn() -> Result<T, StoreError>,
    ) {
        let name = format!("{}, {cut:?}", self.name);
        let (commits, strokes, before) = (proxy.commits(), proxy.cuts(), rows(bed).await);
        proxy.cut_nth_commit(1, cut);
        let Err(unknown) = write().await else { panic!("{name}: its caller is told that it went well") };
        assert!(matches!(unknown, StoreError::Unavailable { .. }) && unknown.is_transient(), "{name}: {unknown:?}");
        let seen = (proxy.commits() - commits, proxy.cuts() - strokes);
        assert_eq!(
            seen,
            (1, 1),
            "{name}: whoever does not know what became of it repeats nothing before he has looked"
        );

        let (answer, wanted) = if cut == Cut::Request {
            assert_eq!(rows(bed).await, before, "{name}: nothing is written");
            (self.first, once)
        } else {
            assert_eq!(&content(bed).await, once, "{name}: it is written, and once");
            (self.again, twice)
        };
        // By the same pool: its one connection was lost.
        self.check(answer, &write().await);
        assert_eq!(&content(bed).await, wanted, "{name}: after the repeat");
    }

    fn check<T: Debug>(&self, wanted: &str, answer: &Result<T, StoreError>) {
        let answer = format!("{answer:?}");
        assert!(answer.starts_with(wanted), "{}: not {wanted}: {answer}", self.name);
    }
}

/// Every row of every table of ours, as it is.
async fn rows(bed: &Bed) -> Vec<String> {
    let mut rows = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1");
        let found = bed.raw.query_all_raw(Statement::from_string(bed.raw.get_database_backend(), sql)).await.unwrap();
        rows.extend(found.iter().map(|row| format!("{table} {}", row.try_get_by_index::<String>(0).unwrap())));
    }
    rows
}

/// The same, to be compared with another telling: without what is another each time, the ids and the time of day.
async fn content(bed: &Bed) -> Vec<String> {
    let mut content: Vec<_> = rows(bed).await.iter().map(|row| comparable(row)).collect();
    content.sort();
    content
}

fn comparable(row: &str) -> String {
    let (table, json) = row.split_once(' ').unwrap();
    let mut json = serde_json::from_str(json).unwrap();
    forget(&mut json);
    format!("{table} {json}")
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(columns) => columns.values_mut().for_each(forget),
        Value::Array(values) => values.iter_mut().for_each(forget),
        Value::String(text) => *text = without_id_and_time(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Times that a test set stay, for what moves them is a write.
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
