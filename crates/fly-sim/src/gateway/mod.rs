//! The path of a call: routing, authentication, rate limit, fault, contract check, world, contract check.

mod effects;
mod forward;
mod proxy;

use std::{sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

pub(crate) use self::forward::client;
use self::proxy::{Proxied, Reached};
use crate::{
    access_log::AccessLog,
    api::{self, ApiRequest},
    api_error::ApiError,
    contract::{Contract, SpecError},
    control_api,
    faults::Effect,
    operations::Operation,
    program_call::ProgramCall,
    reply::{Content, Reply},
    route::{Call, Parsed, Route},
    sim_state::SimState,
    workload::Workload,
    world::World,
};

/// The number of entries of a list that are checked at once, which bounds the memory.
const CHECKED_ENTRIES: usize = 100;
/// The time for which a request waits until its machine has started.
const AUTOSTART_TIMEOUT: Duration = Duration::from_secs(30);

/// A request as received.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) method: String,
    /// The path without its query.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: bytes::Bytes,
}

impl Incoming {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The error that makes the server close the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped by the fault {fault}")]
pub(crate) struct Dropped {
    /// The kind of the fault.
    pub(crate) fault: &'static str,
}

/// The entry point of all requests.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) state: Arc<SimState>,
    pub(crate) token: Option<SecretString>,
    /// `None` skips the checks against Fly's document.
    pub(crate) contract: Option<Arc<Contract>>,
    pub(crate) workload: Option<Arc<dyn Workload>>,
    pub(crate) access_log: Option<AccessLog>,
    /// The client for attached programs.
    pub(crate) client: reqwest::Client,
}

impl Gateway {
    /// Answers a request on the simulator's port.
    pub(crate) async fn answer(&self, incoming: Incoming) -> Result<Reply, Dropped> {
        let latency = self.state.world.read(|world| world.settings.timing.latency);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if let Some(path) = incoming.path.strip_prefix("/v1") {
            return match Route::parse(&incoming.method, path) {
                Parsed::Served(route) => self.call_machines_api(route, &incoming).await,
                Parsed::NotSimulated(operation) if self.is_authenticated(&incoming) => Ok(not_simulated(operation)),
                Parsed::NotSimulated(_) => Ok(ApiError::Unauthenticated.into()),
                Parsed::Unknown => Ok(not_routed()),
            };
        }
        if let Some(path) = incoming.path.strip_prefix("/_sim") {
            return Ok(control_api::answer(&self.state, path, &incoming));
        }
        match Proxied::parse(&incoming) {
            Some(proxied) => self.call_program(proxied, &incoming).await,
            None => Ok(not_routed()),
        }
    }

    async fn call_machines_api(&self, route: Route, incoming: &Incoming) -> Result<Reply, Dropped> {
        if route.call != Call::ListRegions && !self.is_authenticated(incoming) {
            return Ok(ApiError::Unauthenticated.into());
        }
        let number = self.state.record_call(&route, &incoming.method, &incoming.path);
        if !self.state.try_acquire(&route, Instant::now()) {
            self.state.record_status(number, ApiError::RateLimited.status());
            return Ok(ApiError::RateLimited.into());
        }
        let body = ApiRequest::parse_body(route.call, &incoming.body);
        let region = body.as_ref().ok().and_then(|body| body.get("region")?.as_str());
        let effect = self.state.next_effect(&route, region, number);
        let request = body.map(|body| ApiRequest {
            route: route.clone(),
            query: incoming.query.clone(),
            nonce: incoming.header("fly-machine-lease-nonce").map(str::to_owned),
            lists_deleted: effect == Some(Effect::ListsDeleted),
            body,
        });
        let execution = async {
            match request {
                Ok(request) => self.execute(request).await,
                Err(error) => error.into(),
            }
        };
        self.execute_under_fault(&route, effect, number, execution).await
    }

    async fn call_program(&self, proxied: Proxied, incoming: &Incoming) -> Result<Reply, Dropped> {
        let classify = |workload: &Arc<dyn Workload>| workload.classify(&incoming.method, &proxied.path);
        let call = self.workload.as_ref().map_or(ProgramCall::OTHER, classify);
        let route = Route::to_program(call, &proxied.app, &proxied.machine);
        let number = self.state.record_call(&route, &incoming.method, &incoming.path);
        let effect = self.state.next_effect(&route, None, number);
        let execution = self.answer_with_program(&proxied, incoming);
        self.execute_under_fault(&route, effect, number, execution).await
    }

    /// Answers with the attached program or that of the workload. The machine is started first if a service wants that.
    async fn answer_with_program(&self, proxied: &Proxied, incoming: &Incoming) -> Reply {
        let world = &self.state.world;
        if world.update(|world| world.autostart(&proxied.app, &proxied.machine)) {
            let has_started = |world: &World| world.machines.get(&proxied.machine)?.has_started().then_some(());
            world.wait_for(Instant::now() + AUTOSTART_TIMEOUT, has_started).await;
        }
        self.state.activity.begin(&proxied.machine, world.read(World::now));
        let reached = world.update(|world| proxied.reach(world));
        let reply = match reached {
            Err(reply) => reply,
            Ok(Reached { name, region, address }) => {
                let attached = self.state.attached_to(&proxied.machine, &proxied.app, &name);
                match attached.or_else(|| format!("http://{}", address?).parse().ok()) {
                    Some(program) => forward::forward(&self.client, &program, proxied, &region, incoming).await,
                    None => world.update(|world| proxied.answer(world, incoming)),
                }
            }
        };
        self.state.activity.end(&proxied.machine, world.read(World::now));
        reply
    }

    /// Executes a call as far as the effect of a fault allows, and records the status of the answer.
    async fn execute_under_fault(
        &self,
        route: &Route,
        effect: Option<Effect>,
        number: usize,
        execution: impl Future<Output = Reply>,
    ) -> Result<Reply, Dropped> {
        let fault = effect.as_ref().map(Effect::kind);
        let reply = match effect {
            None => execution.await,
            Some(effect) => {
                let dropped = Dropped { fault: effect.kind() };
                effects::execute(&self.state.world, route, effect, execution).await.ok_or(dropped)?
            }
        };
        self.state.record_status(number, reply.status);
        Ok(Reply { fault, ..reply })
    }

    /// Executes a call of the Machines API and checks request and answer against Fly's document.
    async fn execute(&self, mut request: ApiRequest) -> Reply {
        let call = request.route.call;
        let result = match self.check_request(&mut request) {
            Ok(()) if call == Call::Wait => api::wait(&self.state.world, &request, &self.state.cancel).await,
            Ok(()) if call == Call::Exec => api::exec(&self.state.world, &request, &self.state.cancel).await,
            Ok(()) => self.state.world.update(|world| api::answer(world, &request)),
            Err(RequestError::Invalid(error)) => Err(error),
            Err(RequestError::Spec(error)) => return broken_contract(&error),
        };
        let reply = result.unwrap_or_else(Reply::from);
        match self.check_reply(call, &reply) {
            Ok(()) => reply,
            Err(error) => broken_contract(&error),
        }
    }

    /// Records the violations of a request, rejects what Fly would reject, and removes what Fly would ignore.
    fn check_request(&self, request: &mut ApiRequest) -> Result<(), RequestError> {
        let Some(contract) = &self.contract else { return Ok(()) };
        let call = request.route.call;
        let mismatches = contract.check_request(call, &request.body).map_err(RequestError::Spec)?;
        let ignored = contract.remove_ignored_fields(call, &request.query, &mut request.body);
        let error = mismatches.first().map(|first| ApiError::invalid(&first.problem));
        self.state.record_violations(mismatches.into_iter().chain(ignored));
        error.map_or(Ok(()), |error| Err(RequestError::Invalid(error)))
    }

    fn check_reply(&self, call: Call, reply: &Reply) -> Result<(), SpecError> {
        let Some(contract) = &self.contract else { return Ok(()) };
        if let Some(body) = reply.value() {
            self.state.record_violations(contract.check_response(call, reply.status, body)?);
        }
        if let Content::List(entries) = &reply.content {
            for part in entries.chunks(CHECKED_ENTRIES) {
                let entries = part.iter().map(|entry| serde_json::from_str(entry)).collect::<Result<_, _>>()?;
                let list = Value::Array(entries);
                self.state.record_violations(contract.check_response(call, reply.status, &list)?);
            }
        }
        Ok(())
    }

    /// Returns true if the request has an accepted token after `Bearer` or `FlyV1`.
    fn is_authenticated(&self, incoming: &Incoming) -> bool {
        let header = incoming.header("authorization").unwrap_or_default();
        let token = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("FlyV1 ")).unwrap_or_default().trim();
        match &self.token {
            Some(accepted) => token.as_bytes().ct_eq(accepted.expose_secret().as_bytes()).into(),
            None => !token.is_empty(),
        }
    }
}

/// A request that is not executed.
enum RequestError {
    /// Fly would reject the request.
    Invalid(ApiError),
    /// The contract cannot be checked.
    Spec(SpecError),
}

/// Answers a call that Fly has and the simulator lacks, so that it looks neither like success nor like a wrong path.
fn not_simulated(operation: &Operation) -> Reply {
    let Operation { method, path, differences, .. } = operation;
    tracing::warn!(%method, %path, "call is not simulated");
    ApiError::not_simulated(format!("{method} /v1{path}. {differences}")).into()
}

fn not_routed() -> Reply {
    Reply::text(404, "404 page not found")
}

fn broken_contract(error: &SpecError) -> Reply {
    tracing::error!(%error, "failed to check the contract");
    Reply::text(500, "the simulator failed to check the contract")
}
