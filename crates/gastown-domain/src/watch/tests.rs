use super::*;
use crate::ports::TownHealth;
use crate::{OperationKind, Phase, Progress, StepName, Town};

fn id(number: u128) -> OperationId {
    OperationId::new(Uuid::from_u128(number))
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn report(status: TownStatus) -> TownReport {
    let town = Town { status, created_at: at(0), ..Town::sample() };
    TownReport {
        town,
        rigs: Vec::new(),
        health: TownHealth::default(),
        operation: None,
        last_outcome: None,
        owner_is_blocked: false,
        use_is_recorded: false,
    }
}

fn trail(steps: &[StepName]) -> Progress {
    let begin = |progress: Progress, (second, step): (usize, &StepName)| {
        progress.began(*step, at(i64::try_from(second).unwrap()))
    };
    steps.iter().enumerate().fold(Progress::default(), begin)
}

fn create(number: u128, steps: &[StepName]) -> RecordedOperation {
    RecordedOperation {
        id: id(number),
        town: Town::sample().id,
        kind: OperationKind::Create.into(),
        phase: Phase::Begun.into(),
        step: steps.last().map(|step| (*step).into()),
        attempt: 0,
        last_error: None,
        cause: None,
        requested_by: "alice".parse().unwrap(),
        fence: 1,
        next_attempt_at: at(0),
        deadline_at: None,
        progress: trail(steps),
        created_at: at(0),
        updated_at: at(9),
    }
}

fn creating(steps: &[StepName]) -> TownReport {
    TownReport { operation: Some(create(1, steps)), ..report(TownStatus::Provisioning) }
}

fn created(steps: &[StepName]) -> TownReport {
    let last_outcome = LastOutcome {
        kind: OperationKind::Create.into(),
        at: at(60),
        failure: None,
        operation: Some(id(1)),
        steps: trail(steps).steps,
    };
    TownReport { last_outcome: Some(last_outcome), ..report(TownStatus::Running) }
}

fn told(changes: &[TownChanged]) -> Vec<String> {
    changes.iter().map(|change| format!("{}: {}", change.kind.as_str(), change.message)).collect()
}

const LIFE: [StepName; 4] =
    [StepName::CreateVolume, StepName::CreateMachine, StepName::AwaitStarted, StepName::PrepareSandbox];

#[test]
fn every_step_of_a_create_is_shown_once_after_any_resume() {
    let states = [creating(&[]), creating(&LIFE[..1]), creating(&LIFE[..3]), created(&LIFE)];
    // Each state may be seen or missed, and each event may be the last one before a reconnect.
    for seen in 0..8usize {
        let mut position: Option<WatchPosition> = None;
        let mut steps = Vec::new();
        let mut ends = 0;
        for (number, state) in states.iter().enumerate() {
            if number < 3 && seen & (1 << number) == 0 && number > 0 {
                continue;
            }
            loop {
                // One event at a time, with the position as a text, as after a reconnect.
                let resumed = position.as_ref().map(|position| position.to_string().parse().unwrap());
                let Some(next) = changes(resumed.as_ref(), state).into_iter().next() else { break };
                steps.extend(next.step.clone());
                ends += usize::from(next.kind == ChangeKind::Ended);
                position = Some(next.position);
            }
        }
        assert_eq!(steps, LIFE.map(|step| step.as_str().to_owned()), "seen {seen:b}");
        assert_eq!(ends, 1);
    }
}

#[test]
fn watching_begins_with_the_present() {
    insta::assert_snapshot!(told(&changes(None, &creating(&LIFE[..2]))).join("\n"), @r"
    present: The town is being created
    started: The creation of the town was requested
    step: Creating the volume
    step: Creating the machine
    ");
    insta::assert_snapshot!(told(&changes(None, &created(&LIFE))).join("\n"), @"present: The town is running");
}

#[test]
fn failures_and_health_are_told_in_words() {
    let begun = changes(None, &creating(&LIFE[..1])).pop().unwrap().position;
    let mut failing = creating(&LIFE[..1]);
    if let Some(operation) = &mut failing.operation {
        (operation.attempt, operation.last_error) = (2, Some(Failure::Throttled.into()));
    }
    let told_once = changes(Some(&begun), &failing);
    insta::assert_snapshot!(told(&told_once).join("\n"), @"retry: Attempt 2 failed: the provider is rate-limiting requests; try again later");
    assert_eq!(changes(Some(&told_once[0].position), &failing), []);

    let mut failed = created(&LIFE);
    if let Some(last) = &mut failed.last_outcome {
        last.failure = Some(Failure::NoCapacity.into());
    }
    failed.town.status = TownStatus::Stopped;
    failed.health.failures = 3;
    insta::assert_snapshot!(told(&changes(Some(&begun), &failed)[3..]).join("\n"), @r"
    ended: The town could not be created: no region has capacity for the machine; try again later or choose another region
    health: The sandbox failed 3 checks in a row
    ");
}

#[test]
fn operation_that_replaces_another_begins_at_its_own_first_step() {
    let position = changes(None, &creating(&LIFE)).pop().unwrap().position;
    let mut destroying = created(&LIFE);
    destroying.town.status = TownStatus::Running;
    let destroy = create(2, &[StepName::FinalSync]);
    destroying.operation = Some(RecordedOperation { kind: OperationKind::Destroy.into(), ..destroy });
    insta::assert_snapshot!(told(&changes(Some(&position), &destroying)).join("\n"), @r"
    ended: The town was created
    started: The destruction of the town was requested
    step: Saving the data to R2
    ");
}

#[test]
fn texts_of_other_versions_are_no_positions() {
    let position = changes(None, &creating(&LIFE)).pop().unwrap().position;
    assert_eq!(position.to_string().parse(), Ok(position.clone()));
    for text in ["", "1", "2.0.0.0.0.running.0", "1.0.0.0.0.running.0.x", "1.x.0.0.0.running.0", "1.0.0.-1.0.running.0"]
    {
        assert!(text.parse::<WatchPosition>().is_err(), "{text}");
    }
    assert!("x".repeat(5000).parse::<WatchPosition>().is_err());
}

#[test]
fn trail_is_bounded_and_numbers_its_steps() {
    let steps: Vec<_> = [StepName::ObserveAgain, StepName::DeleteMachine, StepName::AwaitDestroyed].repeat(30);
    let progress = trail(&steps);
    assert_eq!(progress.steps.len(), 32);
    assert_eq!(progress.steps.last().unwrap().number, 60, "steps that only look are not recorded");
    assert_eq!(progress.clone().began(StepName::AwaitDestroyed, at(0)), progress, "a repeated step is one");
}
