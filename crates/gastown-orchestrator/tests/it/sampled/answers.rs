//! The requests of users, and the checks of their responses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gastown_domain::ports::{
    AddRig, AddedRig, Caller, CreateTown, DestroyTown, RemoveRig, RequestFingerprint, TownError, TownState, Towns as _,
};
use gastown_domain::{FirstRig, RigId, TownId, UserId};
use gastown_orchestrator::TownService;
use tokio::time::timeout;

use super::run::Run;
use super::steps::{NEWEST, UserRequest};
use crate::bench::{USERS, request};
use crate::store::Store;

/// The responses so far.
#[derive(Clone, Default)]
pub(super) struct Answers(Arc<Mutex<AnswerLog>>);

#[derive(Default)]
struct AnswerLog {
    /// The request and the town of each idempotency key.
    keys: BTreeMap<(UserId, usize), (RequestFingerprint, TownId)>,
    keys_refused: usize,
    violations: Vec<String>,
}

/// A request for existing towns and rigs.
#[derive(Debug)]
enum ResolvedRequest {
    Create(CreateTown, Option<usize>),
    Start(TownId),
    Stop(TownId),
    Destroy(TownId),
    AddRig(AddRig),
    RemoveRig(RemoveRig),
    Read(TownId),
}

impl Run {
    /// Sends a request of a user to a process, and waits at most this long.
    pub(super) async fn ask(&self, at: usize, user: Option<usize>, request: UserRequest, waits: Duration) {
        let user: Option<UserId> = user.map(|user| USERS[user].parse().unwrap());
        let Some((request, owner)) = self.resolve(user.as_ref(), request) else { return };
        let user = user.unwrap_or_else(|| owner.clone());
        let replica = Arc::clone(&self.replicas[at]);
        let (answers, store) = (self.answers.clone(), Arc::clone(&self.bench.store));
        let sent = tokio::spawn(async move {
            let towns = &replica.towns;
            replica.unless_crashed(answers.send(towns, &store, &user, request, owner)).await
        });
        let _ = timeout(waits, sent).await;
    }

    /// Resolves a request to an existing town or rig, and returns the town's owner. Returns `None` if there is none.
    fn resolve(&self, user: Option<&UserId>, request: UserRequest) -> Option<(ResolvedRequest, UserId)> {
        let named = match request {
            UserRequest::Create { name, keyed, with_rig } => {
                return Some((
                    ResolvedRequest::Create(create(name, keyed, with_rig), keyed.then_some(name)),
                    user?.clone(),
                ));
            }
            UserRequest::Start { town }
            | UserRequest::Stop { town }
            | UserRequest::Destroy { town }
            | UserRequest::Read { town } => town,
            UserRequest::AddRig { town, .. } | UserRequest::RemoveRig { town, .. } => town,
        };
        let town = self.numbered(named)?;
        let rows = self.bench.store.rows();
        let request = match request {
            UserRequest::Create { .. } | UserRequest::Read { .. } => ResolvedRequest::Read(town),
            UserRequest::Start { .. } => ResolvedRequest::Start(town),
            UserRequest::Stop { .. } => ResolvedRequest::Stop(town),
            UserRequest::Destroy { .. } => ResolvedRequest::Destroy(town),
            UserRequest::AddRig { name, .. } => ResolvedRequest::AddRig(rig(town, name)),
            UserRequest::RemoveRig { rig, force, .. } => {
                let rig: RigId = rows.rigs.iter().filter(|row| row.town == town).nth(rig)?.id;
                ResolvedRequest::RemoveRig(RemoveRig { town, rig, force })
            }
        };
        Some((request, rows.towns[&town].owner.clone()))
    }

    /// Returns the town of this number. Living towns come first, because most towns are tombstones that change little.
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
    /// Sends a request and checks the response.
    async fn send(&self, towns: &TownService, store: &Store, user: &UserId, request: ResolvedRequest, owner: UserId) {
        let what = format!("{user} requested {request:?}");
        let check_town = |TownState { town, .. }: TownState| {
            let is_known =
                store.rows().towns.get(&town.id).is_some_and(|row| row.owner == *user && row.name == town.name);
            if !is_known {
                self.add_violation(format!("{what} and got a town that is not in the registry: {town:?}"));
            }
        };
        let caller = Caller::Trusted(user.clone());
        let answer = match request {
            ResolvedRequest::Create(create, key) => self.create(towns, user, create, key, &what).await.map(check_town),
            ResolvedRequest::Start(town) => {
                towns.start_town(&caller, town).await.map(|started| check_town(started.town))
            }
            ResolvedRequest::Stop(town) => towns.stop_town(&caller, town).await.map(check_town),
            ResolvedRequest::Destroy(town) => {
                towns.destroy_town(&caller, DestroyTown::until_gone(town)).await.map(check_town)
            }
            ResolvedRequest::AddRig(rig) => towns.add_rig(&caller, rig).await.map(|AddedRig { rig, .. }| {
                if !store.rows().ledger.has_rig(rig.id) {
                    self.add_violation(format!("{what} and got a rig that was never stored: {rig:?}"));
                }
            }),
            ResolvedRequest::RemoveRig(rig) => towns.remove_rig(&caller, rig).await.map(drop),
            ResolvedRequest::Read(town) => towns.town_status(&caller, town).await.map(drop),
        };
        if *user != owner && !matches!(answer, Err(TownError::NotFound | TownError::Store(_))) {
            self.add_violation(format!("{what}, which belongs to {owner}, and got {answer:?}"));
        }
    }

    /// Creates a town. Checks that an idempotency key always returns the same town, and only for the same request.
    async fn create(
        &self,
        towns: &TownService,
        user: &UserId,
        create: CreateTown,
        key: Option<usize>,
        what: &str,
    ) -> Result<TownState, TownError> {
        let caller = Caller::Trusted(user.clone());
        let Some(key) = key.map(|key| (user.clone(), key)) else { return towns.create_town(&caller, create).await };
        let fingerprint = create.fingerprint();
        let before = self.0.lock().unwrap().keys.get(&key).cloned();
        let answer = towns.create_town(&caller, create).await;
        let is_refused = matches!(answer, Err(TownError::KeyReused));
        let is_of_other_request = before.map(|(of, _)| of != fingerprint);
        if is_of_other_request.is_some_and(|is_of_other_request| is_of_other_request != is_refused)
            && !matches!(answer, Err(TownError::Store(_)))
        {
            self.add_violation(format!(
                "{what}, key of another request: {is_of_other_request:?}, response: {answer:?}"
            ));
        }
        let mut log = self.0.lock().unwrap();
        log.keys_refused += usize::from(is_refused);
        if let Ok(town) = &answer {
            let (of, known) = log.keys.entry(key).or_insert((fingerprint.clone(), town.town.id));
            if (&*of, &*known) != (&fingerprint, &town.town.id) {
                let violation = format!("{what} and got {}, but the key belongs to {known}", town.town.id);
                log.violations.push(violation);
            }
        }
        answer
    }

    fn add_violation(&self, what: String) {
        self.0.lock().unwrap().violations.push(what);
    }

    pub(super) fn keys_refused(&self) -> usize {
        self.0.lock().unwrap().keys_refused
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.0.lock().unwrap().violations.clone()
    }
}

fn create(name: usize, keyed: bool, with_rig: bool) -> CreateTown {
    let mut create = request(&format!("town-{name}"));
    create.key = keyed.then(|| format!("key-{name}").parse().unwrap());
    if with_rig {
        let repo_url = "https://github.com/acme/engine".parse().unwrap();
        create.config.rigs =
            vec![FirstRig { rig_name: "engine".parse().unwrap(), repo_url, branch: Some("main".parse().unwrap()) }];
    }
    create
}

fn rig(town: TownId, name: usize) -> AddRig {
    AddRig {
        town,
        name: ["engine", "wheel"][name].parse().unwrap(),
        repo: "https://github.com/acme/engine".parse().unwrap(),
        branch: Some("main".parse().unwrap()),
        config: serde_json::Map::new(),
    }
}
