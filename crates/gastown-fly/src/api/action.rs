//! The kinds of calls. Each names its rate limit, its words in an error, and whether it changes anything.

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
    /// `POST …/volumes`.
    CreateVolume,
    /// `GET …/volumes/{id}`.
    GetVolume,
    /// `GET …/volumes`.
    ListVolumes,
    /// `DELETE …/volumes/{id}`.
    DestroyVolume,
}

/// The kind of object a call is addressed to. A 404 without text is about this object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The Fly app.
    App,
    /// A machine.
    Machine,
    /// A volume.
    Volume,
}

impl Action {
    /// Every action, in the order of their declaration.
    pub const ALL: [Self; 15] = [
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
        Self::CreateVolume,
        Self::GetVolume,
        Self::ListVolumes,
        Self::DestroyVolume,
    ];

    /// Returns true if the call only reads. After a lost answer nothing can have changed.
    pub const fn reads(self) -> bool {
        match self {
            Self::GetApp
            | Self::ListApps
            | Self::GetMachine
            | Self::ListMachines
            | Self::WaitMachine
            | Self::GetVolume
            | Self::ListVolumes => true,
            Self::CreateApp
            | Self::CreateMachine
            | Self::UpdateMachine
            | Self::DestroyMachine
            | Self::StartMachine
            | Self::StopMachine
            | Self::CreateVolume
            | Self::DestroyVolume => false,
        }
    }

    /// Returns true if the answer grows with the number of objects.
    pub const fn lists(self) -> bool {
        matches!(self, Self::ListApps | Self::ListMachines | Self::ListVolumes)
    }

    /// Returns the name of the action in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateApp => "create_app",
            Self::GetApp => "get_app",
            Self::ListApps => "list_apps",
            Self::CreateMachine => "create_machine",
            Self::GetMachine => "get_machine",
            Self::ListMachines => "list_machines",
            Self::UpdateMachine => "update_machine",
            Self::DestroyMachine => "destroy_machine",
            Self::StartMachine => "start_machine",
            Self::StopMachine => "stop_machine",
            Self::WaitMachine => "wait_machine",
            Self::CreateVolume => "create_volume",
            Self::GetVolume => "get_volume",
            Self::ListVolumes => "list_volumes",
            Self::DestroyVolume => "destroy_volume",
        }
    }

    /// Returns the kind of object the call is addressed to.
    pub const fn subject(self) -> Subject {
        match self {
            Self::CreateApp
            | Self::GetApp
            | Self::ListApps
            | Self::CreateMachine
            | Self::ListMachines
            | Self::CreateVolume
            | Self::ListVolumes => Subject::App,
            Self::GetMachine
            | Self::UpdateMachine
            | Self::DestroyMachine
            | Self::StartMachine
            | Self::StopMachine
            | Self::WaitMachine => Subject::Machine,
            Self::GetVolume | Self::DestroyVolume => Subject::Volume,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
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
            Self::CreateVolume => "create the volume",
            Self::GetVolume => "read the volume",
            Self::ListVolumes => "list the volumes",
            Self::DestroyVolume => "destroy the volume",
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "app",
            Self::Machine => "machine",
            Self::Volume => "volume",
        })
    }
}
