//! The workflows of GitHub: each command is one that exists here, each action has a hash, and permissions are minimal.

use std::collections::BTreeMap;

use cargo_metadata::MetadataCommand;
use clap::Parser;
use serde_json::{Value, json};

use crate::workspace;
use crate::{Cli, Command};

/// A workflow, its job, and the permissions of the job.
type Permitted = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// The permissions of each job. Everything else is forbidden to it.
const PERMISSIONS: [Permitted; 3] = [
    ("book.yml", "publish", &[("contents", "read"), ("id-token", "write"), ("pages", "write")]),
    ("ci.yml", "test", &[("contents", "read")]),
    ("release.yml", "binaries", &[("contents", "write")]),
];

/// Returns each workflow with its text.
fn workflows() -> BTreeMap<String, (String, Value)> {
    let folder = workspace::root().join(".github/workflows");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let parsed = serde_saphyr::from_str(&text).unwrap();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), (text, parsed))
    };
    std::fs::read_dir(folder).unwrap().map(read).collect()
}

/// Returns the commands of all steps, one for each line.
fn commands(workflow: &Value) -> Vec<String> {
    let jobs = workflow["jobs"].as_object().unwrap().values();
    let steps = jobs.flat_map(|job| job["steps"].as_array().unwrap());
    let runs = steps.filter_map(|step| step["run"].as_str());
    runs.flat_map(str::lines).map(str::to_owned).collect()
}

#[test]
fn permissions_are_those_of_the_table() {
    let mut found = Vec::new();
    for (file, (_, workflow)) in &workflows() {
        assert_eq!(workflow["permissions"], json!({}), "{file}: a job without permissions of its own has none");
        for (job, description) in workflow["jobs"].as_object().unwrap() {
            found.push((file.clone(), job.clone(), description["permissions"].clone()));
            assert!(description["timeout-minutes"].is_u64(), "{file}: {job} has no limit of time");
        }
    }
    let listed = |(file, job, permissions): &Permitted| {
        let permissions: BTreeMap<_, _> = permissions.iter().copied().collect();
        ((*file).to_owned(), (*job).to_owned(), json!(permissions))
    };
    assert_eq!(found, PERMISSIONS.iter().map(listed).collect::<Vec<_>>());
}

#[test]
fn every_action_has_a_hash_and_its_version() {
    for (file, (text, _)) in workflows() {
        let uses: Vec<_> =
            text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: ")).collect();
        assert!(!uses.is_empty(), "{file}");
        for action in uses {
            let (hash, version) = action.split_once('@').and_then(|(_, rest)| rest.split_once(" # v")).unwrap();
            let is_hash = hash.len() == 40 && hash.chars().all(|digit| digit.is_ascii_hexdigit());
            assert!(
                is_hash && version.chars().all(|letter| letter.is_ascii_digit() || letter == '.'),
                "{file}: {action}"
            );
        }
    }
}

/// The commands of the workflows, but for those of the release, which a test of `gastown-server` runs.
#[test]
fn commands_are_those_of_this_repository() {
    let mut checked = Vec::new();
    for (file, (_, workflow)) in workflows() {
        for command in commands(&workflow) {
            let words: Vec<_> = command.split_whitespace().collect();
            match words.as_slice() {
                [".ci/run"] => assert!(workspace::root().join(".ci/run").is_file(), "{file}: {command}"),
                ["cargo", "xtask", arguments @ ..] => is_known(&command, arguments),
                ["cargo", "build", arguments @ ..] => is_buildable(&command, arguments),
                _ => continue,
            }
            checked.push(format!("{file}: {}", words[..words.len().min(3)].join(" ")));
        }
    }
    let expected =
        ["book.yml: cargo xtask book", "ci.yml: .ci/run", "release.yml: .ci/run", "release.yml: cargo build --release"];
    assert_eq!(checked, expected);
}

fn is_known(command: &str, arguments: &[&str]) {
    let parsed = Cli::try_parse_from([&["cargo xtask"], arguments].concat());
    let Ok(Cli { command: Command::Book(_) }) = parsed else { panic!("{command} is not understood") };
    let page = std::fs::read_to_string(workspace::root().join("CONTRIBUTING.md")).unwrap();
    assert!(page.contains("| `cargo xtask book` |"), "CONTRIBUTING.md does not explain it");
}

fn is_buildable(command: &str, arguments: &[&str]) {
    let metadata = MetadataCommand::new().manifest_path(workspace::root().join("Cargo.toml")).no_deps().exec().unwrap();
    let mut packages = 0;
    for pair in arguments.windows(2).filter(|pair| pair[0] == "-p") {
        assert!(metadata.packages.iter().any(|package| package.name.as_str() == pair[1]), "{command}: no {}", pair[1]);
        packages += 1;
    }
    let others = arguments.iter().filter(|word| !["--release", "--locked"].contains(word)).count();
    assert_eq!(others, 2 * packages, "{command}: an argument that this test does not know");
}

/// The folder that is published is the one that the book is built into, and `.ci/run` does what a developer does.
#[test]
fn workflows_use_what_the_commands_make() {
    let (_, book) = &workflows()["book.yml"];
    let steps = book["jobs"]["publish"]["steps"].as_array().unwrap();
    let published = steps.iter().find_map(|step| step["with"]["path"].as_str()).unwrap();
    let settings = std::fs::read_to_string(workspace::root().join("docs/book.toml")).unwrap();
    assert!(settings.contains(&format!("build-dir = \"../{published}\"")), "{published}");
    let script = std::fs::read_to_string(workspace::root().join(".ci/run")).unwrap();
    assert!(script.trim_end().ends_with("exec cargo xtask test"), "{script}");
}
