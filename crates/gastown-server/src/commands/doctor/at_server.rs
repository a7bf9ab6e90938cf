//! The checks of a server from here: what it finds itself, and what only a client can see.

use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::Clock as _;
use gastown_system::SystemClock;

use crate::cli::VERSION;
use crate::commands::at_server::AtServer;
use crate::operator_access::AccessError;
use crate::reports::{Check, Diagnosis};

const SERVER: &str = "server";
const TOKEN: &str = "operator's token";
const CLOCK: &str = "clock here";
const FINDINGS: &str = "findings";
/// The difference of clocks from which times in the output mislead.
const MAX_DIFFERENCE: TimeDelta = TimeDelta::seconds(5);

/// Returns the checks of the way to the server, and then those of the server.
pub(super) async fn checks(server: &AtServer) -> Vec<Check> {
    let asked_at = SystemClock.now();
    match server.diagnosis().await {
        Ok(found) => answered(found, asked_at, SystemClock.now()),
        Err(error) => unanswered(error),
    }
}

fn answered(found: Diagnosis, asked_at: DateTime<Utc>, answered_at: DateTime<Utc>) -> Vec<Check> {
    let of_client = [
        Check::ok(SERVER, "it answers"),
        Check::ok(TOKEN, "it is accepted"),
        clock(found.now.0, asked_at, answered_at),
        version(&found.version, &VERSION),
    ];
    of_client.into_iter().chain(found.checks).collect()
}

/// Compares our clock with that of the server, which was read between these two times.
fn clock(of_server: DateTime<Utc>, asked_at: DateTime<Utc>, answered_at: DateTime<Utc>) -> Check {
    // The server writes milliseconds.
    let ahead = (of_server - answered_at).max(asked_at - of_server - TimeDelta::milliseconds(1)).max(TimeDelta::zero());
    let detail = format!("it differs from that of the server by at least {} ms", ahead.num_milliseconds());
    if ahead > MAX_DIFFERENCE {
        return Check::warning(CLOCK, &detail, "synchronize the clocks of this machine and of the server (NTP)");
    }
    Check::ok(CLOCK, &detail)
}

fn version(of_server: &str, ours: &str) -> Check {
    const NAME: &str = "version";
    if of_server == ours {
        return Check::ok(NAME, &format!("{ours}, here and at the server"));
    }
    let detail = format!("{ours} here, {of_server} at the server");
    Check::warning(NAME, &detail, "use the command of the server's version, which knows all that it shows")
}

fn unanswered(error: AccessError) -> Vec<Check> {
    let left_out = |name| Check::skipped(name, "the checks above failed");
    match error {
        AccessError::Refused { reason, message } if reason.starts_with("token_") => vec![
            Check::ok(SERVER, "it answers"),
            Check::failed(TOKEN, &message, "set GASTOWN_OPERATOR_TOKEN to a token of CONSOLE_TOKENS at this server"),
            left_out(FINDINGS),
        ],
        AccessError::Refused { reason, message } if reason == "unknown_path" => vec![
            Check::ok(SERVER, "it answers"),
            Check::ok(TOKEN, "it is accepted"),
            Check::failed(
                FINDINGS,
                &message,
                "this server is older: run `gastown doctor` beside it, with its settings",
            ),
        ],
        AccessError::Refused { message, .. } => vec![
            Check::ok(SERVER, "it answers"),
            Check::failed(FINDINGS, &message, "repeat it; the log of the server has the cause"),
        ],
        AccessError::NoSuchTown(_) | AccessError::Read(_) | AccessError::Write(_) | AccessError::Server(_) => vec![
            Check::failed(
                SERVER,
                &format!("{:#}", anyhow::Error::from(error)),
                "check that the server runs, and that the address is that of its console (CONSOLE_LISTEN)",
            ),
            left_out(TOKEN),
            left_out(FINDINGS),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::State;

    fn states(checks: &[Check]) -> Vec<(&str, State)> {
        checks.iter().map(|check| (&*check.name, check.state)).collect()
    }

    #[test]
    fn clocks_are_compared_within_the_time_of_the_call() {
        let at = |milliseconds| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds);
        for (of_server, state, shown) in [
            (at(500), State::Ok, " 0 ms"),
            (at(0), State::Ok, " 0 ms"),
            (at(1_000), State::Ok, " 0 ms"),
            (at(6_000), State::Ok, " 5000 ms"),
            (at(6_001), State::Warning, " 5001 ms"),
            (at(-5_001), State::Ok, " 5000 ms"),
            (at(-9_001), State::Warning, " 9000 ms"),
        ] {
            let check = clock(of_server, at(0), at(1_000));
            assert_eq!(check.state, state, "{of_server}");
            assert!(check.detail.ends_with(shown), "{of_server}: {}", check.detail);
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        let refused = |reason: &str| AccessError::refused(reason, "no");
        let (ok, failed, skipped) = (State::Ok, State::Failed, State::Skipped);
        for (error, expected) in [
            (refused("token_wrong"), vec![(SERVER, ok), (TOKEN, failed), (FINDINGS, skipped)]),
            (refused("unknown_path"), vec![(SERVER, ok), (TOKEN, ok), (FINDINGS, failed)]),
            (refused("busy"), vec![(SERVER, ok), (FINDINGS, failed)]),
            (AccessError::Server("no answer".into()), vec![(SERVER, failed), (TOKEN, skipped), (FINDINGS, skipped)]),
        ] {
            assert_eq!(states(&unanswered(error)), expected);
        }
        assert_eq!(version("0.2.0", "0.1.0").state, State::Warning);
    }
}
