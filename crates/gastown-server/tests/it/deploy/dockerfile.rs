//! The Dockerfile: its builds name packages and features that exist, and it copies what they build.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::DOCKERFILE;

const IGNORED: &str = include_str!("../../../../../docs/deploy/Dockerfile.dockerignore");
/// The folder of built programs in the image.
const BUILT: &str = "/src/target/release/";

/// A stage of the build.
struct Stage {
    name: Option<String>,
    base: String,
    /// The instructions, each on one line.
    lines: Vec<String>,
}

fn stages() -> Vec<Stage> {
    let text = DOCKERFILE.replace("\\\n", " ");
    let mut stages = Vec::<Stage>::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some(from) = line.strip_prefix("FROM ") {
            let (base, name) =
                from.split_once(" AS ").map_or((from, None), |(base, name)| (base, Some(name.to_owned())));
            stages.push(Stage { name, base: base.to_owned(), lines: Vec::new() });
        } else {
            stages.last_mut().unwrap().lines.push(line.to_owned());
        }
    }
    stages
}

/// Runs Cargo without the network, in the root of the repository.
fn cargo(arguments: &[&str]) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the packages of the whole tree of dependencies.
fn packages() -> Vec<Value> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--locked", "--offline"]);
    serde_json::from_str::<Value>(&metadata).unwrap()["packages"].as_array().unwrap().clone()
}

/// Returns the arguments of each build in a stage, without the program.
fn builds(stage: &Stage) -> Vec<Vec<String>> {
    let runs = stage.lines.iter().filter_map(|line| line.strip_prefix("RUN "));
    let commands = runs.flat_map(|run| run.split("&&"));
    let words = |command: &str| {
        let mut words = command.split_whitespace().skip_while(|word| word.contains('='));
        assert_eq!(words.next(), Some("cargo"), "{command}");
        assert_eq!(words.next(), Some("build"), "{command}");
        words.map(str::to_owned).collect()
    };
    commands.map(words).collect()
}

/// Returns the programs of a build, after it was compared with the packages.
fn programs(build: &[String], packages: &[Value]) -> Vec<String> {
    let (mut package, mut selection) = (None, Vec::new());
    let mut words = build.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--release" | "--locked" => {}
            "-p" => package = words.next(),
            "--no-default-features" => selection.push(word),
            other => panic!("not known to this test: {other}"),
        }
    }
    assert!(build.iter().any(|word| word == "--locked") && build.iter().any(|word| word == "--release"), "{build:?}");
    let name = package.expect("a build without a package");
    // Cargo selects the features, and fails for a package or a lock file that does not fit.
    let tree = [&["tree", "--offline", "--locked", "--edges", "normal", "-p", name][..], &selection].concat();
    assert!(cargo(&tree).lines().any(|line| line.starts_with(&format!("{name} v"))));
    let package = packages.iter().find(|package| package["name"] == name).unwrap();
    let targets = package["targets"].as_array().unwrap().iter();
    let programs = targets.filter(|target| target["kind"][0] == "bin" && target.get("required-features").is_none());
    programs.map(|target| target["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn copied_programs_are_those_that_are_built() {
    let (stages, packages) = (stages(), packages());
    let mut copied = BTreeSet::new();
    for stage in &stages {
        for line in stage.lines.iter().filter_map(|line| line.strip_prefix("COPY ")) {
            let Some((from, paths)) = line.strip_prefix("--from=").and_then(|line| line.split_once(' ')) else {
                assert_eq!(line, ". .", "a source that this test does not know");
                continue;
            };
            let mut source = stages.iter().find(|stage| stage.name.as_deref() == Some(from)).expect("no such stage");
            let mut built = BTreeSet::new();
            loop {
                built.extend(builds(source).iter().flat_map(|build| programs(build, &packages)));
                let Some(base) = stages.iter().find(|stage| stage.name.as_deref() == Some(&source.base)) else { break };
                source = base;
            }
            let (paths, folder) = paths.rsplit_once(' ').unwrap();
            assert_eq!(folder, "/usr/local/bin/");
            for path in paths.split(' ') {
                let program = path.strip_prefix(BUILT).unwrap_or_else(|| panic!("{path} is not built"));
                assert!(built.contains(program), "{program} is not among {built:?}");
                copied.insert(program.to_owned());
            }
        }
    }
    assert_eq!(copied, ["gastown", "gastown-fly-sim", "gastown-unseal"].map(str::to_owned).into());
}

/// Returns the first two numbers of a version.
fn version(text: &str) -> (u32, u32) {
    let mut numbers = text.split('.').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn compiler_of_the_image_is_used_and_new_enough() {
    let base = &stages()[0].base;
    let compiler = version(base.strip_prefix("rust:").unwrap().strip_suffix("-bookworm").unwrap());
    for package in packages() {
        if let Some(needed) = package["rust_version"].as_str() {
            assert!(version(needed) <= compiler, "{} needs Rust {needed}, and {base} is older", package["name"]);
        }
    }
    // With this file, rustup would download another compiler.
    assert!(IGNORED.lines().any(|line| line == "rust-toolchain.toml"), "{IGNORED}");
    // The programs run with the C library of the release that they are built on.
    assert!(stages().iter().skip(2).all(|stage| stage.base.starts_with("gcr.io/distroless/cc-debian12:nonroot")));
}

#[test]
fn nothing_that_a_build_needs_is_ignored() {
    let ignored: BTreeSet<_> = IGNORED.lines().filter(|line| !line.starts_with('#')).collect();
    let secrets_and_backups = ["/*.env", "/*.dump", "/r2"];
    let all = ["target", "**/node_modules", ".git", "rust-toolchain.toml"].into_iter().chain(secrets_and_backups);
    assert_eq!(ignored, all.collect());
    assert_eq!(IGNORED, include_str!("../../../../../examples/sandbox-image/Dockerfile.dockerignore"));
}
