//! The answers as fly-go decodes them: each field that a struct of fly-go has must have a value of the field's type.
//!
//! Go ignores fields that a struct lacks, and null. A value of another type fails the whole answer.

use serde_json::{Value, json};

use crate::client::{Fly, mounting};

/// A type of Go, as its JSON decoder sees it.
#[derive(Debug, Clone, Copy)]
enum Go {
    Str,
    Int,
    Float,
    Bool,
    Time,
    /// `map[string]string`.
    Map,
    /// `[]string`.
    Strs,
    Struct(&'static str),
    List(&'static str),
}

use Go::{Bool, Float, Int, List, Map, Str, Strs, Struct, Time};

/// The JSON names of a struct's fields, with their types.
type Fields = &'static [(&'static str, Go)];

/// The structs of fly-go: name, file, and fields. Fields of a configuration that clients only write are left out.
const STRUCTS: &[(&str, &str, Fields)] = &[
    (
        "Machine",
        "machine_types.go",
        &[
            ("id", Str),
            ("name", Str),
            ("state", Str),
            ("region", Str),
            ("image_ref", Struct("MachineImageRef")),
            ("instance_id", Str),
            ("version", Str),
            ("private_ip", Str),
            ("created_at", Str),
            ("updated_at", Str),
            ("config", Struct("MachineConfig")),
            ("events", List("MachineEvent")),
            ("nonce", Str),
        ],
    ),
    (
        "MachineImageRef",
        "machine_types.go",
        &[("registry", Str), ("repository", Str), ("tag", Str), ("digest", Str), ("labels", Map)],
    ),
    (
        "MachineConfig",
        "machine_types.go",
        &[
            ("env", Map),
            ("init", Struct("MachineInit")),
            ("guest", Struct("MachineGuest")),
            ("metadata", Map),
            ("mounts", List("MachineMount")),
            ("image", Str),
            ("schedule", Str),
            ("auto_destroy", Bool),
            ("restart", Struct("MachineRestart")),
            ("standbys", Strs),
        ],
    ),
    (
        "MachineInit",
        "machine_types.go",
        &[("exec", Strs), ("entrypoint", Strs), ("cmd", Strs), ("tty", Bool), ("swap_size_mb", Int)],
    ),
    (
        "MachineGuest",
        "machine_types.go",
        &[("cpu_kind", Str), ("cpus", Int), ("memory_mb", Int), ("kernel_args", Strs)],
    ),
    (
        "MachineMount",
        "machine_types.go",
        &[("encrypted", Bool), ("path", Str), ("size_gb", Int), ("volume", Str), ("name", Str)],
    ),
    ("MachineRestart", "machine_types.go", &[("policy", Str), ("max_retries", Int)]),
    (
        "MachineEvent",
        "machine_types.go",
        &[("type", Str), ("status", Str), ("request", Struct("MachineRequest")), ("source", Str), ("timestamp", Int)],
    ),
    ("MachineRequest", "machine_types.go", &[("exit_event", Struct("MachineExitEvent")), ("restart_count", Int)]),
    (
        "MachineExitEvent",
        "machine_types.go",
        &[
            ("exit_code", Int),
            ("guest_exit_code", Int),
            ("guest_signal", Int),
            ("oom_killed", Bool),
            ("requested_stop", Bool),
            ("restarting", Bool),
            ("signal", Int),
            ("exited_at", Time),
        ],
    ),
    ("MachineLease", "machine_types.go", &[("status", Str), ("data", Struct("MachineLeaseData")), ("message", Str)]),
    ("MachineLeaseData", "machine_types.go", &[("nonce", Str), ("expires_at", Int), ("owner", Str), ("version", Str)]),
    ("MachineStartResponse", "machine_types.go", &[("message", Str), ("status", Str), ("previous_state", Str)]),
    ("MachineExecResponse", "machine_types.go", &[("exit_code", Int), ("stdout", Str), ("stderr", Str)]),
    (
        "ProcessStat",
        "machine_types.go",
        &[
            ("pid", Int),
            ("stime", Int),
            ("rtime", Int),
            ("command", Str),
            ("directory", Str),
            ("cpu", Int),
            ("rss", Int),
            ("listen_sockets", List("ListenSocket")),
        ],
    ),
    ("ListenSocket", "machine_types.go", &[("proto", Str), ("address", Str)]),
    (
        "Volume",
        "volume_types.go",
        &[
            ("id", Str),
            ("name", Str),
            ("state", Str),
            ("size_gb", Int),
            ("region", Str),
            ("zone", Str),
            ("encrypted", Bool),
            ("attached_machine_id", Str),
            ("attached_alloc_id", Str),
            ("created_at", Time),
            ("host_dedication_id", Str),
            ("snapshot_retention", Int),
            ("auto_backup_enabled", Bool),
            ("host_status", Str),
        ],
    ),
    (
        "VolumeSnapshot",
        "volume_types.go",
        &[("id", Str), ("size", Int), ("digest", Str), ("created_at", Time), ("status", Str), ("retention_days", Int)],
    ),
    ("ExtendVolumeResponse", "flaps/flaps_volumes.go", &[("volume", Struct("Volume")), ("needs_restart", Bool)]),
    (
        "App",
        "flaps/flaps_apps.go",
        &[
            ("id", Str),
            ("name", Str),
            ("internal_numeric_id", Int),
            ("network", Str),
            ("status", Str),
            ("machine_count", Int),
            ("volume_count", Int),
            ("organization", Struct("AppOrganizationInfo")),
        ],
    ),
    ("AppOrganizationInfo", "flaps/flaps_apps.go", &[("name", Str), ("slug", Str)]),
    ("ListApps", "flaps/flaps_apps.go", &[("apps", List("App"))]),
    ("ListIPAssignmentsResponse", "flaps/flaps_ip_assignments.go", &[("ips", List("IPAssignment"))]),
    (
        "IPAssignment",
        "flaps/flaps_ip_assignments.go",
        &[
            ("ip", Str),
            ("region", Str),
            ("service_name", Str),
            ("shared", Bool),
            ("created_at", Time),
            ("egress", Bool),
            ("network", Struct("IPAssignmentNetwork")),
        ],
    ),
    ("IPAssignmentNetwork", "flaps/flaps_ip_assignments.go", &[("name", Str), ("org_slug", Str)]),
    ("RegionData", "flaps/flaps_platform.go", &[("Regions", List("Region")), ("Nearest", Str)]),
    (
        "Region",
        "types.go",
        &[("code", Str), ("name", Str), ("latitude", Float), ("longitude", Float), ("gateway_available", Bool)],
    ),
    ("GetPlacementsResponse", "flaps/flaps_platform.go", &[("Regions", List("RegionPlacement"))]),
    ("RegionPlacement", "flaps/flaps_platform.go", &[("Region", Str), ("Count", Int), ("Concurrency", Int)]),
];

/// Decodes a value as Go does. Returns the problem, with its place.
fn decode(go: Go, value: &Value, at: &str) -> Result<(), String> {
    let fits = match go {
        _ if value.is_null() => true,
        Str => value.is_string(),
        Int => value.is_i64() || value.is_u64(),
        Float => value.is_number(),
        Bool => value.is_boolean(),
        Time => value.as_str().is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok()),
        Map => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        Strs => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        Struct(name) => return decode_struct(name, value, at),
        List(name) => {
            let Some(items) = value.as_array() else { return Err(format!("{at}: {value} is no list")) };
            return items.iter().try_for_each(|item| decode_struct(name, item, at));
        }
    };
    if fits { Ok(()) } else { Err(format!("{at}: {value} is not a {go:?}")) }
}

fn decode_struct(name: &str, value: &Value, at: &str) -> Result<(), String> {
    let (_, file, fields) = STRUCTS.iter().find(|(known, ..)| *known == name).expect("the struct is in the table");
    let Some(object) = value.as_object() else { return Err(format!("{at}: {value} is no {name}")) };
    fields.iter().try_for_each(|(field, go)| match object.get(*field) {
        Some(value) => decode(*go, value, &format!("{at} {name}.{field} ({file})")),
        None => Ok(()),
    })
}

#[tokio::test]
async fn every_answer_decodes_into_the_structs_of_fly_go() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    let id = fly.start_machine(mounting("town", &volume)).await;
    let machine = format!("machines/{id}");
    let placement = json!({ "org_slug": "personal", "count": 1 });
    let stop = json!({ "id": id, "timeout": "0s" });
    let steps: &[(&str, &str, Value, Go)] = &[
        ("POST", &format!("{machine}/exec"), json!({ "cmd": "echo a" }), Struct("MachineExecResponse")),
        ("GET", &format!("{machine}/ps"), Value::Null, List("ProcessStat")),
        ("POST", &format!("{machine}/lease?ttl=1"), Value::Null, Struct("MachineLease")),
        ("GET", &format!("{machine}/lease"), Value::Null, Struct("MachineLease")),
        ("POST", &format!("volumes/{volume}/snapshots"), Value::Null, Struct("Volume")),
        ("GET", &format!("volumes/{volume}/snapshots"), Value::Null, List("VolumeSnapshot")),
        ("PUT", &format!("volumes/{volume}/extend"), json!({ "size_gb": 2 }), Struct("ExtendVolumeResponse")),
        ("POST", "ip_assignments", json!({ "type": "private_v6" }), Struct("IPAssignment")),
        ("GET", "ip_assignments", Value::Null, Struct("ListIPAssignmentsResponse")),
        ("GET", "/v1/apps/mill", Value::Null, Struct("App")),
        ("GET", "/v1/apps?org_slug=personal", Value::Null, Struct("ListApps")),
        ("GET", "/v1/platform/regions", Value::Null, Struct("RegionData")),
        ("POST", "/v1/platform/placements", placement, Struct("GetPlacementsResponse")),
        ("GET", "volumes", Value::Null, List("Volume")),
    ];
    for (method, path, body, go) in steps {
        check(&fly, method, path, body.clone(), *go).await;
    }
    // The lease of one second has to end first.
    fly.until(200, async || fly.post(&format!("{machine}/stop"), stop.clone()).await).await;
    fly.wait_for(&id, "stopped").await;
    check(&fly, "GET", &machine, Value::Null, Struct("Machine")).await;
    check(&fly, "GET", &format!("{machine}/events"), Value::Null, List("MachineEvent")).await;
    check(&fly, "POST", &format!("{machine}/start"), Value::Null, Struct("MachineStartResponse")).await;
    fly.wait_for(&id, "started").await;
    fly.post(&format!("{machine}/signal"), json!({ "signal": 9 })).await;
    check(&fly, "GET", "machines", Value::Null, List("Machine")).await;
    check(&fly, "DELETE", &format!("{machine}?kill=true"), Value::Null, Struct("MachineStartResponse")).await;
    check(&fly, "GET", "machines?include_deleted=true", Value::Null, List("Machine")).await;
}

async fn check(fly: &Fly, method: &str, path: &str, body: Value, go: Go) {
    let (status, answer) = match method {
        "GET" => fly.get(path).await,
        "PUT" => fly.put(path, body).await,
        "DELETE" => fly.delete(path).await,
        _ => fly.post(path, body).await,
    };
    assert!(status < 300, "{method} {path}: {answer}");
    assert_eq!(decode(go, &answer, path), Ok(()), "{answer}");
}

#[test]
fn value_of_another_type_is_found() {
    let exit = json!([{ "request": { "exit_event": { "exited_at": 1_653_346_105_255_u64 } } }]);
    let found = decode(List("MachineEvent"), &exit, "events").unwrap_err();
    assert!(found.contains("MachineExitEvent.exited_at (machine_types.go)"), "{found}");
}
