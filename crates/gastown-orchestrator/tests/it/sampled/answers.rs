//! What users ask for, and whether what they are answered may be so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gastown_domain::ports::{AddRig, CreateTown, RemoveRig, TownError, Towns as _};
use gastown_domain::{Branch, FirstRig, RigId, TownId, UserId};
use gastown_orchestrator::TownService;
use tokio::time::timeout;

use super::moves::{NEWEST, Wish};
use super::play::Play;
use crate::bench::{USERS, request};

/// What was answered so far.
#[derive(Clone, Default)]
pub(super) struct Answers(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    /// Which town each idempotency key is.
    keys: BTreeMap<(UserId, usize), TownId>,
    wrong: Vec<String>,
}

/// A wish for things that there are.
#[derive(Debug)]
enum Request {
    Create(CreateTown, Option<usize>),
    Start(TownId),
    Stop(TownId),
    Destroy(TownId),
    AddRig(AddRig),
    RemoveRig(RemoveRig),
    Look(TownId),
}

impl Play {
    /// A user asks a process for something, and waits no longer than that.
    pub(super) async fn ask(&self, at: usize, user: Option<usize>, wish: Wish, waits: Duration) {
        let user: Option<UserId> = user.map(|user| USERS[user].parse().unwrap());
        let Some((request, owner)) = self.request(user.as_ref(), wish) else { return };
        let user = user.unwrap_or_else(|| owner.clone());
        let replica = Arc::clone(&self.replicas[at]);
        let answers = self.answers.clone();
        let asked = tokio::spawn(async move {
            let towns = &replica.towns;
            replica.survives(answers.hear(towns, &user, request, owner)).await
        });
        let _ = timeout(waits, asked).await;
    }

    /// The wish for what there is by now, and the town's owner; none where there is no such town or rig.
    fn request(&self, user: Option<&UserId>, wish: Wish) -> Option<(Request, UserId)> {
        let named = match wish {
            Wish::Create { name, keyed, with_rig } => {
                return Some((Request::Create(create(name, keyed, with_rig), keyed.then_some(name)), user?.clone()));
            }
            Wish::Start { town } | Wish::Stop { town } | Wish::Destroy { town } | Wish::Look { town } => town,
            Wish::AddRig { town, .. } | Wish::RemoveRig { town, .. } => town,
        };
        let town = self.numbered(named)?;
        let rows = self.bench.store.rows();
        let request = match wish {
            Wish::Create { .. } | Wish::Look { .. } => Request::Look(town),
            Wish::Start { .. } => Request::Start(town),
            Wish::Stop { .. } => Request::Stop(town),
            Wish::Destroy { .. } => Request::Destroy(town),
            Wish::AddRig { name, .. } => Request::AddRig(rig(town, name)),
            Wish::RemoveRig { rig, force, .. } => {
                let rig: RigId = rows.rigs.iter().filter(|row| row.town == town).nth(rig)?.id;
                Request::RemoveRig(RemoveRig { town, rig, force })
            }
        };
        Some((request, rows.towns[&town].owner.clone()))
    }

    /// The town of this number: living ones first, for tombstones are many and little happens to them.
    pub(super) fn numbered(&self, number: usize) -> Option<TownId> {
        let rows = self.bench.store.rows();
        if number == NEWEST {
            return rows.towns.keys().next_back().copied();
        }
        let mut towns: Vec<_> = rows.towns.values().map(|town| (town.is_tombstone(), town.id)).collect();
        towns.sort();
        let wrapped = number.checked_rem(towns.iter().filter(|(is_tombstone, _)| !is_tombstone).count().max(1) + 1)?;
        towns.get(wrapped).map(|(_, town)| *town)
    }
}

impl Answers {
    /// Asks, and looks whether the answer may be so.
    async fn hear(&self, towns: &TownService, user: &UserId, request: Request, owner: UserId) {
        let what = format!("{user} asked for {request:?}");
        let answer = match request {
            Request::Create(create, key) => {
                let answer = towns.create_town(user, create).await;
                if let (Ok(town), Some(key)) = (&answer, key) {
                    self.recognize(user, key, town.id, &what);
                }
                answer.map(drop)
            }
            Request::Start(town) => towns.start_town(user, town).await.map(drop),
            Request::Stop(town) => towns.stop_town(user, town).await.map(drop),
            Request::Destroy(town) => towns.destroy_town(user, town).await.map(drop),
            Request::AddRig(rig) => towns.add_rig(user, rig).await.map(drop),
            Request::RemoveRig(rig) => towns.remove_rig(user, rig).await.map(drop),
            Request::Look(town) => towns.town_status(user, town).await.map(drop),
        };
        if *user != owner && !matches!(answer, Err(TownError::NotFound | TownError::Store(_))) {
            self.complain(format!("{what}, which is {owner}'s, and was answered {answer:?}"));
        }
    }

    /// The same key is always the same town.
    fn recognize(&self, user: &UserId, key: usize, town: TownId, what: &str) {
        let known = *self.0.lock().unwrap().keys.entry((user.clone(), key)).or_insert(town);
        if known != town {
            self.complain(format!("{what} and was given {town}, though the key is of {known}"));
        }
    }

    fn complain(&self, what: String) {
        self.0.lock().unwrap().wrong.push(what);
    }

    pub(super) fn wrong(&self) -> Vec<String> {
        self.0.lock().unwrap().wrong.clone()
    }
}

fn create(name: usize, keyed: bool, with_rig: bool) -> CreateTown {
    let mut create = request(&format!("town-{name}"));
    create.key = keyed.then(|| format!("key-{name}").parse().unwrap());
    if with_rig {
        let repo_url = "https://github.com/acme/engine".parse().unwrap();
        create.config.rigs = vec![FirstRig { rig_name: "engine".parse().unwrap(), repo_url, branch: Branch::main() }];
    }
    create
}

fn rig(town: TownId, name: usize) -> AddRig {
    AddRig {
        town,
        name: ["engine", "wheel"][name].parse().unwrap(),
        repo: "https://github.com/acme/engine".parse().unwrap(),
        branch: Branch::main(),
        config: serde_json::Map::new(),
    }
}
