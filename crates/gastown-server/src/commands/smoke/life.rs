//! The steps of a town's life, each until its effect is seen.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use gastown_domain::RepoUrl;
use serde_json::{Value, json};

use crate::commands::remote::{Remote, RemoteError};

/// The pause between two reads of the town.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The pause after a call without an answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The tries of the first call.
const REACH_TRIES: u32 = 3;
/// The name of the rig.
const RIG: &str = "smoke";

/// A step of the life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    AddRig,
    Stop,
    Start,
    RemoveRig,
    Destroy,
}

impl Step {
    pub(super) const ALL: [Self; 6] =
        [Self::Create, Self::AddRig, Self::Stop, Self::Start, Self::RemoveRig, Self::Destroy];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::AddRig => "add rig",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::RemoveRig => "remove rig",
            Self::Destroy => "destroy",
        }
    }
}

/// One town at a server.
pub(super) struct Life {
    remote: Remote,
    name: String,
    repo: RepoUrl,
    town: Option<String>,
    rig: Option<String>,
    last_seen: String,
}

impl Life {
    pub(super) fn new(remote: Remote, name: String, repo: RepoUrl) -> Self {
        Self { remote, name, repo, town: None, rig: None, last_seen: "nothing was seen".to_owned() }
    }

    pub(super) fn town_name(&self) -> &str {
        &self.name
    }

    pub(super) fn town_id(&self) -> Option<&str> {
        self.town.as_deref()
    }

    /// Returns the last state of the town, in words.
    pub(super) fn last_seen(&self) -> &str {
        &self.last_seen
    }

    /// Makes one read. A wrong address or token is found before a town is created.
    pub(super) async fn reach(&self) -> Result<(), RemoteError> {
        let mut tries = 1;
        loop {
            match self.remote.query("listTowns", &Value::Null).await {
                Err(RemoteError::NoAnswer(_)) if tries < REACH_TRIES => tokio::time::sleep(RETRY_PAUSE).await,
                answered => return answered.map(drop),
            }
            tries += 1;
        }
    }

    /// Plays one step until its effect is seen. Returns what was seen.
    pub(super) async fn play(&mut self, step: Step) -> anyhow::Result<String> {
        match step {
            Step::Create => self.create().await,
            Step::AddRig => self.add_rig().await,
            Step::Stop => self.switch("stopTown", "stopped").await,
            Step::Start => self.switch("startTown", "running").await,
            Step::RemoveRig => self.remove_rig().await,
            Step::Destroy => {
                self.remove().await?;
                Ok("destroyed, and nothing is left".to_owned())
            }
        }
    }

    async fn create(&mut self) -> anyhow::Result<String> {
        // A repeat after a lost answer gets the same town.
        let input = json!({ "townName": self.name, "idempotencyKey": self.name });
        let created = self.change("createTown", &input).await?;
        self.town = Some(text(&created, "townId")?.to_owned());
        let report = self.until_settled("running").await?;
        let machine = report["flyMachineId"].as_str().unwrap_or("of no id");
        Ok(format!("{} runs, machine {machine} in {}", self.name, report["flyRegion"].as_str().unwrap_or("?")))
    }

    async fn add_rig(&mut self) -> anyhow::Result<String> {
        let input = json!({ "townId": self.town, "rigName": RIG, "repoUrl": self.repo.as_str() });
        match self.remote.mutate("addRig", &input).await {
            Ok(added) => self.rig = Some(text(&added, "rigId")?.to_owned()),
            // The row may be there. The report shows it.
            Err(RemoteError::NoAnswer(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let report = self.until(|report| rig(report).is_some_and(|rig| rig["status"] == "active")).await?;
        let added = rig(&report).context("the rig is missing")?;
        self.rig = Some(text(added, "rigId")?.to_owned());
        Ok(format!("rig {RIG} is active, branch {}", added["branch"].as_str().unwrap_or("?")))
    }

    async fn remove_rig(&mut self) -> anyhow::Result<String> {
        let input = json!({ "townId": self.town, "rigId": self.rig, "force": true });
        match self.change("removeRig", &input).await {
            Ok(_) => {}
            // The first of several calls removed it, and its answer was lost.
            Err(RemoteError::Refused { reason, .. }) if reason == "rig_not_found" => {}
            Err(error) => return Err(error.into()),
        }
        self.until(|report| rig(report).is_none()).await?;
        Ok("the town has no rig".to_owned())
    }

    async fn switch(&mut self, procedure: &str, status: &str) -> anyhow::Result<String> {
        self.change(procedure, &json!({ "townId": self.town })).await?;
        self.until_settled(status).await?;
        Ok(format!("the town is {status}"))
    }

    /// Destroys the town, also one whose create was not answered, until the server knows it no longer.
    pub(super) async fn remove(&mut self) -> anyhow::Result<()> {
        loop {
            let listed = self.retried_query("listTowns", &Value::Null).await?;
            let found = listed.as_array().into_iter().flatten().find(|town| town["townName"] == *self.name);
            let town = match (found, &self.town) {
                (Some(town), _) => text(town, "townId")?.to_owned(),
                (None, Some(known)) if !self.is_gone(known).await? => known.clone(),
                (None, _) => return Ok(()),
            };
            let input = json!({ "townId": town, "waitUntilGone": true });
            match self.remote.mutate("destroyTown", &input).await {
                Ok(answer) => self.last_seen = seen(&answer),
                Err(RemoteError::Refused { reason, .. }) if reason == "town_not_found" => {}
                Err(RemoteError::NoAnswer(_)) => {}
                Err(error) => return Err(error.into()),
            }
            self.town = Some(town);
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn is_gone(&self, town: &str) -> anyhow::Result<bool> {
        match self.remote.query("getTownStatus", &json!({ "townId": town })).await {
            Ok(_) | Err(RemoteError::NoAnswer(_)) => Ok(false),
            Err(RemoteError::Refused { reason, .. }) if reason == "town_not_found" => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Requests a change that may be repeated.
    async fn change(&mut self, procedure: &str, input: &Value) -> Result<Value, RemoteError> {
        loop {
            match self.remote.mutate(procedure, input).await {
                Err(RemoteError::NoAnswer(cause)) => self.pause_without_answer(cause).await,
                answered => return answered,
            }
        }
    }

    /// Waits before a call is repeated, and remembers why it is.
    async fn pause_without_answer(&mut self, cause: reqwest::Error) {
        self.last_seen = format!("the server did not answer: {:#}", anyhow::Error::from(cause));
        tokio::time::sleep(RETRY_PAUSE).await;
    }

    async fn retried_query(&mut self, procedure: &str, input: &Value) -> anyhow::Result<Value> {
        loop {
            match self.remote.query(procedure, input).await {
                Err(RemoteError::NoAnswer(cause)) => self.pause_without_answer(cause).await,
                answered => return Ok(answered?),
            }
        }
    }

    /// Polls until nothing is in flight, and requires this status.
    async fn until_settled(&mut self, status: &str) -> anyhow::Result<Value> {
        let report = self.until(|report| report["operation"].is_null()).await?;
        if report["status"] == status {
            return Ok(report);
        }
        let problem = report.pointer("/lastOutcome/failure/message").and_then(Value::as_str);
        bail!("the town is {} instead of {status}: {}", report["status"], problem.unwrap_or("no reason is known"))
    }

    async fn until(&mut self, is_reached: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        ensure!(self.town.is_some(), "there is no town");
        loop {
            let report = self.retried_query("getTownStatus", &json!({ "townId": self.town })).await?;
            self.last_seen = seen(&report);
            if is_reached(&report) {
                return Ok(report);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

fn text<'a>(answer: &'a Value, field: &str) -> anyhow::Result<&'a str> {
    answer[field].as_str().with_context(|| format!("the answer has no {field}"))
}

fn rig(report: &Value) -> Option<&Value> {
    report["rigs"].as_array()?.iter().find(|rig| rig["rigName"] == RIG)
}

/// Returns the state of a town in words.
fn seen(report: &Value) -> String {
    let status = report["status"].as_str().unwrap_or("of no status");
    match report.pointer("/operation/kind").and_then(Value::as_str) {
        Some(kind) => {
            let step = report.pointer("/operation/step").and_then(Value::as_str).unwrap_or("its first step");
            format!("the town is {status}, {kind} at {step}")
        }
        None => format!("the town is {status}"),
    }
}
