//! The workflow of a release: its step that collects the files is run, with the programs of this build.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const RELEASE: &str = include_str!("../../../../../.github/workflows/release.yml");

/// Returns the script of a step.
fn script(name: &str) -> String {
    let workflow: Value = serde_saphyr::from_str(RELEASE).unwrap();
    let steps = workflow["jobs"]["binaries"]["steps"].as_array().unwrap();
    steps.iter().find(|step| step["name"] == name).unwrap()["run"].as_str().unwrap().to_owned()
}

/// Runs a script as GitHub does. Returns its output.
fn run(folder: &Path, script: &str) -> String {
    let mut shell = Command::new("bash");
    shell.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]).current_dir(folder);
    shell.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("TAG", "v0.0.1");
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn release_has_every_file_and_its_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::create_dir_all(folder.path().join("target/release")).unwrap();
    // The programs are the same one: their content is not asked for.
    for program in ["gastown", "gastown-unseal"] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_gastown"), folder.path().join("target/release").join(program))
            .unwrap();
    }
    for name in ["docs", "CHANGELOG.md"] {
        std::os::unix::fs::symlink(root.join(name), folder.path().join(name)).unwrap();
    }
    run(folder.path(), &script("Collect"));
    let archive = "gastown-v0.0.1-x86_64-linux.tar.gz";
    let listed = run(folder.path(), &format!("sha256sum --check --quiet SHA256SUMS && tar --list --file={archive}"));
    let files: BTreeSet<_> = listed.lines().filter(|line| !line.ends_with('/')).collect();
    for file in [
        "./gastown",
        "./gastown-unseal",
        "./gastown.toml",
        "./gastown.service",
        "./secrets.env",
        "./CHANGELOG.md",
        "./man/gastown.1",
        "./completions/gastown.bash",
        "./completions/gastown.zsh",
        "./completions/gastown.fish",
    ] {
        assert!(files.contains(file), "{file} is missing: {files:?}");
    }
    let publish = script("Publish as a draft");
    assert!(
        publish.contains("\"gastown-$TAG-x86_64-linux.tar.gz\" SHA256SUMS") && publish.contains("--draft"),
        "{publish}"
    );
}
