//! How the client is set: address, deadlines, pace.

use std::{num::NonZeroU32, str::FromStr, time::Duration};

use governor::Quota;
use url::{Host, Url};

use crate::api::{Action, Call};

/// Fly's public address of the Machines API. Inside a Fly private network it is `http://_api.internal:4280`.
pub const PUBLIC_BASE_URL: &str = "https://api.machines.dev";

/// Where the Machines API is. Parsed from an http(s) URL with or without the trailing `/` and `/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// The text is no address of a Machines API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBaseUrl {
    /// It is no URL.
    #[error("not a URL")]
    Url,
    /// The scheme is neither http nor https, or there is no host.
    #[error("not an http or https address")]
    Scheme,
    /// It holds a user, a password, a query or a fragment, which would be lost or leak.
    #[error("an address with credentials, query or fragment")]
    Extra,
}

impl BaseUrl {
    /// The address, ending in `/v1`.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// Whether the address is on this very machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(raw: &str) -> Result<Self, InvalidBaseUrl> {
        let mut url = Url::parse(raw.trim()).map_err(|_| InvalidBaseUrl::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(InvalidBaseUrl::Scheme);
        }
        let extra =
            !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some();
        if extra {
            return Err(InvalidBaseUrl::Extra);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        let path = if path.ends_with("/v1") { path } else { format!("{path}/v1") };
        url.set_path(&path);
        Ok(Self(url))
    }
}

/// Deadlines of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To have a connection, TLS included.
    pub connect: Duration,
    /// From the start to the last byte of the answer. A wait gets the time the server waits on top.
    pub call: Duration,
}

impl Default for Timeouts {
    /// 5 s to connect, 30 s in all: creates were seen to take 1 to 3 s.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), call: Duration::from_secs(30) }
    }
}

/// The largest answers that are read, in bytes. Fly has no pages: a list of an app's machines holds them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerSizes {
    /// Of a call about one thing.
    pub one: usize,
    /// Of a list.
    pub list: usize,
}

impl AnswerSizes {
    /// What holds for an action.
    pub(crate) const fn of(self, action: Action) -> usize {
        if action.lists() { self.list } else { self.one }
    }
}

impl Default for AnswerSizes {
    /// 1 MiB and 64 MiB: with sealed environments and their last events, machines take 5 to 10 kB each, so that several
    /// thousand in one app can be listed.
    fn default() -> Self {
        Self { one: 1024 * 1024, list: 64 * 1024 * 1024 }
    }
}

/// How fast the client itself calls, so that Fly need not refuse. Per action and machine or app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// Not at all: for a simulator, or where a proxy paces.
    Off,
    /// At these rates.
    On(Rates),
}

/// The rates of [`Pacing::On`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Most actions on one machine. Replicas do not share it: a machine has one driver.
    pub machine: Rate,
    /// Reading one machine.
    pub get_machine: Rate,
    /// Actions on an app, or on none.
    pub app: Rate,
    /// The longest a call may be held back before it is refused instead.
    pub longest_delay: Duration,
    /// How many calls of one kind may wait; those that somebody waits for and those that nobody does, each.
    pub max_waiting: usize,
}

impl Rates {
    /// The share of one replica of so many. Fly counts by organization, and replicas do not know each other.
    #[must_use]
    pub fn shared_by(self, replicas: NonZeroU32) -> Self {
        Self { app: self.app.shared_by(replicas), ..self }.held_back_for(self.longest_delay)
    }

    /// The same where a call is held back for so long at most.
    ///
    /// A share is never less than one call in that time, or whoever makes two in a row, as a look for a town's machines
    /// does, would never get to the second. What very many replicas call beyond Fly's limits, Fly refuses.
    #[must_use]
    pub fn held_back_for(self, longest: Duration) -> Self {
        let app = self.app.at_least_every(longest.max(self.machine.period()));
        Self { longest_delay: longest, app, ..self }
    }

    /// What holds for a call.
    pub(crate) fn of(&self, call: &Call) -> Rate {
        match (call.action(), call.machine()) {
            (Action::GetMachine, _) => self.get_machine,
            (_, Some(_)) => self.machine,
            (_, None) => self.app,
        }
    }
}

/// A sustained rate with a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(Quota);

impl Rate {
    /// So many calls a second, and so many at once after a rest.
    pub const fn per_second(calls: NonZeroU32, burst: NonZeroU32) -> Self {
        Self(Quota::per_second(calls).allow_burst(burst))
    }

    /// One part of so many; the burst is rounded down, to one at least.
    fn shared_by(self, parts: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(self.0.burst_size().get() / parts).unwrap_or(NonZeroU32::MIN);
        let shared = Quota::with_period(self.period().saturating_mul(parts.get()));
        Self(shared.unwrap_or(self.0).allow_burst(burst))
    }

    /// The same, or one call in so much time where it is slower.
    fn at_least_every(self, period: Duration) -> Self {
        let faster = Quota::with_period(period).filter(|_| self.period() > period);
        Self(faster.map_or(self.0, |quota| quota.allow_burst(self.0.burst_size())))
    }

    /// The time between two calls at the sustained rate.
    pub(crate) fn period(self) -> Duration {
        self.0.replenish_interval()
    }

    /// How long an emptied bucket takes to be full again.
    pub(crate) fn refill(self) -> Duration {
        self.period().saturating_mul(self.0.burst_size().get())
    }

    pub(crate) const fn quota(self) -> Quota {
        self.0
    }

    const fn of(calls: u32, burst: u32) -> Self {
        let (Some(calls), Some(burst)) = (NonZeroU32::new(calls), NonZeroU32::new(burst)) else {
            panic!("a rate of nothing");
        };
        Self::per_second(calls, burst)
    }
}

impl Default for Rates {
    /// Fly's own limits: 1/s with a burst of 3, reading a machine 5/s with a burst of 10. Held back for 20 s at most, and
    /// 200 of a kind at most.
    fn default() -> Self {
        const USUAL: Rate = Rate::of(1, 3);
        const GET_MACHINE: Rate = Rate::of(5, 10);
        Self {
            machine: USUAL,
            get_machine: GET_MACHINE,
            app: USUAL,
            longest_delay: Duration::from_secs(20),
            max_waiting: 200,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{apps, machines, volumes};

    #[test]
    fn every_spelling_of_the_address_means_the_same() {
        for (raw, want) in [
            ("https://api.machines.dev", "https://api.machines.dev/v1"),
            ("https://api.machines.dev/", "https://api.machines.dev/v1"),
            ("https://api.machines.dev/v1", "https://api.machines.dev/v1"),
            ("https://api.machines.dev/v1/", "https://api.machines.dev/v1"),
            (" http://127.0.0.1:4280//\n", "http://127.0.0.1:4280/v1"),
            ("http://proxy/fly/", "http://proxy/fly/v1"),
        ] {
            assert_eq!(raw.parse::<BaseUrl>().unwrap().as_url().as_str(), want, "{raw:?}");
        }
    }

    #[test]
    fn an_address_that_would_lose_or_leak_a_part_is_refused() {
        for (raw, why) in [
            ("api.machines.dev", InvalidBaseUrl::Url),
            ("", InvalidBaseUrl::Url),
            ("ftp://api.machines.dev", InvalidBaseUrl::Scheme),
            ("file:///etc", InvalidBaseUrl::Scheme),
            ("https://user:pw@api.machines.dev", InvalidBaseUrl::Extra),
            ("https://api.machines.dev?x=1", InvalidBaseUrl::Extra),
            ("https://api.machines.dev#x", InvalidBaseUrl::Extra),
        ] {
            assert_eq!(raw.parse::<BaseUrl>(), Err(why), "{raw:?}");
        }
    }

    fn shared_by(replicas: u32) -> Rates {
        Rates::default().shared_by(NonZeroU32::new(replicas).unwrap())
    }

    #[test]
    fn replicas_share_what_is_counted_by_app_and_nothing_else() {
        let ms = Duration::from_millis;
        for (replicas, period, burst) in [(1, 1_000, 3), (2, 2_000, 1), (3, 3_000, 1), (20, 20_000, 1)] {
            let rates = shared_by(replicas);
            for call in [volumes::list("mill"), machines::list("mill", None), apps::get("mill"), apps::list("kilo")] {
                let rate = rates.of(&call);
                assert_eq!((rate.period(), rate.quota().burst_size().get()), (ms(period), burst), "{call:?}");
            }
            let whole = Rates::default();
            for call in [machines::start("mill", "m1"), machines::get("mill", "m1"), machines::destroy("mill", "m1")] {
                assert_eq!(rates.of(&call), whole.of(&call), "{call:?}");
            }
        }
        assert_eq!(shared_by(1), Rates::default());
        assert_eq!(Rates::default().of(&machines::get("mill", "m1")).period(), ms(200));
    }

    #[test]
    fn two_calls_in_a_row_get_through_however_many_replicas_share_and_nobody_waits_longer_than_said() {
        for replicas in 1..=100 {
            for longest in [5, 15, 20].map(Duration::from_secs) {
                let rates = shared_by(replicas).held_back_for(longest);
                assert_eq!(rates.longest_delay, longest);
                assert!(rates.app.period() <= longest, "{replicas}: {rates:?}");
                assert!(rates.app.period() >= Rates::default().app.period(), "{replicas}: {rates:?}");
            }
        }
        let no_wait = shared_by(20).held_back_for(Duration::ZERO);
        assert_eq!((no_wait.longest_delay, no_wait.app.period()), (Duration::ZERO, Duration::from_secs(1)));
    }
}
