//! A table of wrong sandboxes: one for each rule, and each one breaks only that rule.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use gastown_sandbox_check::{ALL, Outcome, Report};

use crate::double::Double;
use crate::fault::Fault::{self, *};
use crate::stage::{check, checker, options};

const TABLE: &[(Fault, &str)] = &[
    (StaysStarting, "health"),
    (NamesAnotherTown, "health-town"),
    (SlowHealth, "health-fast"),
    (OneConnectionAtATime, "health-while-busy"),
    (ExpiryIsNotATime, "health-token-expiry"),
    (HealthWithoutKey, "key-missing"),
    (AcceptsPartOfTheKey, "key-wrong"),
    (SaysIfTheKeyIsMissing, "key-answers-alike"),
    (ParsesBeforeTheKey, "key-first"),
    (AddsBeforeTheKey, "key-no-effect"),
    (ListIsAnArray, "rigs-list"),
    (AddAnswersAnotherBranch, "rig-add"),
    (AddedRigIsNotListed, "rig-listed"),
    (RepeatIsAConflict, "rig-repeat"),
    (CaseMakesANewRig, "rig-case"),
    (ConflictHasAnotherCode, "rig-exists"),
    (BranchIsEmpty, "rig-default-branch"),
    (RefusalIsTemporary, "rig-refused"),
    (RefusedRigStays, "rig-refused-leaves-nothing"),
    (AcceptsReservedNames, "rig-name"),
    (AcceptsFiles, "rig-url"),
    (MalformedBodyIsRefused, "rig-body"),
    (AddsTwiceAtOnce, "rig-at-once"),
    (RemovesNothing, "rig-remove"),
    (UnknownRigIsRemoved, "rig-remove-again"),
    (RemovedFilesStay, "rig-add-again"),
    (RemovesUnpushedWork, "rig-in-use"),
    (RemovesAndRefuses, "rig-in-use-kept"),
    (AnyForceCounts, "rig-force-value"),
    (ForceIsIgnored, "rig-force"),
    (SyncWithoutTime, "sync"),
    (SyncTimeIsOld, "sync-time"),
    (SecondSyncFails, "sync-repeat"),
    (SyncBreaksOff, "answers"),
    (SyncIsTooLarge, "answer-size"),
    (SyncHangs, "answer-time"),
    (SyncIsText, "json-type"),
    (RefusalShowsTheKey, "secret-shown"),
    (NoHeartbeat, "heartbeat"),
    (HeartbeatWithoutKey, "heartbeat-key"),
    (HeartbeatWithoutTown, "heartbeat-body"),
    (HeartbeatReportsText, "heartbeat-report"),
    (HeartbeatsEndAfterError, "heartbeat-after-error"),
    (NoRefresh, "token-refresh"),
    (RefreshWithoutKey, "token-refresh-call"),
    (NewTokenIsIgnored, "token-refresh-used"),
    (VolumeIsEmptied, "rigs-survive-restart"),
    (RestoresOverData, "restore-keeps-data"),
    (IgnoresSigint, "stop"),
    (BootsWithoutBucket, "boot-missing-variable"),
    (BootsWithForeignValue, "boot-unknown-key"),
    (BootsWithAlteredValue, "boot-altered-value"),
    (BootsWithUnknownVersion, "boot-unknown-version"),
    (OpensOnlyItsOwn, "boot-every-value"),
    (ForgetsPreviousKey, "boot-previous-key"),
];

fn failed(report: &Report) -> Vec<&str> {
    report.failed().map(|finding| finding.rule.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn right_sandbox_passes_every_rule() {
    let report = check(&checker(), &Double::default()).await;
    for finding in &report.findings {
        assert_eq!(finding.outcome, Outcome::Passed, "{}", finding.rule.name);
    }
    assert_eq!(report.findings.len(), ALL.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_sandbox_breaks_exactly_its_rule() {
    // Only these wait until a limit is over.
    let patient =
        |fault| matches!(fault, StaysStarting | NoHeartbeat | HeartbeatsEndAfterError | NoRefresh | NewTokenIsIgnored);
    let checker = &checker();
    let checks = TABLE.iter().map(|(fault, rule)| async move {
        let mut options = options();
        if patient(*fault) {
            options.limits.start = Duration::from_secs(2);
            options.limits.home = Duration::from_secs(3);
        }
        let report = check(&checker.with(options), &Double::with(*fault)).await;
        (failed(&report) != [*rule]).then(|| format!("{fault:?}: {:#?}", report.failed().collect::<Vec<_>>()))
    });
    let found: Vec<_> = futures::stream::iter(checks).buffer_unordered(8).collect().await;
    let wrong: Vec<_> = found.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_rule_has_a_sandbox_that_breaks_it() {
    let broken: BTreeSet<_> = TABLE.iter().map(|(_, rule)| *rule).collect();
    let rules: BTreeSet<_> = ALL.iter().map(|rule| rule.name).collect();
    assert_eq!(broken, rules);
    assert_eq!(TABLE.len(), ALL.len());
}
