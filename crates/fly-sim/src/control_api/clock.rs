//! The simulated clock: its time, advances, stops.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{error, with_body};
use crate::{clock::rfc3339, reply::Reply, sim_state::SimState};

/// The maximum of one advance: 100 years.
const MAX_ADVANCE: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// A change of the clock.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    #[serde(default)]
    advance_seconds: f64,
    #[serde(default)]
    frozen: Option<bool>,
}

pub(super) fn answer(state: &SimState, method: &str, body: &[u8]) -> Option<Reply> {
    match method {
        "GET" => Some(render(state)),
        "POST" => Some(with_body(body, |change| set(state, &change))),
        _ => None,
    }
}

fn set(state: &SimState, change: &ClockChange) -> Reply {
    let advance = Duration::try_from_secs_f64(change.advance_seconds).ok().filter(|advance| *advance <= MAX_ADVANCE);
    let Some(advance) = advance else {
        return error(400, "advance_seconds must be from 0 to 100 years");
    };
    state.world.update(|world| {
        if let Some(frozen) = change.frozen {
            world.set_clock_frozen(frozen);
        }
        world.advance_clock(advance);
    });
    render(state)
}

fn render(state: &SimState) -> Reply {
    state
        .world
        .read(|world| Reply::json(200, json!({ "now": rfc3339(world.wall()), "frozen": world.is_clock_frozen() })))
}
