//! The rate limits as an operator writes them: `fly`, `off`, or `action=rate/burst,...`.

use std::{fmt, num::NonZeroU32, str::FromStr};

use super::rates::{Rate, RateLimiting, Rates};
use crate::api::Action;

/// The highest rate and burst. Higher ones are the same as no limit.
const MAX: u32 = 10_000;

/// The text is not a setting of rate limits. The error shows names of actions only, and no other part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRateLimits {
    /// An entry has no `=`, or nothing before it that is an action.
    #[error(
        "entry {entry} is not action=rate/burst with a known action; use fly, off, or entries with these actions: {}",
        KnownActions
    )]
    Action {
        /// The number of the entry, from 1.
        entry: usize,
    },
    /// A rate or burst is not a whole number within the limits.
    #[error("{} must be rate/burst, two whole numbers from 1 to {MAX}; known actions: {}", action.name(), KnownActions)]
    Rate {
        /// The action of the entry.
        action: Action,
    },
    /// An action is named twice.
    #[error("{} is given twice; known actions: {}", action.name(), KnownActions)]
    Twice {
        /// The action.
        action: Action,
    },
}

/// The names of all actions, for messages.
struct KnownActions;

impl fmt::Display for KnownActions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Action::ALL.map(Action::name).join(", "))
    }
}

impl FromStr for RateLimiting {
    type Err = InvalidRateLimits;

    /// Actions without an entry keep Fly's documented limit.
    fn from_str(raw: &str) -> Result<Self, InvalidRateLimits> {
        match raw.trim() {
            "fly" => Ok(Self::On(Rates::default())),
            "off" => Ok(Self::Off),
            list => raised(list).map(Self::On),
        }
    }
}

/// Returns Fly's rates with those of the list.
fn raised(list: &str) -> Result<Rates, InvalidRateLimits> {
    let (mut rates, mut given) = (Rates::default(), Vec::new());
    for (at, entry) in list.split(',').enumerate() {
        let (action, rate) = parsed(entry, at + 1)?;
        if given.contains(&action) {
            return Err(InvalidRateLimits::Twice { action });
        }
        given.push(action);
        rates = rates.with(action, rate);
    }
    Ok(rates)
}

fn parsed(entry: &str, number: usize) -> Result<(Action, Rate), InvalidRateLimits> {
    let (name, rate) = entry.split_once('=').unwrap_or((entry, ""));
    let action = Action::ALL.into_iter().find(|action| action.name() == name.trim());
    let action = action.ok_or(InvalidRateLimits::Action { entry: number })?;
    let rate = rate.split_once('/').and_then(|(calls, burst)| Some(Rate::per_second(count(calls)?, count(burst)?)));
    Ok((action, rate.ok_or(InvalidRateLimits::Rate { action })?))
}

fn count(text: &str) -> Option<NonZeroU32> {
    text.trim().parse().ok().filter(|count: &NonZeroU32| count.get() <= MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(calls: u32, burst: u32) -> Rate {
        Rate::per_second(calls.try_into().unwrap(), burst.try_into().unwrap())
    }

    #[test]
    fn settings_are_parsed() {
        let fly = Rates::default();
        let raised = fly.with(Action::GetMachine, rate(50, 100)).with(Action::CreateVolume, rate(1, 1));
        for (raw, want) in [
            ("fly", RateLimiting::On(fly)),
            (" off\n", RateLimiting::Off),
            ("get_machine=50/100,create_volume=1/1", RateLimiting::On(raised)),
            (" create_volume = 1 / 1 , get_machine=50/100 ", RateLimiting::On(raised)),
            ("list_apps=10000/10000", RateLimiting::On(fly.with(Action::ListApps, rate(10_000, 10_000)))),
        ] {
            assert_eq!(raw.parse(), Ok(want), "{raw:?}");
        }
    }

    #[test]
    fn each_action_is_known_by_its_name() {
        for action in Action::ALL {
            let raw = format!("{}=9/9", action.name());
            assert_eq!(raw.parse(), Ok(RateLimiting::On(Rates::default().with(action, rate(9, 9)))), "{raw}");
        }
    }

    #[test]
    fn invalid_settings_name_the_faulty_entry() {
        let (get, list) = (Action::GetMachine, Action::ListMachines);
        for (raw, want) in [
            ("", InvalidRateLimits::Action { entry: 1 }),
            ("none", InvalidRateLimits::Action { entry: 1 }),
            ("Off", InvalidRateLimits::Action { entry: 1 }),
            ("off,get_machine=1/1", InvalidRateLimits::Action { entry: 1 }),
            ("get_machine=5/10,", InvalidRateLimits::Action { entry: 2 }),
            ("get_machine=5/10,GetMachine=5/10", InvalidRateLimits::Action { entry: 2 }),
            ("get_machine=5/10;list_machines=1/3", InvalidRateLimits::Rate { action: get }),
            ("get_machine", InvalidRateLimits::Rate { action: get }),
            ("get_machine=5", InvalidRateLimits::Rate { action: get }),
            ("get_machine=0/10", InvalidRateLimits::Rate { action: get }),
            ("get_machine=5/0", InvalidRateLimits::Rate { action: get }),
            ("get_machine=0.5/1", InvalidRateLimits::Rate { action: get }),
            ("get_machine=-1/1", InvalidRateLimits::Rate { action: get }),
            ("get_machine=5/10001", InvalidRateLimits::Rate { action: get }),
            ("get_machine=5/10/20", InvalidRateLimits::Rate { action: get }),
            ("list_machines=1/3,get_machine=99999999999/1", InvalidRateLimits::Rate { action: get }),
            ("list_machines=1/3,get_machine=5/10,list_machines=1/3", InvalidRateLimits::Twice { action: list }),
        ] {
            let error = raw.parse::<RateLimiting>().unwrap_err();
            assert_eq!(error, want, "{raw:?}");
            let message = error.to_string();
            assert!(Action::ALL.iter().all(|action| message.contains(action.name())), "{message}");
        }
    }
}
