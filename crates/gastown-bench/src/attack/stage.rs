//! The server that most rows attack, and the users.

use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::measure::bystander::{Bystander, Observed};
use crate::measure::closed_loop::Requests;
use crate::measure::http1::Connection;
use crate::measure::latencies::number;
use crate::measure::random::Random;
use crate::measure::trpc;
use crate::reads::INSTANT_FLY;
use crate::report::{Check, Limit, Unit};
use crate::stage::{Database, Fly, Postgres, Server, ServerSetup, seed, tokens};

use super::scale::Scale;

/// The users who have towns from the start.
const SETTLED_USERS: usize = 10;
/// The users of the rows, each with a number of its own.
const USERS: usize = 20;

pub(super) struct Stage {
    pub(super) scale: &'static Scale,
    pub(super) postgres: Postgres,
    pub(super) fly: Fly,
    pub(super) database: Database,
    pub(super) server: Server,
    tokens: Vec<String>,
}

/// A user of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum User {
    LargeRigs,
    SlowReader,
    ManyRigs,
    Creator,
}

/// The same request again and again, or a random one of several.
#[derive(Debug, Clone)]
pub(super) struct OneOf(pub(super) Arc<[String]>);

impl Requests for OneOf {
    fn write_next(&self, random: &mut Random, request: &mut String) {
        request.clear();
        request.push_str(&self.0[random.below(self.0.len())]);
    }
}

impl Stage {
    pub(super) async fn start(scale: &'static Scale) -> anyhow::Result<Self> {
        let postgres = Postgres::start().await?;
        let fly = Fly::start(INSTANT_FLY).await?;
        let database = postgres.create("attack").await?;
        seed::towns(&database, 1, SETTLED_USERS * seed::TOWNS_PER_USER).await?;
        seed::users(&database, SETTLED_USERS + 1, USERS).await?;
        let server = ServerSetup { settings: scale.settings(), ..ServerSetup::new(&database, &fly) }.start().await?;
        Ok(Self { scale, postgres, fly, database, server, tokens: tokens(1..=USERS)? })
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await
    }

    pub(super) fn token(&self, user: User) -> &str {
        &self.tokens[user.number() - 1]
    }

    /// Returns the requests with which settled users read the status of their towns. The bystander is not one of them.
    pub(super) fn status_reads(&self) -> OneOf {
        let towns = seed::TOWNS_PER_USER + 1..=SETTLED_USERS * seed::TOWNS_PER_USER;
        OneOf(towns.map(|town| self.status_read(town)).collect())
    }

    fn status_read(&self, town: usize) -> String {
        let (mut request, input) = (String::new(), format!(r#"{{"townId":"{}"}}"#, seed::town_id(town)));
        trpc::write_query(&mut request, "getTownStatus", Some(&input), &self.tokens[(town - 1) / seed::TOWNS_PER_USER]);
        request
    }

    /// Starts a bystander that reads its own town.
    pub(super) fn bystander(&self) -> Bystander {
        Bystander::start(self.server.address, self.status_read(1))
    }

    /// Returns what a bystander may notice at most.
    pub(super) fn judge(&self, observed: &Observed) -> Vec<Check> {
        judge_within(observed, self.scale.bounds.bystander_ms)
    }
}

/// Returns what a bystander may notice at most, with this limit of its p99 in milliseconds.
pub(super) fn judge_within(observed: &Observed, most: f64) -> Vec<Check> {
    let p99 = observed.latencies().percentile_ms(99);
    vec![
        Check::new("p99 of another user", Unit::Milliseconds, p99, Limit::AtMost(most)),
        Check::new("failures of another user", Unit::Count, number(observed.failures()), Limit::AtMost(0.0)),
    ]
}

impl User {
    const fn number(self) -> usize {
        match self {
            Self::LargeRigs => SETTLED_USERS + 1,
            Self::SlowReader => SETTLED_USERS + 2,
            Self::ManyRigs => SETTLED_USERS + 3,
            Self::Creator => SETTLED_USERS + 4,
        }
    }

    /// Returns the user's id in the database.
    pub(super) fn id(self) -> String {
        format!("user-{}", self.number())
    }
}

/// Creates a running town and returns its id.
pub(super) async fn create_town(server: &Server, token: &str, name: &str) -> anyhow::Result<String> {
    let mut connection = Connection::open(server.address).await?;
    let town = trpc::mutate(&mut connection, "createTown", &json!({ "townName": name }), token).await?;
    anyhow::ensure!(town["status"] == "running", "the town does not run: {town}");
    id_of(&town)
}

/// Stops a town.
pub(super) async fn stop_town(server: &Server, token: &str, town: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(server.address).await?;
    let town = trpc::mutate(&mut connection, "stopTown", &json!({ "townId": town }), token).await?;
    anyhow::ensure!(town["status"] == "stopped", "the town does not stop: {town}");
    Ok(())
}

/// Returns the id of a town in an answer.
pub(super) fn id_of(town: &Value) -> anyhow::Result<String> {
    town["townId"].as_str().map(str::to_owned).context("a town has no id")
}
