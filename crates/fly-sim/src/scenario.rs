//! Named scenarios: faults that play a public incident of Fly, or a documented limitation.

use std::time::Duration;

use serde_json::json;

use crate::{
    capacity::Capacity,
    faults::{Effect, Fault},
    machine_state::State,
    route::Call,
};

/// A named set of faults. It stays in force until it is stopped.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The name.
    pub name: &'static str,
    /// A sentence about the effect on a client.
    pub effect: &'static str,
    /// The incident or the limitation that it plays.
    pub incident: &'static str,
    /// The page about it.
    pub source: &'static str,
    faults: fn() -> Vec<Fault>,
    /// True if the hosts of present machines go down at the start, and up again at the end.
    pub(crate) takes_hosts_down: bool,
}

/// All scenarios, by name.
const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "april-duplicates",
        effect: "Every second list of machines is empty, so a client that trusts it creates duplicates.",
        incident: "On 28 April 2026, a routing change made lists of machines empty. `fly deploy` created duplicates.",
        source: "https://fly.io/infra-log/machines-api-duplicates/",
        faults: april_duplicates,
        takes_hosts_down: false,
    },
    Scenario {
        name: "boot-failures",
        effect: "Every second launch or start never gets beyond `starting`.",
        incident: "On 14 April 2025, machines did not boot, because hosts used stale block devices.",
        source: "https://fly.io/infra-log/2025-04-19",
        faults: boot_failures,
        takes_hosts_down: false,
    },
    Scenario {
        name: "capacity-crunch",
        effect: "Region iad has no room: creates, starts and updates are refused in all known forms.",
        incident: "On 27 March 2026, region iad ran out of CPU. Refusals for lack of capacity have several forms.",
        source: "https://community.fly.io/t/psa-postmortem-s-rollup/27367",
        faults: capacity_crunch,
        takes_hosts_down: false,
    },
    Scenario {
        name: "flaky-control-plane",
        effect: "Every third call fails: 500, 503, 408 after the effect, or a closed connection.",
        incident: "In May 2025, the API answered 500 for 20 minutes, and in region fra many calls answered 408.",
        source: "https://fly.io/infra-log/2025-05-17",
        faults: flaky_control_plane,
        takes_hosts_down: false,
    },
    Scenario {
        name: "host-down",
        effect: "The hosts of all machines are down: reads show the last state, and changes answer 503.",
        incident: "A host fails for hours or days. Its machines and volumes stay on it.",
        source: "https://fly.io/docs/apps/trouble-host-unavailable/",
        faults: host_down,
        takes_hosts_down: true,
    },
    Scenario {
        name: "lost-answers",
        effect: "Every second change is made, but its answer does not arrive.",
        incident: "In May 2025, operations in region fra timed out although they concerned one failed host only.",
        source: "https://fly.io/infra-log/2025-05-17",
        faults: lost_answers,
        takes_hosts_down: false,
    },
    Scenario {
        name: "rate-limited",
        effect: "Two of three calls answer 429, without `Retry-After`.",
        incident: "Fly allows one call a second for each action and machine, with a burst of three.",
        source: "https://fly.io/docs/machines/api/working-with-machines-api/",
        faults: rate_limited,
        takes_hosts_down: false,
    },
    Scenario {
        name: "stale-lists",
        effect: "Lists omit the newest entry or show deleted ones, and a new machine answers 404 for a while.",
        incident: "State takes time to spread through Fly's distributed database.",
        source: "https://fly.io/infra-log/machines-api-duplicates/",
        faults: stale_lists,
        takes_hosts_down: false,
    },
    Scenario {
        name: "token-trouble",
        effect: "Every third call is refused as unauthenticated, although the token is valid.",
        incident: "On 15 May 2025, the verification of tokens failed from time to time.",
        source: "https://fly.io/infra-log/2025-05-17",
        faults: token_trouble,
        takes_hosts_down: false,
    },
];

impl Scenario {
    /// Returns all scenarios, in the order of their names.
    pub fn all() -> &'static [Self] {
        SCENARIOS
    }

    /// Returns the scenario of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// Returns the faults.
    pub fn faults(&self) -> Vec<Fault> {
        (self.faults)()
    }
}

/// The calls that change machines and volumes.
const CHANGES: [Call; 8] = [
    Call::CreateVolume,
    Call::DeleteVolume,
    Call::CreateMachine,
    Call::UpdateMachine,
    Call::DeleteMachine,
    Call::StartMachine,
    Call::StopMachine,
    Call::RestartMachine,
];

fn april_duplicates() -> Vec<Fault> {
    vec![Fault::at(Call::ListMachines, Effect::EmptyList).always().every(2)]
}

fn boot_failures() -> Vec<Fault> {
    let stuck = |call| Fault::at(call, Effect::Stuck { state: State::Starting }).always().every(2);
    vec![stuck(Call::CreateMachine), stuck(Call::StartMachine)]
}

/// Each call meets its refusals in turn.
fn capacity_crunch() -> Vec<Fault> {
    use Capacity::{Host, HostAddresses, HostResources, Quota, Region, VolumeAborted, VolumeHost, VolumePlain};
    let in_turn = |call: Call, refusals: &[Capacity], in_iad: bool| -> Vec<Fault> {
        let every = u32::try_from(refusals.len()).unwrap_or(u32::MAX);
        let fault = |(nth, refusal): (u32, &Capacity)| {
            let fault = Fault::at(call, refusal.effect()).nth(nth).every(every).always();
            if in_iad { fault.in_region("iad") } else { fault }
        };
        (1..).zip(refusals).map(fault).collect()
    };
    [
        in_turn(Call::CreateVolume, &[Region, VolumeAborted, VolumePlain, Quota], true),
        in_turn(Call::CreateMachine, &[Region, VolumeHost, HostResources, Quota], true),
        in_turn(Call::StartMachine, &[Host, HostAddresses], false),
        in_turn(Call::UpdateMachine, &[Host], false),
    ]
    .concat()
}

fn flaky_control_plane() -> Vec<Fault> {
    let late = json!({ "error": "request timed out" });
    let effects = [
        Effect::server_error(),
        Effect::refusal(503, "service unavailable"),
        Effect::ApplyThenAnswer { status: 408, body: late },
        Effect::DropRequest,
    ];
    (1..).zip(effects).map(|(at, effect)| Fault::at_any(effect).nth(3 * at).every(12).always()).collect()
}

/// A machine that is created during the outage is on a failed host too.
fn host_down() -> Vec<Fault> {
    vec![Fault::at(Call::CreateMachine, Effect::HostDown).always()]
}

fn lost_answers() -> Vec<Fault> {
    CHANGES.map(|call| Fault::at(call, Effect::DropAnswer).always().every(2)).into()
}

fn rate_limited() -> Vec<Fault> {
    [1, 2].map(|nth| Fault::at_any(Effect::throttled()).nth(nth).every(3).always()).into()
}

fn stale_lists() -> Vec<Fault> {
    let mut faults = Vec::new();
    for list in [Call::ListMachines, Call::ListVolumes] {
        faults.push(Fault::at(list, Effect::StaleList).always().every(2));
        faults.push(Fault::at(list, Effect::ListsDeleted).nth(2).always().every(2));
    }
    for create in [Call::CreateMachine, Call::CreateVolume] {
        faults.push(Fault::at(create, Effect::invisible_for(Duration::from_secs(1))).always());
    }
    faults
}

fn token_trouble() -> Vec<Fault> {
    let refused = Effect::refusal(401, "Authenticate: token validation error");
    vec![Fault::at_any(refused).nth(3).every(3).always()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_each_has_faults_and_a_source() {
        let names: Vec<_> = Scenario::all().iter().map(|scenario| scenario.name).collect();
        assert!(names.is_sorted(), "{names:?}");
        for scenario in Scenario::all() {
            assert!(!scenario.faults().is_empty(), "{}", scenario.name);
            assert!(scenario.source.starts_with("https://"), "{}", scenario.name);
            assert_eq!(Scenario::named(scenario.name).map(|found| found.name), Some(scenario.name));
        }
        assert!(Scenario::named("nothing").is_none());
    }
}
