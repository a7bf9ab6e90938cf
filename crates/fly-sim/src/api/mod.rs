//! The Machines API: one function per call, which updates the world and returns the answer.

pub(crate) mod apps;
mod certificates;
mod exec;
mod ip_assignments;
mod leases;
mod lifecycle;
mod machine_create;
mod machine_guest;
mod machine_read;
mod machine_update;
mod metadata;
mod orgs;
mod page;
mod platform;
mod request;
#[cfg(test)]
mod scale_tests;
mod secret_keys;
pub(crate) mod secrets;
mod snapshots;
mod tokens;
mod volumes;
mod wait;

pub use exec::ExecMode;
pub(crate) use exec::exec;
pub(crate) use request::ApiRequest;
pub(crate) use wait::wait;

use crate::{api_error::ApiError, reply::Reply, route::Call, world::World};

/// Answers every call of the Machines API except `wait` and `exec`, which are asynchronous.
pub(crate) fn answer(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    answer_machine_call(world, request)
        .or_else(|| answer_record_call(world, request))
        .or_else(|| answer_volume_call(world, request))
        .or_else(|| answer_app_call(world, request))
        .or_else(|| answer_app_part_call(world, request))
        .unwrap_or_else(|| Err(ApiError::invalid("the call is not handled here")))
}

/// The answer to a call, or `None` for a call of another group.
type Answer = Option<Result<Reply, ApiError>>;

/// Answers the calls on machines.
fn answer_machine_call(world: &mut World, request: &ApiRequest) -> Answer {
    Some(match request.route.call {
        Call::ListMachines => machine_read::list(world, request),
        Call::CreateMachine => machine_create::create(world, request),
        Call::GetMachine => machine_read::get(world, request),
        Call::ListEvents => machine_read::events(world, request),
        Call::ListVersions => machine_read::versions(world, request),
        Call::UpdateMachine => machine_update::update(world, request),
        Call::DeleteMachine => lifecycle::destroy(world, request),
        Call::StartMachine => lifecycle::start(world, request),
        Call::StopMachine => lifecycle::stop(world, request),
        Call::RestartMachine => lifecycle::restart(world, request),
        Call::SignalMachine => lifecycle::signal(world, request),
        Call::SuspendMachine => lifecycle::suspend(world, request),
        Call::CordonMachine => lifecycle::cordon(world, request, true),
        Call::UncordonMachine => lifecycle::cordon(world, request, false),
        Call::ListProcesses => machine_guest::processes(world, request),
        Call::GetMemory => machine_guest::memory(world, request),
        Call::SetMemory => machine_guest::set_memory(world, request),
        Call::ReclaimMemory => machine_guest::reclaim_memory(world, request),
        _ => return None,
    })
}

/// Answers the calls on the leases and the metadata of machines.
fn answer_record_call(world: &mut World, request: &ApiRequest) -> Answer {
    Some(match request.route.call {
        Call::GetLease => leases::get(world, request),
        Call::AcquireLease => leases::acquire(world, request),
        Call::ReleaseLease => leases::release(world, request),
        Call::GetMetadata => metadata::all(world, request),
        Call::UpdateMetadata | Call::PatchMetadata => metadata::update(world, request),
        Call::GetMetadataKey => metadata::get(world, request),
        Call::SetMetadataKey => metadata::set(world, request),
        Call::DeleteMetadataKey => metadata::delete(world, request),
        _ => return None,
    })
}

/// Answers the calls on volumes and snapshots.
fn answer_volume_call(world: &mut World, request: &ApiRequest) -> Answer {
    Some(match request.route.call {
        Call::ListVolumes => volumes::list(world, request),
        Call::CreateVolume => volumes::create(world, request),
        Call::GetVolume => volumes::get(world, request),
        Call::UpdateVolume => volumes::update(world, request),
        Call::DeleteVolume => volumes::delete(world, request),
        Call::ExtendVolume => volumes::extend(world, request),
        Call::ListSnapshots => snapshots::list(world, request),
        Call::CreateSnapshot => snapshots::create(world, request),
        _ => return None,
    })
}

/// Answers the calls on apps, organizations, tokens and the platform.
fn answer_app_call(world: &mut World, request: &ApiRequest) -> Answer {
    Some(match request.route.call {
        Call::ListApps => apps::list(world, request),
        Call::CreateApp => apps::create(world, request),
        Call::GetApp => apps::get(world, request),
        Call::DeleteApp => apps::delete(world, request),
        Call::ListOrgMachines => orgs::machines(world, request),
        Call::ListOrgVolumes => orgs::volumes(world, request),
        Call::CreateDeployToken => tokens::create_deploy_token(world, request),
        Call::GetCurrentToken => Ok(tokens::current(world)),
        Call::ListRegions => Ok(platform::regions()),
        Call::GetPlacements => platform::placements(world, request),
        _ => return None,
    })
}

/// Answers the calls on the secrets, keys, addresses and certificates of an app.
fn answer_app_part_call(world: &mut World, request: &ApiRequest) -> Answer {
    Some(match request.route.call {
        Call::ListSecrets => secrets::list(world, request),
        Call::UpdateSecrets => secrets::update(world, request),
        Call::GetSecret => secrets::get(world, request),
        Call::SetSecret => secrets::set(world, request),
        Call::DeleteSecret => secrets::delete(world, request),
        Call::ListCertificates => certificates::list(world, request),
        Call::CreateAcmeCertificate => certificates::create_acme(world, request),
        Call::CreateCustomCertificate => certificates::create_custom(world, request),
        Call::GetCertificate => certificates::get(world, request),
        Call::DeleteCertificate => certificates::delete(world, request),
        Call::DeleteAcmeCertificate => certificates::delete_acme(world, request),
        Call::CheckCertificate => certificates::check(world, request),
        Call::DeleteCustomCertificate => certificates::delete_custom(world, request),
        Call::ListIps => ip_assignments::list(world, request),
        Call::AssignIp => ip_assignments::assign(world, request),
        Call::ReleaseIp => ip_assignments::release(world, request),
        Call::ListSecretKeys => secret_keys::list(world, request),
        Call::GetSecretKey => secret_keys::get(world, request),
        Call::SetSecretKey => secret_keys::set(world, request),
        Call::DeleteSecretKey => secret_keys::delete(world, request),
        Call::GenerateSecretKey => secret_keys::generate(world, request),
        Call::EncryptWithSecretKey => secret_keys::encrypt(world, request),
        Call::DecryptWithSecretKey => secret_keys::decrypt(world, request),
        Call::SignWithSecretKey => secret_keys::sign(world, request),
        Call::VerifyWithSecretKey => secret_keys::verify(world, request),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::SimConfig, route::Route, world::Settings};

    #[test]
    fn every_call_of_the_machines_api_has_an_answer() {
        let config = SimConfig::fast();
        let mut world = World::new(Settings::from(&config), 1, None);
        for call in Call::machines_api().filter(|call| !matches!(call, Call::Wait | Call::Exec)) {
            let route = Route { call, app: "none".into(), id: "none".into(), key: "none".into() };
            let request =
                ApiRequest { route, query: Vec::new(), nonce: None, lists_deleted: false, body: serde_json::json!({}) };
            let answer = answer(&mut world, &request);
            assert_ne!(answer, Err(ApiError::invalid("the call is not handled here")), "{call:?}");
        }
    }
}
