//! The Machines API: one function per call, which updates the world and returns the answer.

pub(crate) mod apps;
mod exec;
mod leases;
mod lifecycle;
mod machine_create;
mod machine_read;
mod machine_update;
mod metadata;
mod orgs;
mod request;
pub(crate) mod secrets;
mod volumes;
mod wait;

pub(crate) use request::ApiRequest;
pub(crate) use wait::wait;

use crate::{api_error::ApiError, reply::Reply, route::Call, world::World};

/// Answers every call of the Machines API except `wait`, which is asynchronous.
pub(crate) fn answer(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    match request.route.call {
        Call::ListApps => apps::list(world, request),
        Call::CreateApp => apps::create(world, request),
        Call::GetApp => apps::get(world, request),
        Call::DeleteApp => apps::delete(world, request),
        Call::ListSecrets => secrets::list(world, request),
        Call::UpdateSecrets => secrets::update(world, request),
        Call::GetSecret => secrets::get(world, request),
        Call::SetSecret => secrets::set(world, request),
        Call::DeleteSecret => secrets::delete(world, request),
        Call::ListVolumes => volumes::list(world, request),
        Call::CreateVolume => volumes::create(world, request),
        Call::GetVolume => volumes::get(world, request),
        Call::UpdateVolume => volumes::update(world, request),
        Call::DeleteVolume => volumes::delete(world, request),
        Call::ExtendVolume => volumes::extend(world, request),
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
        Call::Exec => exec::exec(world, request),
        Call::GetLease => leases::get(world, request),
        Call::AcquireLease => leases::acquire(world, request),
        Call::ReleaseLease => leases::release(world, request),
        Call::GetMetadata => metadata::all(world, request),
        Call::UpdateMetadata | Call::PatchMetadata => metadata::update(world, request),
        Call::GetMetadataKey => metadata::get(world, request),
        Call::SetMetadataKey => metadata::set(world, request),
        Call::DeleteMetadataKey => metadata::delete(world, request),
        Call::ListOrgMachines => Ok(orgs::machines(world, request)),
        Call::ListOrgVolumes => Ok(orgs::volumes(world, request)),
        Call::ListRegions => Ok(orgs::regions()),
        Call::Wait | Call::Program(_) => Err(not_a_plain_call()),
    }
}

fn not_a_plain_call() -> ApiError {
    ApiError::invalid("the call is not handled here")
}
