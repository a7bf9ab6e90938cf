//! The mapping from methods and paths to calls.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::program_call::ProgramCall;

/// A call that the simulator answers: the calls of the Machines API, then those of the programs in machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants are named after the calls; `ROUTES` has their paths")]
pub enum Call {
    ListApps,
    CreateApp,
    GetApp,
    DeleteApp,
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
    ListMachines,
    CreateMachine,
    GetMachine,
    UpdateMachine,
    DeleteMachine,
    StartMachine,
    StopMachine,
    RestartMachine,
    SignalMachine,
    SuspendMachine,
    CordonMachine,
    UncordonMachine,
    Wait,
    Exec,
    ListEvents,
    ListVersions,
    GetLease,
    AcquireLease,
    ReleaseLease,
    GetMetadata,
    UpdateMetadata,
    PatchMetadata,
    GetMetadataKey,
    SetMetadataKey,
    DeleteMetadataKey,
    ListOrgMachines,
    ListOrgVolumes,
    ListRegions,
    /// A request to the program of a machine.
    #[serde(untagged)]
    Program(ProgramCall),
}

/// The calls of the Machines API: call, method, and path template below `/v1` as in the OpenAPI document.
const ROUTES: &[(Call, &str, &str)] = &[
    (Call::ListApps, "GET", "/apps"),
    (Call::CreateApp, "POST", "/apps"),
    (Call::GetApp, "GET", "/apps/{app_name}"),
    (Call::DeleteApp, "DELETE", "/apps/{app_name}"),
    (Call::ListSecrets, "GET", "/apps/{app_name}/secrets"),
    (Call::UpdateSecrets, "POST", "/apps/{app_name}/secrets"),
    (Call::GetSecret, "GET", "/apps/{app_name}/secrets/{secret_name}"),
    (Call::SetSecret, "POST", "/apps/{app_name}/secrets/{secret_name}"),
    (Call::DeleteSecret, "DELETE", "/apps/{app_name}/secrets/{secret_name}"),
    (Call::ListVolumes, "GET", "/apps/{app_name}/volumes"),
    (Call::CreateVolume, "POST", "/apps/{app_name}/volumes"),
    (Call::GetVolume, "GET", "/apps/{app_name}/volumes/{volume_id}"),
    (Call::UpdateVolume, "PUT", "/apps/{app_name}/volumes/{volume_id}"),
    (Call::DeleteVolume, "DELETE", "/apps/{app_name}/volumes/{volume_id}"),
    (Call::ExtendVolume, "PUT", "/apps/{app_name}/volumes/{volume_id}/extend"),
    (Call::ListMachines, "GET", "/apps/{app_name}/machines"),
    (Call::CreateMachine, "POST", "/apps/{app_name}/machines"),
    (Call::GetMachine, "GET", "/apps/{app_name}/machines/{machine_id}"),
    (Call::UpdateMachine, "POST", "/apps/{app_name}/machines/{machine_id}"),
    (Call::DeleteMachine, "DELETE", "/apps/{app_name}/machines/{machine_id}"),
    (Call::StartMachine, "POST", "/apps/{app_name}/machines/{machine_id}/start"),
    (Call::StopMachine, "POST", "/apps/{app_name}/machines/{machine_id}/stop"),
    (Call::RestartMachine, "POST", "/apps/{app_name}/machines/{machine_id}/restart"),
    (Call::SignalMachine, "POST", "/apps/{app_name}/machines/{machine_id}/signal"),
    (Call::SuspendMachine, "POST", "/apps/{app_name}/machines/{machine_id}/suspend"),
    (Call::CordonMachine, "POST", "/apps/{app_name}/machines/{machine_id}/cordon"),
    (Call::UncordonMachine, "POST", "/apps/{app_name}/machines/{machine_id}/uncordon"),
    (Call::Wait, "GET", "/apps/{app_name}/machines/{machine_id}/wait"),
    (Call::Exec, "POST", "/apps/{app_name}/machines/{machine_id}/exec"),
    (Call::ListEvents, "GET", "/apps/{app_name}/machines/{machine_id}/events"),
    (Call::ListVersions, "GET", "/apps/{app_name}/machines/{machine_id}/versions"),
    (Call::GetLease, "GET", "/apps/{app_name}/machines/{machine_id}/lease"),
    (Call::AcquireLease, "POST", "/apps/{app_name}/machines/{machine_id}/lease"),
    (Call::ReleaseLease, "DELETE", "/apps/{app_name}/machines/{machine_id}/lease"),
    (Call::GetMetadata, "GET", "/apps/{app_name}/machines/{machine_id}/metadata"),
    (Call::UpdateMetadata, "PUT", "/apps/{app_name}/machines/{machine_id}/metadata"),
    (Call::PatchMetadata, "PATCH", "/apps/{app_name}/machines/{machine_id}/metadata"),
    (Call::GetMetadataKey, "GET", "/apps/{app_name}/machines/{machine_id}/metadata/{key}"),
    (Call::SetMetadataKey, "POST", "/apps/{app_name}/machines/{machine_id}/metadata/{key}"),
    (Call::DeleteMetadataKey, "DELETE", "/apps/{app_name}/machines/{machine_id}/metadata/{key}"),
    (Call::ListOrgMachines, "GET", "/orgs/{org_slug}/machines"),
    (Call::ListOrgVolumes, "GET", "/orgs/{org_slug}/volumes"),
    (Call::ListRegions, "GET", "/platform/regions"),
];

impl Call {
    /// Returns the method and the path template in the OpenAPI document, which has no calls of programs.
    pub(crate) fn operation(self) -> Option<(&'static str, &'static str)> {
        ROUTES.iter().find(|(call, ..)| *call == self).map(|(_, method, template)| (*method, *template))
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
        ROUTES.iter().map(|(call, ..)| *call)
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
    /// The name of a secret or metadata key.
    pub(crate) key: String,
}

impl Route {
    /// Parses a method and a path below `/v1`.
    pub(crate) fn parse(method: &str, path: &str) -> Option<Self> {
        Self::look_up(ROUTES, method, path)
    }

    /// Returns the route of a request to the program of a machine.
    pub(crate) fn to_program(call: ProgramCall, app: &str, machine: &str) -> Self {
        Self { call: Call::Program(call), app: app.to_owned(), id: machine.to_owned(), key: String::new() }
    }

    #[cfg(test)]
    pub(crate) fn to_machine(call: Call, app: &str, machine: &str) -> Self {
        Self { call, app: app.to_owned(), id: machine.to_owned(), key: String::new() }
    }

    fn look_up(table: &[(Call, &str, &str)], method: &str, path: &str) -> Option<Self> {
        table
            .iter()
            .filter(|(_, wanted, _)| *wanted == method)
            .find_map(|(call, _, template)| Self::match_path(*call, template, path))
    }

    fn match_path(call: Call, template: &str, path: &str) -> Option<Self> {
        let mut route = Self { call, app: String::new(), id: String::new(), key: String::new() };
        let mut segments = path.split('/');
        for wanted in template.split('/') {
            let segment = segments.next()?;
            let slot = match wanted {
                "{app_name}" | "{org_slug}" => &mut route.app,
                "{machine_id}" | "{volume_id}" => &mut route.id,
                "{secret_name}" | "{key}" => &mut route.key,
                literal if literal == segment => continue,
                _ => return None,
            };
            *slot = percent_decode_str(segment).decode_utf8().ok()?.into_owned();
            if slot.is_empty() {
                return None;
            }
        }
        segments.next().is_none().then_some(route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_parsed_into_call_and_names() {
        let route = Route::parse("GET", "/apps/a/machines/m1/metadata/k%2Fey").unwrap();
        assert_eq!(route, Route { call: Call::GetMetadataKey, app: "a".into(), id: "m1".into(), key: "k/ey".into() });
    }

    #[test]
    fn unknown_paths_methods_and_empty_names_are_rejected() {
        for (method, path) in
            [("GET", "/nothing"), ("PUT", "/apps"), ("GET", "/apps/"), ("GET", "/apps/a/machines/m1/wait/more")]
        {
            assert_eq!(Route::parse(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn every_call_has_one_route() {
        let mut calls: Vec<_> = ROUTES.iter().map(|(call, ..)| *call).collect();
        let all = calls.len();
        calls.sort();
        calls.dedup();
        assert_eq!(calls.len(), all);
    }
}
