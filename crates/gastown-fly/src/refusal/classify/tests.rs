use super::*;

use Action::{
    CreateApp, CreateMachine, CreateVolume, DestroyMachine, DestroyVolume, GetApp, GetMachine, GetVolume, ListMachines,
    StartMachine, StopMachine, UpdateMachine, WaitMachine,
};

fn refusal(action: Action, status: u16, body: &str) -> Refusal {
    classify(action, status, body.as_bytes(), None)
}

fn error(text: &str) -> String {
    serde_json::json!({ "error": text }).to_string()
}

#[test]
fn every_text_for_a_lack_of_capacity_is_recognised() {
    use Scope::{Host, Region, VolumeHost};
    const MEMORY: &str =
        "aborted: could not reserve resource for machine: insufficient memory available to fulfill request";
    const CPUS: &str = "aborted: could not reserve resource for machine: insufficient CPUs available to fulfill request \
                        on the current host";
    const QUOTA: &str = "organization \"X\" is using 1 MB of memory in dfw which is over the allowed quota. please consider \
                         other regions";
    const FULL_BESIDE_VOLUME: &str = "insufficient resources to create new machine with existing volume 'vol_1'";
    const DISABLED: &str = "deploys to this host are temporarily disabled, please try again later";
    const WRAPPED: &str = "aborted: insufficient resources available to fulfill request: insufficient memory available to \
                           fulfill request";
    for (action, status, text, scope) in [
        (CreateMachine, 422, "could not find a candidate host for machine", Region),
        (CreateMachine, 412, FULL_BESIDE_VOLUME, VolumeHost),
        (CreateMachine, 412, "failed_precondition: insufficient resources to create machine", VolumeHost),
        (CreateMachine, 422, FULL_BESIDE_VOLUME, VolumeHost),
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
        // An existing machine cannot move.
        (StartMachine, 403, QUOTA, Host),
        (StartMachine, 409, "failed to launch VM: region cdg has no capacity", Host),
        // A new volume has no host yet.
        (CreateVolume, 409, "aborted: no capacity", Region),
        (CreateVolume, 400, "no capacity", Region),
        (CreateVolume, 412, "no capacity in region iad", Region),
        (CreateVolume, 412, "insufficient resources in region dfw", Region),
        (CreateVolume, 403, QUOTA, Region),
    ] {
        assert_eq!(refusal(action, status, &error(text)), Refusal::NoCapacity(scope), "{action:?} {status} {text}");
    }
    assert_eq!(
        refusal(UpdateMachine, 409, "insufficient CPUs available to fulfill request"),
        Refusal::NoCapacity(Host)
    );
}

#[test]
fn flys_code_decides_before_any_text() {
    use Scope::{Host, Region, VolumeHost};
    let taken = || Refusal::MachineNameTaken { holder: None };
    let body = |text: &str, code: &str| serde_json::json!({ "error": text, "status": code }).to_string();
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
        (GetMachine, 503, "no room", "insufficient_capacity", Refusal::ServerError),
        // Other calls may have been applied before they failed.
        (CreateMachine, 503, "no capacity", "unknown", Refusal::ServerError),
        (CreateMachine, 503, "nope", "name_taken", Refusal::ServerError),
        (CreateApp, 422, "nope", "name_taken", Refusal::AppNameTaken),
        (CreateMachine, 409, "nope", "name_taken", taken()),
        // A code for something else is not a lack of capacity, whatever the text quotes.
        (UpdateMachine, 409, "insufficient CPUs available to fulfill request", "unknown", Refusal::Unrecognised),
        (CreateVolume, 400, "no capacity", "a_future_code", Refusal::Invalid),
        (CreateMachine, 422, "could not find a candidate host", "name_taken", taken()),
        (UpdateMachine, 409, "insufficient CPUs available to fulfill request", "", Refusal::NoCapacity(Host)),
    ] {
        assert_eq!(refusal(action, status, &body(text, code)), want, "{action:?} {status} {text} {code}");
    }
}

#[test]
fn the_holder_of_a_taken_machine_name_is_read_from_the_text() {
    let text =
        r#"already_exists: unique machine name violation, machine ID 148ed21a031189 already exists with name "town-1""#;
    for status in [409, 422] {
        let want = Refusal::MachineNameTaken { holder: Some("148ed21a031189".to_owned()) };
        assert_eq!(refusal(CreateMachine, status, &error(text)), want);
    }
    let nameless = error("already_exists: unique machine name violation");
    assert_eq!(refusal(CreateMachine, 409, &nameless), Refusal::MachineNameTaken { holder: None });
}

#[test]
fn conflicts_and_preconditions_are_distinguished_by_text() {
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
        assert_eq!(refusal(action, status, &error(text)), want, "{action:?} {status} {text:?}");
    }
}

/// Fly was seen to vary the status, so every one that refuses counts.
#[test]
fn a_refused_region_is_recognised_whatever_its_status() {
    for status in [400, 403, 404, 409, 412, 422] {
        for text in [
            "Region yul is deprecated, please use ewr or yyz",
            "failed_precondition: region yul is deprecated",
            "region 'yul' is no longer available",
            "invalid region: xxx",
            "region not found: xxx",
            "your organization is not allowed to use region hkg",
        ] {
            for action in [CreateVolume, CreateMachine, StartMachine, UpdateMachine] {
                assert_eq!(refusal(action, status, &error(text)), Refusal::RegionRefused, "{action:?} {status} {text}");
            }
        }
    }
    // A lack of capacity stays one where the text names the region.
    let full = error("region cdg has no capacity");
    assert_eq!(refusal(CreateVolume, 412, &full), Refusal::NoCapacity(Scope::Region));
    assert_eq!(refusal(GetVolume, 403, &error("Region yul is deprecated")), Refusal::Unauthorized);
    assert_eq!(refusal(CreateVolume, 503, &error("Region yul is deprecated")), Refusal::ServerError);
    let elsewhere = error("volume does not exist in region yul");
    assert_eq!(refusal(CreateMachine, 404, &elsewhere), Refusal::NotFound(Subject::Volume));
}

#[test]
fn a_stopped_organization_is_no_users_fault() {
    for status in [400, 402, 403, 412, 422] {
        for text in [
            "please add a payment method to your organization",
            "We need your payment information to continue",
            "Your trial has ended, please add a credit card by visiting https://fly.io/trial",
            "Your account has been marked as high risk. Please go to https://fly.io/high-risk-unlock",
            "organization has past due invoices",
        ] {
            for action in [CreateApp, CreateVolume, CreateMachine, StartMachine] {
                assert_eq!(refusal(action, status, &error(text)), Refusal::BillingStop, "{action:?} {status} {text}");
            }
        }
    }
    assert_eq!(refusal(CreateVolume, 402, ""), Refusal::BillingStop);
}

#[test]
fn a_missing_or_forbidden_image_is_no_users_fault() {
    for status in [400, 403, 404, 412, 422] {
        for (text, want) in [
            ("MANIFEST_UNKNOWN: manifest unknown", Refusal::ImageUnknown),
            ("could not find image \"registry.fly.io/gastown:1\"", Refusal::ImageUnknown),
            ("NAME_UNKNOWN: repository name not known to registry", Refusal::ImageUnknown),
            ("unauthorized: authentication required", Refusal::ImageForbidden),
            ("denied: requested access to the resource is denied", Refusal::ImageForbidden),
            (
                "pull access denied for a/b, repository does not exist or may require authorization",
                Refusal::ImageForbidden,
            ),
        ] {
            for action in [CreateMachine, UpdateMachine, StartMachine] {
                assert_eq!(refusal(action, status, &error(text)), want, "{action:?} {status} {text}");
            }
        }
    }
    // No other action reads an image.
    assert_eq!(refusal(GetMachine, 404, &error("image not found")), Refusal::NotFound(Subject::Machine));
}

#[test]
fn an_unknown_conflict_is_unrecognised() {
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
                assert_eq!(refusal(action, status, body), Refusal::Unrecognised, "{action:?} {status} {body:?}");
            }
        }
    }
    assert_eq!(refusal(GetMachine, 302, ""), Refusal::Unrecognised);
    assert_eq!(refusal(GetMachine, 418, ""), Refusal::Unrecognised);
}

#[test]
fn a_404_names_the_missing_object() {
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
        assert_eq!(refusal(action, status, body), want, "{action:?} {status} {body:?}");
    }
}

#[test]
fn a_408_is_the_end_of_a_wait_and_the_failure_of_a_write() {
    let text = "deadline_exceeded: machine failed to reach desired state, started, currently created";
    assert_eq!(refusal(WaitMachine, 408, &error(text)), Refusal::NotYet);
    assert_eq!(refusal(WaitMachine, 408, ""), Refusal::NotYet);
    assert_eq!(refusal(CreateMachine, 408, ""), Refusal::ServerError);
    assert_eq!(refusal(WaitMachine, 409, &error("not going there")), Refusal::WrongState);
    assert_eq!(refusal(WaitMachine, 400, &error("machine cannot reach started")), Refusal::WrongState);
    let capped = "invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]";
    assert_eq!(refusal(WaitMachine, 400, &error(capped)), Refusal::Invalid);
}

#[test]
fn the_status_decides_where_the_text_is_unknown() {
    for (status, body, want) in [
        (400, r#"{"error":"invalid_argument: bad"}"#, Refusal::Invalid),
        (401, r#"{"message":"Unauthorized"}"#, Refusal::Unauthorized),
        (401, r#"{"error":"Authenticate: token validation error"}"#, Refusal::Unauthorized),
        (403, r#"{"error":"unauthorized"}"#, Refusal::Unauthorized),
        (403, r#"{"error":"forbidden: insufficient permissions"}"#, Refusal::Unauthorized),
        (422, "", Refusal::Invalid),
        (500, "<html>", Refusal::ServerError),
        (502, "", Refusal::ServerError),
        (503, "upstream", Refusal::ServerError),
        (504, "", Refusal::ServerError),
    ] {
        assert_eq!(refusal(CreateMachine, status, body), want, "{status} {body:?}");
    }
}

#[test]
fn a_429_carries_the_pause_that_fly_asks_for() {
    let asked = Some(Duration::from_secs(7));
    assert_eq!(classify(CreateMachine, 429, b"rate limit exceeded", asked), Refusal::Throttled { retry_after: asked });
    assert_eq!(refusal(CreateMachine, 429, ""), Refusal::Throttled { retry_after: None });
}

#[test]
fn a_5xx_is_a_server_error_whatever_its_text() {
    let full = r#"{"error":"no capacity","status":"insufficient_capacity"}"#;
    for body in ["", "null", full, r#"{"error":"no capacity"}"#, "no capacity", "machine not found"] {
        // The only exception is Fly's code for a lack of capacity in a 503.
        for status in (500..=599).filter(|status| (*status, body) != (503, full)) {
            assert_eq!(refusal(CreateMachine, status, body), Refusal::ServerError, "{status} {body:?}");
        }
    }
}

#[test]
fn unreadable_bodies_are_never_an_absence_or_a_lack_of_capacity() {
    let bodies: [&[u8]; 5] = [b"", b"null", b"[1]", &[0xff, 0xfe, 0], br#"{"error":{"nested":1},"status":7}"#];
    for action in Action::ALL {
        for status in (300..404).chain(405..500) {
            for body in bodies {
                let found = classify(action, status, body, None);
                let harmless = !matches!(found, Refusal::NotFound(_) | Refusal::NoCapacity(_) | Refusal::AppNameTaken);
                assert!(harmless, "{action:?} {status} {body:?}: {found:?}");
            }
        }
    }
}
