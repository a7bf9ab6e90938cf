//! The path of a request through Fly's proxy to the program of a machine.

use std::net::SocketAddr;

use super::Incoming;
use crate::{
    machine_state::State,
    reply::Reply,
    workload::ProgramRequest,
    world::{Machine, World},
};

/// A request to the program of one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxied {
    pub(super) app: String,
    pub(super) machine: String,
    /// The path below the address of the program.
    pub(super) path: String,
}

impl Proxied {
    /// Parses a request, which takes one of two forms.
    ///
    /// These are `/_machine/{app}/{machine}/…`, and `/_proxy/{app}/…` with the machine in `fly-force-instance-id`.
    pub(super) fn parse(incoming: &Incoming) -> Option<Self> {
        let (app, machine, path) = if let Some(path) = incoming.path.strip_prefix("/_machine/") {
            let (app, path) = path.split_once('/')?;
            let (machine, path) = path.split_once('/')?;
            (app, machine, path)
        } else {
            let (app, path) = incoming.path.strip_prefix("/_proxy/")?.split_once('/')?;
            (app, incoming.header("fly-force-instance-id")?, path)
        };
        Some(Self { app: app.to_owned(), machine: machine.to_owned(), path: format!("/{path}") })
    }

    /// Returns the machine, or the error of the proxy in front of it.
    pub(super) fn reach(&self, world: &mut World) -> Result<Reached, Reply> {
        let machine = world.machines.get_mut(&self.machine).filter(|machine| machine.app == self.app);
        reachable(machine).map(|machine| Reached {
            name: machine.name.clone(),
            region: machine.region.clone(),
            address: machine.program.as_ref().and_then(|program| program.address()),
        })
    }

    /// Answers with the program of the machine, or with the error of the proxy in front of it.
    pub(super) fn answer(&self, world: &mut World, incoming: &Incoming) -> Reply {
        let now = world.wall();
        let World { machines, volumes, .. } = world;
        let machine = machines.get_mut(&self.machine).filter(|machine| machine.app == self.app);
        let machine = match reachable(machine) {
            Ok(machine) => machine,
            Err(reply) => return reply,
        };
        let mounted = machine.mount().map(|(volume, _)| volume.to_owned());
        let volume = mounted.and_then(|volume| volumes.get_mut(&volume)).map(|volume| &mut volume.files);
        let Some(program) = &mut machine.program else {
            return Reply::text(502, "connection refused");
        };
        let request = ProgramRequest {
            method: &incoming.method,
            path: &self.path,
            query: &incoming.query,
            headers: &incoming.headers,
            body: &incoming.body,
            now,
            volume,
        };
        program.answer(request).into()
    }
}

/// A machine that the proxy reaches.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) name: String,
    pub(super) region: String,
    /// The address of the program's own server.
    pub(super) address: Option<SocketAddr>,
}

/// Returns the machine if the proxy reaches it.
fn reachable(machine: Option<&mut Machine>) -> Result<&mut Machine, Reply> {
    let Some(machine) = machine.filter(|machine| !machine.is_destroyed_or_destroying()) else {
        return Err(Reply::text(502, "machine not found"));
    };
    if machine.state != State::Started {
        return Err(Reply::text(503, "machine is not running"));
    }
    if machine.host_down {
        return Err(Reply::text(502, "host unreachable"));
    }
    Ok(machine)
}
