//! The mapping from methods and paths to calls.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::{
    operations::{OPERATIONS, Operation},
    program_call::ProgramCall,
};

/// A call that the simulator answers: the calls of the Machines API, then those of the programs in machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants are named after the calls; `OPERATIONS` has their paths")]
pub enum Call {
    ListApps,
    CreateApp,
    GetApp,
    DeleteApp,
    ListCertificates,
    CreateAcmeCertificate,
    CreateCustomCertificate,
    GetCertificate,
    DeleteCertificate,
    DeleteAcmeCertificate,
    CheckCertificate,
    DeleteCustomCertificate,
    CreateDeployToken,
    ListIps,
    AssignIp,
    ReleaseIp,
    ListMachines,
    CreateMachine,
    GetMachine,
    UpdateMachine,
    DeleteMachine,
    CordonMachine,
    ListEvents,
    Exec,
    GetLease,
    AcquireLease,
    ReleaseLease,
    GetMemory,
    SetMemory,
    ReclaimMemory,
    GetMetadata,
    UpdateMetadata,
    PatchMetadata,
    GetMetadataKey,
    SetMetadataKey,
    DeleteMetadataKey,
    ListProcesses,
    RestartMachine,
    SignalMachine,
    StartMachine,
    StopMachine,
    SuspendMachine,
    UncordonMachine,
    ListVersions,
    Wait,
    ListSecretKeys,
    GetSecretKey,
    SetSecretKey,
    DeleteSecretKey,
    GenerateSecretKey,
    EncryptWithSecretKey,
    DecryptWithSecretKey,
    SignWithSecretKey,
    VerifyWithSecretKey,
    ListSecrets,
    UpdateSecrets,
    GetSecret,
    SetSecret,
    DeleteSecret,
    ListVolumes,
    CreateVolume,
    GetVolume,
    UpdateVolume,
    DeleteVolume,
    ExtendVolume,
    ListSnapshots,
    CreateSnapshot,
    ListOrgMachines,
    ListOrgVolumes,
    GetPlacements,
    ListRegions,
    GetCurrentToken,
    /// A request to the program of a machine.
    #[serde(untagged)]
    Program(ProgramCall),
}

impl Call {
    /// Returns the method and the path template in the OpenAPI document, which has no calls of programs.
    pub(crate) fn operation(self) -> Option<(&'static str, &'static str)> {
        let found = OPERATIONS.iter().find(|operation| operation.call == Some(self));
        found.map(|operation| (operation.method, operation.path))
    }

    /// Returns true if the path names a machine.
    pub(crate) fn names_machine(self) -> bool {
        self.operation().is_some_and(|(_, template)| template.contains("{machine_id}"))
            || matches!(self, Self::Program(_))
    }

    /// Returns true if the path names a volume.
    pub(crate) fn names_volume(self) -> bool {
        self.operation().is_some_and(|(_, template)| template.contains("{volume_id}"))
    }

    /// Returns all calls of the Machines API.
    #[cfg(test)]
    pub(crate) fn machines_api() -> impl Iterator<Item = Self> {
        OPERATIONS.iter().filter_map(|operation| operation.call)
    }
}

/// A call with the names in its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) call: Call,
    /// The app, or the organization's slug in the calls of an organization.
    pub(crate) app: String,
    /// The machine or volume.
    pub(crate) id: String,
    /// The name of a secret, metadata key, hostname or address.
    pub(crate) key: String,
}

impl Route {
    /// Parses a method and a path below `/v1`.
    pub(crate) fn parse(method: &str, path: &str) -> Parsed {
        let found = OPERATIONS
            .iter()
            .filter(|operation| operation.method == method)
            .find_map(|operation| Some((operation, match_path(operation.path, path)?)));
        match found {
            Some((Operation { call: Some(call), .. }, names)) => Parsed::Served(names.route(*call)),
            Some((operation, _)) => Parsed::NotSimulated(operation),
            None => Parsed::Unknown,
        }
    }

    /// Returns the route of a request to the program of a machine.
    pub(crate) fn to_program(call: ProgramCall, app: &str, machine: &str) -> Self {
        Self { call: Call::Program(call), app: app.to_owned(), id: machine.to_owned(), key: String::new() }
    }

    #[cfg(test)]
    pub(crate) fn to_machine(call: Call, app: &str, machine: &str) -> Self {
        Self { call, app: app.to_owned(), id: machine.to_owned(), key: String::new() }
    }
}

/// A request below `/v1`, as far as its method and path tell.
#[derive(Debug)]
pub(crate) enum Parsed {
    Served(Route),
    /// An operation that Fly has and the simulator lacks.
    NotSimulated(&'static Operation),
    /// A path or method that Fly lacks too.
    Unknown,
}

/// The names in a path.
#[derive(Debug, Default)]
struct Names {
    app: String,
    id: String,
    key: String,
}

impl Names {
    fn route(self, call: Call) -> Route {
        Route { call, app: self.app, id: self.id, key: self.key }
    }
}

/// Returns the names in a path that matches the template.
fn match_path(template: &str, path: &str) -> Option<Names> {
    let mut names = Names::default();
    let mut segments = path.split('/');
    for wanted in template.split('/') {
        let segment = segments.next()?;
        let slot = match wanted {
            "{app_name}" | "{org_slug}" => &mut names.app,
            "{machine_id}" | "{volume_id}" => &mut names.id,
            "{secret_name}" | "{key}" | "{hostname}" | "{ip}" => &mut names.key,
            literal if literal == segment => continue,
            _ => return None,
        };
        *slot = percent_decode_str(segment).decode_utf8().ok()?.into_owned();
        if slot.is_empty() {
            return None;
        }
    }
    segments.next().is_none().then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_parsed_into_call_and_names() {
        let parsed = Route::parse("GET", "/apps/a/machines/m1/metadata/k%2Fey");
        let Parsed::Served(route) = parsed else { panic!("{parsed:?}") };
        assert_eq!(route, Route { call: Call::GetMetadataKey, app: "a".into(), id: "m1".into(), key: "k/ey".into() });
    }

    #[test]
    fn unknown_paths_methods_and_empty_names_are_rejected() {
        for (method, path) in
            [("GET", "/nothing"), ("PUT", "/apps"), ("GET", "/apps/"), ("GET", "/apps/a/machines/m1/wait/more")]
        {
            let parsed = Route::parse(method, path);
            assert!(matches!(parsed, Parsed::Unknown), "{method} {path}: {parsed:?}");
        }
    }

    #[test]
    fn operation_that_is_not_simulated_is_recognized() {
        let parsed = Route::parse("POST", "/tokens/oidc");
        assert!(matches!(parsed, Parsed::NotSimulated(operation) if operation.path == "/tokens/oidc"), "{parsed:?}");
    }

    #[test]
    fn every_call_has_one_route() {
        let mut calls: Vec<_> = Call::machines_api().collect();
        let all = calls.len();
        calls.sort();
        calls.dedup();
        assert_eq!(calls.len(), all);
    }
}
