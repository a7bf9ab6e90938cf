//! What goes wrong, and when: a schedule of faults.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{death::Death, machine_state::State, route::Call};

/// One entry of the schedule: at the `nth` matching call after the fault was put there, and at `times` calls in a
/// row, `effect` happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only this call; any when absent.
    #[serde(default)]
    pub call: Option<Call>,
    /// Only in this app.
    #[serde(default)]
    pub app: Option<String>,
    /// Only where the request's body names this region.
    #[serde(default)]
    pub region: Option<String>,
    /// The first matching call that is hit, counted from 1.
    #[serde(default = "once")]
    pub nth: u32,
    /// How many matching calls in a row are hit.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens.
    pub effect: Effect,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// At the next call of this kind.
    pub fn at(call: Call, effect: Effect) -> Self {
        Self { call: Some(call), ..Self::at_any(effect) }
    }

    /// At the next call of whatever kind.
    pub fn at_any(effect: Effect) -> Self {
        Self { call: None, app: None, region: None, nth: 1, times: 1, effect }
    }

    /// Not at the next matching call but at the `nth`, counted from 1.
    #[must_use]
    pub fn nth(self, nth: u32) -> Self {
        Self { nth, ..self }
    }

    /// At that many matching calls in a row.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// From then on at every matching call, until the schedule is cleared.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    /// Only in this app.
    #[must_use]
    pub fn in_app(self, app: &str) -> Self {
        Self { app: Some(app.to_owned()), ..self }
    }

    /// Only where the request's body names this region.
    #[must_use]
    pub fn in_region(self, region: &str) -> Self {
        Self { region: Some(region.to_owned()), ..self }
    }
}

/// What a fault does to the call it hits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// Nothing is done; the caller gets this answer. A text as body is sent as plain text, null as no body.
    Answer {
        /// HTTP status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: Value,
    },
    /// The call is carried out; the caller gets this answer instead of the true one.
    ApplyThenAnswer {
        /// HTTP status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: Value,
    },
    /// The call is carried out so many milliseconds later, even if the caller has hung up by then.
    Delay {
        /// Milliseconds.
        millis: u64,
    },
    /// The connection is closed; nothing is done.
    DropRequest,
    /// The call is carried out; the connection is closed without an answer.
    DropAnswer,
    /// The call is carried out; then the machine it names or made dies, else the newest of the app.
    KillMachine {
        /// How it dies.
        #[serde(default)]
        death: Death,
    },
    /// The call is carried out; then the volume it names or made is lost, else the newest of the app.
    LoseVolume,
    /// Nothing is done; the caller is told that it calls too often.
    Throttle {
        /// The header `Retry-After`, in seconds. Fly was seen to leave it out.
        #[serde(default)]
        retry_after_seconds: Option<u64>,
    },
    /// A list misses its newest entry.
    StaleList,
    /// A list comes back empty.
    EmptyList,
    /// A list still shows what is gone, as it was before it went.
    ListsGone,
    /// The call is carried out and answered, and what it made cannot be seen for so many milliseconds: reads and waits
    /// answer 404, lists miss it. What changes it works.
    Unseen {
        /// Milliseconds.
        millis: u64,
    },
    /// The call is carried out, and the machine it made or names stays in this state until the next call that changes
    /// it: never starts (`created`, `starting`), is never gone (`destroying`).
    Stuck {
        /// Where it stays.
        state: State,
    },
    /// The call is carried out; then the host of the machine it made or names, else of the newest of the app, is
    /// down: calls that need the host answer 503, reads show the last known state without a configuration.
    HostDown,
}

impl Effect {
    /// 500 before anything was done.
    pub fn server_error() -> Self {
        Self::refusal(500, "internal server error")
    }

    /// 429 without `Retry-After`.
    pub fn throttled() -> Self {
        Self::Throttle { retry_after_seconds: None }
    }

    /// 429 with `Retry-After`, in whole seconds.
    pub fn throttled_for(pause: Duration) -> Self {
        Self::Throttle { retry_after_seconds: Some(pause.as_secs()) }
    }

    /// A machine that is made or started and never gets beyond `starting`.
    pub fn never_starts() -> Self {
        Self::Stuck { state: State::Starting }
    }

    /// A pause before the call is carried out.
    pub fn delay(pause: Duration) -> Self {
        Self::Delay { millis: millis(pause) }
    }

    /// What is made and cannot be seen for so long.
    pub fn unseen_for(pause: Duration) -> Self {
        Self::Unseen { millis: millis(pause) }
    }

    /// Fly's error shape with this text; nothing is done.
    pub fn refusal(status: u16, text: &str) -> Self {
        Self::Answer { status, body: json!({ "error": text }) }
    }
}

fn millis(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}

/// The schedule of one simulator.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    entries: Vec<(Fault, u32)>,
}

impl FaultPlan {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        Self { entries: faults.into_iter().map(|fault| (fault, 0)).collect() }
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.entries.push((fault, 0));
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Counts the call and says what befalls it; of several faults the one that was put there first.
    pub(crate) fn strike(&mut self, call: Call, app: &str, region: Option<&str>) -> Option<Effect> {
        let mut struck = None;
        for (fault, seen) in &mut self.entries {
            let matches = fault.call.is_none_or(|wanted| wanted == call)
                && fault.app.as_deref().is_none_or(|wanted| wanted == app)
                && fault.region.as_deref().is_none_or(|wanted| Some(wanted) == region);
            if !matches {
                continue;
            }
            *seen = seen.saturating_add(1);
            let due = *seen >= fault.nth && *seen - fault.nth < fault.times;
            if due && struck.is_none() {
                struck = Some(fault.effect.clone());
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_the_calls_it_names_and_no_other() {
        let fault = Fault::at(Call::CreateVolume, Effect::DropRequest).nth(2).times(2).in_region("iad");
        let mut plan = FaultPlan::new(vec![fault]);
        let strikes: Vec<bool> = [
            (Call::CreateVolume, "iad"),
            (Call::CreateMachine, "iad"),
            (Call::CreateVolume, "lhr"),
            (Call::CreateVolume, "iad"),
            (Call::CreateVolume, "iad"),
            (Call::CreateVolume, "iad"),
        ]
        .map(|(call, region)| plan.strike(call, "app", Some(region)).is_some())
        .into();
        assert_eq!(strikes, [false, false, false, true, true, false]);
    }

    #[test]
    fn a_fault_is_written_as_json() {
        let json = json!({ "call": "StartMachine", "effect": { "kind": "stuck", "state": "starting" } });
        let fault: Fault = serde_json::from_value(json).unwrap();
        assert_eq!(fault, Fault::at(Call::StartMachine, Effect::never_starts()));
    }

    #[test]
    fn every_effect_can_be_sent_to_another_process() {
        for (effect, kind) in [
            (Effect::refusal(409, "no"), "answer"),
            (Effect::ApplyThenAnswer { status: 504, body: json!("late") }, "apply_then_answer"),
            (Effect::delay(Duration::from_secs(1)), "delay"),
            (Effect::DropRequest, "drop_request"),
            (Effect::DropAnswer, "drop_answer"),
            (Effect::KillMachine { death: Death::Forgotten }, "kill_machine"),
            (Effect::LoseVolume, "lose_volume"),
            (Effect::throttled(), "throttle"),
            (Effect::throttled_for(Duration::from_secs(7)), "throttle"),
            (Effect::StaleList, "stale_list"),
            (Effect::EmptyList, "empty_list"),
            (Effect::ListsGone, "lists_gone"),
            (Effect::unseen_for(Duration::from_secs(1)), "unseen"),
            (Effect::never_starts(), "stuck"),
            (Effect::HostDown, "host_down"),
        ] {
            let fault = Fault::at_any(effect).nth(2).always().in_app("mill").in_region("iad");
            let json = serde_json::to_value(&fault).unwrap();
            assert_eq!(json["effect"]["kind"], kind);
            assert_eq!(serde_json::from_str::<Fault>(&json.to_string()).unwrap(), fault, "{json}");
        }
        let shortest = json!({ "effect": { "kind": "throttle" } });
        assert_eq!(serde_json::from_value::<Fault>(shortest).unwrap(), Fault::at_any(Effect::throttled()));
    }
}
