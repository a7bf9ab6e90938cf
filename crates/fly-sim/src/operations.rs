//! The operations of Fly's OpenAPI document: which of them are served, on what evidence, and with what differences.
//!
//! The router, the check of the contract and the page `docs/fly-sim/coverage.md` read this table.

use crate::route::Call;

/// The extent to which an operation is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// As the source describes it.
    Wholly,
    /// With the differences beside it.
    Partly,
    /// Not at all: the answer is 501.
    No,
}

/// An operation of the document.
#[derive(Debug)]
pub(crate) struct Operation {
    /// The call, for an operation that is served.
    pub(crate) call: Option<Call>,
    pub(crate) method: &'static str,
    /// The path template below `/v1`, as in the document.
    pub(crate) path: &'static str,
    pub(crate) served: Served,
    /// The evidence for the behaviour.
    pub(crate) source: &'static str,
    /// The differences from Fly, in sentences.
    pub(crate) differences: &'static str,
}

const fn whole(call: Call, method: &'static str, path: &'static str, source: &'static str) -> Operation {
    Operation { call: Some(call), method, path, served: Served::Wholly, source, differences: "" }
}

const fn part(
    call: Call,
    (method, path): (&'static str, &'static str),
    source: &'static str,
    differences: &'static str,
) -> Operation {
    Operation { call: Some(call), method, path, served: Served::Partly, source, differences }
}

const fn missing(method: &'static str, path: &'static str, source: &'static str, reason: &'static str) -> Operation {
    Operation { call: None, method, path, served: Served::No, source, differences: reason }
}

/// The source of the kinds with which keys encrypt or sign.
const KEY_KINDS: &str = "OpenAPI, flyctl `internal/command/secrets/keys_common.go` (kinds)";

/// All operations, in the order of the document.
pub(crate) const OPERATIONS: &[Operation] = &[
    whole(Call::ListApps, "GET", "/apps", "OpenAPI, an unknown organization is 404"),
    whole(
        Call::CreateApp,
        "POST",
        "/apps",
        "OpenAPI, fly-go `flaps/flaps_error_test.go` (names and refusals), docs `machines/api/apps-resource` (`app_name`), newest OpenAPI (`idempotency_key`)",
    ),
    part(
        Call::GetApp,
        ("GET", "/apps/{app_name}"),
        "OpenAPI, fly-go `flaps/flaps_apps.go`",
        "The status is `pending` or `deployed`, never `suspended`.",
    ),
    part(
        Call::DeleteApp,
        ("DELETE", "/apps/{app_name}"),
        "OpenAPI, docs `machines/api/apps-resource` (`force`)",
        "The app is gone at once.",
    ),
    whole(
        Call::ListCertificates,
        "GET",
        "/apps/{app_name}/certificates",
        "OpenAPI, fly-go `flaps/flaps_certificates.go`",
    ),
    part(
        Call::CreateAcmeCertificate,
        ("POST", "/apps/{app_name}/certificates/acme"),
        "OpenAPI",
        "No DNS is asked, so no certificate is issued. It stays `pending_validation`.",
    ),
    part(
        Call::CreateCustomCertificate,
        ("POST", "/apps/{app_name}/certificates/custom"),
        "OpenAPI",
        "The PEM is not parsed. The certificate stays `pending_ownership`.",
    ),
    part(
        Call::GetCertificate,
        ("GET", "/apps/{app_name}/certificates/{hostname}"),
        "OpenAPI",
        "The DNS provider is empty.",
    ),
    whole(
        Call::DeleteCertificate,
        "DELETE",
        "/apps/{app_name}/certificates/{hostname}",
        "OpenAPI, fly-go `flaps/flaps_certificates.go`",
    ),
    whole(
        Call::DeleteAcmeCertificate,
        "DELETE",
        "/apps/{app_name}/certificates/{hostname}/acme",
        "OpenAPI, fly-go `flaps/flaps_certificates.go`",
    ),
    part(
        Call::CheckCertificate,
        ("POST", "/apps/{app_name}/certificates/{hostname}/check"),
        "OpenAPI",
        "No DNS is asked: the answer has no records and stays unconfirmed.",
    ),
    whole(
        Call::DeleteCustomCertificate,
        "DELETE",
        "/apps/{app_name}/certificates/{hostname}/custom",
        "OpenAPI, fly-go `flaps/flaps_certificates.go`",
    ),
    part(
        Call::CreateDeployToken,
        ("POST", "/apps/{app_name}/deploy_token"),
        "OpenAPI",
        "The token is accepted everywhere, and it does not expire.",
    ),
    whole(
        Call::ListIps,
        "GET",
        "/apps/{app_name}/ip_assignments",
        "OpenAPI, fly-go `flaps/flaps_ip_assignments.go` (`network`)",
    ),
    part(
        Call::AssignIp,
        ("POST", "/apps/{app_name}/ip_assignments"),
        "OpenAPI, refusals measured against the live service",
        "No traffic reaches the address. Types `egress_*` answer 501.",
    ),
    whole(Call::ReleaseIp, "DELETE", "/apps/{app_name}/ip_assignments/{ip}", "OpenAPI"),
    whole(
        Call::ListMachines,
        "GET",
        "/apps/{app_name}/machines",
        "OpenAPI, docs `machines/api/machines-resource` (`metadata.{key}`)",
    ),
    part(
        Call::CreateMachine,
        ("POST", "/apps/{app_name}/machines"),
        "OpenAPI, 409 of a name and 412 of a volume measured against the live service",
        "Images are not pulled, and the digest follows from the name. A pinned digest may be abbreviated. A schedule does not run. Containers, checks and files are stored and shown only.",
    ),
    whole(
        Call::GetMachine,
        "GET",
        "/apps/{app_name}/machines/{machine_id}",
        "OpenAPI, fly-go `machine_types.go`, events recorded from the live service in August 2026",
    ),
    part(
        Call::UpdateMachine,
        ("POST", "/apps/{app_name}/machines/{machine_id}"),
        "OpenAPI, docs (`current_version`), states as production users saw them",
        "A stopped machine stays stopped, as two production users saw it. The docs say that it launches.",
    ),
    whole(
        Call::DeleteMachine,
        "DELETE",
        "/apps/{app_name}/machines/{machine_id}",
        "OpenAPI, fly-go `flaps/flaps_machines.go` (`kill`), 412 and 200 for a destroyed machine measured",
    ),
    whole(Call::CordonMachine, "POST", "/apps/{app_name}/machines/{machine_id}/cordon", "OpenAPI"),
    whole(
        Call::ListEvents,
        "GET",
        "/apps/{app_name}/machines/{machine_id}/events",
        "OpenAPI, forms recorded from the live service in August 2026",
    ),
    part(
        Call::Exec,
        ("POST", "/apps/{app_name}/machines/{machine_id}/exec"),
        "OpenAPI, fly-go `machine_types.go`, no standard input, as a production user measured",
        "A small shell language on the machine's files, or the user's own commands. What is not simulated fails and says so.",
    ),
    whole(
        Call::GetLease,
        "GET",
        "/apps/{app_name}/machines/{machine_id}/lease",
        "docs `machines/api/machines-resource`, fly-go `machine_types.go` (envelope)",
    ),
    whole(
        Call::AcquireLease,
        "POST",
        "/apps/{app_name}/machines/{machine_id}/lease",
        "docs `machines/api/machines-resource`, fly-go `flaps/flaps_machines.go` (`ttl`)",
    ),
    whole(
        Call::ReleaseLease,
        "DELETE",
        "/apps/{app_name}/machines/{machine_id}/lease",
        "docs `machines/api/machines-resource`",
    ),
    part(
        Call::GetMemory,
        ("GET", "/apps/{app_name}/machines/{machine_id}/memory"),
        "OpenAPI",
        "The use is a constant.",
    ),
    part(
        Call::SetMemory,
        ("PUT", "/apps/{app_name}/machines/{machine_id}/memory"),
        "OpenAPI",
        "The limit is stored and has no effect.",
    ),
    part(
        Call::ReclaimMemory,
        ("POST", "/apps/{app_name}/machines/{machine_id}/memory/reclaim"),
        "OpenAPI",
        "Nothing is reclaimed, and the answer is what could be.",
    ),
    whole(Call::GetMetadata, "GET", "/apps/{app_name}/machines/{machine_id}/metadata", "OpenAPI"),
    whole(Call::UpdateMetadata, "PUT", "/apps/{app_name}/machines/{machine_id}/metadata", "OpenAPI"),
    whole(Call::PatchMetadata, "PATCH", "/apps/{app_name}/machines/{machine_id}/metadata", "OpenAPI"),
    whole(Call::GetMetadataKey, "GET", "/apps/{app_name}/machines/{machine_id}/metadata/{key}", "OpenAPI"),
    whole(Call::SetMetadataKey, "POST", "/apps/{app_name}/machines/{machine_id}/metadata/{key}", "OpenAPI"),
    whole(Call::DeleteMetadataKey, "DELETE", "/apps/{app_name}/machines/{machine_id}/metadata/{key}", "OpenAPI"),
    part(
        Call::ListProcesses,
        ("GET", "/apps/{app_name}/machines/{machine_id}/ps"),
        "OpenAPI, fly-go `machine_types.go`",
        "Two processes are shown: init, and the program of the configuration.",
    ),
    part(
        Call::RestartMachine,
        ("POST", "/apps/{app_name}/machines/{machine_id}/restart"),
        "OpenAPI, fly-go `flaps/flaps_machines.go` (`force_stop`)",
        "The signal and the timeout have no effect.",
    ),
    part(
        Call::SignalMachine,
        ("POST", "/apps/{app_name}/machines/{machine_id}/signal"),
        "OpenAPI, fly-go `flaps/flaps_machines.go` (number 9)",
        "SIGUSR1 and SIGUSR2 are handled by the simulated process. All others end it.",
    ),
    whole(
        Call::StartMachine,
        "POST",
        "/apps/{app_name}/machines/{machine_id}/start",
        "OpenAPI, fly-go `machine_types.go`, refusals as production users saw them",
    ),
    part(
        Call::StopMachine,
        ("POST", "/apps/{app_name}/machines/{machine_id}/stop"),
        "OpenAPI, fly-go `machine_types.go`",
        "The process always ends in time with code 0. The signal and the timeout have no effect.",
    ),
    part(
        Call::SuspendMachine,
        ("POST", "/apps/{app_name}/machines/{machine_id}/suspend"),
        "OpenAPI, docs `reference/suspend-resume`",
        "Machines of every size can be suspended.",
    ),
    whole(Call::UncordonMachine, "POST", "/apps/{app_name}/machines/{machine_id}/uncordon", "OpenAPI"),
    whole(Call::ListVersions, "GET", "/apps/{app_name}/machines/{machine_id}/versions", "OpenAPI"),
    part(
        Call::Wait,
        ("GET", "/apps/{app_name}/machines/{machine_id}/wait"),
        "OpenAPI, docs of August 2026 (`stopped` needs a version), range of `timeout` measured",
        "The text of the 400 without a version is not known.",
    ),
    whole(Call::ListSecretKeys, "GET", "/apps/{app_name}/secretkeys", "OpenAPI, fly-go `secrets_types.go` (types)"),
    part(
        Call::GetSecretKey,
        ("GET", "/apps/{app_name}/secretkeys/{secret_name}"),
        "OpenAPI, fly-go `secrets_types.go`",
        "`public_key` is empty.",
    ),
    part(
        Call::SetSecretKey,
        ("POST", "/apps/{app_name}/secretkeys/{secret_name}"),
        "OpenAPI, fly-go `flaps/flaps_secretkeys.go` (bytes in base64)",
        "The length of the value is not checked.",
    ),
    whole(Call::DeleteSecretKey, "DELETE", "/apps/{app_name}/secretkeys/{secret_name}", "OpenAPI"),
    part(
        Call::DecryptWithSecretKey,
        ("POST", "/apps/{app_name}/secretkeys/{secret_name}/decrypt"),
        KEY_KINDS,
        "Only what the simulator has encrypted. Refusals have a text of the simulator.",
    ),
    part(
        Call::EncryptWithSecretKey,
        ("POST", "/apps/{app_name}/secretkeys/{secret_name}/encrypt"),
        KEY_KINDS,
        "`NACL_SECRETBOX` without associated data, others answer 501. The form of Fly's ciphertext is not known: here it is the nonce and the box.",
    ),
    whole(Call::GenerateSecretKey, "POST", "/apps/{app_name}/secretkeys/{secret_name}/generate", "OpenAPI"),
    part(
        Call::SignWithSecretKey,
        ("POST", "/apps/{app_name}/secretkeys/{secret_name}/sign"),
        KEY_KINDS,
        "The HMAC types and `NACL_AUTH`. Others answer 501.",
    ),
    part(
        Call::VerifyWithSecretKey,
        ("POST", "/apps/{app_name}/secretkeys/{secret_name}/verify"),
        KEY_KINDS,
        "The HMAC types and `NACL_AUTH`. Others answer 501.",
    ),
    whole(Call::ListSecrets, "GET", "/apps/{app_name}/secrets", "OpenAPI"),
    whole(Call::UpdateSecrets, "POST", "/apps/{app_name}/secrets", "OpenAPI"),
    whole(Call::GetSecret, "GET", "/apps/{app_name}/secrets/{secret_name}", "OpenAPI"),
    whole(Call::SetSecret, "POST", "/apps/{app_name}/secrets/{secret_name}", "OpenAPI"),
    whole(Call::DeleteSecret, "DELETE", "/apps/{app_name}/secrets/{secret_name}", "OpenAPI"),
    whole(Call::ListVolumes, "GET", "/apps/{app_name}/volumes", "OpenAPI, fly-go `volume_types.go`"),
    part(
        Call::CreateVolume,
        ("POST", "/apps/{app_name}/volumes"),
        "OpenAPI, fly-go `volume_types.go`, names and 412 as production users saw them",
        "Zones, `compute_image` and `fstype` have no effect. A fork or a restored volume is complete at once.",
    ),
    whole(Call::GetVolume, "GET", "/apps/{app_name}/volumes/{volume_id}", "OpenAPI, fly-go `volume_types.go`"),
    whole(
        Call::UpdateVolume,
        "PUT",
        "/apps/{app_name}/volumes/{volume_id}",
        "OpenAPI, docs `volumes/snapshots` (1 to 60 days)",
    ),
    whole(
        Call::DeleteVolume,
        "DELETE",
        "/apps/{app_name}/volumes/{volume_id}",
        "OpenAPI, 412 of a bound volume as production users saw it",
    ),
    whole(
        Call::ExtendVolume,
        "PUT",
        "/apps/{app_name}/volumes/{volume_id}/extend",
        "OpenAPI, fly-go `flaps/flaps_volumes.go`",
    ),
    part(
        Call::ListSnapshots,
        ("GET", "/apps/{app_name}/volumes/{volume_id}/snapshots"),
        "OpenAPI, fly-go `volume_types.go`",
        "There are no scheduled snapshots, and none expires.",
    ),
    part(
        Call::CreateSnapshot,
        ("POST", "/apps/{app_name}/volumes/{volume_id}/snapshots"),
        "OpenAPI, fly-go `flaps/flaps_volumes.go`",
        "A snapshot is complete at once.",
    ),
    whole(Call::ListOrgMachines, "GET", "/orgs/{org_slug}/machines", "OpenAPI"),
    whole(Call::ListOrgVolumes, "GET", "/orgs/{org_slug}/volumes", "OpenAPI"),
    part(
        Call::GetPlacements,
        ("POST", "/platform/placements"),
        "OpenAPI, fly-go `flaps/flaps_platform.go` (capital keys)",
        "Every region has room for 50 machines. Weights and volumes have no effect.",
    ),
    whole(
        Call::ListRegions,
        "GET",
        "/platform/regions",
        "OpenAPI, fly-go `flaps/flaps_platform.go` (capital keys), no token needed, as measured",
    ),
    missing(
        "POST",
        "/tokens/authenticate",
        "OpenAPI",
        "Tokens of the simulator are any text, so there is no macaroon to verify.",
    ),
    missing(
        "POST",
        "/tokens/authorize",
        "OpenAPI",
        "Tokens of the simulator are any text, so there is no macaroon to verify.",
    ),
    part(
        Call::GetCurrentToken,
        ("GET", "/tokens/current"),
        "OpenAPI",
        "One user, whose token may do everything in the own organization.",
    ),
    missing("POST", "/tokens/kms", "OpenAPI", "Only machines can call it, and images are not run."),
    missing("POST", "/tokens/oidc", "OpenAPI", "Only machines can call it, and images are not run."),
];

/// Renders the page `docs/fly-sim/coverage.md`.
pub fn coverage_page() -> String {
    let mut page = String::from(HEAD);
    for operation in OPERATIONS {
        let served = match operation.served {
            Served::Wholly => "wholly",
            Served::Partly => "partly",
            Served::No => "no (501)",
        };
        let Operation { method, path, source, differences, .. } = operation;
        page.extend(["| `", method, " ", path, "` | ", served, " | ", source, " | ", differences, " |\n"]);
    }
    page
}

const HEAD: &str = "\
# What the simulator serves

This page is generated from `crates/fly-sim/src/operations.rs`. A test compares it with that table, and the table with
Fly's OpenAPI document (53 paths, snapshot of 2026-05-07). `OpenAPI` is that document. Paths are below `/v1`.

A path or method that Fly does not have answers `404 page not found`, as Fly does. A path that Fly has and the simulator
lacks answers 501 and names the call. Fields that Fly sends and the document does not describe are listed, with their
sources, in `crates/fly-sim/src/contract/undocumented.rs`.

| Operation | Served | Source of the behaviour | Differences |
| --- | --- | --- | --- |
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fly-sim/coverage.md");
        if std::env::var_os("FLY_SIM_WRITE_PAGES").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fly-sim")).unwrap();
            std::fs::write(path, coverage_page()).unwrap();
        }
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert!(stored == coverage_page(), "run `FLY_SIM_WRITE_PAGES=1 cargo test -p fly-sim page_is_up_to_date`");
    }

    #[test]
    fn differences_are_stated_where_there_are_some() {
        for operation in OPERATIONS {
            let is_whole = operation.served == Served::Wholly;
            assert_eq!(operation.differences.is_empty(), is_whole, "{} {}", operation.method, operation.path);
            assert_eq!(operation.call.is_none(), operation.served == Served::No, "{}", operation.path);
            assert!(!operation.source.is_empty(), "{}", operation.path);
        }
    }
}
