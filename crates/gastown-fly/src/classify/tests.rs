use super::*;

use Action::{
    CreateApp, CreateMachine, CreateVolume, DestroyMachine, DestroyVolume, GetApp, GetMachine, GetVolume, ListMachines,
    ReleaseLease, StartMachine, StopMachine, UpdateMachine, WaitMachine,
};

fn judge(action: Action, status: u16, body: &str) -> Refusal {
    classify(action, status, body.as_bytes(), None)
}

fn error(text: &str) -> String {
    serde_json::json!({ "error": text }).to_string()
}

#[test]
fn capacity_is_recognised_in_every_disguise() {
    use Scope::{Host, Region, VolumeHost};
    for (action, status, body, scope) in [
        (CreateMachine, 422, r#"{"error":"could not find a candidate host","status":"insufficient_capacity"}"#, Region),
        (CreateMachine, 422, r#"{"error":"could not find a candidate host for machine"}"#, Region),
        (
            CreateMachine,
            412,
            r#"{"error":"insufficient resources to create new machine with existing volume 'vol_1'","status":"volume_placement_capacity"}"#,
            VolumeHost,
        ),
        (
            CreateMachine,
            412,
            r#"{"error":"insufficient resources to create new machine with existing volume 'vol_1'"}"#,
            VolumeHost,
        ),
        (
            StartMachine,
            409,
            r#"{"error":"aborted: could not reserve resource for machine: insufficient memory available to fulfill request"}"#,
            Host,
        ),
        (
            UpdateMachine,
            409,
            r#"{"error":"aborted: could not reserve resource for machine: insufficient CPUs available to fulfill request"}"#,
            Host,
        ),
        (StartMachine, 409, r#"{"error":"insufficient IPs available on host"}"#, Host),
        (StartMachine, 409, r#"{"error":"insufficient resources available to fulfill request"}"#, Host),
        (StartMachine, 409, r#"{"error":"governor policy blocked start"}"#, Host),
        (
            CreateMachine,
            409,
            r#"{"error":"deploys to this host are temporarily disabled, please try again later"}"#,
            Host,
        ),
        (CreateVolume, 409, r#"{"error":"aborted: no capacity"}"#, Region),
        (CreateVolume, 400, r#"{"error":"no capacity"}"#, Region),
        (
            CreateMachine,
            403,
            r#"{"error":"organization \"X\" is using 1 MB of memory in dfw which is over the allowed quota. please consider other regions"}"#,
            Region,
        ),
    ] {
        assert_eq!(judge(action, status, body), Refusal::NoCapacity(scope), "{action:?} {status} {body}");
    }
}

#[test]
fn a_taken_machine_name_names_its_holder() {
    let text =
        r#"already_exists: unique machine name violation, machine ID 148ed21a031189 already exists with name "town-1""#;
    for status in [409, 422] {
        let want = Refusal::MachineNameTaken { holder: Some("148ed21a031189".to_owned()) };
        assert_eq!(judge(CreateMachine, status, &error(text)), want);
    }
    let nameless = error("already_exists: unique machine name violation");
    assert_eq!(judge(CreateMachine, 409, &nameless), Refusal::MachineNameTaken { holder: None });
}

#[test]
fn conflicts_and_preconditions_are_told_apart_by_text() {
    for (action, status, text, want) in [
        (CreateApp, 422, "Validation failed: Name has already been taken", Refusal::AppNameTaken),
        (CreateApp, 422, "uniqueness constraint violated", Refusal::AppNameTaken),
        (CreateApp, 422, "Validation failed: Name under 63 chars using numbers", Refusal::Invalid),
        (
            UpdateMachine,
            409,
            "machine ID 1 lease currently held by a@b, expires at 2026-11-23T00:00:00Z",
            Refusal::LeaseHeld,
        ),
        (UpdateMachine, 409, "aborted: machine update failed due to concurrent update", Refusal::ConcurrentUpdate),
        (
            CreateMachine,
            412,
            "failed_precondition: volume already claimed by machine 148ed21a031189",
            Refusal::VolumeClaimed,
        ),
        (CreateMachine, 412, "failed_precondition: volume already claimed by machine \0\0\0\0", Refusal::VolumeClaimed),
        (
            DestroyVolume,
            412,
            "failed_precondition: volume is currently bound to machine: 148ed21a031189",
            Refusal::VolumeBound,
        ),
        (
            StartMachine,
            412,
            "failed_precondition: unable to start machine from current state: 'created'",
            Refusal::WrongState,
        ),
        (StartMachine, 412, "failed_precondition: machine getting replaced, refusing to start", Refusal::WrongState),
        (StartMachine, 412, "failed_precondition: machine still active, refusing to start", Refusal::WrongState),
        (
            DestroyMachine,
            412,
            "failed_precondition: unable to destroy machine, not currently stopped, suspended, failed or created",
            Refusal::WrongState,
        ),
        (
            CreateMachine,
            422,
            "Your organization has reached its machine limit. Please contact billing@fly.io",
            Refusal::MachineLimit,
        ),
        (CreateMachine, 400, "MANIFEST_UNKNOWN: manifest unknown", Refusal::ImageUnknown),
        (ReleaseLease, 404, "lease not found", Refusal::NotFound(Subject::Lease)),
    ] {
        assert_eq!(judge(action, status, &error(text)), want, "{action:?} {status} {text:?}");
    }
}

#[test]
fn an_unknown_conflict_calls_for_no_recovery() {
    for status in [409, 412] {
        for body in ["", "{}", r#"{"error":"aborted: something new"}"#, "<html>conflict</html>"] {
            assert_eq!(judge(CreateMachine, status, body), Refusal::Unrecognised, "{status} {body:?}");
        }
    }
    assert_eq!(judge(GetMachine, 302, ""), Refusal::Unrecognised);
    assert_eq!(judge(GetMachine, 418, ""), Refusal::Unrecognised);
}

#[test]
fn a_404_says_what_is_missing() {
    for (action, status, body, want) in [
        (GetMachine, 404, r#"{"error":"machine not found"}"#, Refusal::NotFound(Subject::Machine)),
        (GetMachine, 404, "", Refusal::NotFound(Subject::Machine)),
        (GetMachine, 404, r#"{"error":"app not found"}"#, Refusal::NotFound(Subject::App)),
        (ListMachines, 400, r#"{"error":"could not find app \"x\""}"#, Refusal::NotFound(Subject::App)),
        (GetMachine, 404, "404 page not found", Refusal::NoSuchRoute),
        (GetVolume, 404, r#"{"error":"volume not found"}"#, Refusal::NotFound(Subject::Volume)),
        (CreateMachine, 400, r#"{"error":"volume does not exist"}"#, Refusal::NotFound(Subject::Volume)),
        (CreateMachine, 422, r#"{"error":"could not find volume vol_1"}"#, Refusal::NotFound(Subject::Volume)),
        (GetApp, 404, "", Refusal::NotFound(Subject::App)),
        (StopMachine, 405, "", Refusal::NoSuchRoute),
    ] {
        assert_eq!(judge(action, status, body), want, "{action:?} {status} {body:?}");
    }
}

#[test]
fn a_wait_that_ends_is_no_trouble_but_a_write_that_times_out_is() {
    let text = "deadline_exceeded: machine failed to reach desired state, started, currently created";
    assert_eq!(judge(WaitMachine, 408, &error(text)), Refusal::NotYet);
    assert_eq!(judge(WaitMachine, 408, ""), Refusal::NotYet);
    assert_eq!(judge(CreateMachine, 408, ""), Refusal::ServerTrouble);
    assert_eq!(judge(WaitMachine, 409, &error("not going there")), Refusal::WrongState);
    assert_eq!(judge(WaitMachine, 400, &error("machine cannot reach started")), Refusal::WrongState);
    let capped = "invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]";
    assert_eq!(judge(WaitMachine, 400, &error(capped)), Refusal::Invalid);
}

#[test]
fn what_the_status_alone_says() {
    for (status, body, want) in [
        (400, r#"{"error":"invalid_argument: bad"}"#, Refusal::Invalid),
        (401, r#"{"message":"Unauthorized"}"#, Refusal::Unauthorized),
        (401, r#"{"error":"Authenticate: token validation error"}"#, Refusal::Unauthorized),
        (403, r#"{"error":"unauthorized"}"#, Refusal::Unauthorized),
        (422, "", Refusal::Invalid),
        (500, "<html>", Refusal::ServerTrouble),
        (502, "", Refusal::ServerTrouble),
        (503, "upstream", Refusal::ServerTrouble),
        (504, "", Refusal::ServerTrouble),
    ] {
        assert_eq!(judge(CreateMachine, status, body), want, "{status} {body:?}");
    }
}

#[test]
fn a_429_carries_what_fly_asks_for() {
    let asked = Some(Duration::from_secs(7));
    assert_eq!(classify(CreateMachine, 429, b"rate limit exceeded", asked), Refusal::Throttled { retry_after: asked });
    assert_eq!(judge(CreateMachine, 429, ""), Refusal::Throttled { retry_after: None });
}

#[test]
fn whatever_a_5xx_says_its_outcome_is_unknown() {
    for body in ["", "null", r#"{"error":"no capacity","status":"insufficient_capacity"}"#, "machine not found"] {
        for status in 500..=599 {
            assert_eq!(judge(CreateMachine, status, body), Refusal::ServerTrouble, "{status} {body:?}");
        }
    }
}

#[test]
fn rubbish_is_never_read_as_absence_or_capacity() {
    let bodies: [&[u8]; 5] = [b"", b"null", b"[1]", &[0xff, 0xfe, 0], br#"{"error":{"nested":1},"status":7}"#];
    for action in Action::ALL {
        for status in (300..404).chain(405..500) {
            for body in bodies {
                let verdict = classify(action, status, body, None);
                let harmless =
                    !matches!(verdict, Refusal::NotFound(_) | Refusal::NoCapacity(_) | Refusal::AppNameTaken);
                assert!(harmless, "{action:?} {status} {body:?}: {verdict:?}");
            }
        }
    }
}
