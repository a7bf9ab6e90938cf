use gastown_domain::ports::{self, AuditedEvent, TownDetails, TownEvent, TownHealth, Unreadable, WorkerId};
use gastown_domain::{self as domain};
use serde_json::{Value, json};

use super::*;

fn held() -> ports::HeldOperation {
    ports::HeldOperation {
        operation: domain::Operation { attempt: 3, ..domain::Operation::sample() }.into(),
        owner: "alice".parse().unwrap(),
        name: "mill".to_owned(),
        held_by: Some(WorkerId("one".to_owned())),
        lease_expires_at: Some(DateTime::<Utc>::UNIX_EPOCH),
    }
}

fn event() -> TownEvent {
    TownEvent {
        at: DateTime::<Utc>::UNIX_EPOCH,
        actor: "operator:eve".to_owned(),
        action: "stop".to_owned(),
        outcome: "failed".to_owned(),
        error: Some("throttled".to_owned()),
        operation: Some(domain::Operation::sample().id),
        last_step: None,
    }
}

fn details() -> TownDetails {
    let drift = Some((Recorded::Newer("moved_to_the_moon".to_owned()), DateTime::<Utc>::UNIX_EPOCH));
    TownDetails {
        town: domain::Town::sample(),
        rigs: vec![domain::Rig::sample()],
        health: Ok(TownHealth { drift, ..TownHealth::default() }),
        operation: Some(Ok(held())),
        events: vec![event()],
        orphans: vec![],
        unreadable: vec![unreadable()],
    }
}

fn unreadable() -> Unreadable {
    Unreadable { town: domain::Town::sample().id, which: "gastown_rigs.status".to_owned() }
}

/// Returns a report after its way over the network.
fn sent<T: Serialize + serde::de::DeserializeOwned>(report: &T) -> T {
    serde_json::from_str(&json(report).unwrap()).unwrap()
}

#[test]
fn reports_are_the_same_on_the_other_side() {
    let report = TownReport::from(&details());
    assert_eq!(sent(&report), report);
    let listed =
        ports::ListedTown { town: details().town, health: Err(unreadable()), operation: Some(Err(unreadable())) };
    let list = TownList::of(&[Ok(listed), Err(unreadable())], 2);
    assert_eq!(sent(&list), list);
    assert!(matches!(sent(&list).towns.as_slice(), [Readable::Read(_), Readable::Unreadable(_)]));
    let events = EventList::of(
        &[AuditedEvent {
            town: domain::Town::sample().id,
            owner: "alice".to_owned(),
            name: "mill".to_owned(),
            event: event(),
        }],
        1,
    );
    assert_eq!(sent(&events), events);
}

#[test]
fn reports_have_the_names_of_the_wire() {
    let report = serde_json::to_value(TownReport::from(&details())).unwrap();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(names(&report), "events health operation orphans rigs town unreadable");
    assert_eq!(
        names(&report["town"]),
        "createdAt destroyedAt flyMachineId flyRegion flyVolumeId lastHeartbeatAt lastR2SyncAt sandboxId status townId \
         townName userId"
    );
    assert_eq!(
        names(&report["operation"]),
        "attempt attention cause deadlineAt heldBy kind lastError leaseExpiresAt mark nextAttemptAt operationId queuedMs \
         requestedBy startedAt step townId townName updatedAt userId"
    );
    assert_eq!(report["operation"]["leaseExpiresAt"], json!("1970-01-01T00:00:00.000Z"));
    assert_eq!(report["health"]["drift"]["code"], json!("moved_to_the_moon"));
    assert_eq!(report["unreadable"][0]["unreadable"], json!("gastown_rigs.status"));
}

#[test]
fn fields_of_a_newer_server_are_skipped() {
    let mut report = serde_json::to_value(TownReport::from(&details())).unwrap();
    report["town"]["status"] = json!("hibernating");
    report["town"]["climate"] = json!({ "mild": true });
    let read: TownReport = serde_json::from_value(report).unwrap();
    assert_eq!(read.town.status, "hibernating");
}

#[test]
fn towns_without_a_machine_are_left_out_when_compared() {
    let listed = ports::ListedTown { town: details().town, health: Err(unreadable()), operation: None };
    let list = || TownList::of(&[Ok(listed.clone()), Err(unreadable())], 10);
    let machine = MachineOfTown { image: None, has_old_key: Some(true) };
    let machines = std::collections::HashMap::from([(listed.town.id, machine)]);
    let compared = list().with_machines(&machines, |machine| machine.has_old_key == Some(true));
    let value = serde_json::to_value(&compared).unwrap();
    assert_eq!((&value["towns"][0]["image"], &value["towns"][0]["hasOldKey"]), (&Value::Null, &json!(true)));
    assert_eq!(sent(&compared), compared);
    assert_eq!(list().with_machines(&machines, |_| false).towns.len(), 1, "only the row that cannot be read");
    assert!(serde_json::to_value(list()).unwrap()["towns"][0].get("image").is_none());
    let cut = list().cut(1);
    assert!(cut.more && cut.towns.len() == 1 && !list().cut(2).more);
}
