//! Clients of other authors, which drive the simulator as they drive Fly.
//!
//! `fly-admin` comes from npm by its lock file. The Python client is generated from Fly's document, with a generator
//! from `PyPI` whose wheels are pinned by their hashes.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use crate::client::Fly;

const MAX_DURATION: Duration = Duration::from_secs(120);
/// Settings of a user's pip that contradict a folder of our own.
const PIP_SETTINGS: [(&str, &str); 2] = [("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0")];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Returns the folder of a tool below `target`.
fn tools(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools").join(name)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command that must succeed.
fn succeed(command: &mut Command, hint: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?} ({error}): {hint}"));
    assert!(output.status.success(), "{command:?} failed:\n{}\n{hint}", text(&output));
}

/// Installs something unless `done` is newer than all of its sources.
///
/// The lock on the first source is for test runners with a process per test.
fn once(sources: &[PathBuf], done: &Path, install: impl FnOnce()) {
    let held = File::open(&sources[0]).unwrap();
    held.lock().unwrap();
    let written = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    if sources.iter().any(|source| written(done) < written(source)) {
        install();
        File::create(done).unwrap();
    }
}

/// Runs a client against the simulator and returns what it printed.
async fn drive(program: &str, arguments: &[&str], python_path: Option<&str>) -> String {
    let mut client = tokio::process::Command::new(program);
    client.args(arguments).current_dir(folder()).kill_on_drop(true);
    client.envs(python_path.map(|path| ("PYTHONPATH", path))).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = tokio::time::timeout(MAX_DURATION, client.output()).await.expect("the client hangs").unwrap();
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fly_admin_completes_a_life() {
    let done = folder().join("node_modules/.installed");
    once(&[folder().join("package-lock.json")], &done, || {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-progress"]).current_dir(folder());
        succeed(&mut npm, "install Node.js 20 or later with npm");
    });
    let fly = Fly::fast().await;
    assert_eq!(drive("node", &["fly_admin.mjs", &fly.sim.url()], None).await, "fly-admin: ok\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_client_completes_a_life() {
    let (list, generator, generated) =
        (folder().join("requirements.txt"), tools("openapi-python-client"), tools("fly-client"));
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/fly-openapi.json");
    once(&[list.clone(), document.clone()], &generated.join("installed"), || {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
        pip.args(["--only-binary", ":all:", "--require-hashes", "--upgrade", "--target"]).arg(&generator);
        succeed(pip.arg("-r").arg(&list).envs(PIP_SETTINGS), "install Python 3.10 or later with pip");
        std::fs::create_dir_all(&generated).unwrap();
        let mut generate = Command::new("python3");
        generate.args(["-m", "openapi_python_client", "generate", "--meta", "none", "--overwrite", "--config"]);
        generate.arg(folder().join("generator.yaml")).arg("--path").arg(&document);
        generate.arg("--output-path").arg(generated.join("fly_client"));
        succeed(generate.env("PYTHONPATH", &generator), "remove target/tools and try again");
    });
    let path = std::env::join_paths([&generated, &generator]).unwrap().into_string().unwrap();
    let fly = Fly::fast().await;
    let printed = drive("python3", &["generated_client.py", &fly.sim.url()], Some(&path)).await;
    assert_eq!(printed, "generated client: ok\n");
}
