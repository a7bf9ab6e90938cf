//! The call `exec`: a small shell language on the machine's files, or real commands in a folder of the user.

mod commands;
mod disk;
mod local;
mod mode;
mod shell;
mod syntax;

use std::{collections::BTreeMap, time::Duration};

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub use self::mode::ExecMode;
use self::{
    disk::Disk,
    shell::{Output, Session},
    syntax::split_words,
};
use super::ApiRequest;
use crate::{
    api_error::ApiError,
    machine_state::State,
    reply::Reply,
    world::{Machine, SharedWorld, World},
};

/// The time-out of a command that has none of its own.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum time-out, above which a request is reduced to it.
const MAX_TIMEOUT: Duration = Duration::from_secs(300);

/// The variables of a process.
type Environment = BTreeMap<String, String>;

/// Executes a command on a started machine. Fly passes no standard input, and no shell unless the command names one.
pub(crate) async fn exec(
    world: &SharedWorld,
    request: &ApiRequest,
    cancel: &CancellationToken,
) -> Result<Reply, ApiError> {
    let command = parse_command(&request.body)?;
    let timeout = request.number("timeout").filter(|seconds| *seconds > 0);
    let timeout = timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs).min(MAX_TIMEOUT);
    let (mode, environment) = world.update(|world| {
        let mode = world.settings.exec.clone();
        Ok::<_, ApiError>((mode, environment_of(started(world, request)?)))
    })?;
    let running = async {
        match mode {
            ExecMode::Simulated => run_simulated(world, request, &command, environment).await,
            ExecMode::Local(scratch) => local::run(&scratch.join(&request.route.id), &command, &environment).await,
        }
    };
    let output = tokio::select! {
        output = tokio::time::timeout(timeout, running) => output.map_err(|_| ApiError::ExecTimeout)??,
        () = cancel.cancelled() => return Err(ApiError::ShuttingDown),
    };
    Ok(Reply::json(
        200,
        json!({
            "stdout": output.stdout, "stderr": output.stderr, "exit_code": output.exit_code,
            "exit_signal": output.exit_signal,
        }),
    ))
}

/// Runs a command on the machine's files, and waits for as long as it slept.
async fn run_simulated(
    world: &SharedWorld,
    request: &ApiRequest,
    command: &[String],
    environment: Environment,
) -> Result<Output, ApiError> {
    let (output, slept) = world.update(|world| {
        started(world, request)?;
        let disk = Disk::of(world, &request.route.id).ok_or(ApiError::MachineNotFound)?;
        let mut session = Session::new(disk, environment);
        let output = session.run_command(command);
        Ok::<_, ApiError>((output, session.slept()))
    })?;
    if !slept.is_zero() {
        tokio::time::sleep(slept).await;
    }
    Ok(output)
}

fn started<'world>(world: &'world mut World, request: &ApiRequest) -> Result<&'world Machine, ApiError> {
    let machine = world.reachable_machine(&request.route.app, &request.route.id)?;
    if machine.state == State::Started { Ok(machine) } else { Err(ApiError::NotRunning(machine.state)) }
}

/// Returns the environment of a process on the machine: Fly's variables, the app's secrets, and its own.
fn environment_of(machine: &Machine) -> Environment {
    let mut environment: Environment = [
        ("FLY_APP_NAME", machine.app.clone()),
        ("FLY_MACHINE_ID", machine.id.clone()),
        ("FLY_ALLOC_ID", machine.id.clone()),
        ("FLY_REGION", machine.region.clone()),
        ("FLY_MACHINE_VERSION", machine.version.clone()),
        ("FLY_PRIVATE_IP", machine.private_ip.clone()),
        ("FLY_IMAGE_REF", machine.image().to_owned()),
        ("FLY_VM_MEMORY_MB", machine.memory_mb().to_string()),
        ("HOME", "/root".to_owned()),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    environment
        .extend(machine.secrets.iter().map(|(name, secret)| (name.clone(), secret.value.expose_secret().to_owned())));
    environment.extend(machine.string_map("env"));
    environment
}

/// Parses `command`, or the older text `cmd`, into words.
fn parse_command(body: &Value) -> Result<Vec<String>, ApiError> {
    let words = body.get("command").and_then(Value::as_array);
    let command: Vec<String> = if let Some(words) = words {
        words.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    } else {
        let line = body.get("cmd").and_then(Value::as_str).unwrap_or_default();
        split_words(line).map_err(|problem| ApiError::invalid(format!("cmd: {problem}")))?
    };
    if command.is_empty() { Err(ApiError::invalid("command is required")) } else { Ok(command) }
}
