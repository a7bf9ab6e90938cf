//! The calls on the inside of a started machine: its processes and its memory.

use serde_json::{Value, json};

use super::ApiRequest;
use crate::{
    api_error::ApiError,
    machine_state::State,
    reply::Reply,
    world::{Machine, World},
};

/// The part of the memory that is always in use, in MB.
const USED_MB: u64 = 64;
/// The fields by which processes are sorted.
const SORT_KEYS: [&str; 6] = ["pid", "stime", "rtime", "cpu", "rss", "command"];

/// Lists the simulated processes: the init process, and the program of the image.
pub(super) fn processes(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let key = request.query("sort_by").filter(|key| !key.is_empty()).unwrap_or("pid");
    let order = request.query("order").filter(|order| !order.is_empty()).unwrap_or("asc");
    if !SORT_KEYS.contains(&key) || !["asc", "desc"].contains(&order) {
        return Err(ApiError::invalid(format!("cannot sort by '{key}' in order '{order}'")));
    }
    let machine = started(world, request)?;
    let mut shown = vec![process(1, "/fly/init", &[]), process(2, &program(machine), &ports(machine))];
    shown.sort_by(|one, other| match (one[key].as_u64(), other[key].as_u64()) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one[key].to_string().cmp(&other[key].to_string()),
    });
    if order == "desc" {
        shown.reverse();
    }
    Ok(Reply::json(200, Value::Array(shown)))
}

fn process(pid: u64, command: &str, sockets: &[Value]) -> Value {
    json!({
        "pid": pid, "stime": 0, "rtime": 0, "command": command, "directory": "/", "cpu": 0,
        "rss": pid << 20, "listen_sockets": sockets,
    })
}

/// Returns the command line of the machine's program.
fn program(machine: &Machine) -> String {
    let init = machine.config.get("init");
    let words = |key: &str| {
        let words = init.and_then(|init| init.get(key)).and_then(Value::as_array);
        words.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
    };
    let command: Vec<String> = words("exec").chain(words("entrypoint")).chain(words("cmd")).collect();
    if command.is_empty() { machine.image().to_owned() } else { command.join(" ") }
}

fn ports(machine: &Machine) -> Vec<Value> {
    let services = machine.config.get("services").and_then(Value::as_array);
    let ports = services.into_iter().flatten().filter_map(|service| service.get("internal_port")?.as_u64());
    ports.map(|port| json!({ "proto": "tcp", "address": format!("[::]:{port}") })).collect()
}

pub(super) fn memory(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let machine = started(world, request)?;
    Ok(Reply::json(200, render_memory(machine)))
}

/// Sets the limit of the balloon device, which is at most the memory of the machine.
pub(super) fn set_memory(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let limit = request.number("limit_mb").ok_or_else(|| ApiError::invalid("limit_mb is required"))?;
    let machine = started(world, request)?;
    let whole = machine.memory_mb();
    if !(USED_MB..=whole).contains(&limit) {
        return Err(ApiError::invalid(format!("limit_mb must be between {USED_MB} and {whole}")));
    }
    machine.memory_limit_mb = Some(limit);
    Ok(Reply::json(200, render_memory(machine)))
}

/// Reclaims as much of the requested memory as is not in use.
pub(super) fn reclaim_memory(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let amount = request.number("amount_mb").ok_or_else(|| ApiError::invalid("amount_mb is required"))?;
    let machine = started(world, request)?;
    let free = limit_of(machine).saturating_sub(USED_MB);
    Ok(Reply::json(200, json!({ "actual_mb": amount.min(free) })))
}

fn render_memory(machine: &Machine) -> Value {
    let limit = limit_of(machine);
    json!({ "limit_mb": limit, "available_mb": limit.saturating_sub(USED_MB) })
}

fn limit_of(machine: &Machine) -> u64 {
    machine.memory_limit_mb.unwrap_or_else(|| machine.memory_mb())
}

fn started<'world>(world: &'world mut World, request: &ApiRequest) -> Result<&'world mut Machine, ApiError> {
    let machine = world.reachable_machine(&request.route.app, &request.route.id)?;
    match machine.state {
        State::Started => Ok(machine),
        state => Err(ApiError::NotRunning(state)),
    }
}
