//! `gastown sandbox`, with the sample image.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::client;
use crate::process::{Ended, Gastown};
use crate::stage::{id_of, until};

/// Returns the command that runs the sample image, with frequent heartbeats.
pub(crate) fn sample() -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/sandbox-image/sandbox.py");
    let binary = env!("CARGO_BIN_EXE_gastown");
    format!("HEARTBEAT_SECONDS=0.1 exec {binary} unseal -- python3 {}", folder.display())
}

/// Returns the page for authors of images, and the shell blocks in it.
fn page() -> (String, Vec<String>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/sandbox-images.md");
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect();
    (text, blocks)
}

/// Returns a folder with the two programs of the page. Both are the binary under test.
fn programs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let binary = env!("CARGO_BIN_EXE_gastown");
    for (name, words) in [("gastown", ""), ("gastown-unseal", " unseal")] {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\nexec {binary}{words} \"$@\"\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// Runs commands of the page in a folder. Returns what they print.
async fn shell(script: &str, folder: &Path, settings: &[(&str, &str)]) -> String {
    let programs = programs();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", programs.path().display());
    let mut command = tokio::process::Command::new("/bin/sh");
    command.args(["-ec", script]).env_clear().env("PATH", &path).env("NO_PROXY", "*").kill_on_drop(true);
    let output = command.current_dir(folder).envs(settings.iter().copied()).output().await.unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{script}\n{out}\n{}", String::from_utf8_lossy(&output.stderr));
    out
}

async fn sandbox(arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
    let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Gastown::run(&[&["sandbox"], arguments].concat(), &settings).await
}

#[tokio::test]
async fn sample_image_keeps_every_rule() {
    let sample = sample();
    let arguments = ["check", "--cmd", &sample, "--unpushed-repo", "https://example.com/unpushed/x", "--json"];
    let ended = sandbox(&arguments, &[]).await;
    assert_eq!(ended.status.code(), Some(0), "{}\n{}", ended.err, ended.out);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(report["kept"].as_u64(), Some(findings.len().try_into().unwrap()), "{report}");
    assert!(findings.len() > 50 && report["passed"] == true);
}

#[tokio::test]
async fn broken_image_is_explained() {
    let arguments = ["check", "--cmd", "python3 -m http.server {port} --directory {data}", "--start-seconds", "8"];
    let ended = sandbox(&arguments, &[]).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
    for text in
        ["BROKEN  health\n", "expected: GET /health answers 200", "seen:     GET /health answered 404", "to mend:"]
    {
        assert!(ended.out.contains(text), "{text}: {}", ended.out);
    }
    assert!(ended.out.ends_with("1 kept, 1 broken, 53 skipped.\n"), "{}", ended.out);
}

#[tokio::test]
async fn last_answer_of_an_image_that_ends_is_shown() {
    let once =
        "import http.server as h; h.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler).handle_request()";
    let command = format!("python3 -c \"{once}\"");
    let ended = sandbox(&["check", "--cmd", &command, "--start-seconds", "8"], &[]).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
    assert!(ended.out.contains("seen:     GET /health answered 501"), "{}", ended.out);
    assert!(ended.out.contains("; later GET /health: no complete answer after "), "{}", ended.out);
}

#[tokio::test]
async fn running_sandbox_is_checked_with_its_environment_file() {
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [home, port] = ports.each_ref().map(|port| port.local_addr().unwrap());
    drop(ports);
    let environment = sandbox(&["env", "--home-url", &format!("http://{home}")], &[]).await.out;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("town.env");
    std::fs::write(&file, &environment).unwrap();
    let pairs = environment.lines().map(|line| line.split_once('=').unwrap());
    let port_text = port.port().to_string();
    let mut command = tokio::process::Command::new("/bin/sh");
    command.args(["-c", &sample()]).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(pairs);
    command.env("PORT", &port_text).env("DATA_DIR", folder.path()).kill_on_drop(true);
    let _running = command.spawn().unwrap();

    let (url, file, home) = (format!("http://{port}"), file.display().to_string(), home.to_string());
    let ended = sandbox(&["check", &url, "--env-file", &file, "--home", &home], &[]).await;
    assert_eq!(ended.status.code(), Some(0), "{}\n{}", ended.err, ended.out);
    assert!(ended.out.contains("ok      heartbeat-after-error") && ended.out.contains(" 0 broken, 13 skipped."));
    for secret in environment.lines().filter(|line| line.contains("nacl:") || line.contains("PRIVATE")) {
        let (_, value) = secret.split_once('=').unwrap();
        assert!(!ended.out.contains(value), "{}", ended.out);
    }
}

#[tokio::test]
async fn check_that_cannot_start_says_why_in_one_line() {
    for (arguments, code, why) in [
        (vec!["check"], 2, "<URL|--cmd <COMMAND>>"),
        (vec!["check", "http://127.0.0.1:1", "--cmd", "true"], 2, "cannot be used with"),
        (vec!["check", "http://127.0.0.1:1"], 3, "gastown: TOWN_ID is missing\n"),
        (vec!["check", "http://127.0.0.1:1", "--env-file", "/no/such/file"], 3, "failed to read /no/such/file: "),
        (vec!["check", "--cmd", "true", "--home", "192.0.2.1:1"], 3, "failed to listen on 192.0.2.1:1: "),
    ] {
        let ended = sandbox(&arguments, &[]).await;
        assert_eq!((ended.status.code(), ended.out.as_str()), (Some(code), ""), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(why), "{arguments:?}: {}", ended.err);
        assert!(code == 2 || ended.err.lines().count() == 1, "{}", ended.err);
    }
}

#[tokio::test]
async fn rules_are_listed_with_their_repair() {
    let ended = sandbox(&["rules", "--json"], &[]).await;
    let rules: Value = serde_json::from_str(&ended.out).unwrap();
    let first = &rules["rules"][0];
    assert_eq!(first["rule"], "health");
    assert!(first["toMend"].as_str().unwrap().contains("townId"));
    let text = sandbox(&["rules"], &[]).await.out;
    assert!(text.starts_with("health\n  GET /health answers 200"), "{text}");
}

/// `gastown dev` whose machines run the sample.
struct Dev {
    process: Gastown,
    announced: Value,
    /// The folder for temporary files. It stands for R2 too.
    folder: tempfile::TempDir,
}

impl Dev {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let command = format!("R2_DIR={path} {}", sample());
        let settings = vec![("TMPDIR".to_owned(), path), ("INSPECT_SECONDS".to_owned(), "1".to_owned())];
        let arguments = ["dev", "--user", "alice", "--json", "--timing", "fast", "--sandbox-cmd", &command];
        let mut process = Gastown::spawn(&arguments, &settings);
        let announced = serde_json::from_str(&process.first_line().await).unwrap();
        Self { process, announced, folder }
    }

    fn text(&self, name: &str) -> &str {
        self.announced[name].as_str().unwrap()
    }

    async fn call(&self, procedure: &str, input: Value) -> Result<Value, client::Refusal> {
        let token = self.announced["users"]["alice"]["token"].as_str().unwrap();
        client::call(self.text("url"), token, procedure, input).await
    }

    async fn ends(self) {
        self.process.signal(Signal::SIGTERM);
        assert_eq!(self.process.ended().await.status.code(), Some(0));
    }
}

#[tokio::test]
async fn town_lives_on_the_sample_image() {
    let dev = Dev::start().await;
    let call = async |procedure: &str, input: Value| dev.call(procedure, input).await;

    let made = call("createTown", json!({ "townName": "mill" })).await.unwrap();
    assert_eq!(made["status"], "running", "{}", dev.process.err());
    let town = json!({ "townId": id_of(&made) });
    let with = |fields: Value| {
        let mut input = town.clone();
        input.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        input
    };
    let rig = json!({ "rigName": "app", "repoUrl": "https://github.com/a/b" });
    let added = call("addRig", with(rig)).await.unwrap();
    assert_eq!((&added["status"], &added["branch"]), (&json!("active"), &json!("main")), "{added}");
    let bad = json!({ "rigName": "bad", "repoUrl": "https://github.com/refused/b" });
    call("addRig", with(bad)).await.unwrap_err();
    until("a heartbeat is recorded", async || {
        call("getTownStatus", town.clone()).await.unwrap()["lastHeartbeatAt"].is_string()
    })
    .await;
    for (procedure, want) in [("stopTown", "stopped"), ("startTown", "running")] {
        assert_eq!(call(procedure, town.clone()).await.unwrap()["status"], want, "{}", dev.process.err());
    }
    let status = call("getTownStatus", town.clone()).await.unwrap();
    assert_eq!(status["rigs"][0]["status"], "active", "{status}");
    assert!(status["lastR2SyncAt"].is_string(), "{status}");
    assert_eq!(call("destroyTown", town.clone()).await.unwrap()["status"], "destroyed");
    dev.ends().await;
}

#[tokio::test]
async fn sample_restores_a_town_whose_volume_is_lost() {
    let dev = Dev::start().await;
    let made = dev.call("createTown", json!({ "townName": "mill" })).await.unwrap();
    let town = json!({ "townId": id_of(&made) });
    let rig = json!({ "townId": id_of(&made), "rigName": "app", "repoUrl": "https://github.com/a/b" });
    dev.call("addRig", rig).await.unwrap();
    dev.call("stopTown", town.clone()).await.unwrap();
    let status = async || dev.call("getTownStatus", town.clone()).await.unwrap();
    let before = status().await;
    let settings = [
        ("FLY_URL", dev.text("flyUrl")),
        ("VOLUME_ID", before["flyVolumeId"].as_str().unwrap()),
        ("DATABASE_URL", dev.text("databaseUrl")),
    ];
    let (_, blocks) = page();
    let block = blocks.into_iter().find(|block| block.contains("/_sim/")).unwrap();
    let (lose, restore) = block.split_once('\n').unwrap();
    shell(lose, dev.folder.path(), &settings).await;
    until("the loss is known", async || status().await["restoreAvailable"] == true).await;

    let printed = shell(&restore.replace("dev/quarry", "alice/mill"), dev.folder.path(), &settings).await;
    assert!(printed.contains("restore"), "{printed}");
    let after = status().await;
    assert_eq!(after["status"], "running", "{after}\n{}", dev.process.err());
    assert_ne!(after["flyVolumeId"], before["flyVolumeId"]);
    // The sandbox lists the rig of the backup, so nothing is added again.
    let backup = dev.folder.path().join(format!("{}.json", id_of(&made)));
    assert!(std::fs::read_to_string(backup).unwrap().contains("https://github.com/a/b"));
    assert_eq!((after["rigs"][0]["status"].as_str(), &after["restoreAvailable"]), (Some("active"), &json!(false)));
    dev.ends().await;
}

#[tokio::test]
async fn sample_without_a_backup_gives_nothing_out() {
    let folder = tempfile::tempdir().unwrap();
    let command = format!("R2_RESTORE=1 {}", sample());
    let ended =
        sandbox(&["check", "--cmd", &command, "--start-seconds", "8"], &[("TMPDIR", folder.path().to_str().unwrap())])
            .await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
    assert!(ended.out.contains("GET /health answered 503"), "{}", ended.out);
}

#[tokio::test]
async fn sandbox_of_a_town_is_called_and_checked_with_its_key() {
    let dev = Dev::start().await;
    dev.call("createTown", json!({ "townName": "mill" })).await.unwrap();
    let settings = [
        ("DATABASE_URL", dev.text("databaseUrl")),
        ("INTERNAL_API_SECRET", dev.text("internalApiSecret")),
        ("FLY_APP_NAME", dev.text("flyApp")),
        ("SANDBOX_URL", dev.text("sandboxUrl")),
    ];
    let (_, blocks) = page();
    let block = blocks.iter().find(|block| block.contains("env --town")).unwrap().replace("dev/quarry", "alice/mill");
    let printed = shell(&block, dev.folder.path(), &settings).await;
    let written = std::fs::read_to_string(dev.folder.path().join("town.env")).unwrap();
    let town = written.lines().find_map(|line| line.strip_prefix("TOWN_ID=")).unwrap();
    assert!(printed.contains(&format!("\"townId\": \"{town}\"")) && printed.contains("\"rigs\": []"), "{printed}");
    assert!(printed.contains(" 0 broken, "), "{printed}");

    let unknown = sandbox(&["env", "--town", "alice/inn"], &settings).await;
    assert_eq!((unknown.status.code(), unknown.out.as_str()), (Some(4), ""), "{}", unknown.err);
    let unset = sandbox(&["env", "--town", "alice/mill"], &settings[..1]).await;
    assert!(unset.err.contains("INTERNAL_API_SECRET") && unset.err.contains("FLY_APP_NAME"), "{}", unset.err);
    dev.ends().await;
}

#[tokio::test]
async fn commands_of_the_page_for_image_authors_work() {
    let (text, blocks) = page();
    // Docker and a server that runs until it is stopped are not at hand here. The rest has tests of its own below.
    let elsewhere = ["docker ", "cargo ", "gastown dev", "env --town", "/_sim/"];
    let runs = |block: &&String| !elsewhere.iter().any(|word| block.contains(word));
    let mut outputs = Vec::new();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    for block in blocks.iter().filter(runs) {
        outputs.push(shell(block, &root, &[]).await);
    }
    let [check, rules] = outputs.as_slice() else { panic!("{outputs:?}") };
    let last = check.lines().last().unwrap();
    assert!(text.contains(&format!("```text\n{last}\n```")), "the page shows another result than {last}");
    assert!(rules.contains("health-town\n"), "{rules}");
}

#[tokio::test]
async fn options_on_the_page_for_image_authors_exist() {
    let (_, blocks) = page();
    let mut seen = 0;
    for (command, help) in [
        ("gastown sandbox check", vec!["sandbox", "check", "--help"]),
        ("gastown sandbox env", vec!["sandbox", "env", "--help"]),
        ("gastown dev", vec!["dev", "--help"]),
    ] {
        let help = Gastown::run(&help, &[]).await.out;
        let joined = blocks.iter().map(|block| block.replace("\\\n", " ")).collect::<String>();
        for line in joined.lines().filter(|line| line.contains(command)) {
            // The quoted part is a command of its own.
            let ours: String = line.split('\'').step_by(2).collect();
            for option in ours.split_whitespace().filter(|word| word.starts_with("--")) {
                assert!(help.contains(&format!("{option} ")), "{command} has no {option}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "{seen}");
}
