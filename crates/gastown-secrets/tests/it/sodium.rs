//! libsodium as an independent implementation, through Node and the package in `tests/sodium`.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs the jobs with libsodium and returns the answers in the same order. `sealed_boxes.mjs` describes the jobs.
///
/// Panics with installation instructions if Node or npm is missing.
pub(crate) fn run<const N: usize>(jobs: [Value; N]) -> [Value; N] {
    install_once();
    let mut node = Command::new("node")
        .arg("sealed_boxes.mjs")
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("these tests run libsodium in Node: install `node` and `npm` (Debian: apt-get install nodejs npm)");
    node.stdin.take().unwrap().write_all(Value::from_iter(jobs).to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "sealed_boxes.mjs failed, see its message above");

    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    answers.try_into().expect("libsodium answers every job")
}

/// Installs the packages of the committed lock file, once. Tests run in several threads and, under nextest, in several
/// processes, so a file lock lets only one of them install.
fn install_once() {
    let lock = File::create(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sodium-install.lock")).unwrap();
    lock.lock().unwrap();
    if folder().join("node_modules/libsodium-wrappers/package.json").exists() {
        return;
    }
    let status = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(folder())
        .stdout(Stdio::null())
        .status()
        .expect(
            "these tests install libsodium with npm: install `node` and `npm` (Debian: apt-get install nodejs npm)",
        );
    assert!(status.success(), "`npm ci` failed in crates/gastown-secrets/tests/sodium, see its message above");
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sodium")
}
