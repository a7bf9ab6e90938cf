//! A workload whose program greets, or exits at boot.

use std::sync::Arc;

use fly_sim::{Boot, Program, ProgramAnswer, ProgramCall, ProgramRequest, Workload, WorkloadError};
use serde_json::json;

/// The kind of `GET /greet`.
pub(crate) const GREET: ProgramCall = ProgramCall::named("Greet");

/// A program that answers with its machine and counts its requests on the volume. `CRASH` in the environment ends it.
#[derive(Debug)]
pub(crate) struct Greeter;

impl Greeter {
    pub(crate) fn workload() -> Arc<dyn Workload> {
        Arc::new(Self)
    }
}

impl Workload for Greeter {
    fn boot(&self, machine: Boot<'_>) -> Result<Option<Box<dyn Program>>, WorkloadError> {
        if machine.env.contains_key("CRASH") {
            return Err("CRASH is set".into());
        }
        Ok(Some(Box::new(Greeting { app: machine.app.to_owned(), machine: machine.machine.to_owned() })))
    }

    fn classify(&self, _method: &str, path: &str) -> ProgramCall {
        if path == "/greet" { GREET } else { ProgramCall::OTHER }
    }

    fn kinds(&self) -> &[ProgramCall] {
        &[GREET]
    }
}

#[derive(Debug)]
struct Greeting {
    app: String,
    machine: String,
}

impl Program for Greeting {
    fn answer(&mut self, request: ProgramRequest<'_>) -> ProgramAnswer {
        let visits = request.volume.map(|files| {
            let visits = files.entry("visits".to_owned()).or_default();
            visits.push(b'x');
            visits.len()
        });
        let body = String::from_utf8_lossy(request.body);
        let greeting = json!({ "app": self.app, "machine": self.machine, "path": request.path, "visits": visits,
            "body": body, "query": request.query });
        ProgramAnswer::json(200, greeting)
    }
}
