use super::*;

use Action::{
    CreateApp, CreateMachine, CreateVolume, DestroyMachine, DestroyVolume, GetApp, GetMachine, GetVolume, ListMachines,
    StartMachine, StopMachine, UpdateMachine, WaitMachine,
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
    const MEMORY: &str =
        "aborted: could not reserve resource for machine: insufficient memory available to fulfill request";
    const CPUS: &str = "aborted: could not reserve resource for machine: insufficient CPUs available to fulfill request \
                        on the current host";
    const QUOTA: &str = "organization \"X\" is using 1 MB of memory in dfw which is over the allowed quota. please consider \
                         other regions";
    const NO_ROOM_BESIDE: &str = "insufficient resources to create new machine with existing volume 'vol_1'";
    const DISABLED: &str = "deploys to this host are temporarily disabled, please try again later";
    const WRAPPED: &str = "aborted: insufficient resources available to fulfill request: insufficient memory available to \
                           fulfill request";
    for (action, status, text, scope) in [
        (CreateMachine, 422, "could not find a candidate host for machine", Region),
        (CreateMachine, 412, NO_ROOM_BESIDE, VolumeHost),
        (CreateMachine, 412, "failed_precondition: insufficient resources to create machine", VolumeHost),
        (CreateMachine, 422, NO_ROOM_BESIDE, VolumeHost),
        (CreateMachine, 409, WRAPPED, Host),
        (CreateMachine, 409, DISABLED, Host),
        (CreateMachine, 409, MEMORY, Host),
        (CreateMachine, 422, MEMORY, Host),
        (CreateMachine, 409, "aborted: no capacity", Region),
        (CreateMachine, 403, QUOTA, Region),
        (UpdateMachine, 409, CPUS, Host),
        (UpdateMachine, 409, "insufficient CPUs available to fulfill request", Host),
        (UpdateMachine, 409, "insufficient memory available to fulfill request", Host),
        (UpdateMachine, 409, DISABLED, Host),
        (StartMachine, 409, MEMORY, Host),
        (StartMachine, 409, "aborted: insufficient IPs available to fulfill request", Host),
        (StartMachine, 409, "insufficient IPs available on host", Host),
        (StartMachine, 409, "insufficient resources available to fulfill request", Host),
        (StartMachine, 409, "governor policy blocked start", Host),
        (StartMachine, 409, DISABLED, Host),
        // A machine that is there cannot go elsewhere.
        (StartMachine, 403, QUOTA, Host),
        (StartMachine, 409, "failed to launch VM: region cdg has no capacity", Host),
        // A volume that is not there yet can.
        (CreateVolume, 409, "aborted: no capacity", Region),
        (CreateVolume, 400, "no capacity", Region),
        (CreateVolume, 412, "no capacity in region iad", Region),
        (CreateVolume, 412, "insufficient resources in region dfw", Region),
        (CreateVolume, 403, QUOTA, Region),
    ] {
        assert_eq!(judge(action, status, &error(text)), Refusal::NoCapacity(scope), "{action:?} {status} {text}");
    }
    assert_eq!(judge(UpdateMachine, 409, "insufficient CPUs available to fulfill request"), Refusal::NoCapacity(Host));
}

#[test]
fn flys_own_code_decides_before_any_text() {
    use Scope::{Host, Region, VolumeHost};
    let taken = || Refusal::MachineNameTaken { holder: None };
    let told = |text: &str, code: &str| serde_json::json!({ "error": text, "status": code }).to_string();
    for (action, status, text, code, want) in [
        (CreateMachine, 422, "could not find a candidate host", "insufficient_capacity", Refusal::NoCapacity(Region)),
        (CreateMachine, 412, "no hosts available", "insufficient_capacity", Refusal::NoCapacity(Region)),
        (CreateMachine, 412, "no room", "volume_placement_capacity", Refusal::NoCapacity(VolumeHost)),
        (CreateVolume, 412, "no room", "volume_placement_capacity", Refusal::NoCapacity(Region)),
        (StartMachine, 422, "no room", "insufficient_capacity", Refusal::NoCapacity(Host)),
        (CreateMachine, 503, "no hosts available", "insufficient_capacity", Refusal::NoCapacity(Region)),
        (CreateMachine, 503, "", "volume_placement_capacity", Refusal::NoCapacity(VolumeHost)),
        (CreateVolume, 503, "no room", "insufficient_capacity", Refusal::NoCapacity(Region)),
        (StartMachine, 503, "no room", "insufficient_capacity", Refusal::NoCapacity(Host)),
        (GetMachine, 503, "no room", "insufficient_capacity", Refusal::ServerTrouble),
        // Of others it is not known what was done before they failed.
        (CreateMachine, 503, "no capacity", "unknown", Refusal::ServerTrouble),
        (CreateMachine, 503, "nope", "name_taken", Refusal::ServerTrouble),
        (CreateApp, 422, "nope", "name_taken", Refusal::AppNameTaken),
        (CreateMachine, 409, "nope", "name_taken", taken()),
        // What Fly has classified as something else is no lack of room, whatever it quotes.
        (UpdateMachine, 409, "insufficient CPUs available to fulfill request", "unknown", Refusal::Unrecognised),
        (CreateVolume, 400, "no capacity", "a_code_of_tomorrow", Refusal::Invalid),
        (CreateMachine, 422, "could not find a candidate host", "name_taken", taken()),
        (UpdateMachine, 409, "insufficient CPUs available to fulfill request", "", Refusal::NoCapacity(Host)),
    ] {
        assert_eq!(judge(action, status, &told(text, code)), want, "{action:?} {status} {text} {code}");
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
        (CreateVolume, 422, "uniqueness constraint violated", Refusal::Invalid),
        (CreateMachine, 422, "Name has already been taken", Refusal::MachineNameTaken { holder: None }),
        (CreateApp, 422, "Validation failed: Name under 63 chars using numbers", Refusal::Invalid),
        (
            UpdateMachine,
            409,
            "machine ID 1 lease currently held by a@b, expires at 2026-11-23T00:00:00Z",
            Refusal::LeaseHeld,
        ),
        (UpdateMachine, 409, "aborted: machine update failed due to concurrent update", Refusal::ConcurrentUpdate),
        (UpdateMachine, 412, "precondition failed: current_version does not match", Refusal::ConcurrentUpdate),
        (UpdateMachine, 412, "machine_version mismatch: expected 5, got 4", Refusal::ConcurrentUpdate),
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
        (CreateMachine, 400, "failed to get manifest: manifest unknown", Refusal::ImageUnknown),
        (
            StopMachine,
            412,
            "failed_precondition: unable to stop machine from current state: 'destroyed'",
            Refusal::WrongState,
        ),
    ] {
        assert_eq!(judge(action, status, &error(text)), want, "{action:?} {status} {text:?}");
    }
}

#[test]
fn an_unknown_conflict_calls_for_no_recovery() {
    for status in [409, 412] {
        for body in [
            "",
            "{}",
            r#"{"error":"aborted: something new"}"#,
            r#"{"error":"conflict: machine is already being updated"}"#,
            r#"{"error":"min_secrets_version 3 is not yet available on this app"}"#,
            "<html>conflict</html>",
        ] {
            for action in [CreateMachine, StartMachine, StopMachine, DestroyMachine, CreateVolume, DestroyVolume] {
                assert_eq!(judge(action, status, body), Refusal::Unrecognised, "{action:?} {status} {body:?}");
            }
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
        (403, r#"{"error":"forbidden: insufficient permissions"}"#, Refusal::Unauthorized),
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
    let full = r#"{"error":"no capacity","status":"insufficient_capacity"}"#;
    for body in ["", "null", full, r#"{"error":"no capacity"}"#, "no capacity", "machine not found"] {
        // The one word that is believed: Fly's own code in Fly's own 503.
        for status in (500..=599).filter(|status| (*status, body) != (503, full)) {
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
