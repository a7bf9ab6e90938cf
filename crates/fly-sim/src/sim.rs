//! A running simulator.

use std::{collections::BTreeMap, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::{
    activity, api,
    api_error::ApiError,
    attachment::AttachError,
    builder::Builder,
    call_log::Calls,
    config::SimConfig,
    contract::{Contract, SpecError, Violation},
    death::Death,
    faults::{Fault, ScheduledFault},
    gateway::{self, Gateway},
    scenario::Scenario,
    seed::{MachineSeed, SeedDocument, SeedError, VolumeSeed},
    server,
    sim_state::{Origin, SimState},
    snapshot::{self, MachineSnapshot, VolumeSnapshot},
    state_file::{self, StateFileError},
    workload::{Host, Workload, WorkloadError},
    world::{AppAccess, Settings, SharedWorld, StateError, World},
};

/// The time that a shutdown waits for calls in flight.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// An error while a simulator starts.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("failed to listen on {address}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        #[source]
        cause: io::Error,
    },
    /// The copy of Fly's document in this crate is invalid.
    #[error("failed to load Fly's OpenAPI document")]
    Spec(#[from] SpecError),
    /// The HTTP client for attached programs cannot be built.
    #[error("failed to build the HTTP client for attached programs")]
    Client(#[source] reqwest::Error),
    /// A program cannot be attached.
    #[error("failed to attach a program")]
    Attach(#[from] AttachError),
    /// The programs in machines cannot start their background work.
    #[error("failed to start the workload")]
    Workload(#[source] WorkloadError),
    /// An entry of the initial world is refused.
    #[error("failed to create the initial world")]
    Seed(#[from] SeedError),
    /// The state file cannot be used.
    #[error("failed to restore the world")]
    State(#[from] StateFileError),
}

/// An error while a test sets up the world.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Fly would reject the request: {0}")]
pub struct SetupError(String);

impl From<ApiError> for SetupError {
    fn from(error: ApiError) -> Self {
        Self(error.to_string())
    }
}

/// A simulated Fly on a local port. Dropping it stops it, and [`FlySim::shutdown`] also waits for its end.
#[derive(Debug)]
pub struct FlySim {
    address: SocketAddr,
    state: Arc<SimState>,
    tracker: TaskTracker,
}

impl FlySim {
    /// Returns a builder of a simulator with [`SimConfig::fast`].
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Binds the address and starts to serve.
    pub async fn start(config: SimConfig) -> Result<Self, StartError> {
        let failed = |cause| StartError::Listen { address: config.listen, cause };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let settings = Settings::from(&config);
        let world = SharedWorld::new(World::new(settings, config.seed, config.epoch));
        let attachments: BTreeMap<String, String> = config.attachments.into_iter().collect();
        let origin = Origin {
            id_seed: config.seed,
            epoch: config.epoch,
            document: config.initial,
            attachments: attachments.try_into()?,
            rates: config.rates,
        };
        let state = Arc::new(SimState::new(world, origin, config.faults, config.journal_limit));
        let gateway = Arc::new(Gateway {
            state: state.clone(),
            token: config.token,
            contract: config.checks_contract.then(Contract::shared).transpose()?,
            workload: config.workload.clone(),
            access_log: config.access_log,
            client: gateway::client().map_err(StartError::Client)?,
        });
        let sim = Self { address, state, tracker: TaskTracker::new() };
        sim.spawn_background_tasks(config.workload.as_deref())?;
        sim.tracker.spawn(activity::stop_idle(sim.state.clone(), config.autostop_after));
        sim.prepare_world(config.state_file)?;
        if let Some(scenario) = config.scenario {
            sim.start_scenario(scenario);
        }
        sim.tracker.spawn(server::serve(listener, gateway, sim.tracker.clone()));
        Ok(sim)
    }

    /// Restores the world from its file, or creates the initial one.
    fn prepare_world(&self, state_file: Option<PathBuf>) -> Result<(), StartError> {
        let stored = state_file.as_deref().map(state_file::read).transpose()?.flatten();
        match stored {
            Some((world, control)) => {
                self.state.restore_control(control);
                self.state.world.update(|current| {
                    current.restore(world);
                    current.catch_up_with_real_time();
                });
            }
            None => self.state.seed_initially()?,
        }
        if let Some(path) = state_file {
            self.tracker.spawn(state_file::keep(path, self.state.clone()));
        }
        Ok(())
    }

    fn spawn_background_tasks(&self, workload: Option<&dyn Workload>) -> Result<(), StartError> {
        let (world, cancel) = (&self.state.world, &self.state.cancel);
        self.tracker.spawn(world.clone().run_clock(cancel.clone()));
        let host = Host::new(world.clone(), self.tracker.clone(), cancel.clone());
        workload.map_or(Ok(()), |workload| workload.start(host)).map_err(StartError::Workload)
    }

    /// Returns the address that the simulator listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL for a client of Fly, which appends `/v1` to it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the URL template of the programs in machines, with the placeholders `{app}` and `{machine_id}`.
    pub fn machine_url_template(&self) -> String {
        format!("http://{}/_machine/{{app}}/{{machine_id}}", self.address)
    }

    /// Creates an app in the simulator's organization, as `POST /v1/apps` does.
    pub fn create_app(&self, name: &str) -> Result<(), SetupError> {
        self.state.world.update(|world| {
            let org = world.settings.org_slug.clone();
            Ok(api::apps::add(world, name, org, "default".to_owned(), AppAccess::Open)?)
        })
    }

    /// Creates an app in another organization. Calls on it answer 403, and its name is taken.
    pub fn create_foreign_app(&self, name: &str) -> Result<(), SetupError> {
        let (org, network) = ("other-organization".to_owned(), "default".to_owned());
        self.state.world.update(|world| Ok(api::apps::add(world, name, org, network, AppAccess::Forbidden)?))
    }

    /// Sets the access that callers have to an app. Returns true if the app exists.
    pub fn set_app_access(&self, app: &str, access: AppAccess) -> bool {
        self.state.world.update(|world| world.set_app_access(app, access))
    }

    /// Creates a machine without an API call, under Fly's rules. Returns its id.
    pub fn seed_machine(&self, seed: &MachineSeed) -> Result<String, SetupError> {
        Ok(self.state.world.update(|world| seed.create_in(world))?)
    }

    /// Creates a volume without an API call, under Fly's rules. Returns its id.
    pub fn seed_volume(&self, seed: &VolumeSeed) -> Result<String, SetupError> {
        Ok(self.state.world.update(|world| seed.create_in(world))?)
    }

    /// Moves the creation time of a machine or volume back. Returns true if it exists.
    pub fn backdate(&self, id: &str, by: Duration) -> bool {
        self.state.world.update(|world| world.backdate(id, by))
    }

    /// Sets a secret of an app. Returns the new version of the app's secrets.
    ///
    /// A machine sees the secret from its next version on.
    pub fn set_app_secret(&self, app: &str, name: &str, value: SecretString) -> Result<u64, SetupError> {
        Ok(self.state.world.update(|world| api::secrets::put(world, app, name, value))?)
    }

    /// Returns the machines that are not destroyed, oldest first. Those being destroyed are included.
    pub fn machines(&self) -> Vec<MachineSnapshot> {
        self.all_machines().into_iter().filter(|machine| !machine.destroyed).collect()
    }

    /// Returns all machines, including destroyed ones, oldest first.
    pub fn all_machines(&self) -> Vec<MachineSnapshot> {
        self.state.world.read(snapshot::machines)
    }

    /// Returns the volumes that are not deleted, oldest first.
    pub fn volumes(&self) -> Vec<VolumeSnapshot> {
        self.all_volumes().into_iter().filter(|volume| !volume.deleted).collect()
    }

    /// Returns all volumes that are still readable, including deleted ones, oldest first.
    pub fn all_volumes(&self) -> Vec<VolumeSnapshot> {
        self.state.world.read(snapshot::volumes)
    }

    /// Returns the calls so far, in the order of arrival. Unrouted and unauthenticated ones are not included.
    pub fn calls(&self) -> Calls {
        self.state.calls()
    }

    /// Returns the violations of Fly's OpenAPI document so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.state.violations()
    }

    /// Adds a fault to the schedule. Returns its id.
    pub fn inject(&self, fault: Fault) -> u64 {
        self.state.inject(fault)
    }

    /// Returns the schedule of faults, oldest first.
    pub fn faults(&self) -> Vec<ScheduledFault> {
        self.state.faults()
    }

    /// Removes one fault. Returns true if it was in the schedule.
    pub fn remove_fault(&self, id: u64) -> bool {
        self.state.remove_fault(id)
    }

    /// Puts a scenario in force, instead of the one before.
    pub fn start_scenario(&self, scenario: &'static Scenario) {
        self.state.start_scenario(scenario);
    }

    /// Ends the scenario in force: its faults are removed, and hosts that it took down are up.
    pub fn stop_scenario(&self) {
        self.state.stop_scenario();
    }

    /// Creates the entries of a document. Those before a refused one stay.
    pub fn seed(&self, document: &SeedDocument) -> Result<(), SeedError> {
        self.state.seed(document)
    }

    /// Returns the whole world as a document for [`FlySim::restore_state`]. It has the values of secrets.
    pub fn save_state(&self) -> serde_json::Value {
        self.state.world.read(World::store)
    }

    /// Replaces the whole world. Its clock goes on where it was.
    pub fn restore_state(&self, state: serde_json::Value) -> Result<(), StateError> {
        self.state.restore(state)
    }

    /// Returns to the start: the initial world, without faults, scenario, calls and violations.
    pub fn reset(&self) {
        self.state.reset();
    }

    /// Clears the schedule of faults, and ends the scenario.
    pub fn clear_faults(&self) {
        self.state.clear_faults();
    }

    /// Kills a machine. Returns true if there was one that was not being destroyed.
    pub fn kill_machine(&self, id: &str, death: Death) -> bool {
        self.state.world.update(|world| world.kill_machine(id, death))
    }

    /// Deletes a volume with its files and kills the machine that mounts it. Returns true if the volume existed.
    pub fn lose_volume(&self, id: &str) -> bool {
        self.state.world.update(|world| world.lose_volume(id))
    }

    /// Takes the host of a machine down or up again. Returns true if the machine exists.
    pub fn set_host_down(&self, machine: &str, down: bool) -> bool {
        self.state.world.update(|world| world.set_host_down(machine, down))
    }

    /// Moves a volume to another host, as Fly does without a call. Returns the new id if the volume existed.
    ///
    /// The copy has a new id and the files, and the machine mounts it. The old volume is deleted.
    pub fn migrate_volume(&self, id: &str) -> Option<String> {
        self.state.world.update(|world| world.migrate_volume(id))
    }

    /// Attaches a program on this computer to a machine, which is named by its id or as `app/name`.
    ///
    /// Requests that the proxy routes to the machine go to the program, as long as the machine is started.
    pub fn attach(&self, machine: &str, url: &str) -> Result<(), AttachError> {
        self.state.attach(machine, url)
    }

    /// Detaches a program. Returns true if there was one.
    pub fn detach(&self, machine: &str) -> bool {
        self.state.detach(machine)
    }

    /// Moves the simulated clock on. Everything that is due happens at once.
    pub fn advance_clock(&self, by: Duration) {
        self.state.world.update(|world| world.advance_clock(by));
    }

    /// Stops the simulated clock, or lets it go on. While it is stopped, nothing happens without a call.
    pub fn set_clock_frozen(&self, frozen: bool) {
        self.state.world.update(|world| world.set_clock_frozen(frozen));
    }

    /// Completes when the simulator is being stopped.
    pub async fn stopped(&self) {
        self.state.cancel.cancelled().await;
    }

    /// Stops the simulator: closes the port, ends long polls, and waits up to five seconds for calls in flight.
    pub async fn shutdown(self) {
        self.state.cancel.cancel();
        self.tracker.close();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, self.tracker.wait()).await.is_err() {
            tracing::warn!(tasks = self.tracker.len(), "shutdown timed out with calls in flight");
        }
    }
}

impl Drop for FlySim {
    fn drop(&mut self) {
        self.state.cancel.cancel();
    }
}
