//! The clock, the limits and the repositories of the tests.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::TownId;
use gastown_domain::ports::Clock;
use gastown_sandbox_check::{Checker, Home, Image, Limits, Options, Report, Repositories};

/// Longer than the limit for health in these tests.
pub(crate) const SLOW_HEALTH: Duration = Duration::from_millis(3200);

/// The clock of the machine.
pub(crate) struct TestClock;

impl Clock for TestClock {
    #[expect(clippy::disallowed_methods, reason = "the check and its sandboxes run now")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

pub(crate) fn town() -> TownId {
    "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".parse().unwrap()
}

/// Returns options with limits that a busy machine keeps, and that a broken sandbox reaches soon.
pub(crate) fn options() -> Options {
    let mut limits = Limits { start: Duration::from_secs(10), home: Duration::from_secs(10), ..Limits::default() };
    limits.calls.sync = Duration::from_secs(5);
    limits.health = Duration::from_secs(3);
    let repositories =
        Repositories { unpushed: Some("https://example.com/unpushed/x".to_owned()), ..Repositories::default() };
    Options { repositories, limits }
}

pub(crate) async fn home() -> Home {
    Home::start("127.0.0.1:0".parse().unwrap(), Arc::new(TestClock)).await.unwrap()
}

pub(crate) fn checker() -> Checker {
    Checker::new(options(), Arc::new(TestClock)).unwrap()
}

pub(crate) async fn check(checker: &Checker, image: &dyn Image) -> Report {
    let home = home().await;
    checker.check_image(image, town(), &home, home.url()).await.unwrap()
}
