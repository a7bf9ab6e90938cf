//! The way of a call: route, token, rate, fault, contract, world, contract again.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use subtle::ConstantTimeEq;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{self, ApiRequest},
    contract::{Contract, SpecError, Violation},
    debug,
    faults::{Effect, FaultPlan},
    journal::Journal,
    rates::Rates,
    refusal::Refusal,
    reply::{Content, Reply},
    route::{Call, Route},
    sandbox,
    world::SharedWorld,
};

/// A request off the wire.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) method: String,
    /// Without the query.
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

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped by a fault")]
pub(crate) struct Dropped;

/// Everything a call passes through.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) world: SharedWorld,
    pub(crate) token: Option<SecretString>,
    pub(crate) rates: Mutex<Rates>,
    pub(crate) faults: Mutex<FaultPlan>,
    pub(crate) journal: Mutex<Journal>,
    pub(crate) violations: Mutex<Vec<Violation>>,
    pub(crate) contract: Arc<Contract>,
    pub(crate) cancel: CancellationToken,
}

impl Gateway {
    /// Answers whatever comes in on the simulator's port.
    pub(crate) async fn answer(&self, incoming: Incoming) -> Result<Reply, Dropped> {
        let latency = self.world.look(|world| world.settings.timing.latency);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if let Some(path) = incoming.path.strip_prefix("/v1") {
            return match Route::parse(&incoming.method, path) {
                Some(route) => self.machines_api(route, &incoming).await,
                None => Ok(unrouted()),
            };
        }
        if let Some(rest) = incoming.path.strip_prefix("/_sim") {
            return Ok(debug::answer(self, &incoming.method, rest, &incoming.body));
        }
        match sandbox_route(&incoming) {
            Some(route) => self.sandbox(route, &incoming).await,
            None => Ok(unrouted()),
        }
    }

    async fn machines_api(&self, route: Route, incoming: &Incoming) -> Result<Reply, Dropped> {
        if route.call != Call::ListRegions && !self.is_authenticated(incoming) {
            return Ok(Refusal::Unauthenticated.into());
        }
        let number = locked(&self.journal).arrived(&route, &incoming.method, &incoming.path);
        if !locked(&self.rates).admit(&route, Instant::now()) {
            locked(&self.journal).answered(number, Refusal::RateLimited.status());
            return Ok(Refusal::RateLimited.into());
        }
        let body = ApiRequest::parse_body(route.call, &incoming.body);
        let region = body.as_ref().ok().and_then(|body| body.get("region")?.as_str()).map(str::to_owned);
        let effect = self.strike(&route, region.as_deref(), number);
        let query = incoming.query.clone();
        let nonce = incoming.header("fly-machine-lease-nonce").map(str::to_owned);
        let lists_gone = effect == Some(Effect::ListsGone);
        let request = body.map(|body| ApiRequest { route: route.clone(), query, nonce, body, lists_gone });
        let carried_out = async {
            match request {
                Ok(request) => self.carry_out(request).await,
                Err(refusal) => refusal.into(),
            }
        };
        self.under_fault(&route, effect, number, carried_out).await
    }

    async fn sandbox(&self, route: Route, incoming: &Incoming) -> Result<Reply, Dropped> {
        let number = locked(&self.journal).arrived(&route, &incoming.method, &incoming.path);
        let body: Value = serde_json::from_slice(&incoming.body).unwrap_or(Value::Null);
        let carried_out = async {
            self.world.change(|world| match sandbox::authorize(world, &route, incoming.header("x-internal-api-key")) {
                Ok(()) => sandbox::answer(world, &route, &incoming.query, &body),
                Err(refused) => refused,
            })
        };
        let effect = self.strike(&route, None, number);
        self.under_fault(&route, effect, number, carried_out).await
    }

    /// What befalls the call.
    fn strike(&self, route: &Route, region: Option<&str>, number: usize) -> Option<Effect> {
        let effect = locked(&self.faults).strike(route.call, &route.app, region);
        if effect.is_some() {
            locked(&self.journal).faulted(number);
        }
        effect
    }

    /// Carries the call out, unless and as far as a fault lets it.
    async fn under_fault(
        &self,
        route: &Route,
        effect: Option<Effect>,
        number: usize,
        carried_out: impl Future<Output = Reply>,
    ) -> Result<Reply, Dropped> {
        let reply = match effect {
            None | Some(Effect::ListsGone) => carried_out.await,
            Some(Effect::DropRequest) => return Err(Dropped),
            Some(Effect::Answer { status, body }) => given(status, body),
            Some(Effect::Delay { millis }) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                carried_out.await
            }
            Some(Effect::DropAnswer) => {
                carried_out.await;
                return Err(Dropped);
            }
            Some(Effect::ApplyThenAnswer { status, body }) => {
                carried_out.await;
                given(status, body)
            }
            Some(Effect::Throttle { retry_after_seconds }) => {
                Reply { retry_after: retry_after_seconds, ..Refusal::RateLimited.into() }
            }
            Some(Effect::StaleList) => shortened(carried_out.await, |list| list.truncate(list.len().saturating_sub(1))),
            Some(Effect::EmptyList) => shortened(carried_out.await, Vec::clear),
            Some(after) => {
                let reply = carried_out.await;
                self.strike_world(route, &reply, &after);
                reply
            }
        };
        locked(&self.journal).answered(number, reply.status);
        Ok(reply)
    }

    /// The faults that hit the world, not the call.
    fn strike_world(&self, route: &Route, reply: &Reply, effect: &Effect) {
        let made = reply.value().and_then(|body| body.get("id")?.as_str()).map(str::to_owned);
        self.world.change(|world| {
            let machine = match route.call {
                call if call.names_machine() => Some(route.id.clone()),
                Call::CreateMachine => made.clone(),
                _ => world.newest_machine(&route.app),
            };
            let volume = match route.call {
                call if call.names_volume() => Some(route.id.clone()),
                Call::CreateVolume => made.clone(),
                _ => world.newest_volume(&route.app),
            };
            match (effect, machine, volume) {
                (Effect::KillMachine { death }, Some(machine), _) => {
                    world.kill(&machine, *death);
                }
                (Effect::LoseVolume, _, Some(volume)) => {
                    world.lose(&volume);
                }
                (Effect::Stuck { state }, Some(machine), _) if reply.status < 300 => {
                    world.redirect(&machine, *state, None);
                }
                (Effect::Unseen { millis }, _, _) => {
                    if let Some(made) = &made {
                        world.hide(made, Duration::from_millis(*millis));
                    }
                }
                (Effect::HostDown, Some(machine), _) => {
                    world.set_host_down(&machine, true);
                }
                _ => {}
            }
        });
    }

    async fn carry_out(&self, mut request: ApiRequest) -> Reply {
        let call = request.route.call;
        let mismatches = match self.contract.check_request(call, &request.body) {
            Ok(mismatches) => mismatches,
            Err(broken) => return broken_contract(&broken),
        };
        let ignored = self.contract.take_ignored(call, &request.query, &mut request.body);
        let refusal = mismatches.first().map(|first| Refusal::invalid(&first.problem));
        locked(&self.violations).extend(mismatches.into_iter().chain(ignored));
        let answer = match refusal {
            Some(refusal) => Err(refusal),
            None if call == Call::Wait => api::wait(&self.world, &request, &self.cancel).await,
            None => self.world.change(|world| api::answer(world, &request)),
        };
        let reply = answer.unwrap_or_else(Reply::from);
        if let Some(body) = reply.value() {
            match self.contract.check_response(call, reply.status, body) {
                Ok(found) => locked(&self.violations).extend(found),
                Err(broken) => return broken_contract(&broken),
            }
        }
        reply
    }

    /// `Bearer` or `FlyV1` and a token.
    fn is_authenticated(&self, incoming: &Incoming) -> bool {
        let header = incoming.header("authorization").unwrap_or_default();
        let token = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("FlyV1 ")).unwrap_or_default().trim();
        match &self.token {
            Some(wanted) => token.as_bytes().ct_eq(wanted.expose_secret().as_bytes()).into(),
            None => !token.is_empty(),
        }
    }
}

/// A lock that outlives a panic of another holder.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unrouted() -> Reply {
    Reply::text(404, "404 page not found")
}

/// `/_sandbox/{app}/{machine}/…`, or Fly's proxy: `/_proxy/{app}/…` with the machine in `fly-force-instance-id`.
fn sandbox_route(incoming: &Incoming) -> Option<Route> {
    let (app, machine, rest) = if let Some(path) = incoming.path.strip_prefix("/_sandbox/") {
        let (app, path) = path.split_once('/')?;
        let (machine, rest) = path.split_once('/')?;
        (app, machine, rest)
    } else {
        let (app, rest) = incoming.path.strip_prefix("/_proxy/")?.split_once('/')?;
        (app, incoming.header("fly-force-instance-id")?, rest)
    };
    Route::parse_sandbox(app, machine, &incoming.method, &format!("/{rest}"))
}

fn given(status: u16, body: Value) -> Reply {
    match body {
        Value::Null => Reply::empty(status),
        Value::String(text) => Reply::text(status, &text),
        body => Reply::json(status, body),
    }
}

/// A list with less in it; lists are sorted by age.
fn shortened(reply: Reply, shorten: impl FnOnce(&mut Vec<Value>)) -> Reply {
    let Reply { status, content: Content::Json(mut body), .. } = reply else { return reply };
    let list = match &mut body {
        Value::Object(fields) => fields.values_mut().find_map(Value::as_array_mut),
        body => body.as_array_mut(),
    };
    if let Some(list) = list {
        shorten(list);
    }
    Reply::json(status, body)
}

fn broken_contract(error: &SpecError) -> Reply {
    tracing::error!(%error, "the contract cannot be checked");
    Reply::text(500, "the simulator's contract is broken")
}
