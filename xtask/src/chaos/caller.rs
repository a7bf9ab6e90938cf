//! Clients: each draws an operation, calls a random replica, and records the answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::ledger::{Answer, Ledger, REFUSED_RIG, Removal, UNPUSHED};
use crate::trpc::{Refused, Trpc};

/// Few names, so that they are taken, freed and used again.
const TOWNS: [&str; 3] = ["mill", "forge", "harbor"];
const RIGS: [&str; 5] = ["app", "docs", "tools", "site", "infra"];
/// How often a create is sent with the same key before the client gives up.
const MAX_TRIES: u32 = 6;
/// The pause between two tries.
const RETRY_DELAY: Duration = Duration::from_millis(400);
/// The longest pause between two calls, in milliseconds.
const MAX_PAUSE: u64 = 2000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Create,
    Start,
    Stop,
    Destroy,
    AddRig,
    RemoveRig,
    Status,
    List,
}

/// The weight of an action by the status of the town, out of 100. Most draws make sense for the status, a few do not.
struct Weight {
    action: Action,
    provisioning: u32,
    running: u32,
    stopped: u32,
}

const WEIGHTS: [Weight; 8] = [
    Weight { action: Action::Create, provisioning: 8, running: 8, stopped: 8 },
    Weight { action: Action::Start, provisioning: 2, running: 3, stopped: 42 },
    Weight { action: Action::Stop, provisioning: 2, running: 30, stopped: 3 },
    Weight { action: Action::Destroy, provisioning: 2, running: 10, stopped: 12 },
    Weight { action: Action::AddRig, provisioning: 12, running: 18, stopped: 10 },
    Weight { action: Action::RemoveRig, provisioning: 4, running: 11, stopped: 7 },
    Weight { action: Action::Status, provisioning: 60, running: 14, stopped: 12 },
    Weight { action: Action::List, provisioning: 10, running: 6, stopped: 6 },
];

impl Weight {
    /// Returns the weight for a town of this status.
    fn with(&self, status: &str) -> u32 {
        match status {
            "running" => self.running,
            "stopped" => self.stopped,
            _ => self.provisioning,
        }
    }
}

/// A town as an answer last showed it.
#[derive(Default)]
struct Known {
    status: String,
    rigs: Vec<String>,
}

/// The towns that the clients of one user know, by id.
#[derive(Default)]
pub(super) struct KnownTowns(Mutex<BTreeMap<String, Known>>);

impl KnownTowns {
    fn towns(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores status and rigs from an answer.
    fn update(&self, town: &str, answer: &Value) {
        let mut towns = self.towns();
        let known = towns.entry(town.to_owned()).or_default();
        if let Some(status) = answer["status"].as_str() {
            status.clone_into(&mut known.status);
        }
        if let Some(rigs) = answer["rigs"].as_array() {
            known.rigs = rigs.iter().filter_map(|rig| rig["rigId"].as_str().map(str::to_owned)).collect();
        }
    }
}

/// One client of one user.
pub(super) struct Caller {
    /// The prefix of its idempotency keys.
    pub(super) name: String,
    /// A client for each replica, with the token of the user.
    pub(super) replicas: Vec<Trpc>,
    pub(super) known: Arc<KnownTowns>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) rng: StdRng,
    /// The number of creates so far.
    pub(super) creates: u32,
}

impl Caller {
    /// Sends one call after the other until `end`, and waits for the last answer.
    pub(super) async fn call_until(mut self, end: Instant) {
        loop {
            let pause = Duration::from_millis(self.rng.random_range(0..=MAX_PAUSE));
            tokio::time::sleep(pause).await;
            if Instant::now() >= end {
                return;
            }
            let town = self.any_town();
            let action = self.draw(town.as_ref().map_or("", |(_, status)| status));
            self.perform(action, town.map(|(id, _)| id)).await;
        }
    }

    fn any_town(&mut self) -> Option<(String, String)> {
        let towns: Vec<_> = self.known.towns().iter().map(|(id, town)| (id.clone(), town.status.clone())).collect();
        // A user with few towns creates more.
        let has_enough = towns.len() >= TOWNS.len() / 2 || self.rng.random_ratio(2, 3);
        towns.choose(&mut self.rng).filter(|_| has_enough).cloned()
    }

    fn draw(&mut self, status: &str) -> Action {
        let drawn = WEIGHTS.choose_weighted(&mut self.rng, |weight| weight.with(status));
        drawn.map_or(Action::List, |weight| weight.action)
    }

    async fn perform(&mut self, action: Action, town: Option<String>) {
        match (action, town) {
            (Action::Create, _) | (_, None) => self.create().await,
            (Action::List, _) => self.list().await,
            (Action::Start, Some(town)) => self.set_power(&town, "startTown").await,
            (Action::Stop, Some(town)) => self.set_power(&town, "stopTown").await,
            (Action::Destroy, Some(town)) => self.destroy(&town).await,
            (Action::AddRig, Some(town)) => self.add_rig(&town).await,
            (Action::RemoveRig, Some(town)) => self.remove_rig(&town).await,
            (Action::Status, Some(town)) => self.get_status(&town).await,
        }
    }

    /// Sends a create with a key, and repeats it until it is answered. Sometimes it repeats an answered one too, as a
    /// client does that lost the answer.
    async fn create(&mut self) {
        self.creates += 1;
        let key = format!("{}-{}", self.name, self.creates);
        let name = TOWNS[self.rng.random_range(0..TOWNS.len())];
        let mut input = json!({ "townName": name, "idempotencyKey": key });
        if self.rng.random_ratio(1, 4) {
            input["config"] = json!({ "rigs": [{ "rigName": "first", "repoUrl": repository("first") }] });
        }
        let mut repeats = u32::from(self.rng.random_ratio(1, 5));
        for _ in 0..MAX_TRIES {
            match self.send("createTown", &input).await {
                Answer::Given(town) => {
                    let Some(id) = town["townId"].as_str() else { return };
                    self.ledger().created(&key, id);
                    self.known.update(id, &town);
                    if repeats == 0 {
                        return;
                    }
                    repeats -= 1;
                }
                Answer::Refused(code) if code == "SERVICE_UNAVAILABLE" || code == "TIMEOUT" => {}
                Answer::Refused(_) => return,
                Answer::None => {}
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn set_power(&mut self, town: &str, procedure: &str) {
        if let Answer::Given(town_now) = self.send(procedure, &json!({ "townId": town })).await {
            self.known.update(town, &town_now);
        }
    }

    async fn destroy(&mut self, town: &str) {
        self.ledger().destroy(town, false);
        // Without an answer, `listTowns` shows later if the town still exists.
        if let Answer::Given(_) = self.send("destroyTown", &json!({ "townId": town })).await {
            self.ledger().destroy(town, true);
            self.known.towns().remove(town);
        }
    }

    async fn add_rig(&mut self, town: &str) {
        let name = RIGS[self.rng.random_range(0..RIGS.len())];
        let (name, repository) = match self.rng.random_range(0..12) {
            0 => (REFUSED_RIG, "https://git.example.com/refused/x.git".to_owned()),
            1 => (name, format!("https://git.example.com{UNPUSHED}{name}.git")),
            _ => (name, repository(name)),
        };
        let input = json!({ "townId": town, "rigName": name, "repoUrl": repository });
        if let Answer::Given(rig) = self.send("addRig", &input).await
            && let Some(id) = rig["rigId"].as_str()
        {
            self.ledger().rig(town, id);
            self.known.towns().entry(town.to_owned()).or_default().rigs.push(id.to_owned());
        }
    }

    async fn remove_rig(&mut self, town: &str) {
        let rigs = self.known.towns().get(town).map(|known| known.rigs.clone());
        let Some(rig) = rigs.unwrap_or_default().choose(&mut self.rng).cloned() else {
            return self.get_status(town).await;
        };
        let force = self.rng.random_ratio(1, 3);
        self.ledger().removal(&rig, Removal::Requested);
        let input = json!({ "townId": town, "rigId": rig, "force": force });
        if let Answer::Given(removal) = self.send("removeRig", &input).await {
            let is_removed = removal["removed"] == true;
            self.ledger().removal(&rig, if is_removed { Removal::Done } else { Removal::Pending });
            let mut towns = self.known.towns();
            towns.entry(town.to_owned()).or_default().rigs.retain(|known| *known != rig);
        }
    }

    async fn get_status(&mut self, town: &str) {
        match self.send("getTownStatus", &json!({ "townId": town })).await {
            Answer::Given(report) => {
                let rigs = report["rigs"].as_array().into_iter().flatten();
                rigs.filter_map(|rig| rig["rigId"].as_str()).for_each(|rig| self.ledger().rig(town, rig));
                self.known.update(town, &report);
            }
            Answer::Refused(code) if code == "NOT_FOUND" => drop(self.known.towns().remove(town)),
            Answer::Refused(_) | Answer::None => {}
        }
    }

    async fn list(&mut self) {
        if let Answer::Given(listed) = self.send("listTowns", &json!({})).await {
            let listed = listed.as_array().cloned().unwrap_or_default();
            let listed: BTreeMap<_, _> =
                listed.iter().filter_map(|town| Some((town["townId"].as_str()?.to_owned(), town))).collect();
            self.known.towns().retain(|id, _| listed.contains_key(id));
            for (id, town) in listed {
                self.known.update(&id, town);
            }
        }
    }

    async fn send(&mut self, procedure: &str, input: &Value) -> Answer<Value> {
        let replica = &self.replicas[self.rng.random_range(0..self.replicas.len())];
        let answered = match procedure {
            "getTownStatus" | "listTowns" => replica.query(procedure, input).await,
            _ => replica.mutate(procedure, input).await,
        };
        let answer = answered.map_or_else(|error| answer_of(&error), Answer::Given);
        self.ledger().count(&answer);
        answer
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer_of(error: &anyhow::Error) -> Answer<Value> {
    match error.downcast_ref::<Refused>() {
        Some(refused) => Answer::Refused(refused.code.clone()),
        None => Answer::None,
    }
}

fn repository(name: &str) -> String {
    format!("https://git.example.com/team/{name}.git")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn caller(seed: u64) -> Caller {
        let rng = StdRng::seed_from_u64(seed);
        Caller {
            name: "c".into(),
            replicas: Vec::new(),
            known: Arc::default(),
            ledger: Arc::default(),
            rng,
            creates: 0,
        }
    }

    #[test]
    fn every_action_is_drawn_and_a_seed_repeats_its_draws() {
        let draw = |seed, status| {
            let mut caller = caller(seed);
            (0..600).map(|_| caller.draw(status)).collect::<Vec<_>>()
        };
        for status in ["provisioning", "running", "stopped"] {
            let drawn = draw(1, status);
            assert!(WEIGHTS.iter().all(|weight| drawn.contains(&weight.action)), "{status}: {drawn:?}");
            assert_eq!(drawn, draw(1, status));
            assert_ne!(drawn, draw(2, status));
            assert_eq!(WEIGHTS.iter().map(|weight| weight.with(status)).sum::<u32>(), 100, "{status}");
        }
    }

    #[test]
    fn an_answer_updates_only_the_fields_that_it_has() {
        let known = KnownTowns::default();
        known.update("t", &json!({ "status": "running", "rigs": [{ "rigId": "r" }] }));
        known.update("t", &json!({ "status": "stopped" }));
        let towns = known.towns();
        assert_eq!((towns["t"].status.as_str(), towns["t"].rigs.as_slice()), ("stopped", &["r".to_owned()][..]));
    }

    #[test]
    fn an_error_code_is_an_answer_and_a_broken_connection_is_not() {
        let refused = Refused { code: "CONFLICT".into(), message: "busy".into() };
        let refused = anyhow::Error::new(refused).context("startTown");
        assert_eq!(answer_of(&refused), Answer::Refused("CONFLICT".into()));
        assert_eq!(answer_of(&anyhow::anyhow!("connection refused")), Answer::None);
    }
}
