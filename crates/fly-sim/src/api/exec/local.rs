//! Real commands, in a folder of the user.

use std::{io, path::Path, process::Stdio};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};

use super::{Environment, shell::Output};
use crate::api_error::ApiError;

/// The maximum of output and of errors, in bytes. The rest is discarded.
const MAX_OUTPUT: u64 = 1 << 20;
const NOT_FOUND: i32 = 127;
const NOT_STARTED: i32 = 126;

/// Runs a command in the folder, which is created if it is missing. It is killed if the caller stops waiting.
pub(super) async fn run(folder: &Path, command: &[String], environment: &Environment) -> Result<Output, ApiError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(Output::default()) };
    tokio::fs::create_dir_all(folder).await.map_err(|error| failed(&error))?;
    let spawned = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment)
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED };
            return Ok(Output::failed(code, format!("{program}: {error}\n")));
        }
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) =
        tokio::try_join!(read(stdout), read(stderr), child.wait()).map_err(|error| failed(&error))?;
    let (exit_code, exit_signal) = codes(status);
    Ok(Output { stdout, stderr, exit_code, exit_signal })
}

#[cfg(unix)]
fn codes(status: std::process::ExitStatus) -> (i32, i32) {
    use std::os::unix::process::ExitStatusExt;
    let signal = status.signal().unwrap_or(0);
    (status.code().unwrap_or(128 + signal), signal)
}

#[cfg(not(unix))]
fn codes(status: std::process::ExitStatus) -> (i32, i32) {
    (status.code().unwrap_or(1), 0)
}

async fn read(source: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let Some(mut source) = source else { return Ok(String::new()) };
    let mut bytes = Vec::new();
    (&mut source).take(MAX_OUTPUT).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut source, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn failed(error: &io::Error) -> ApiError {
    ApiError::LocalExec(error.to_string())
}
