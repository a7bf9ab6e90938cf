//! Checks of a sandbox that already runs.

use gastown_sandbox_check::{Image as _, Outcome, Report, Target, Town, TownSecrets};
use secrecy::SecretString;

use crate::double::Double;
use crate::fault::Fault;
use crate::stage::{TestClock, check, checker, home, options, town};
use gastown_domain::ports::Clock as _;

fn skipped(report: &Report) -> Vec<&str> {
    let skipped = report.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Skipped { .. }));
    skipped.map(|finding| finding.rule.name).collect()
}

#[tokio::test]
async fn only_boots_and_calls_home_are_skipped() {
    let home = home().await;
    let secrets = TownSecrets::generate(town(), TestClock.now());
    let environment = secrets.environment(Some(home.url())).unwrap();
    let running = Double::default().boot(&environment).await.unwrap();
    let pairs = environment.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let town = Town::from_environment(pairs).unwrap();
    home.expect(&town);
    let target = Target { url: running.url().clone(), machine: Some("148ed21a031189".to_owned()), town };

    let report = checker().check_running(&target, None).await;
    assert!(report.passed(), "{:#?}", report.failed().collect::<Vec<_>>());
    let of_boot = [
        "rigs-survive-restart",
        "restore-keeps-data",
        "stop",
        "boot-missing-variable",
        "boot-unknown-key",
        "boot-altered-value",
        "boot-unknown-version",
        "boot-every-value",
        "boot-previous-key",
    ];
    let skipped_without_home = skipped(&report);
    assert!(skipped_without_home[..8].iter().all(|name| name.starts_with("heartbeat") || name.starts_with("token-")));
    assert_eq!(skipped_without_home[8..], of_boot);

    let report = checker().check_running(&target, Some(&home)).await;
    assert!(report.passed(), "{:#?}", report.failed().collect::<Vec<_>>());
    assert_eq!(skipped(&report), of_boot);
}

#[tokio::test]
async fn a_sandbox_that_is_not_there_breaks_only_the_rule_of_health() {
    let mut options = options();
    options.limits.start = std::time::Duration::from_millis(300);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let key = SecretString::from("key");
    let town = Town { id: town(), key: key.clone(), token_expires_at: None, secrets: vec![key] };
    let target = Target { url: format!("http://{closed}").parse().unwrap(), machine: None, town };
    let report = checker().with(options).check_running(&target, None).await;
    assert_eq!(report.failed().map(|finding| finding.rule.name).collect::<Vec<_>>(), ["health"]);
}

#[tokio::test]
async fn work_is_not_checked_without_a_repository_for_it() {
    let mut options = options();
    options.repositories.unpushed = None;
    let report = check(&checker().with(options), &Double::default()).await;
    assert!(report.passed());
    assert_eq!(skipped(&report), ["rig-in-use", "rig-in-use-kept", "rig-force-value", "rig-force"]);
}

#[tokio::test]
async fn answers_of_a_proxy_while_the_sandbox_boots_are_not_judged() {
    let report = check(&checker(), &Double::with(Fault::ProxyAnswersAtFirst)).await;
    assert!(report.passed(), "{:#?}", report.failed().collect::<Vec<_>>());
}
