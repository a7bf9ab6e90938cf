//! Operations of a newer version: this version shows them, leaves them alone, and lets a destroy replace them (FM-59).

use gastown_domain::ports::{
    ConfigUpdated, Operations as _, Operator as _, Orphans as _, Registry as _, Requested, Retried, TownChange,
    UpdateTown,
};
use gastown_domain::{
    Change, ConfigPatch, Operation, OperationKind, Phase, Progress, Recorded, RecordedOperation, Rejection, StepName,
    Town, TownTag, UnconfirmedCreate,
};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use crate::bed::{Bed, LEASE, accepted, is_fenced, noon, on_both, record, request, worker};

on_both! {
    newer_operation_is_never_claimed_and_hides_no_other,
    newer_operation_counts_as_a_turn_only_while_it_is_driven,
    newer_operation_is_shown_as_text,
    newer_operation_is_listed_while_no_worker_drives_it,
    start_stop_and_update_beside_a_newer_operation_write_nothing,
    owner_destroy_replaces_a_newer_operation,
    operator_destroy_replaces_a_newer_operation,
    destroy_of_a_tombstone_replaces_its_newer_removal,
    retry_leaves_a_newer_operation_alone,
    town_of_a_newer_operation_is_in_flight,
    unknown_step_failure_and_progress_survive_an_update,
    unknown_progress_survives_a_pre_empting_destroy,
    unknown_cause_is_recorded_as_the_failure_of_the_operation,
}

const EVE: &str = "operator:eve";

/// The changes by which a newer version makes an operation unknown to this one.
const NEWER: [&str; 3] = ["kind = 'hibernate'", "mark = 'draining'", "kind = 'hibernate', mark = 'draining'"];

/// The progress that a newer version writes.
const PROGRESS: &str = r#"{"volume_doubt": null, "queued_ms": 7, "canary": {"seen": [1, 2]}}"#;

impl Bed {
    /// Accepts any kind and phase, as the schema of a newer version does.
    pub(crate) async fn accept_newer_texts(&self) {
        if self.raw.get_database_backend() == DbBackend::Sqlite {
            let checks = "replace(replace(sql, 'CHECK (\"kind\" IN', 'CHECK (1 OR \"kind\" IN'), \
                          'CHECK (\"mark\" IN', 'CHECK (1 OR \"mark\" IN')";
            let update = format!("UPDATE sqlite_schema SET sql = {checks} WHERE name = 'gastown_operations'");
            // The last two statements make the other connections read the schema again.
            let reread = "CREATE TABLE reread (x int); DROP TABLE reread";
            let on = "PRAGMA writable_schema = ON";
            self.sql(&format!("{on}; {update}; PRAGMA writable_schema = RESET; {reread}")).await;
        } else {
            let drop = ["kind", "mark"].map(|name| format!("DROP CONSTRAINT gastown_operations_{name}_check"));
            self.sql(&format!("ALTER TABLE gastown_operations {}", drop.join(", "))).await;
        }
    }

    /// Changes the operation of a town as a newer version would.
    async fn change(&self, town: &Town, change: &str) {
        let id = format!("SELECT id FROM gastown_towns WHERE town_name = '{}'", town.name);
        self.sql(&format!("UPDATE gastown_operations SET {change} WHERE town_id = ({id})")).await;
    }

    /// Creates a town whose operation a newer version has written.
    async fn newer(&self, name: &str, change: &str) -> Town {
        let town = self.create("alice", name).await;
        self.change(&town, &format!("{change}, step = 'warm_up', progress = '{PROGRESS}'")).await;
        town
    }

    /// Returns every column of all operations, by the name of their town, and the number of events.
    async fn written(&self) -> Vec<String> {
        let id = if self.raw.get_database_backend() == DbBackend::Sqlite { "hex(o.id)" } else { "o.id" };
        let columns = "town_name, kind, mark, step, attempt, last_error, cause, requested_by, owner, lease_expires_at, \
                       fence, next_attempt_at, deadline_at, progress, o.created_at, updated_at";
        let columns = columns.split(", ").chain([id]);
        let columns: Vec<_> = columns.map(|name| format!("coalesce(CAST({name} AS TEXT), 'null')")).collect();
        let joined = "gastown_operations o JOIN gastown_towns t ON t.id = o.town_id";
        let all = format!("SELECT {} FROM {joined} ORDER BY town_name", columns.join(" || ' ' || "));
        let mut written = self.texts(&all).await;
        written.push(self.number("SELECT count(*) FROM gastown_town_events").await.to_string());
        written
    }

    pub(crate) async fn texts(&self, query: &str) -> Vec<String> {
        let statement = Statement::from_string(self.raw.get_database_backend(), query);
        let rows = self.raw.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    /// Returns the stored progress of the only operation.
    async fn progress(&self) -> serde_json::Value {
        let texts = self.texts("SELECT CAST(progress AS TEXT) FROM gastown_operations").await;
        serde_json::from_str(&texts[0]).unwrap()
    }
}

async fn newer_operation_is_never_claimed_and_hides_no_other(bed: Bed) {
    bed.accept_newer_texts().await;
    for (number, change) in NEWER.into_iter().enumerate() {
        let newer = bed.newer(&format!("newer-{number}"), change).await;
        bed.change(&newer, "next_attempt_at = '2000-01-01T00:00:00+00:00'").await;
        let [same, other] =
            [bed.create("alice", &format!("same-{number}")).await, bed.create("bob", &format!("other-{number}")).await];
        let before = bed.written().await;

        assert_eq!(bed.claim(newer.id, "one").await, None, "{change}");
        assert_eq!(bed.written().await, before, "{change}");
        let mut claimed = bed.claim_due("one", 2).await;
        claimed.sort();
        assert_eq!(claimed, [same.id, other.id], "{change}");
        assert_eq!(bed.claim_due("one", 10).await, [], "{change}");

        let after = bed.written().await;
        let row = |written: &[String]| written.iter().find(|row| row.starts_with(newer.name.as_str())).cloned();
        assert_eq!(row(&after), row(&before), "{change}");
        bed.sql("DELETE FROM gastown_operations").await;
    }
}

async fn newer_operation_counts_as_a_turn_only_while_it_is_driven(bed: Bed) {
    bed.accept_newer_texts().await;
    let newer = bed.newer("newer", "kind = 'hibernate'").await;
    bed.change(&newer, "next_attempt_at = '2000-01-01T00:00:00+00:00'").await;
    let [of_alice, of_bob] = [bed.create("alice", "mill").await, bed.create("bob", "barn").await];
    assert_eq!(bed.claim_due("one", 1).await, [of_alice.id], "the longest due comes first");
    bed.expire_leases().await;
    bed.change(&newer, "lease_expires_at = '3000-01-01T00:00:00+00:00'").await;
    assert_eq!(bed.claim_due("two", 1).await, [of_bob.id], "alice has had a turn");
}

async fn newer_operation_is_shown_as_text(bed: Bed) {
    bed.accept_newer_texts().await;
    let town = bed.newer("mill", "kind = 'hibernate', mark = 'draining', last_error = 'too_hot'").await;
    let is_shown = |shown: &RecordedOperation| {
        assert!(shown.is_newer());
        assert_eq!((shown.kind.as_str(), shown.phase.as_str()), ("hibernate", "draining"));
        let texts = [shown.step.as_ref().map(Recorded::as_str), shown.last_error.as_ref().map(Recorded::as_str)];
        assert_eq!((texts, shown.progress.queued_ms), ([Some("warm_up"), Some("too_hot")], 7));
    };
    is_shown(&bed.database.current(town.id).await.unwrap().unwrap());
    is_shown(&bed.database.operations(10).await.unwrap().remove(0).unwrap().operation);
    let details = bed.database.town_details(town.id, &[], 10).await.unwrap().unwrap();
    is_shown(&details.operation.unwrap().unwrap().operation);
    assert_eq!(details.unreadable, []);
}

async fn newer_operation_is_listed_while_no_worker_drives_it(bed: Bed) {
    bed.accept_newer_texts().await;
    let town = bed.newer("mill", "kind = 'hibernate'").await;
    bed.create("alice", "known").await;
    let listed = async || {
        let listed = bed.database.left_to_newer(10).await.unwrap();
        listed.into_iter().map(|operation| operation.town).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, [town.id]);
    bed.change(&town, "lease_expires_at = '3000-01-01T00:00:00+00:00'").await;
    assert_eq!(listed().await, []);
    bed.change(&town, "lease_expires_at = '2000-01-01T00:00:00+00:00'").await;
    assert_eq!(listed().await, [town.id]);
    bed.change(&town, "next_attempt_at = '3000-01-01T00:00:00+00:00'").await;
    assert_eq!(listed().await, []);
}

async fn start_stop_and_update_beside_a_newer_operation_write_nothing(bed: Bed) {
    bed.accept_newer_texts().await;
    let town = bed.newer("mill", "kind = 'hibernate'").await;
    let before = bed.written().await;
    for kind in [OperationKind::Start, OperationKind::Stop] {
        let Requested::Busy(newer) = bed.request(&town, kind).await else { panic!("{kind} is accepted") };
        assert_eq!(newer.kind, Recorded::Newer("hibernate".to_owned()));
    }
    // The newer operation may remove the town, so the configuration does not change either.
    let config = ConfigPatch { max_polecats: Change::Set(4), ..ConfigPatch::default() };
    let update = UpdateTown { town: town.id, config, expected: town.config.version() };
    let updated = bed.database.update_config(&town.owner, &update).await.unwrap();
    assert_eq!(updated, ConfigUpdated::Busy(Recorded::Newer("hibernate".to_owned())));
    // A known kind at a newer phase is still of its kind.
    bed.change(&town, "kind = 'stop', mark = 'draining'").await;
    let at_newer_phase = bed.written().await;
    assert!(matches!(bed.request(&town, OperationKind::Start).await, Requested::Busy(_)));
    assert!(matches!(bed.request(&town, OperationKind::Stop).await, Requested::Joined(_)));
    assert_eq!(bed.written().await, at_newer_phase);
    bed.change(&town, "kind = 'hibernate', mark = 'begun'").await;
    assert_eq!(bed.written().await, before);
}

async fn owner_destroy_replaces_a_newer_operation(bed: Bed) {
    bed.accept_newer_texts().await;
    // A destroy at a phase that no version drives after a roll back would be stuck if another destroy joined it.
    for (number, change) in [&NEWER[..], &["kind = 'destroy', mark = 'draining'"]].concat().into_iter().enumerate() {
        let (town, holder) = held_by_newer(&bed, number, change).await;
        let destroy = request(&town, OperationKind::Destroy);
        let accepted = bed.database.request(&destroy).await.unwrap();
        replaced(&bed, &town, &holder, accepted, Phase::Begun).await;
        assert_eq!(bed.claimed(town.id, "three").await.id, destroy.id, "{change}");
        bed.sql("DELETE FROM gastown_operations").await;
    }
}

async fn operator_destroy_replaces_a_newer_operation(bed: Bed) {
    bed.accept_newer_texts().await;
    for (number, change) in NEWER.into_iter().enumerate() {
        let (town, holder) = held_by_newer(&bed, number, change).await;
        let accepted = bed.database.destroy(&request(&town, OperationKind::Destroy), EVE).await.unwrap();
        replaced(&bed, &town, &holder, accepted, Phase::Begun).await;
        bed.sql("DELETE FROM gastown_operations").await;
    }
}

async fn destroy_of_a_tombstone_replaces_its_newer_removal(bed: Bed) {
    bed.accept_newer_texts().await;
    for (number, by_owner) in [true, false].into_iter().enumerate() {
        let (town, holder) = held_by_newer(&bed, number, "mark = 'draining'").await;
        bed.sql("UPDATE gastown_towns SET status = 'destroyed', destroyed_at = created_at").await;
        let destroy = request(&town, OperationKind::Destroy);
        let accepted =
            if by_owner { bed.database.request(&destroy).await } else { bed.database.destroy(&destroy, EVE).await };
        replaced(&bed, &town, &holder, accepted.unwrap(), Phase::Settled).await;
        bed.sql("DELETE FROM gastown_operations").await;
    }
}

/// Creates a town whose operation a process of a newer version drives. Returns the claim of that process.
async fn held_by_newer(bed: &Bed, number: usize, change: &str) -> (Town, Operation) {
    let town = bed.create("alice", &format!("mill-{number}")).await;
    let holder = bed.claimed(town.id, "newer").await;
    bed.change(&town, &format!("{change}, progress = '{PROGRESS}'")).await;
    (town, holder)
}

/// Checks that a destroy has taken the place of the operation of a newer version.
async fn replaced(bed: &Bed, town: &Town, holder: &Operation, requested: Requested, phase: Phase) {
    let destroy = accepted(requested);
    assert_eq!((destroy.kind.known(), destroy.phase.known()), (Some(OperationKind::Destroy), Some(phase)));
    assert_eq!(destroy.fence, holder.fence + 1);
    for fenced in [
        bed.database.renew(holder.fence(), LEASE).await.map(drop),
        bed.database.record(holder.fence(), &record(StepName::CreateVolume)).await.map(drop),
        bed.database.finish(holder, Ok(()), &TownChange::default()).await.map(drop),
    ] {
        assert!(is_fenced(&fenced), "{fenced:?}");
    }
    let unconfirmed = UnconfirmedCreate::of_the_past(5);
    assert_eq!((destroy.progress.unconfirmed_volume, destroy.progress.unconfirmed_machine), (unconfirmed, unconfirmed));
    assert_eq!(bed.progress().await["canary"], serde_json::json!({ "seen": [1, 2] }), "unknown fields are kept");
    assert_eq!(bed.database.outcome(holder.id).await.unwrap(), Some(Err(Rejection::Preempted)));
    assert_eq!(bed.database.load(town.id).await.unwrap().unwrap().id, town.id);
}

async fn retry_leaves_a_newer_operation_alone(bed: Bed) {
    bed.accept_newer_texts().await;
    for (number, change) in NEWER.into_iter().enumerate() {
        let town =
            bed.newer(&format!("mill-{number}"), &format!("{change}, attempt = 9, last_error = 'too_hot'")).await;
        let before = bed.written().await;
        let Retried::Newer(newer) = bed.database.retry(town.id, EVE).await.unwrap() else { panic!("{change}") };
        assert_eq!((newer.town, newer.attempt), (town.id, 9));
        assert_eq!(bed.written().await, before, "{change}");
    }
}

async fn town_of_a_newer_operation_is_in_flight(bed: Bed) {
    bed.accept_newer_texts().await;
    for (number, change) in NEWER.into_iter().enumerate() {
        let unfinished = bed.newer(&format!("unfinished-{number}"), change).await;
        let running = bed.running("alice", &format!("running-{number}")).await;
        bed.request(&running, OperationKind::Stop).await;
        bed.change(&running, change).await;
        assert_eq!(bed.database.stranded(10).await.unwrap(), []);
        let due = crate::bed::take_due(&bed.database, 10, std::time::Duration::ZERO).await;
        assert!(due.iter().all(|(town, ..)| town.id != running.id), "{change}");
        for town in [&unfinished, &running] {
            let records = bed.database.town_records(&[TownTag::Whole(town.id)]).await.unwrap();
            assert_eq!(records.iter().map(|record| record.in_flight).collect::<Vec<_>>(), [true], "{change}");
        }
        let create = request(&unfinished, OperationKind::Create);
        assert!(!bed.database.reinstate(&create, &Progress::default()).await.unwrap(), "{change}");
    }
}

/// Gives a town's operation a step, failures and progress of a newer version, and claims it.
async fn claimed_with_newer_texts(bed: &Bed) -> Operation {
    let town = bed.create("alice", "mill").await;
    let texts = format!("step = 'warm_up', last_error = 'too_hot', cause = 'too_cold', progress = '{PROGRESS}'");
    bed.change(&town, &texts).await;
    let claimed = bed.database.claim_due(&worker("one"), LEASE, 10).await.unwrap().remove(0);
    assert_eq!(claimed.step, Some(Recorded::Newer("warm_up".to_owned())));
    assert_eq!(claimed.last_error, Some(Recorded::Newer("too_hot".to_owned())));
    assert_eq!(claimed.cause, Some(Recorded::Newer("too_cold".to_owned())));
    claimed
}

async fn unknown_step_failure_and_progress_survive_an_update(bed: Bed) {
    let claimed = claimed_with_newer_texts(&bed).await;
    let update = gastown_domain::ports::OperationUpdate {
        last_error: claimed.last_error.clone(),
        cause: claimed.cause.clone(),
        progress: Progress { queued_ms: 9, ..claimed.progress.clone() },
        ..record(StepName::CreateVolume)
    };
    bed.database.record(claimed.fence(), &update).await.unwrap();
    let texts = bed.texts("SELECT step || ' ' || last_error || ' ' || cause FROM gastown_operations").await;
    assert_eq!(texts, ["ensure_volume too_hot too_cold"]);
    let progress = bed.progress().await;
    assert_eq!((&progress["queued_ms"], &progress["canary"]), (&9.into(), &serde_json::json!({ "seen": [1, 2] })));
}

async fn unknown_progress_survives_a_pre_empting_destroy(bed: Bed) {
    let claimed = claimed_with_newer_texts(&bed).await;
    let town = bed.database.load(claimed.town).await.unwrap().unwrap();
    assert!(matches!(bed.request(&town, OperationKind::Destroy).await, Requested::Accepted(_)));
    assert_eq!(bed.progress().await["canary"], serde_json::json!({ "seen": [1, 2] }));
}

async fn unknown_cause_is_recorded_as_the_failure_of_the_operation(bed: Bed) {
    let claimed = claimed_with_newer_texts(&bed).await;
    let cause = claimed.cause.clone().unwrap();
    let gone = TownChange { soft_deleted_at: Some(noon()), ..TownChange::default() };
    let rolled_back = Rejection::RolledBack(cause);
    bed.database.finish(&claimed, Err(rolled_back.clone()), &gone).await.unwrap();
    assert_eq!(bed.database.outcome(claimed.id).await.unwrap(), Some(Err(rolled_back)));
    let events = bed.database.town_details(claimed.town, &[], 10).await.unwrap().unwrap().events;
    assert!(events.iter().any(|event| event.error.as_deref() == Some("too_cold")), "{events:?}");
}
