//! The commands that every simulated machine has.

use std::time::Duration;

use super::{
    shell::{End, NO_SUCH_COMMAND, Output, Session},
    syntax::is_name,
};

/// The parts of `uname`, by option.
const SYSTEM: [(char, &str); 5] =
    [('s', "Linux"), ('n', ""), ('r', "6.8.0-fly-sim"), ('v', "#1 SMP PREEMPT_DYNAMIC"), ('m', "x86_64")];

/// Runs a command with its standard input. A command that is not simulated ends the whole script.
pub(super) fn run(session: &mut Session<'_>, words: &[String], input: &str) -> Result<Output, End> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some((name, arguments)) = words.split_first() else { return Ok(Output::default()) };
    let name = ["/bin/", "/usr/bin/"].into_iter().find_map(|folder| name.strip_prefix(folder)).unwrap_or(name);
    match (name, arguments) {
        ("true" | ":", _) => Ok(Output::default()),
        ("false", _) => Ok(Output::failed(1, "")),
        ("echo", ["-n", words @ ..]) => Ok(Output::printed(words.join(" "))),
        ("echo", [option, ..]) if is_option(option) => Err(not_simulated(&format!("'echo {option}'"))),
        ("echo", words) => Ok(Output::printed(format!("{}\n", words.join(" ")))),
        ("cat", paths) => cat(session, paths, input),
        ("ls", paths) => ls(session, paths),
        ("tee", arguments) => tee(session, arguments, input),
        ("pwd", []) => Ok(Output::printed(format!("{}\n", session.folder))),
        ("cd", arguments) => Ok(cd(session, arguments)),
        ("env" | "printenv" | "export", []) => Ok(Output::printed(environment(session))),
        ("printenv", [name]) => Ok(printenv(session, name)),
        ("export", assignments) => Ok(export(session, assignments)),
        ("unset", names) => {
            session.environment.retain(|name, _| !names.contains(&name.as_str()));
            Ok(Output::default())
        }
        ("uname", options) => uname(session, options),
        ("sleep", times) => Ok(sleep(session, times)),
        ("exit", []) => Err(End::Exit(0)),
        ("exit", [code]) => Ok(exit_code(code)?),
        ("test", expression) => test(session, expression),
        ("[", [expression @ .., "]"]) => test(session, expression),
        ("sh" | "bash" | "ash" | "dash", ["-c" | "-lc" | "-ec", script]) => in_subshell(session, script),
        (name, _) => Err(missing(name, arguments)),
    }
}

fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

fn not_simulated(what: &str) -> End {
    End::not_simulated(NO_SUCH_COMMAND, &format!("{what} is not simulated"))
}

fn missing(name: &str, arguments: &[&str]) -> End {
    match name {
        "cat" | "ls" | "tee" | "pwd" | "env" | "printenv" | "sh" | "bash" | "exit" | "[" => {
            not_simulated(&format!("'{name} {}'", arguments.join(" ")))
        }
        name => not_simulated(&format!("command '{name}'")),
    }
}

/// Runs a script without changes to the shell that runs it.
fn in_subshell(session: &mut Session<'_>, script: &str) -> Result<Output, End> {
    let (environment, folder) = (session.environment.clone(), session.folder.clone());
    let done = session.run_script(script);
    (session.environment, session.folder) = (environment, folder);
    done
}

fn cat(session: &mut Session<'_>, paths: &[&str], input: &str) -> Result<Output, End> {
    if let Some(option) = paths.iter().find(|path| is_option(path)) {
        return Err(not_simulated(&format!("'cat {option}'")));
    }
    let mut output = Output::default();
    if paths.is_empty() {
        return Ok(Output::printed(input));
    }
    for path in paths {
        let content = if *path == "-" { Some(input.to_owned()) } else { session.disk.read(&session.path(path)) };
        if let Some(content) = content {
            output.stdout.push_str(&content);
        } else {
            output.stderr.extend(["cat: ", path, ": No such file or directory\n"]);
            output.exit_code = 1;
        }
    }
    Ok(output)
}

fn ls(session: &mut Session<'_>, paths: &[&str]) -> Result<Output, End> {
    if let Some(option) = paths.iter().find(|path| is_option(path) && **path != "-1") {
        return Err(not_simulated(&format!("'ls {option}'")));
    }
    let paths: Vec<&str> = paths.iter().copied().filter(|path| *path != "-1").collect();
    let mut output = Output::default();
    for path in if paths.is_empty() { vec!["."] } else { paths } {
        let place = session.path(path);
        match session.disk.list(&place) {
            Some(names) => output.stdout.extend(names.into_iter().map(|name| name + "\n")),
            None if session.disk.read(&place).is_some() => output.stdout.extend([path, "\n"]),
            None => {
                output.stderr.extend(["ls: cannot access '", path, "': No such file or directory\n"]);
                output.exit_code = 2;
            }
        }
    }
    Ok(output)
}

fn tee(session: &mut Session<'_>, arguments: &[&str], input: &str) -> Result<Output, End> {
    let append = arguments.first() == Some(&"-a");
    let paths = &arguments[usize::from(append)..];
    if let Some(option) = paths.iter().find(|path| is_option(path)) {
        return Err(not_simulated(&format!("'tee {option}'")));
    }
    for path in paths {
        session.disk.write(&session.path(path), input, append);
    }
    Ok(Output::printed(input))
}

fn cd(session: &mut Session<'_>, arguments: &[&str]) -> Output {
    let home = session.environment.get("HOME").cloned().unwrap_or_else(|| "/root".to_owned());
    let target = arguments.first().map_or(home, |path| (*path).to_owned());
    let path = session.path(&target);
    if session.disk.is_folder(&path) {
        session.folder = path;
        Output::default()
    } else {
        Output::failed(2, format!("sh: 1: cd: can't cd to {target}\n"))
    }
}

fn environment(session: &Session<'_>) -> String {
    session.environment.iter().flat_map(|(name, value)| [name, "=", value, "\n"]).collect()
}

fn printenv(session: &Session<'_>, name: &str) -> Output {
    match session.environment.get(name) {
        Some(value) => Output::printed(format!("{value}\n")),
        None => Output::failed(1, ""),
    }
}

fn export(session: &mut Session<'_>, assignments: &[&str]) -> Output {
    for assignment in assignments {
        let (name, value) = assignment.split_once('=').unwrap_or((assignment, ""));
        if !is_name(name) {
            return Output::failed(2, format!("sh: 1: export: {name}: bad variable name\n"));
        }
        if assignment.contains('=') {
            session.environment.insert(name.to_owned(), value.to_owned());
        }
    }
    Output::default()
}

fn uname(session: &Session<'_>, options: &[&str]) -> Result<Output, End> {
    let flags: String = options.iter().map(|option| option.trim_start_matches('-')).collect();
    let flags = if flags.is_empty() { "s".to_owned() } else { flags };
    let is_known = |flag: char| flag == 'a' || SYSTEM.iter().any(|(known, _)| *known == flag);
    if !options.iter().all(|option| is_option(option)) || !flags.chars().all(is_known) {
        return Err(not_simulated(&format!("'uname {}'", options.join(" "))));
    }
    let host = session.environment.get("FLY_MACHINE_ID").cloned().unwrap_or_default();
    let wanted = SYSTEM.iter().filter(|(flag, _)| flags.contains(['a', *flag]));
    let shown: Vec<&str> = wanted.map(|(flag, value)| if *flag == 'n' { &*host } else { value }).collect();
    Ok(Output::printed(format!("{}\n", shown.join(" "))))
}

fn sleep(session: &mut Session<'_>, times: &[&str]) -> Output {
    let parse = |time: &&str| {
        let (number, unit) = time.split_at(time.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
        let seconds = match unit {
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
    };
    match times.iter().map(parse).collect::<Option<Vec<Duration>>>() {
        Some(times) if !times.is_empty() => {
            session.sleep(times.iter().sum());
            Output::default()
        }
        _ => Output::failed(1, format!("sleep: invalid time interval '{}'\n", times.join(" "))),
    }
}

/// Ends the script with the code, of which a process keeps the lowest byte.
fn exit_code(code: &str) -> Result<Output, End> {
    match code.parse::<i64>() {
        Ok(code) => Err(End::Exit((code & 0xff) as i32)),
        Err(_) => Ok(Output::failed(2, format!("sh: 1: exit: Illegal number: {code}\n"))),
    }
}

fn test(session: &mut Session<'_>, expression: &[&str]) -> Result<Output, End> {
    let is_file = |session: &mut Session<'_>, path: &str| {
        let path = session.path(path);
        session.disk.read(&path).is_some()
    };
    let is_folder = |session: &mut Session<'_>, path: &str| {
        let path = session.path(path);
        session.disk.is_folder(&path)
    };
    let is_true = match expression {
        [] => false,
        ["!", rest @ ..] => {
            let Output { exit_code, .. } = test(session, rest)?;
            exit_code != 0
        }
        ["-n", text] => !text.is_empty(),
        ["-z", text] => text.is_empty(),
        ["-f", path] => is_file(session, path),
        ["-d", path] => is_folder(session, path),
        ["-e", path] => is_file(session, path) || is_folder(session, path),
        [one, "=" | "==", other] => one == other,
        [one, "!=", other] => one != other,
        [text] => !text.is_empty(),
        other => return Err(not_simulated(&format!("'test {}'", other.join(" ")))),
    };
    Ok(Output { exit_code: i32::from(!is_true), ..Output::default() })
}
