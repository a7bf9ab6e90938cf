//! Hostile texts: every text from outside is shown as text.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    AuditedEvent, FailedTouch, HeldOperation, ListedTown, Orphan, RegistryFigures, RolloutReport, TownDetails,
    TownEvent, TownHealth, Unreadable, WorkerId,
};
use gastown_domain::{
    ImageRef, MaxUnavailable, Operation, Percent, Recorded, ResourceId, Rig, Rollout, RolloutNumber, RolloutState,
    TouchCounts, Town, TownStatus,
};

use super::*;
use crate::filter::Fields;
use crate::plot;
use crate::sources::Queue;

/// A text that would run as a script, wherever it stood in HTML unescaped.
const HOSTILE: &str = "<script>alert(1)</script>\"' onload=x&amp;";

fn event() -> AuditedEvent {
    AuditedEvent { town: Town::sample().id, owner: HOSTILE.to_owned(), name: HOSTILE.to_owned(), event: town_event() }
}

fn town_event() -> TownEvent {
    TownEvent {
        at: DateTime::<Utc>::UNIX_EPOCH,
        actor: HOSTILE.to_owned(),
        action: HOSTILE.to_owned(),
        outcome: HOSTILE.to_owned(),
        error: Some(HOSTILE.to_owned()),
        operation: None,
        last_step: Some(HOSTILE.to_owned()),
    }
}

fn unreadable() -> Unreadable {
    Unreadable { town: Town::sample().id, which: HOSTILE.to_owned() }
}

fn held() -> HeldOperation {
    let operation = Operation {
        kind: Recorded::Newer(HOSTILE.to_owned()),
        step: Some(Recorded::Newer(HOSTILE.to_owned())),
        last_error: Some(Recorded::Newer(HOSTILE.to_owned())),
        attempt: 3,
        ..Operation::sample().into()
    };
    let owner = "<b>alice</b>".parse().unwrap();
    let held_by = Some(WorkerId(HOSTILE.to_owned()));
    HeldOperation { operation, owner, name: HOSTILE.to_owned(), held_by, lease_expires_at: None }
}

fn hostile_town() -> Town {
    Town { owner: "<b>alice</b>\"'&".parse().unwrap(), ..Town::sample() }
}

fn health() -> TownHealth {
    TownHealth {
        state: Recorded::Newer(HOSTILE.to_owned()),
        reason: Some(Recorded::Newer(HOSTILE.to_owned())),
        drift: Some((Recorded::Newer(HOSTILE.to_owned()), DateTime::<Utc>::UNIX_EPOCH)),
        ..TownHealth::default()
    }
}

fn orphan() -> Orphan {
    Orphan {
        app: "towns".parse().unwrap(),
        resource: ResourceId::Machine("d8d9c4a1b2c3e4".parse().unwrap()),
        name: HOSTILE.to_owned(),
        reason: Recorded::Newer(HOSTILE.to_owned()),
        first_seen_at: DateTime::<Utc>::UNIX_EPOCH,
        last_seen_at: DateTime::<Utc>::UNIX_EPOCH,
        times_seen: 1,
        deletion_asked_at: None,
    }
}

fn a_rollout() -> RolloutReport {
    let hostile = || HOSTILE.to_owned();
    RolloutReport {
        rollout: Rollout {
            number: RolloutNumber::new(1),
            image: ImageRef::stored("registry.example/<b>alice").unwrap(),
            setting: None,
            percent: Percent::ALL,
            only_stopped: false,
            max_unavailable: MaxUnavailable::DEFAULT,
            state: RolloutState::Paused,
            reason: Some(hostile()),
            known_failures: 0,
            started_by: hostile(),
            changed_by: hostile(),
            started_at: DateTime::UNIX_EPOCH,
            changed_at: DateTime::UNIX_EPOCH,
            ended_at: None,
        },
        counts: TouchCounts::default(),
        waiting: 0,
        unhealthy: 0,
        stopped: 0,
        failures: vec![FailedTouch {
            town: Town::sample().id,
            name: hostile(),
            failure: Some(Recorded::Newer(hostile())),
        }],
        images: vec![(Some(hostile()), 1)],
        at: DateTime::UNIX_EPOCH,
    }
}

fn details() -> TownDetails {
    TownDetails {
        town: hostile_town(),
        rigs: vec![Rig::sample()],
        health: Ok(health()),
        operation: Some(Ok(held())),
        events: vec![town_event()],
        orphans: vec![orphan()],
        unreadable: vec![unreadable()],
    }
}

fn whole_overview() -> Overview {
    Overview {
        is_ready: false,
        figures: Arc::new(RegistryFigures {
            towns: vec![(Some(TownStatus::Running), 3)],
            ..RegistryFigures::default()
        }),
        jobs: vec![],
        operations: vec![Ok(held()), Err(unreadable())],
        queues: vec![Queue {
            call: HOSTILE.to_owned(),
            subject: HOSTILE.to_owned(),
            waiting: 1,
            behind: 2,
            waited: std::time::Duration::from_secs(3),
            remaining: std::time::Duration::from_secs(4),
        }],
        limits: vec![(HOSTILE.to_owned(), HOSTILE.to_owned())],
        plot: Arc::new(plot::buckets(&[event()], DateTime::<Utc>::UNIX_EPOCH)),
        events: vec![event()],
        now: DateTime::<Utc>::UNIX_EPOCH,
        alert_attempts: 3,
    }
}

#[test]
fn hostile_texts_are_shown_as_texts_on_every_page() {
    let hostile_query: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(["user", "name", "actor", "action", "town", "status"].map(|name| (name, HOSTILE)))
        .finish();
    let fields = Fields::read(&hostile_query);
    let listed = ListedTown { town: hostile_town(), health: Ok(health()), operation: Some(Ok(held())) };
    let forms = Forms { token: "a1".to_owned(), message: None };
    for (page, shown) in [
        ("overview", overview(&whole_overview())),
        ("towns", towns(&fields, &[Ok(listed), Err(unreadable())], Some("/console/towns?user=%3Cb%3E"))),
        ("town", town(&details(), Some(&forms), 3)),
        ("operations", operations(&[Ok(held()), Err(unreadable())], &[event()], &[], (100, 3))),
        ("rollout", rollout(Some(&a_rollout()), Some(&forms))),
        ("orphans", orphans(&[orphan()], 100)),
        ("events", events(&fields, &[event()], None)),
        ("sentence", sentence(HOSTILE, HOSTILE)),
    ] {
        let shown = shown.into_string();
        assert!(shown.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page} shows nothing hostile: {shown}");
        for raw in ["<script>alert", "<b>alice", "\" onload", "\"' onload"] {
            assert!(!shown.contains(raw), "{page} has {raw}: {shown}");
        }
    }
}

#[test]
fn alarms_and_counts_are_on_the_overview() {
    let shown = overview(&whole_overview()).into_string();
    for text in ["does not answer", "<b>3</b>running", "No call waits"] {
        assert_eq!(shown.contains(text), text != "No call waits", "{text}: {shown}");
    }
    let well = Overview { is_ready: true, queues: vec![], ..whole_overview() };
    let shown = overview(&well).into_string();
    assert!(shown.contains("Nothing needs attention.") && shown.contains("No call waits"), "{shown}");
}

#[test]
fn actions_are_forms_with_the_token_and_only_of_live_towns() {
    let forms = Forms { token: "the-form-token".to_owned(), message: Some("Done.") };
    let shown = town(&details(), Some(&forms), 3).into_string();
    assert_eq!(shown.matches("value=\"the-form-token\"").count(), 3, "{shown}");
    assert!(shown.contains("/stop\"") && shown.contains("Done."), "{shown}");
    assert!(!town(&details(), None, 3).into_string().contains("<form"));
    let destroyed = TownDetails {
        town: Town { destroyed_at: Some(DateTime::<Utc>::UNIX_EPOCH), status: TownStatus::Destroyed, ..Town::sample() },
        ..details()
    };
    assert!(!town(&destroyed, Some(&forms), 3).into_string().contains("<form"));
}

#[test]
fn operations_in_flight_show_the_names_of_their_towns() {
    let shown =
        operations(&[Ok(HeldOperation { name: "mill".to_owned(), ..held() })], &[], &[], (100, 3)).into_string();
    let id = Town::sample().id;
    assert!(shown.contains(&format!("<a href=\"/console/towns/{id}\">mill</a>")), "{shown}");
}

#[test]
fn long_lists_say_that_they_are_cut() {
    let many = vec![orphan(); 101];
    let shown = orphans(&many, 100).into_string();
    assert_eq!(shown.matches("<tr>").count(), 101);
    assert!(shown.contains("The oldest 100 of 101"), "{shown}");
    let held: Vec<_> = (0..2).map(|_| Ok(held())).collect();
    assert!(operations(&held, &[], &[], (2, 3)).into_string().contains("Only the 2 with"));
}
