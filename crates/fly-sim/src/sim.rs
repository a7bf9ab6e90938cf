//! A running simulator.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api,
    config::SimConfig,
    contract::{Contract, SpecError, Violation},
    death::Death,
    faults::{Fault, FaultPlan},
    gateway::{Gateway, locked},
    journal::{CallRecord, Journal},
    rates::Rates,
    refusal::Refusal,
    sandbox,
    seed::{MachineSeed, VolumeSeed},
    server,
    snapshot::{self, MachineSnapshot, VolumeSnapshot},
    world::{AppAccess, Settings, SharedWorld, World},
};

/// How long a shutdown waits for calls that are being answered.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// Fly's document in this crate cannot be used.
    #[error("Fly's OpenAPI document cannot be used")]
    Spec(#[from] SpecError),
    /// No client for the heartbeats.
    #[error("no HTTP client for the sandboxes' heartbeats")]
    Client(#[source] reqwest::Error),
}

/// What cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Fly would refuse: {0}")]
pub struct SetupError(String);

impl From<Refusal> for SetupError {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.to_string())
    }
}

/// A simulated Fly on a local port. Dropping it stops it; [`FlySim::shutdown`] also waits for its end.
#[derive(Debug)]
pub struct FlySim {
    address: SocketAddr,
    gateway: Arc<Gateway>,
    tracker: TaskTracker,
}

impl FlySim {
    /// Binds the address and begins to serve.
    pub async fn start(config: SimConfig) -> Result<Self, StartError> {
        let refused = |cause| StartError::Listen { address: config.listen, cause };
        let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let settings = Settings {
            timing: config.timing,
            org_slug: config.org_slug,
            machine_limit: config.machine_limit,
            sandbox: config.sandbox,
            app_secrets: config.app_secrets,
        };
        let world = SharedWorld::new(World::new(settings, config.seed, config.epoch));
        let cancel = CancellationToken::new();
        let gateway = Arc::new(Gateway {
            world: world.clone(),
            token: config.token,
            rates: Mutex::new(Rates::new(config.rates)),
            faults: Mutex::new(FaultPlan::new(config.faults)),
            journal: Mutex::new(Journal::new()),
            violations: Mutex::default(),
            contract: Contract::shared()?,
            cancel: cancel.clone(),
        });
        let tracker = TaskTracker::new();
        tracker.spawn(world.clone().keep_time(cancel.clone()));
        if let Some(interval) = config.heartbeat {
            let client = reqwest::Client::builder().no_proxy().build().map_err(StartError::Client)?;
            tracker.spawn(sandbox::call_home(world, client, interval, cancel));
        }
        tracker.spawn(server::serve(listener, gateway.clone(), tracker.clone()));
        Ok(Self { address, gateway, tracker })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client of Fly is given as base address; it appends `/v1` itself.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where sandboxes are reached: a template with `{app}` and `{machine_id}`.
    pub fn sandbox_url_template(&self) -> String {
        format!("http://{}/_sandbox/{{app}}/{{machine_id}}", self.address)
    }

    /// Makes an app in the simulator's organization, as `POST /v1/apps` would.
    pub fn create_app(&self, name: &str) -> Result<(), SetupError> {
        self.gateway.world.change(|world| {
            let org = world.settings.org_slug.clone();
            Ok(api::apps::add(world, name, org, "default".to_owned(), AppAccess::Open)?)
        })
    }

    /// Makes an app of an organization that no caller can see: reading it answers 403, its name is taken.
    pub fn create_foreign_app(&self, name: &str) -> Result<(), SetupError> {
        let (org, network) = ("somebody-else".to_owned(), "default".to_owned());
        self.gateway.world.change(|world| Ok(api::apps::add(world, name, org, network, AppAccess::Forbidden)?))
    }

    /// Hides an app from whoever calls, or shows it again; true when there is one.
    pub fn set_app_access(&self, app: &str, access: AppAccess) -> bool {
        self.gateway.world.change(|world| world.set_access(app, access))
    }

    /// Puts a machine there without a call, as old as it says; its id. Fly's rules hold.
    pub fn plant_machine(&self, seed: &MachineSeed) -> Result<String, SetupError> {
        Ok(self.gateway.world.change(|world| seed.plant(world))?)
    }

    /// Puts a volume there without a call, as old as it says; its id. Fly's rules hold.
    pub fn plant_volume(&self, seed: &VolumeSeed) -> Result<String, SetupError> {
        Ok(self.gateway.world.change(|world| seed.plant(world))?)
    }

    /// Makes a machine or volume older than it is; true when there is one.
    pub fn backdate(&self, id: &str, by: Duration) -> bool {
        self.gateway.world.change(|world| world.backdate(id, by))
    }

    /// Sets a secret of an app; the version of the app's secrets from then on. Machines see it from their next
    /// version on.
    pub fn set_app_secret(&self, app: &str, name: &str, value: SecretString) -> Result<u64, SetupError> {
        Ok(self.gateway.world.change(|world| api::secrets::put(world, app, name, value))?)
    }

    /// The machines that are not destroyed, oldest first; those on their way out are among them.
    pub fn machines(&self) -> Vec<MachineSnapshot> {
        self.all_machines().into_iter().filter(|machine| !machine.destroyed).collect()
    }

    /// Every machine that ever was, oldest first.
    pub fn all_machines(&self) -> Vec<MachineSnapshot> {
        self.gateway.world.look(snapshot::machines)
    }

    /// The volumes that are not deleted, oldest first.
    pub fn volumes(&self) -> Vec<VolumeSnapshot> {
        self.all_volumes().into_iter().filter(|volume| !volume.deleted).collect()
    }

    /// Every volume that is still readable, oldest first.
    pub fn all_volumes(&self) -> Vec<VolumeSnapshot> {
        self.gateway.world.look(snapshot::volumes)
    }

    /// The calls so far, in the order of arrival; unrouted and unauthenticated ones are not among them.
    pub fn calls(&self) -> Vec<CallRecord> {
        locked(&self.gateway.journal).records().to_vec()
    }

    /// What did not agree with Fly's document so far.
    pub fn violations(&self) -> Vec<Violation> {
        locked(&self.gateway.violations).clone()
    }

    /// Puts a fault on the schedule.
    pub fn inject(&self, fault: Fault) {
        locked(&self.gateway.faults).add(fault);
    }

    /// Clears the schedule.
    pub fn clear_faults(&self) {
        locked(&self.gateway.faults).clear();
    }

    /// Kills a machine; true when there was a living one.
    pub fn kill_machine(&self, id: &str, death: Death) -> bool {
        self.gateway.world.change(|world| world.kill(id, death))
    }

    /// Loses a volume with everything on it; true when there was one.
    pub fn lose_volume(&self, id: &str) -> bool {
        self.gateway.world.change(|world| world.lose(id))
    }

    /// Takes the host of a machine down or brings it back; true when there is such a machine.
    pub fn set_host_down(&self, machine: &str, down: bool) -> bool {
        self.gateway.world.change(|world| world.set_host_down(machine, down))
    }

    /// Moves a volume to another host, as Fly does by itself: its files and its machine go over to a new volume id, the
    /// old one is deleted. The new id, when there was such a volume.
    pub fn migrate_volume(&self, id: &str) -> Option<String> {
        self.gateway.world.change(|world| world.migrate_volume(id))
    }

    /// Completes when the simulator has been told to stop.
    pub async fn stopped(&self) {
        self.gateway.cancel.cancelled().await;
    }

    /// Stops: no new connections, long polls are broken off, calls in flight get five seconds.
    pub async fn shutdown(self) {
        self.gateway.cancel.cancel();
        self.tracker.close();
        if tokio::time::timeout(SHUTDOWN_PATIENCE, self.tracker.wait()).await.is_err() {
            tracing::warn!(tasks = self.tracker.len(), "the simulator stopped before every call was answered");
        }
    }
}

impl Drop for FlySim {
    fn drop(&mut self) {
        self.gateway.cancel.cancel();
    }
}
