//! The schedule of faults: single faults, answers for missing capacity, scenarios.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{error, found, only, with_body};
use crate::{
    capacity::Capacity,
    faults::{Effect, Fault},
    reply::Reply,
    route::Call,
    scenario::Scenario,
    sim_state::SimState,
};

/// The calls that an answer for missing capacity hits.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CapacityFault {
    #[serde(default)]
    call: Option<Call>,
    #[serde(default)]
    app: Option<String>,
    #[serde(default)]
    region: Option<String>,
    /// If absent, every matching call.
    #[serde(default)]
    times: Option<u32>,
}

/// The body of a new scenario.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Started {
    name: String,
}

pub(super) fn answer(state: &SimState, method: &str, segments: &[&str], body: &[u8]) -> Option<Reply> {
    match (method, segments) {
        ("GET", ["faults"]) => Some(Reply::json(200, json!({ "faults": state.faults() }))),
        ("POST", ["faults"]) => Some(inject_given(state, body)),
        ("DELETE", ["faults"]) => Some(super::no_content(|| state.clear_faults())),
        ("DELETE", ["faults", id]) => Some(found(id.parse().is_ok_and(|id| state.remove_fault(id)))),
        ("GET", ["capacity"]) => Some(Reply::json(200, capacity())),
        ("POST", ["capacity", name]) => Some(disguise(state, name, body)),
        (method, ["scenarios"]) => only("GET", method, || Reply::json(200, scenarios())),
        ("GET", ["scenario"]) => Some(Reply::json(200, json!({ "scenario": state.scenario().map(render) }))),
        ("POST", ["scenario"]) => Some(with_body(body, |started: Started| start(state, &started.name))),
        ("DELETE", ["scenario"]) => Some(super::no_content(|| state.stop_scenario())),
        _ => None,
    }
}

fn inject_given(state: &SimState, body: &[u8]) -> Reply {
    let is_list = body.trim_ascii_start().starts_with(b"[");
    let faults = if is_list {
        serde_json::from_slice(body)
    } else {
        serde_json::from_slice(body).map(|fault: Fault| vec![fault])
    };
    match faults {
        Ok(faults) => inject(state, faults),
        Err(cause) => error(400, &cause.to_string()),
    }
}

fn inject(state: &SimState, faults: Vec<Fault>) -> Reply {
    if let Some(unknown) = faults.iter().filter_map(|fault| fault.call).find(|call| !state.knows(*call)) {
        return error(400, &format!("there is no call {}", json!(unknown)));
    }
    let ids: Vec<u64> = faults.into_iter().map(|fault| state.inject(fault)).collect();
    Reply::json(201, json!({ "ids": ids }))
}

fn capacity() -> Value {
    let render = |capacity: &Capacity| {
        let Effect::Answer { status, body } = capacity.effect() else { return Value::Null };
        json!({ "name": capacity, "status": status, "body": body })
    };
    json!({ "capacity": Capacity::ALL.iter().map(render).collect::<Vec<_>>() })
}

/// Refuses calls for lack of capacity, in the form of this name.
fn disguise(state: &SimState, name: &str, body: &[u8]) -> Reply {
    let Ok(capacity) = serde_json::from_value::<Capacity>(Value::from(name)) else {
        return error(404, &format!("there is no form {name}; GET /_sim/capacity lists them"));
    };
    with_body(body, |wanted: CapacityFault| {
        let CapacityFault { call, app, region, times } = wanted;
        let calls = call.map_or_else(|| capacity.calls().to_vec(), |call| vec![call]);
        let fault = |call| {
            let (app, region) = (app.clone(), region.clone());
            Fault { app, region, ..Fault::at(call, capacity.effect()).times(times.unwrap_or(u32::MAX)) }
        };
        inject(state, calls.into_iter().map(fault).collect())
    })
}

fn scenarios() -> Value {
    json!({ "scenarios": Scenario::all().iter().map(render).collect::<Vec<_>>() })
}

fn render(scenario: &Scenario) -> Value {
    json!({
        "name": scenario.name, "effect": scenario.effect, "incident": scenario.incident, "source": scenario.source,
        "faults": scenario.faults(),
    })
}

fn start(state: &SimState, name: &str) -> Reply {
    let Some(scenario) = Scenario::named(name) else {
        let names: Vec<_> = Scenario::all().iter().map(|scenario| scenario.name).collect();
        return error(404, &format!("there is no scenario {name}; there are {}", names.join(", ")));
    };
    state.start_scenario(scenario);
    Reply::json(200, json!({ "scenario": render(scenario) }))
}
