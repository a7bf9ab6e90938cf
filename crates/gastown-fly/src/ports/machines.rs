//! `Machines` on Fly: look, adopt, create, prove absence.

use std::time::Duration;

use async_trait::async_trait;
use gastown_domain::{
    AppName, MachineId, Power, TownId,
    ports::{Action, Awaited, MachineSpec, Machines, ObservedMachine, ProviderError},
};

use crate::{
    api::{
        self, Subject,
        machines::{CreateMachine, Machine, UpdateMachine, WaitFor},
    },
    error::FlyError,
    fly::Fly,
    mapping::machine_config::{TOWN_TAG, machine_config},
    mapping::states::{self, Sighted},
    refusal::Refusal,
    rubbish::rubbish,
};

#[async_trait]
impl Machines for Fly {
    async fn machine(&self, app: &AppName, id: &MachineId) -> Result<Option<ObservedMachine>, ProviderError> {
        Ok(self.look(app, id, Action::ReadMachine).await?.map(|found| found.sighting))
    }

    async fn machines_of(&self, app: &AppName, town: TownId) -> Result<Vec<ObservedMachine>, ProviderError> {
        const ACTION: Action = Action::ListMachines;
        let tag = town.to_string();
        let name = town.machine_name();
        let ours = [tag.as_str(), name.as_str()];
        // Two lists, for a whole one of thousands of machines, with 5 to 10 kB each, is too much for every look: the one
        // that Fly filters is short, and a summary has some hundred bytes for each machine.
        let tagged = api::machines::list(app.as_str(), Some((TOWN_TAG, &tag)));
        let tagged: Vec<Machine> = self.list(app, &tagged, ACTION, &ours).await?;
        // The filter misses machines whose host is down, for their configuration is not at hand; their name is.
        let named: Vec<Machine> = self.list(app, &api::machines::summary(app.as_str()), ACTION, &ours).await?;
        let mut sightings: Vec<ObservedMachine> = Vec::new();
        for machine in tagged.iter().filter(|machine| machine.tag(TOWN_TAG) == Some(tag.as_str())) {
            match states::machine(machine) {
                Sighted::There(sighting) => sightings.push(sighting),
                Sighted::Gone => {}
                Sighted::Rubbish => return Err(rubbish(ACTION)),
            }
        }
        for machine in named.iter().filter(|machine| machine.name == name) {
            let id: MachineId = machine.id.parse().map_err(|_| rubbish(ACTION))?;
            if sightings.iter().any(|sighting| sighting.id == id) {
                continue;
            }
            // A list may show what is gone, and a summary tells no tags: the machine itself is asked.
            if let Some(found) = self.look(app, &id, ACTION).await?
                && found.owner(town) != Owner::Other
            {
                sightings.push(found.sighting);
            }
        }
        Ok(sightings)
    }

    async fn create_machine(&self, spec: &MachineSpec) -> Result<ObservedMachine, ProviderError> {
        const ACTION: Action = Action::CreateMachine;
        let config = machine_config(spec, self.stop_grace.as_secs());
        let name = spec.town.machine_name();
        let wish = CreateMachine { name: &name, region: spec.region.as_str(), config: &config };
        match self.client.ask::<Machine>(&api::machines::create(spec.app.as_str(), &wish)).await {
            Ok(machine) => match states::machine(&machine) {
                Sighted::There(sighting) => Ok(sighting),
                Sighted::Gone | Sighted::Rubbish => Err(rubbish(ACTION)),
            },
            Err(error) => self.adopt(spec, error).await,
        }
    }

    async fn update_machine(&self, id: &MachineId, spec: &MachineSpec) -> Result<(), ProviderError> {
        const ACTION: Action = Action::UpdateMachine;
        let found = self.look(&spec.app, id, ACTION).await?.ok_or(ProviderError::MachineMissing { action: ACTION })?;
        let config = machine_config(spec, self.stop_grace.as_secs());
        let update =
            UpdateMachine { config: &config, current_version: found.machine.instance_id.as_deref(), skip_launch: true };
        let call = api::machines::update(spec.app.as_str(), id.as_str(), &update);
        match self.client.tell(&call).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.missing_or(&spec.app, ACTION, error).await),
        }
    }

    async fn start_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError> {
        let call = api::machines::start(app.as_str(), id.as_str());
        self.switch(app, id, &call, Action::StartMachine, &[Power::On, Power::Starting]).await
    }

    async fn stop_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError> {
        let call = api::machines::stop(app.as_str(), id.as_str(), self.stop_grace);
        self.switch(app, id, &call, Action::StopMachine, &[Power::Off, Power::Stopping]).await
    }

    async fn await_machine(
        &self,
        app: &AppName,
        id: &MachineId,
        state: Awaited,
        patience: Duration,
    ) -> Result<bool, ProviderError> {
        const ACTION: Action = Action::AwaitMachine;
        let found = match (self.look(app, id, ACTION).await?, state) {
            (None, Awaited::Destroyed) => return Ok(true),
            (None, Awaited::Started | Awaited::Stopped) => {
                return Err(ProviderError::MachineMissing { action: ACTION });
            }
            (Some(found), _) => found,
        };
        let (target, version) = match (state, found.sighting.power) {
            (Awaited::Started, Power::On) | (Awaited::Stopped, Power::Off) => return Ok(true),
            (Awaited::Started, _) => (WaitFor::Started, None),
            // Fly's description wants the version for this one.
            (Awaited::Stopped, _) => (WaitFor::Stopped, found.machine.instance_id.as_deref()),
            (Awaited::Destroyed, _) => (WaitFor::Destroyed, None),
        };
        let call = api::machines::wait(app.as_str(), id.as_str(), target, version, patience);
        match self.client.tell(&call).await {
            Ok(()) => Ok(true),
            Err(error) if error.refusal() == Some(&Refusal::NotYet) => Ok(false),
            Err(error) => match (self.missing_or(app, ACTION, error).await, state) {
                (ProviderError::MachineMissing { .. }, Awaited::Destroyed) => Ok(true),
                (error, _) => Err(error),
            },
        }
    }

    async fn delete_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError> {
        match self.client.tell(&api::machines::destroy(app.as_str(), id.as_str())).await {
            Ok(()) => Ok(()),
            Err(error) => self.proven_absent(app, Subject::Machine, Action::DeleteMachine, error).await,
        }
    }
}

/// A machine that is there, as Fly and as the domain put it.
struct Found {
    machine: Machine,
    sighting: ObservedMachine,
}

/// Whose a machine is, by its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Town,
    Other,
    /// Its configuration is not wholly at hand.
    Untold,
}

impl Found {
    fn owner(&self, town: TownId) -> Owner {
        match self.machine.tag(TOWN_TAG) {
            Some(tag) if tag == town.to_string() => Owner::Town,
            Some(_) => Owner::Other,
            None if self.machine.shows_all_tags() => Owner::Other,
            None => Owner::Untold,
        }
    }
}

impl Fly {
    /// The machine, or the proof that there is none.
    async fn look(&self, app: &AppName, id: &MachineId, action: Action) -> Result<Option<Found>, ProviderError> {
        match self.client.ask::<Machine>(&api::machines::get(app.as_str(), id.as_str())).await {
            Ok(machine) => match states::machine(&machine) {
                Sighted::There(sighting) if sighting.id == *id => Ok(Some(Found { machine, sighting })),
                Sighted::Gone if machine.id == id.as_str() => Ok(None),
                Sighted::There(_) | Sighted::Gone | Sighted::Rubbish => Err(rubbish(action)),
            },
            Err(error) => self.proven_absent(app, Subject::Machine, action, error).await.map(|()| None),
        }
    }

    /// A create that found its name taken: by the town's own machine, from an earlier try, or by another's.
    async fn adopt(&self, spec: &MachineSpec, error: FlyError) -> Result<ObservedMachine, ProviderError> {
        const ACTION: Action = Action::CreateMachine;
        let Some(Refusal::MachineNameTaken { holder }) = error.refusal() else {
            return Err(self.failed(&spec.app, ACTION, error));
        };
        let Some(holder) = holder.as_deref().and_then(|id| id.parse::<MachineId>().ok()) else {
            let mut own = self.machines_of(&spec.app, spec.town).await?.into_iter();
            return own
                .find(|machine| machine.power != Power::Destroying)
                .ok_or_else(|| self.failed(&spec.app, ACTION, error));
        };
        match self.look(&spec.app, &holder, ACTION).await? {
            // It takes its name along.
            Some(found) if found.sighting.power == Power::Destroying => Err(self.failed(&spec.app, ACTION, error)),
            Some(found) => match found.owner(spec.town) {
                Owner::Town => Ok(found.sighting),
                Owner::Other => Err(ProviderError::NameTaken { action: ACTION, by: holder }),
                Owner::Untold => Err(self.failed(&spec.app, ACTION, error)),
            },
            // Gone in between: the name will be free.
            None => Err(self.failed(&spec.app, ACTION, error)),
        }
    }

    /// Asks for a power; a refusal because it has that power already, or goes there, is success.
    async fn switch(
        &self,
        app: &AppName,
        id: &MachineId,
        call: &api::Call,
        action: Action,
        wished: &[Power],
    ) -> Result<(), ProviderError> {
        let Err(error) = self.client.tell(call).await else { return Ok(()) };
        if error.refusal() != Some(&Refusal::WrongState) {
            return Err(self.missing_or(app, action, error).await);
        }
        match self.look(app, id, action).await? {
            Some(found) if wished.contains(&found.sighting.power) => Ok(()),
            Some(_) => Err(self.failed(app, action, error)),
            None => Err(ProviderError::MachineMissing { action }),
        }
    }

    /// The port's error, with "no such machine" proven first.
    async fn missing_or(&self, app: &AppName, action: Action, error: FlyError) -> ProviderError {
        match self.proven_absent(app, Subject::Machine, action, error).await {
            Ok(()) => ProviderError::MachineMissing { action },
            Err(error) => error,
        }
    }
}
