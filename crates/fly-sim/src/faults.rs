//! Faults and their schedule.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Value, json};

use crate::{death::Death, machine_state::State, route::Call, scenario::Scenario};

/// An entry of the schedule: the `effect` on `times` matching calls, beginning with the `nth`.
///
/// Calls are counted from the injection of the fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The kind of call that matches. If `None`, every call matches.
    #[serde(default)]
    pub call: Option<Call>,
    /// The app in which calls match. If `None`, calls in every app match.
    #[serde(default)]
    pub app: Option<String>,
    /// The region that the request's body must name. If `None`, the region does not matter.
    #[serde(default)]
    pub region: Option<String>,
    /// The first matching call that is hit, counted from 1.
    #[serde(default = "once")]
    pub nth: u32,
    /// The number of matching calls that are hit.
    #[serde(default = "once")]
    pub times: u32,
    /// The distance between two hits: 1 hits consecutive matching calls, 2 every second one.
    #[serde(default = "once")]
    pub every: u32,
    /// The effect on a call that is hit.
    pub effect: Effect,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// Returns a fault that hits the next call of this kind.
    pub fn at(call: Call, effect: Effect) -> Self {
        Self { call: Some(call), ..Self::at_any(effect) }
    }

    /// Returns a fault that hits the next call of any kind.
    pub fn at_any(effect: Effect) -> Self {
        Self { call: None, app: None, region: None, nth: 1, times: 1, every: 1, effect }
    }

    /// Hits the `nth` matching call first, counted from 1.
    #[must_use]
    pub fn nth(self, nth: u32) -> Self {
        Self { nth, ..self }
    }

    /// Hits this number of matching calls.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Hits only every so many matching calls, beginning with the `nth`.
    #[must_use]
    pub fn every(self, every: u32) -> Self {
        Self { every, ..self }
    }

    /// Hits every matching call until the schedule is cleared.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    /// Hits calls in this app only.
    #[must_use]
    pub fn in_app(self, app: &str) -> Self {
        Self { app: Some(app.to_owned()), ..self }
    }

    /// Hits calls whose body names this region only.
    #[must_use]
    pub fn in_region(self, region: &str) -> Self {
        Self { region: Some(region.to_owned()), ..self }
    }

    fn matches(&self, call: Call, app: &str, region: Option<&str>) -> bool {
        self.call.is_none_or(|wanted| wanted == call)
            && self.app.as_deref().is_none_or(|wanted| wanted == app)
            && self.region.as_deref().is_none_or(|wanted| Some(wanted) == region)
    }

    /// Returns true if the fault hits the matching call of this number, counted from 1.
    fn hits(&self, matched: u32) -> bool {
        let every = self.every.max(1);
        let since_first = matched.wrapping_sub(self.nth);
        matched >= self.nth && since_first.is_multiple_of(every) && since_first / every < self.times
    }
}

/// The effect of a fault on the call that it hits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// The call is not executed, and the caller gets this answer.
    ///
    /// A text body is sent as plain text, and null as an empty body.
    Answer {
        /// HTTP status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: Value,
    },
    /// The call is executed, and the caller gets this answer instead of the real one.
    ApplyThenAnswer {
        /// HTTP status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: Value,
    },
    /// The call is executed after a delay, even if the caller has disconnected.
    Delay {
        /// The delay in milliseconds.
        millis: u64,
    },
    /// The connection is closed, and the call is not executed.
    DropRequest,
    /// The call is executed, and the connection is closed without an answer.
    DropAnswer,
    /// The machine of the call, or else the newest machine of the app, is killed after the call.
    KillMachine {
        /// The way in which the machine is killed.
        #[serde(default)]
        death: Death,
    },
    /// The volume of the call, or else the newest volume of the app, is lost after the call.
    LoseVolume,
    /// The call is not executed, and the caller gets the answer of the rate limit.
    Throttle {
        /// The header `Retry-After`, in seconds. Fly is known to omit it at times.
        #[serde(default)]
        retry_after_seconds: Option<u64>,
    },
    /// A list omits its newest entry.
    StaleList,
    /// A list is empty.
    EmptyList,
    /// A list includes deleted entries, in their state before the deletion.
    #[serde(rename = "lists_gone")]
    ListsDeleted,
    /// The machine or volume that the call creates is invisible for some time.
    ///
    /// Reads and waits answer 404, and lists omit it. Calls that change it work.
    #[serde(rename = "unseen")]
    Invisible {
        /// The time in milliseconds.
        millis: u64,
    },
    /// The machine of the call stays in a state until the next call that changes it.
    ///
    /// It never starts (`created`, `starting`) or is never destroyed (`destroying`), for example.
    Stuck {
        /// The state in which the machine stays.
        state: State,
    },
    /// The host of the machine of the call, or else of the newest machine of the app, goes down after the call.
    ///
    /// Calls that need the host answer 503. Reads show the last known state without a configuration.
    HostDown,
}

impl Effect {
    /// Returns the name of the kind, as in JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Answer { .. } => "answer",
            Self::ApplyThenAnswer { .. } => "apply_then_answer",
            Self::Delay { .. } => "delay",
            Self::DropRequest => "drop_request",
            Self::DropAnswer => "drop_answer",
            Self::KillMachine { .. } => "kill_machine",
            Self::LoseVolume => "lose_volume",
            Self::Throttle { .. } => "throttle",
            Self::StaleList => "stale_list",
            Self::EmptyList => "empty_list",
            Self::ListsDeleted => "lists_gone",
            Self::Invisible { .. } => "unseen",
            Self::Stuck { .. } => "stuck",
            Self::HostDown => "host_down",
        }
    }

    /// Returns the effect that answers 500 and does not execute the call.
    pub fn server_error() -> Self {
        Self::refusal(500, "internal server error")
    }

    /// Returns the effect that answers 429 without `Retry-After`.
    pub fn throttled() -> Self {
        Self::Throttle { retry_after_seconds: None }
    }

    /// Returns the effect that answers 429 with `Retry-After`, in whole seconds.
    pub fn throttled_for(pause: Duration) -> Self {
        Self::Throttle { retry_after_seconds: Some(pause.as_secs()) }
    }

    /// Returns the effect that keeps a created or started machine in `starting`.
    pub fn never_starts() -> Self {
        Self::Stuck { state: State::Starting }
    }

    /// Returns the effect that delays the execution of the call.
    pub fn delay(pause: Duration) -> Self {
        Self::Delay { millis: millis(pause) }
    }

    /// Returns the effect that hides what the call creates.
    pub fn invisible_for(pause: Duration) -> Self {
        Self::Invisible { millis: millis(pause) }
    }

    /// Returns the effect that answers with this error text and does not execute the call.
    pub fn refusal(status: u16, text: &str) -> Self {
        Self::Answer { status, body: json!({ "error": text }) }
    }
}

fn millis(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}

/// A fault in the schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduledFault {
    /// The number of the entry, by which it is removed.
    pub id: u64,
    /// The scenario that added it.
    pub scenario: Option<&'static str>,
    /// The number of matching calls so far.
    pub matched: u32,
    /// The number of calls that it hit.
    pub hits: u32,
    /// The fault.
    pub fault: Fault,
}

/// A scheduled fault as a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredFault {
    id: u64,
    scenario: Option<String>,
    matched: u32,
    hits: u32,
    fault: Fault,
}

impl<'de> Deserialize<'de> for ScheduledFault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let StoredFault { id, scenario, matched, hits, fault } = StoredFault::deserialize(deserializer)?;
        let unknown = |name: &str| D::Error::custom(format!("there is no scenario {name}"));
        let named = |name: String| Scenario::named(&name).ok_or_else(|| unknown(&name));
        let scenario = scenario.map(named).transpose()?.map(|scenario| scenario.name);
        Ok(Self { id, scenario, matched, hits, fault })
    }
}

/// The faults of one simulator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultSchedule {
    entries: Vec<ScheduledFault>,
    last_id: u64,
}

impl FaultSchedule {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        let mut schedule = Self::default();
        for fault in faults {
            schedule.add(fault, None);
        }
        schedule
    }

    /// Adds a fault and returns its id.
    pub(crate) fn add(&mut self, fault: Fault, scenario: Option<&'static str>) -> u64 {
        self.last_id += 1;
        self.entries.push(ScheduledFault { id: self.last_id, scenario, matched: 0, hits: 0, fault });
        self.last_id
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Removes an entry. Returns true if it was present.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.id != id);
        self.entries.len() < before
    }

    /// Removes the entries of all scenarios.
    pub(crate) fn remove_scenarios(&mut self) {
        self.entries.retain(|entry| entry.scenario.is_none());
    }

    pub(crate) fn entries(&self) -> &[ScheduledFault] {
        &self.entries
    }

    /// Counts the call and returns the effect on it. If several faults hit it, the one injected first applies.
    pub(crate) fn next_effect(&mut self, call: Call, app: &str, region: Option<&str>) -> Option<Effect> {
        let mut effect = None;
        for entry in self.entries.iter_mut().filter(|entry| entry.fault.matches(call, app, region)) {
            entry.matched = entry.matched.saturating_add(1);
            if entry.fault.hits(entry.matched) && effect.is_none() {
                entry.hits = entry.hits.saturating_add(1);
                effect = Some(entry.fault.effect.clone());
            }
        }
        effect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_hits_matching_calls_only() {
        let fault = Fault::at(Call::CreateVolume, Effect::DropRequest).nth(2).times(2).in_region("iad");
        let mut schedule = FaultSchedule::new(vec![fault]);
        let hits: Vec<bool> = [
            (Call::CreateVolume, "iad"),
            (Call::CreateMachine, "iad"),
            (Call::CreateVolume, "lhr"),
            (Call::CreateVolume, "iad"),
            (Call::CreateVolume, "iad"),
            (Call::CreateVolume, "iad"),
        ]
        .map(|(call, region)| schedule.next_effect(call, "app", Some(region)).is_some())
        .into();
        assert_eq!(hits, [false, false, false, true, true, false]);
    }

    #[test]
    fn fault_hits_every_so_many_calls() {
        let mut schedule = FaultSchedule::new(vec![Fault::at_any(Effect::DropRequest).nth(2).every(3).times(2)]);
        let hits: Vec<u32> = (1..=12).filter(|_| schedule.next_effect(Call::Wait, "app", None).is_some()).collect();
        assert_eq!(hits, [2, 5]);
        let entry = &schedule.entries()[0];
        assert_eq!((entry.id, entry.matched, entry.hits), (1, 12, 2));
        assert!(schedule.remove(1) && !schedule.remove(1));
    }

    #[test]
    fn fault_is_parsed_from_json() {
        let json = json!({ "call": "StartMachine", "effect": { "kind": "stuck", "state": "starting" } });
        let fault: Fault = serde_json::from_value(json).unwrap();
        assert_eq!(fault, Fault::at(Call::StartMachine, Effect::never_starts()));
    }

    #[test]
    fn every_effect_survives_serialization() {
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
            (Effect::ListsDeleted, "lists_gone"),
            (Effect::invisible_for(Duration::from_secs(1)), "unseen"),
            (Effect::never_starts(), "stuck"),
            (Effect::HostDown, "host_down"),
        ] {
            let fault = Fault::at_any(effect).nth(2).always().in_app("mill").in_region("iad");
            let json = serde_json::to_value(&fault).unwrap();
            assert_eq!((&json["effect"]["kind"], fault.effect.kind()), (&json!(kind), kind));
            assert_eq!(serde_json::from_str::<Fault>(&json.to_string()).unwrap(), fault, "{json}");
        }
        let shortest = json!({ "effect": { "kind": "throttle" } });
        assert_eq!(serde_json::from_value::<Fault>(shortest).unwrap(), Fault::at_any(Effect::throttled()));
    }
}
