//! What a call is about to do: names its rate bucket, its words in an error, and whether it changes anything.

use std::fmt;

/// One call of the Machines API. Fly limits each action on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `POST /apps`.
    CreateApp,
    /// `GET /apps/{app}`.
    GetApp,
    /// `GET /apps`.
    ListApps,
    /// `POST …/machines`.
    CreateMachine,
    /// `GET …/machines/{id}`.
    GetMachine,
    /// `GET …/machines`.
    ListMachines,
    /// `POST …/machines/{id}`.
    UpdateMachine,
    /// `DELETE …/machines/{id}`.
    DestroyMachine,
    /// `POST …/machines/{id}/start`.
    StartMachine,
    /// `POST …/machines/{id}/stop`.
    StopMachine,
    /// `GET …/machines/{id}/wait`.
    WaitMachine,
    /// `GET …/machines/{id}/metadata`.
    GetMetadata,
    /// `POST …/machines/{id}/metadata/{key}`.
    SetMetadata,
    /// `POST …/machines/{id}/lease` without a nonce.
    AcquireLease,
    /// `POST …/machines/{id}/lease` with the nonce.
    RefreshLease,
    /// `DELETE …/machines/{id}/lease`.
    ReleaseLease,
    /// `POST …/volumes`.
    CreateVolume,
    /// `GET …/volumes/{id}`.
    GetVolume,
    /// `GET …/volumes`.
    ListVolumes,
    /// `DELETE …/volumes/{id}`.
    DestroyVolume,
    /// `POST …/secrets`.
    SetSecrets,
    /// `GET …/secrets`.
    ListSecrets,
}

/// The kind of object a call is addressed to; what a 404 without words speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The Fly app.
    App,
    /// A machine.
    Machine,
    /// A volume.
    Volume,
    /// A lease on a machine.
    Lease,
}

impl Action {
    /// Every action, for tests that walk them.
    pub const ALL: [Self; 22] = [
        Self::CreateApp,
        Self::GetApp,
        Self::ListApps,
        Self::CreateMachine,
        Self::GetMachine,
        Self::ListMachines,
        Self::UpdateMachine,
        Self::DestroyMachine,
        Self::StartMachine,
        Self::StopMachine,
        Self::WaitMachine,
        Self::GetMetadata,
        Self::SetMetadata,
        Self::AcquireLease,
        Self::RefreshLease,
        Self::ReleaseLease,
        Self::CreateVolume,
        Self::GetVolume,
        Self::ListVolumes,
        Self::DestroyVolume,
        Self::SetSecrets,
        Self::ListSecrets,
    ];

    /// Whether the call only reads: after a lost answer nothing can have changed.
    pub const fn reads(self) -> bool {
        match self {
            Self::GetApp
            | Self::ListApps
            | Self::GetMachine
            | Self::ListMachines
            | Self::WaitMachine
            | Self::GetMetadata
            | Self::GetVolume
            | Self::ListVolumes
            | Self::ListSecrets => true,
            Self::CreateApp
            | Self::CreateMachine
            | Self::UpdateMachine
            | Self::DestroyMachine
            | Self::StartMachine
            | Self::StopMachine
            | Self::SetMetadata
            | Self::AcquireLease
            | Self::RefreshLease
            | Self::ReleaseLease
            | Self::CreateVolume
            | Self::DestroyVolume
            | Self::SetSecrets => false,
        }
    }

    /// Whether the answer grows with what there is.
    pub const fn lists(self) -> bool {
        matches!(self, Self::ListApps | Self::ListMachines | Self::ListVolumes | Self::ListSecrets)
    }

    /// What the call is addressed to.
    pub const fn subject(self) -> Subject {
        match self {
            Self::CreateApp
            | Self::GetApp
            | Self::ListApps
            | Self::CreateMachine
            | Self::ListMachines
            | Self::CreateVolume
            | Self::ListVolumes
            | Self::SetSecrets
            | Self::ListSecrets => Subject::App,
            Self::GetMachine
            | Self::UpdateMachine
            | Self::DestroyMachine
            | Self::StartMachine
            | Self::StopMachine
            | Self::WaitMachine
            | Self::GetMetadata
            | Self::SetMetadata
            | Self::AcquireLease => Subject::Machine,
            Self::RefreshLease | Self::ReleaseLease => Subject::Lease,
            Self::GetVolume | Self::DestroyVolume => Subject::Volume,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::CreateApp => "create the app",
            Self::GetApp => "read the app",
            Self::ListApps => "list the apps",
            Self::CreateMachine => "create the machine",
            Self::GetMachine => "read the machine",
            Self::ListMachines => "list the machines",
            Self::UpdateMachine => "update the machine",
            Self::DestroyMachine => "destroy the machine",
            Self::StartMachine => "start the machine",
            Self::StopMachine => "stop the machine",
            Self::WaitMachine => "wait for the machine",
            Self::GetMetadata => "read the machine's metadata",
            Self::SetMetadata => "set the machine's metadata",
            Self::AcquireLease => "lease the machine",
            Self::RefreshLease => "refresh the machine's lease",
            Self::ReleaseLease => "release the machine's lease",
            Self::CreateVolume => "create the volume",
            Self::GetVolume => "read the volume",
            Self::ListVolumes => "list the volumes",
            Self::DestroyVolume => "destroy the volume",
            Self::SetSecrets => "set the app's secrets",
            Self::ListSecrets => "list the app's secrets",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "app",
            Self::Machine => "machine",
            Self::Volume => "volume",
            Self::Lease => "lease",
        })
    }
}
