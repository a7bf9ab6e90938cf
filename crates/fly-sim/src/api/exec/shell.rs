//! The shell that runs a script on the machine's files.

use std::time::Duration;

use super::{
    Environment, commands,
    disk::Disk,
    syntax::{self, Part, Pipeline, Redirect, Simple, When, Word, is_name},
};

/// The code of a command that is not there.
pub(super) const NO_SUCH_COMMAND: i32 = 127;
/// The code of a script that the shell cannot run.
const MISUSE: i32 = 2;
/// The maximum depth of scripts that run scripts.
const MAX_DEPTH: usize = 8;

/// The result of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) exit_code: i32,
    pub(super) exit_signal: i32,
}

impl Output {
    pub(super) fn printed(stdout: impl Into<String>) -> Self {
        Self { stdout: stdout.into(), ..Self::default() }
    }

    pub(super) fn failed(exit_code: i32, stderr: impl Into<String>) -> Self {
        Self { stderr: stderr.into(), exit_code, ..Self::default() }
    }
}

/// The end of a script before its last command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// `exit`, which ends the innermost script.
    Exit(i32),
    /// The script needs what is not simulated. No script goes on after it, so that it cannot look like success.
    NotSimulated(Box<Output>),
}

impl End {
    /// Ends all scripts with this code and the reason.
    pub(super) fn not_simulated(exit_code: i32, reason: &str) -> Self {
        Self::NotSimulated(Box::new(Output::failed(exit_code, format!("fly-sim: {reason}\n"))))
    }
}

/// The state of a shell.
pub(super) struct Session<'world> {
    pub(super) disk: Disk<'world>,
    pub(super) environment: Environment,
    pub(super) folder: String,
    slept: Duration,
    last_code: i32,
    depth: usize,
}

impl<'world> Session<'world> {
    pub(super) fn new(disk: Disk<'world>, environment: Environment) -> Self {
        Self { disk, environment, folder: "/".to_owned(), slept: Duration::ZERO, last_code: 0, depth: 0 }
    }

    /// Returns the time for which the commands slept.
    pub(super) fn slept(&self) -> Duration {
        self.slept
    }

    pub(super) fn sleep(&mut self, time: Duration) {
        self.slept = self.slept.saturating_add(time);
    }

    /// Runs a command of plain words, without a shell.
    pub(super) fn run_command(&mut self, words: &[String]) -> Output {
        match commands::run(self, words, "") {
            Ok(output) => output,
            Err(End::Exit(code)) => Output::failed(code, ""),
            Err(End::NotSimulated(output)) => *output,
        }
    }

    /// Runs a script in this shell.
    pub(super) fn run_script(&mut self, script: &str) -> Result<Output, End> {
        if self.depth == MAX_DEPTH {
            return Err(End::not_simulated(MISUSE, "a deeper script is not simulated"));
        }
        let pipelines = syntax::parse(script).map_err(|error| End::not_simulated(MISUSE, &error.to_string()))?;
        self.depth += 1;
        let mut output = Output::default();
        let end = self.run_pipelines(&pipelines, &mut output);
        self.depth -= 1;
        match end {
            Ok(()) => Ok(output),
            Err(End::Exit(exit_code)) => Ok(Output { exit_code, ..output }),
            Err(End::NotSimulated(last)) => {
                output.stdout.push_str(&last.stdout);
                output.stderr.push_str(&last.stderr);
                Err(End::NotSimulated(Box::new(Output { exit_code: last.exit_code, ..output })))
            }
        }
    }

    fn run_pipelines(&mut self, pipelines: &[Pipeline], output: &mut Output) -> Result<(), End> {
        for pipeline in pipelines {
            let runs = match pipeline.when {
                When::Always => true,
                When::Success => self.last_code == 0,
                When::Failure => self.last_code != 0,
            };
            if runs {
                let done = self.run_pipeline(pipeline)?;
                output.stdout.push_str(&done.stdout);
                output.stderr.push_str(&done.stderr);
                self.last_code = if pipeline.is_negated { i32::from(done.exit_code == 0) } else { done.exit_code };
            }
            output.exit_code = self.last_code;
        }
        Ok(())
    }

    fn run_pipeline(&mut self, pipeline: &Pipeline) -> Result<Output, End> {
        let mut input = String::new();
        let mut whole = Output::default();
        let last = pipeline.commands.len().saturating_sub(1);
        for (index, command) in pipeline.commands.iter().enumerate() {
            let done = self.run_simple(command, &input)?;
            whole.stderr.push_str(&done.stderr);
            whole.exit_code = done.exit_code;
            if index == last {
                whole.stdout = done.stdout;
            } else {
                input = done.stdout;
            }
        }
        Ok(whole)
    }

    fn run_simple(&mut self, command: &Simple, input: &str) -> Result<Output, End> {
        let mut input = input.to_owned();
        for redirect in &command.redirects {
            if let Redirect::Input(source) = redirect {
                let path = self.path(&self.expand_to_one(source));
                match self.disk.read(&path) {
                    Some(content) => input = content,
                    None => return Ok(Output::failed(MISUSE, format!("sh: 1: cannot open {path}: No such file\n"))),
                }
            }
        }
        let assigned = command.words.iter().map_while(|word| assignment(word)).count();
        let assignments: Vec<(String, String)> =
            command.words[..assigned].iter().filter_map(|word| self.assign(word)).collect();
        let words: Vec<String> = command.words[assigned..].iter().flat_map(|word| self.expand(word)).collect();
        let before = self.environment.clone();
        self.environment.extend(assignments);
        if words.is_empty() {
            return Ok(self.redirect(&command.redirects, Output::default()));
        }
        let changes_shell = matches!(words[0].as_str(), "export" | "unset" | "cd");
        let done = commands::run(self, &words, &input);
        if !changes_shell {
            self.environment = before;
        }
        Ok(self.redirect(&command.redirects, done?))
    }

    /// Writes output and errors to the files that the command names, from left to right.
    fn redirect(&mut self, redirects: &[Redirect], mut output: Output) -> Output {
        let merges = |wanted: bool| {
            redirects.iter().any(|redirect| matches!(redirect, Redirect::Merge { is_error } if *is_error == wanted))
        };
        let (error_to_output, output_to_error) = (merges(true), merges(false));
        if output_to_error {
            output.stderr.push_str(&std::mem::take(&mut output.stdout));
        } else if error_to_output {
            output.stdout.push_str(&std::mem::take(&mut output.stderr));
        }
        for redirect in redirects {
            if let Redirect::Output { is_error, append, target } = redirect {
                let path = self.path(&self.expand_to_one(target));
                let text = std::mem::take(if *is_error { &mut output.stderr } else { &mut output.stdout });
                self.disk.write(&path, &text, *append);
            }
        }
        output
    }

    /// Returns an absolute path.
    pub(super) fn path(&self, text: &str) -> String {
        let whole = if text.starts_with('/') { text.to_owned() } else { format!("{}/{text}", self.folder) };
        let mut parts: Vec<&str> = Vec::new();
        for part in whole.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                name => parts.push(name),
            }
        }
        format!("/{}", parts.join("/"))
    }

    fn assign(&self, word: &Word) -> Option<(String, String)> {
        let (name, first) = assignment(word)?;
        let rest = self.expand_to_one(&word[1..]);
        Some((name.to_owned(), format!("{first}{rest}")))
    }

    fn value(&self, name: &str) -> String {
        match name {
            "?" => self.last_code.to_string(),
            "PWD" => self.folder.clone(),
            name => self.environment.get(name).cloned().unwrap_or_default(),
        }
    }

    /// Expands the parts to one text.
    fn expand_to_one(&self, word: &[Part]) -> String {
        word.iter()
            .map(|part| match part {
                Part::Text(text) | Part::Quoted(text) => text.clone(),
                Part::Variable { name, .. } => self.value(name),
            })
            .collect()
    }

    /// Expands the parts. An unquoted variable is split at white space, and may vanish.
    fn expand(&self, word: &Word) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let mut current: Option<String> = None;
        for part in word {
            match part {
                Part::Text(text) | Part::Quoted(text) => current.get_or_insert_default().push_str(text),
                Part::Variable { name, is_quoted: true } => {
                    current.get_or_insert_default().push_str(&self.value(name));
                }
                Part::Variable { name, is_quoted: false } => {
                    let value = self.value(name);
                    for (index, piece) in value.split_whitespace().enumerate() {
                        if index > 0 {
                            words.extend(current.take());
                        }
                        current.get_or_insert_default().push_str(piece);
                    }
                }
            }
        }
        words.extend(current);
        words
    }
}

/// Returns the name and the beginning of the value of an assignment `NAME=value`.
fn assignment(word: &Word) -> Option<(&str, &str)> {
    let Part::Text(text) = word.first()? else { return None };
    text.split_once('=').filter(|(name, _)| is_name(name))
}
