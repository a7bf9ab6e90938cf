//! Clients: each draws an operation, calls a random replica, and notes what it is told.

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

/// Few, so that names are taken, given up and used again.
const TOWNS: [&str; 3] = ["mill", "forge", "harbor"];
const RIGS: [&str; 5] = ["app", "docs", "tools", "site", "infra"];
/// How often a create is asked again, with its key, before the client gives up.
const TRIES: u32 = 6;
/// Between two tries.
const BEFORE_NEXT_TRY: Duration = Duration::from_millis(400);
/// Between two calls, at most.
const LONGEST_PAUSE: u64 = 2000;

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

/// What a client does with a town, and how often in a hundred: as users do, mostly what makes sense, and now and then
/// what does not.
struct Habit {
    action: Action,
    provisioning: u32,
    running: u32,
    stopped: u32,
}

const HABITS: [Habit; 8] = [
    Habit { action: Action::Create, provisioning: 8, running: 8, stopped: 8 },
    Habit { action: Action::Start, provisioning: 2, running: 3, stopped: 42 },
    Habit { action: Action::Stop, provisioning: 2, running: 30, stopped: 3 },
    Habit { action: Action::Destroy, provisioning: 2, running: 10, stopped: 12 },
    Habit { action: Action::AddRig, provisioning: 12, running: 18, stopped: 10 },
    Habit { action: Action::RemoveRig, provisioning: 4, running: 11, stopped: 7 },
    Habit { action: Action::Status, provisioning: 60, running: 14, stopped: 12 },
    Habit { action: Action::List, provisioning: 10, running: 6, stopped: 6 },
];

impl Habit {
    /// How often, with a town of this status.
    fn with(&self, status: &str) -> u32 {
        match status {
            "running" => self.running,
            "stopped" => self.stopped,
            _ => self.provisioning,
        }
    }
}

/// A town, as its user's clients last saw it.
#[derive(Default)]
struct Known {
    status: String,
    rigs: Vec<String>,
}

/// What the clients of one user know: their towns by id.
#[derive(Default)]
pub(super) struct Acquaintance(Mutex<BTreeMap<String, Known>>);

impl Acquaintance {
    fn towns(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what an answer says of a town.
    fn saw(&self, town: &str, answer: &Value) {
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
    /// What its idempotency keys begin with.
    pub(super) name: String,
    /// Every replica, as its user sees them.
    pub(super) replicas: Vec<Trpc>,
    pub(super) known: Arc<Acquaintance>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) dice: StdRng,
    /// Creates so far.
    pub(super) creates: u32,
}

impl Caller {
    /// Calls, one call after the other, until it is time; the last one is still waited for.
    pub(super) async fn call_until(mut self, end: Instant) {
        loop {
            let pause = Duration::from_millis(self.dice.random_range(0..=LONGEST_PAUSE));
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
        // Whoever has few makes more.
        let content = towns.len() >= TOWNS.len() / 2 || self.dice.random_ratio(2, 3);
        towns.choose(&mut self.dice).filter(|_| content).cloned()
    }

    fn draw(&mut self, status: &str) -> Action {
        let drawn = HABITS.choose_weighted(&mut self.dice, |habit| habit.with(status));
        drawn.map_or(Action::List, |habit| habit.action)
    }

    async fn perform(&mut self, action: Action, town: Option<String>) {
        match (action, town) {
            (Action::Create, _) | (_, None) => self.create().await,
            (Action::List, _) => self.list().await,
            (Action::Start, Some(town)) => self.turn(&town, "startTown").await,
            (Action::Stop, Some(town)) => self.turn(&town, "stopTown").await,
            (Action::Destroy, Some(town)) => self.destroy(&town).await,
            (Action::AddRig, Some(town)) => self.add_rig(&town).await,
            (Action::RemoveRig, Some(town)) => self.remove_rig(&town).await,
            (Action::Status, Some(town)) => self.look_at(&town).await,
        }
    }

    /// Asks with a key, and as long as nobody answers once more: that is what the key is for. Now and then also after
    /// an answer, as a client does that has lost it.
    async fn create(&mut self) {
        self.creates += 1;
        let key = format!("{}-{}", self.name, self.creates);
        let name = TOWNS[self.dice.random_range(0..TOWNS.len())];
        let mut input = json!({ "townName": name, "idempotencyKey": key });
        if self.dice.random_ratio(1, 4) {
            input["config"] = json!({ "rigs": [{ "rigName": "first", "repoUrl": repository("first") }] });
        }
        let mut doubts = u32::from(self.dice.random_ratio(1, 5));
        for _ in 0..TRIES {
            match self.ask("createTown", &input).await {
                Answer::Given(town) => {
                    let Some(id) = town["townId"].as_str() else { return };
                    self.ledger().created(&key, id);
                    self.known.saw(id, &town);
                    if doubts == 0 {
                        return;
                    }
                    doubts -= 1;
                }
                Answer::Refused(code) if code == "SERVICE_UNAVAILABLE" || code == "TIMEOUT" => {}
                Answer::Refused(_) => return,
                Answer::None => {}
            }
            tokio::time::sleep(BEFORE_NEXT_TRY).await;
        }
    }

    async fn turn(&mut self, town: &str, procedure: &str) {
        if let Answer::Given(turned) = self.ask(procedure, &json!({ "townId": town })).await {
            self.known.saw(town, &turned);
        }
    }

    async fn destroy(&mut self, town: &str) {
        self.ledger().destroy(town, false);
        // Whatever comes of it, `listTowns` tells whether it is still there.
        if let Answer::Given(_) = self.ask("destroyTown", &json!({ "townId": town })).await {
            self.ledger().destroy(town, true);
            self.known.towns().remove(town);
        }
    }

    async fn add_rig(&mut self, town: &str) {
        let name = RIGS[self.dice.random_range(0..RIGS.len())];
        let (name, repository) = match self.dice.random_range(0..12) {
            0 => (REFUSED_RIG, "https://git.example.com/refused/x.git".to_owned()),
            1 => (name, format!("https://git.example.com{UNPUSHED}{name}.git")),
            _ => (name, repository(name)),
        };
        let input = json!({ "townId": town, "rigName": name, "repoUrl": repository });
        if let Answer::Given(rig) = self.ask("addRig", &input).await
            && let Some(id) = rig["rigId"].as_str()
        {
            self.ledger().rig(town, id);
            self.known.towns().entry(town.to_owned()).or_default().rigs.push(id.to_owned());
        }
    }

    async fn remove_rig(&mut self, town: &str) {
        let rigs = self.known.towns().get(town).map(|known| known.rigs.clone());
        let Some(rig) = rigs.unwrap_or_default().choose(&mut self.dice).cloned() else {
            return self.look_at(town).await;
        };
        let force = self.dice.random_ratio(1, 3);
        self.ledger().removal(&rig, Removal::Asked);
        let input = json!({ "townId": town, "rigId": rig, "force": force });
        if let Answer::Given(removal) = self.ask("removeRig", &input).await {
            let is_removed = removal["removed"] == true;
            self.ledger().removal(&rig, if is_removed { Removal::Done } else { Removal::Pending });
            let mut towns = self.known.towns();
            towns.entry(town.to_owned()).or_default().rigs.retain(|known| *known != rig);
        }
    }

    async fn look_at(&mut self, town: &str) {
        match self.ask("getTownStatus", &json!({ "townId": town })).await {
            Answer::Given(report) => {
                let rigs = report["rigs"].as_array().into_iter().flatten();
                rigs.filter_map(|rig| rig["rigId"].as_str()).for_each(|rig| self.ledger().rig(town, rig));
                self.known.saw(town, &report);
            }
            Answer::Refused(code) if code == "NOT_FOUND" => drop(self.known.towns().remove(town)),
            Answer::Refused(_) | Answer::None => {}
        }
    }

    async fn list(&mut self) {
        if let Answer::Given(listed) = self.ask("listTowns", &json!({})).await {
            let listed = listed.as_array().cloned().unwrap_or_default();
            let listed: BTreeMap<_, _> =
                listed.iter().filter_map(|town| Some((town["townId"].as_str()?.to_owned(), town))).collect();
            self.known.towns().retain(|id, _| listed.contains_key(id));
            for (id, town) in listed {
                self.known.saw(&id, town);
            }
        }
    }

    async fn ask(&mut self, procedure: &str, input: &Value) -> Answer<Value> {
        let replica = &self.replicas[self.dice.random_range(0..self.replicas.len())];
        let answered = match procedure {
            "getTownStatus" | "listTowns" => replica.query(procedure, input).await,
            _ => replica.mutate(procedure, input).await,
        };
        let answer = answered.map_or_else(|error| why_not(&error), Answer::Given);
        self.ledger().count(&answer);
        answer
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn why_not(error: &anyhow::Error) -> Answer<Value> {
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
        let dice = StdRng::seed_from_u64(seed);
        Caller {
            name: "c".into(),
            replicas: Vec::new(),
            known: Arc::default(),
            ledger: Arc::default(),
            dice,
            creates: 0,
        }
    }

    #[test]
    fn every_action_is_drawn_and_the_same_seed_draws_the_same() {
        let draw = |seed, status| {
            let mut caller = caller(seed);
            (0..600).map(|_| caller.draw(status)).collect::<Vec<_>>()
        };
        for status in ["provisioning", "running", "stopped"] {
            let drawn = draw(1, status);
            assert!(HABITS.iter().all(|habit| drawn.contains(&habit.action)), "{status}: {drawn:?}");
            assert_eq!(drawn, draw(1, status));
            assert_ne!(drawn, draw(2, status));
            assert_eq!(HABITS.iter().map(|habit| habit.with(status)).sum::<u32>(), 100, "{status}");
        }
    }

    #[test]
    fn what_is_seen_of_a_town_is_known_from_then_on() {
        let known = Acquaintance::default();
        known.saw("t", &json!({ "status": "running", "rigs": [{ "rigId": "r" }] }));
        known.saw("t", &json!({ "status": "stopped" }));
        let towns = known.towns();
        assert_eq!((towns["t"].status.as_str(), towns["t"].rigs.as_slice()), ("stopped", &["r".to_owned()][..]));
    }

    #[test]
    fn a_refusal_is_an_answer_and_a_broken_connection_is_none() {
        let refused = Refused { code: "CONFLICT".into(), message: "busy".into() };
        let refused = anyhow::Error::new(refused).context("startTown");
        assert_eq!(why_not(&refused), Answer::Refused("CONFLICT".into()));
        assert_eq!(why_not(&anyhow::anyhow!("connection refused")), Answer::None);
    }
}
