//! The port `Machines`: find, adopt, create, prove absence.

use std::time::Duration;

use async_trait::async_trait;
use gastown_domain::{
    AppName, MachineId, Power, TownId,
    ports::{Action, Awaited, Deletion, MachineSpec, Machines, ObservedMachine, ProviderError},
};

use crate::{
    api::{
        self, Subject,
        machines::{CreateMachine, Machine, UpdateMachine, WaitFor},
    },
    error::FlyError,
    fly::Fly,
    mapping::{
        errors::{invalid_answer, invalid_spec},
        machine_config::machine_config,
        names::{TOWN_TAG, machine_name},
        states::{self, Mapped},
    },
    refusal::Refusal,
};

#[async_trait]
impl Machines for Fly {
    async fn machine(&self, app: &AppName, id: &MachineId) -> Result<Option<ObservedMachine>, ProviderError> {
        Ok(self.fetch_machine(app, id, Action::ReadMachine).await?.map(|found| found.observed))
    }

    async fn machines_of(&self, app: &AppName, town: TownId) -> Result<Vec<ObservedMachine>, ProviderError> {
        const ACTION: Action = Action::ListMachines;
        // Two short lists instead of the full one, which has 5 to 10 kB for each of thousands of machines. Fly's filter
        // misses machines on a host that does not answer, because their configuration is not available. The summary has
        // their names.
        let (tag, name) = (town.to_string(), machine_name(town));
        let wanted = [tag.as_str(), name.as_str()];
        let tagged = api::machines::list(app.as_str(), Some((TOWN_TAG, &tag)));
        let tagged: Vec<Machine> = self.fetch_list(app, &tagged, ACTION, &wanted).await?;
        let named: Vec<Machine> = self.fetch_list(app, &api::machines::summary(app.as_str()), ACTION, &wanted).await?;
        let tagged = tagged.iter().filter(|machine| machine.tag(TOWN_TAG) == Some(tag.as_str()));
        let mut found = tagged
            .filter_map(|machine| states::machine(machine).present(ACTION).transpose())
            .collect::<Result<Vec<_>, _>>()?;
        for machine in named.iter().filter(|machine| machine.name == name) {
            let id: MachineId = machine.id.parse().map_err(|_| invalid_answer(ACTION))?;
            if found.iter().all(|known| known.id != id) {
                found.extend(self.fetch_unless_foreign(app, &id, town).await?);
            }
        }
        Ok(found)
    }

    async fn create_machine(&self, spec: &MachineSpec) -> Result<ObservedMachine, ProviderError> {
        const ACTION: Action = Action::CreateMachine;
        let config = machine_config(spec, self.stop_grace.as_secs()).map_err(invalid_spec(ACTION))?;
        let name = machine_name(spec.town);
        let body = CreateMachine { name: &name, region: spec.region.as_str(), config: &config };
        match self.client.fetch::<Machine>(&api::machines::create(spec.app.as_str(), &body)).await {
            Ok(machine) => states::machine(&machine).present(ACTION)?.ok_or_else(|| invalid_answer(ACTION)),
            Err(error) => self.adopt(spec, error).await,
        }
    }

    async fn update_machine(&self, id: &MachineId, spec: &MachineSpec) -> Result<ObservedMachine, ProviderError> {
        const ACTION: Action = Action::UpdateMachine;
        let found = self.fetch_machine(&spec.app, id, ACTION).await?;
        let found = found.ok_or(ProviderError::MachineMissing { action: ACTION })?;
        let config = machine_config(spec, self.stop_grace.as_secs()).map_err(invalid_spec(ACTION))?;
        let current_version = found.machine.instance_id.as_deref();
        let body = UpdateMachine { config: &config, current_version, skip_launch: true };
        match self.client.fetch::<Machine>(&api::machines::update(spec.app.as_str(), id.as_str(), &body)).await {
            Ok(machine) => states::machine(&machine).present(ACTION)?.ok_or_else(|| invalid_answer(ACTION)),
            Err(error) => Err(self.missing_or(&spec.app, ACTION, error).await),
        }
    }

    async fn start_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError> {
        let call = api::machines::start(app.as_str(), id.as_str());
        self.set_power(app, id, &call, Action::StartMachine, &[Power::On, Power::Starting]).await
    }

    async fn stop_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError> {
        let call = api::machines::stop(app.as_str(), id.as_str(), self.stop_grace);
        self.set_power(app, id, &call, Action::StopMachine, &[Power::Off, Power::Stopping]).await
    }

    async fn await_machine(
        &self,
        app: &AppName,
        id: &MachineId,
        state: Awaited,
        timeout: Duration,
    ) -> Result<bool, ProviderError> {
        const ACTION: Action = Action::AwaitMachine;
        let (target, version) = match state {
            Awaited::Started => (WaitFor::Started, None),
            Awaited::Destroyed => (WaitFor::Destroyed, None),
            // Fly requires the version for this state.
            Awaited::Stopped => match self.fetch_machine(app, id, ACTION).await? {
                None => return missing_while_awaited(state),
                Some(found) if found.observed.power == Power::Off => return Ok(true),
                Some(found) => (WaitFor::Stopped, found.machine.instance_id),
            },
        };
        let call = api::machines::wait(app.as_str(), id.as_str(), target, version.as_deref(), timeout);
        match self.client.send(&call).await {
            Ok(()) => Ok(true),
            Err(error) if error.refusal() == Some(&Refusal::NotYet) => Ok(false),
            Err(error) => match self.missing_or(app, ACTION, error).await {
                ProviderError::MachineMissing { .. } => missing_while_awaited(state),
                error => Err(error),
            },
        }
    }

    async fn delete_machine(&self, app: &AppName, id: &MachineId) -> Result<Deletion, ProviderError> {
        match self.client.send(&api::machines::destroy(app.as_str(), id.as_str())).await {
            Ok(()) => Ok(Deletion::Accepted),
            Err(error) => {
                self.prove_absent(app, Subject::Machine, Action::DeleteMachine, error).await?;
                Ok(Deletion::AlreadyAbsent)
            }
        }
    }
}

/// Returns the result of a wait for a machine that does not exist.
fn missing_while_awaited(state: Awaited) -> Result<bool, ProviderError> {
    match state {
        Awaited::Destroyed => Ok(true),
        Awaited::Started | Awaited::Stopped => Err(ProviderError::MachineMissing { action: Action::AwaitMachine }),
    }
}

/// An existing machine, as Fly shows it and as the domain observes it.
struct Found {
    machine: Machine,
    observed: ObservedMachine,
}

/// The owner of a machine, by its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Town,
    Other,
    /// Not all of its configuration is available.
    Unknown,
}

impl Found {
    fn owner(&self, town: TownId) -> Owner {
        match self.machine.tag(TOWN_TAG) {
            Some(tag) if tag == town.to_string() => Owner::Town,
            Some(_) => Owner::Other,
            None if self.machine.shows_all_tags() => Owner::Other,
            None => Owner::Unknown,
        }
    }
}

impl Fly {
    /// Fetches a machine, or proves that it does not exist.
    async fn fetch_machine(
        &self,
        app: &AppName,
        id: &MachineId,
        action: Action,
    ) -> Result<Option<Found>, ProviderError> {
        match self.client.fetch::<Machine>(&api::machines::get(app.as_str(), id.as_str())).await {
            Ok(machine) => match states::machine(&machine) {
                Mapped::Present(observed) if observed.id == *id => Ok(Some(Found { machine, observed })),
                Mapped::Destroyed if machine.id == id.as_str() => Ok(None),
                Mapped::Present(_) | Mapped::Destroyed | Mapped::Invalid => Err(invalid_answer(action)),
            },
            Err(error) => self.prove_absent(app, Subject::Machine, action, error).await.map(|()| None),
        }
    }

    /// Fetches a machine that a list names, unless it is gone or has another town's tag. A summary shows no tags.
    async fn fetch_unless_foreign(
        &self,
        app: &AppName,
        id: &MachineId,
        town: TownId,
    ) -> Result<Option<ObservedMachine>, ProviderError> {
        let found = self.fetch_machine(app, id, Action::ListMachines).await?;
        Ok(found.filter(|found| found.owner(town) != Owner::Other).map(|found| found.observed))
    }

    /// Returns the machine that has the town's name, if it is the town's own from an earlier try.
    async fn adopt(&self, spec: &MachineSpec, error: FlyError) -> Result<ObservedMachine, ProviderError> {
        const ACTION: Action = Action::CreateMachine;
        let Some(Refusal::MachineNameTaken { holder }) = error.refusal() else {
            return Err(self.app_error(&spec.app, ACTION, error));
        };
        let holder = holder.as_deref().and_then(|id| id.parse::<MachineId>().ok());
        let adopted = match holder {
            Some(holder) => self.adopt_holder(spec, holder).await?,
            None => self.machines_of(&spec.app, spec.town).await?.into_iter().find(is_staying),
        };
        adopted.ok_or_else(|| self.app_error(&spec.app, ACTION, error))
    }

    /// Returns the holder of the town's name if it may be adopted. `None` means that the name will be free, or that the
    /// owner is not known.
    async fn adopt_holder(
        &self,
        spec: &MachineSpec,
        holder: MachineId,
    ) -> Result<Option<ObservedMachine>, ProviderError> {
        const ACTION: Action = Action::CreateMachine;
        let found = self.fetch_machine(&spec.app, &holder, ACTION).await?;
        let Some(found) = found.filter(|found| is_staying(&found.observed)) else { return Ok(None) };
        match found.owner(spec.town) {
            Owner::Town => Ok(Some(found.observed)),
            Owner::Other => Err(ProviderError::NameTaken { action: ACTION, by: holder }),
            Owner::Unknown => Ok(None),
        }
    }

    /// Sends a start or stop. A refusal succeeds if the machine already has one of the `wanted` powers.
    async fn set_power(
        &self,
        app: &AppName,
        id: &MachineId,
        call: &api::Call,
        action: Action,
        wanted: &[Power],
    ) -> Result<(), ProviderError> {
        let Err(error) = self.client.send(call).await else { return Ok(()) };
        if error.refusal() != Some(&Refusal::WrongState) {
            return Err(self.missing_or(app, action, error).await);
        }
        match self.fetch_machine(app, id, action).await? {
            Some(found) if wanted.contains(&found.observed.power) => Ok(()),
            Some(_) => Err(self.app_error(app, action, error)),
            None => Err(ProviderError::MachineMissing { action }),
        }
    }

    /// Returns `MachineMissing` if the error says so and that is proven, and otherwise the port's error.
    async fn missing_or(&self, app: &AppName, action: Action, error: FlyError) -> ProviderError {
        match self.prove_absent(app, Subject::Machine, action, error).await {
            Ok(()) => ProviderError::MachineMissing { action },
            Err(error) => error,
        }
    }
}

/// Returns false for a machine whose destruction is under way. Its name will be free.
fn is_staying(machine: &ObservedMachine) -> bool {
    machine.power != Power::Destroying
}
