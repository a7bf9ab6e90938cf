//! The call `exec`, with a few commands on the machine's files.

use serde_json::{Value, json};

use super::ApiRequest;
use crate::{api_error::ApiError, machine_state::State, reply::Reply, workload::Files, world::World};

const NO_SUCH_COMMAND: i32 = 127;

/// The result of a command.
#[derive(Debug, Default, PartialEq, Eq)]
struct Output {
    stdout: String,
    stderr: String,
    exit_code: i32,
}

impl Output {
    fn printed(stdout: impl Into<String>) -> Self {
        Self { stdout: stdout.into(), ..Self::default() }
    }

    fn failed(exit_code: i32, stderr: impl Into<String>) -> Self {
        Self { stderr: stderr.into(), exit_code, ..Self::default() }
    }
}

pub(super) fn exec(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let command = parse_command(&request.body)?;
    let machine = world.reachable_machine(&request.route.app, &request.route.id)?;
    if machine.state != State::Started {
        return Err(ApiError::NotRunning(machine.state));
    }
    let mut disk = Disk::of(world, &request.route.id).ok_or(ApiError::MachineNotFound)?;
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let output = run(&mut disk, &words);
    Ok(Reply::json(
        200,
        json!({ "stdout": output.stdout, "stderr": output.stderr, "exit_code": output.exit_code, "exit_signal": 0 }),
    ))
}

/// Parses `command`, or the older `cmd`, into words.
fn parse_command(body: &Value) -> Result<Vec<String>, ApiError> {
    let line = body.get("cmd").and_then(Value::as_str).unwrap_or_default();
    let words = body.get("command").and_then(Value::as_array);
    let command: Vec<String> = words.map_or_else(
        || line.split_whitespace().map(str::to_owned).collect(),
        |words| words.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    );
    if command.is_empty() { Err(ApiError::invalid("command is required")) } else { Ok(command) }
}

fn run(disk: &mut Disk<'_>, command: &[&str]) -> Output {
    match command {
        ["true"] => Output::default(),
        ["echo", words @ ..] => Output::printed(format!("{}\n", words.join(" "))),
        ["cat", path] => match disk.read(path) {
            Some(text) => Output::printed(text),
            None => Output::failed(1, format!("cat: {path}: No such file or directory\n")),
        },
        ["ls", path] => Output::printed(disk.list(path).into_iter().map(|name| name + "\n").collect::<String>()),
        // Fly passes no standard input, so `tee` writes an empty file.
        ["tee", path] => disk.write(path, String::new()),
        ["sh" | "/bin/sh" | "bash", "-c", script] => shell(disk, script),
        [name, ..] => Output::failed(NO_SUCH_COMMAND, format!("{name}: not found\n")),
        [] => Output::default(),
    }
}

/// Runs a command of plain or quoted words, with an optional `> file` or `>> file`.
fn shell(disk: &mut Disk<'_>, script: &str) -> Output {
    let (command, target) = match script.split_once('>') {
        Some((command, target)) => (command, Some(target)),
        None => (script, None),
    };
    let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
    let output = run(disk, &words);
    let Some(target) = target else { return output };
    if output.exit_code != 0 {
        return output;
    }
    let append = target.starts_with('>');
    let path = target.trim_start_matches('>').trim().trim_matches(['"', '\'']);
    let existing = if append { disk.read(path).unwrap_or_default() } else { String::new() };
    disk.write(path, existing + &output.stdout)
}

/// The machine's root file system with its mounted volume.
struct Disk<'world> {
    rootfs: &'world mut Files,
    volume: Option<(String, &'world mut Files)>,
}

impl<'world> Disk<'world> {
    fn of(world: &'world mut World, id: &str) -> Option<Self> {
        let World { machines, volumes, .. } = world;
        let machine = machines.get_mut(id)?;
        let mount = machine.mount().map(|(volume, path)| (volume.to_owned(), path.trim_end_matches('/').to_owned()));
        let volume = mount.and_then(|(id, path)| Some((path, &mut volumes.get_mut(&id)?.files)));
        Some(Self { rootfs: &mut machine.rootfs, volume })
    }

    /// Returns the file system that contains the path, and the path relative to its root.
    fn locate<'path>(&mut self, path: &'path str) -> (&mut Files, &'path str) {
        if let Some((mount, files)) = &mut self.volume
            && let Some(below) = path.strip_prefix(mount.as_str())
            && (below.is_empty() || below.starts_with('/'))
        {
            return (files, below.trim_start_matches('/'));
        }
        (self.rootfs, path.trim_start_matches('/'))
    }

    fn read(&mut self, path: &str) -> Option<String> {
        let (files, below) = self.locate(path);
        files.get(below).map(|content| String::from_utf8_lossy(content).into_owned())
    }

    fn write(&mut self, path: &str, content: String) -> Output {
        let (files, below) = self.locate(path);
        files.insert(below.to_owned(), content.into_bytes());
        Output::default()
    }

    fn list(&mut self, path: &str) -> Vec<String> {
        let (files, below) = self.locate(path);
        let folder = if below.is_empty() { String::new() } else { format!("{}/", below.trim_end_matches('/')) };
        let inside = files.keys().filter_map(|file| file.strip_prefix(&folder));
        let mut names: Vec<String> = inside.map(|rest| rest.split('/').next().unwrap_or(rest).to_owned()).collect();
        names.dedup();
        names
    }
}
