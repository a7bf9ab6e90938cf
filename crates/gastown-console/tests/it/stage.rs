//! A console over mocks, and requests to it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use chrono::{DateTime, Utc};
use gastown_console::{Access, ActionResult, Operators, ProviderQueues, Queue, Sources, TownAction, TownActions};
use gastown_domain::ports::{
    AuditedEvent, Clock, FailedTouch, JobState, ListedTown, MockFigures, MockOperator, MockOrphans, MockReadiness,
    MockRollouts, MockSingletonJobs, RegistryFigures, RolloutChanged, RolloutReport, SingletonJob, StoreError,
    TownDetails, TownEvent, TownHealth,
};
use gastown_domain::{MaxUnavailable, Percent, Rollout, RolloutNumber, RolloutState, TouchCounts, Town, TownId};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub(crate) const TOKEN: &str = "operator-token-Zq7Lr5HkXe1BnVs4Gd8WzT";
/// The token of the operator `eve`.
pub(crate) const TOKEN_OF_EVE: &str = "token-of-eve-Hx3Rm9QcYb6LkPw2Tn8Vf";

/// The actions that were requested.
pub(crate) type Requested = Arc<Mutex<Vec<(TownId, TownAction, String)>>>;

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

struct NoQueues;

impl ProviderQueues for NoQueues {
    fn queues(&self) -> Vec<Queue> {
        vec![]
    }

    fn limits(&self) -> Vec<(String, String)> {
        vec![("CreateMachine".to_owned(), "1 call in 1s".to_owned())]
    }
}

struct Recorder(Requested);

#[async_trait]
impl TownActions for Recorder {
    async fn request(&self, town: TownId, action: TownAction, actor: &str) -> Result<ActionResult, StoreError> {
        self.0.lock().unwrap().push((town, action, actor.to_owned()));
        Ok(match action {
            TownAction::Start => ActionResult::Busy,
            TownAction::Stop => ActionResult::Accepted,
            TownAction::Destroy => ActionResult::NotFound,
        })
    }
}

pub(crate) fn event() -> AuditedEvent {
    AuditedEvent {
        town: Town::sample().id,
        owner: "alice".to_owned(),
        name: "mill".to_owned(),
        event: TownEvent {
            at: DateTime::UNIX_EPOCH,
            actor: "alice".to_owned(),
            action: "create".to_owned(),
            outcome: "accepted".to_owned(),
            error: None,
            operation: None,
            last_step: None,
        },
    }
}

/// Returns a running rollout with a failed town.
pub(crate) fn rollout() -> RolloutReport {
    RolloutReport {
        rollout: Rollout {
            number: RolloutNumber::new(7),
            image: "registry.example/town:2".parse().unwrap(),
            setting: None,
            percent: Percent::ALL,
            only_stopped: false,
            max_unavailable: MaxUnavailable::DEFAULT,
            state: RolloutState::Running,
            reason: None,
            known_failures: 0,
            started_by: "operator:eve".to_owned(),
            changed_by: "operator:eve".to_owned(),
            started_at: DateTime::UNIX_EPOCH,
            changed_at: DateTime::UNIX_EPOCH,
            ended_at: None,
        },
        counts: TouchCounts { failed: 1, ..TouchCounts::default() },
        waiting: 3,
        unhealthy: 0,
        stopped: 0,
        failures: vec![FailedTouch { town: Town::sample().id, name: "mill".to_owned(), failure: None }],
        images: vec![(None, 4)],
        at: DateTime::UNIX_EPOCH,
    }
}

fn details(town: TownId) -> Option<TownDetails> {
    let found = TownDetails {
        town: Town::sample(),
        rigs: vec![],
        health: Ok(TownHealth::default()),
        operation: None,
        events: vec![],
        orphans: vec![],
        unreadable: vec![],
    };
    (found.town.id == town).then_some(found)
}

/// Returns a registry with one town and one event, in lists of the requested length.
pub(crate) fn registry() -> MockOperator {
    let mut operator = MockOperator::new();
    operator.expect_operations().returning(|_| Ok(vec![]));
    operator.expect_audit().returning(|_, limit| Ok(vec![event(); limit.min(150) as usize]));
    operator.expect_towns().returning(|_, limit| {
        let listed = ListedTown { town: Town::sample(), health: Ok(TownHealth::default()), operation: None };
        Ok(vec![Ok(listed); limit as usize])
    });
    operator.expect_town_details().returning(|town, _, _| Ok(details(town)));
    operator
}

pub(crate) fn sources(operator: MockOperator, actions: Option<Requested>) -> Sources {
    let (mut figures, mut jobs) = (MockFigures::new(), MockSingletonJobs::new());
    let (mut orphans, mut readiness) = (MockOrphans::new(), MockReadiness::new());
    figures.expect_figures().returning(|_| Ok(RegistryFigures::default()));
    let job = JobState { job: SingletonJob::Orphans, ended_at: None, alarm: None };
    jobs.expect_states().returning(move || Ok(vec![job.clone()]));
    orphans.expect_list().returning(|| Ok((vec![], DateTime::UNIX_EPOCH)));
    readiness.expect_ready().returning(|| Ok(()));
    let mut rollouts = MockRollouts::new();
    rollouts.expect_report().returning(|| Ok(Some(rollout())));
    rollouts.expect_order().returning(|_, _| Ok(RolloutChanged::Done(Box::new(rollout().rollout))));
    Sources {
        operator: Arc::new(operator),
        figures: Arc::new(figures),
        jobs: Arc::new(jobs),
        orphans: Arc::new(orphans),
        rollouts: Arc::new(rollouts),
        readiness: Arc::new(readiness),
        queues: Arc::new(NoQueues),
        clock: Arc::new(FixedClock),
        resource_names: |_| vec![],
        nonce: || "a1b2c3d4".to_owned(),
        alert_attempts: 8,
        actions: actions.map(|requested| Arc::new(Recorder(requested)) as Arc<dyn TownActions>),
    }
}

/// A console with its requests.
pub(crate) struct Stage {
    pub(crate) router: Router,
    pub(crate) stop: CancellationToken,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Stage {
    pub(crate) fn new(sources: Sources) -> Self {
        Self::with(operators([(None, TOKEN), (Some("eve"), TOKEN_OF_EVE)]), sources)
    }

    pub(crate) fn with(access: Access, sources: Sources) -> Self {
        let stop = CancellationToken::new();
        Self { router: gastown_console::router(access, sources, stop.clone()), stop }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = headers
            .iter()
            .fold(Request::builder().method(method).uri(path), |request, (name, value)| request.header(*name, *value));
        let answer = self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let text = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// Gets a page with the token.
    pub(crate) async fn page(&self, path: &str) -> Answer {
        self.send("GET", path, &[("authorization", &format!("Bearer {TOKEN}"))], "").await
    }

    /// Signs in, and returns the pair of the cookie.
    pub(crate) async fn sign_in(&self) -> String {
        self.sign_in_with(TOKEN).await
    }

    pub(crate) async fn sign_in_with(&self, token: &str) -> String {
        let answer = self.send("POST", "/console/login", &[], &format!("token={token}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}

/// Returns the access of these operators.
pub(crate) fn operators<const N: usize>(tokens: [(Option<&str>, &str); N]) -> Access {
    Access::Operators(Operators::new(
        tokens.map(|(name, token)| (name.map(|name| name.parse().unwrap()), token.into())),
    ))
}

/// Returns the token of the first form of a page.
pub(crate) fn form_token(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"form_token\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}
