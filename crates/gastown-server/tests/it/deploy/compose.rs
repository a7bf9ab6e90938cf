//! `compose.yaml` is run: its services are processes, with its commands, environment, order and health checks.
//!
//! No container is started, so that the test needs no daemon. Names of hosts become `127.0.0.1`, and each port becomes a free one.
//! Nothing else of the file is changed.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use ephemeral_db::Cluster;
use gastown_secrets::SandboxKey;
use nix::sys::signal::Signal;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::process::Command;

use super::image::{Host, assert_writes_no_file, free_port, image, postgres};
use super::{COMPOSE, substituted};
use crate::client;
use crate::process::Gastown;
use crate::stage::until;

const PAGE: &str = include_str!("../../../../../docs/deploying.md");
/// The ports of the file.
const PORTS: [&str; 5] = ["5432", "4280", "8080", "9464", "9465"];

/// The services that run, and the file with their addresses on this machine.
struct Project {
    services: serde_json::Map<String, Value>,
    ports: BTreeMap<&'static str, u16>,
    host: Host,
    running: BTreeMap<String, Gastown>,
    database: Option<(Cluster, tempfile::TempDir)>,
}

impl Project {
    async fn new() -> Self {
        let ports: BTreeMap<_, _> = PORTS.into_iter().map(|port| (port, free_port())).collect();
        let key = SandboxKey::generate();
        let text = substituted(COMPOSE, |name| match name {
            "SANDBOX_PUBLIC_KEY" => key.public_key().to_string(),
            "SANDBOX_PRIVATE_KEY" => key.to_secret().expose_secret().to_owned(),
            other => format!("{}0a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p", other.to_lowercase().replace('_', "")),
        });
        let file: Value = serde_saphyr::from_str(&on_loopback(&text, &ports)).unwrap();
        let services = file["services"].as_object().unwrap().clone();
        Self { services, ports, host: Host::new().await, running: BTreeMap::new(), database: None }
    }

    /// Returns the services, each after those that it depends on.
    fn order(&self) -> Vec<String> {
        let mut order = Vec::<String>::new();
        while order.len() < self.services.len() {
            let is_next = |(name, service): &(&String, &Value)| {
                let needed = service["depends_on"].as_object().into_iter().flatten();
                !order.contains(name) && needed.into_iter().all(|(needed, _)| order.contains(needed))
            };
            let (next, _) = self.services.iter().find(is_next).expect("the services depend on each other");
            order.push(next.clone());
        }
        order
    }

    fn environment(&self, service: &str) -> BTreeMap<String, String> {
        let pairs = self.services[service]["environment"].as_object().unwrap().iter();
        pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    }

    /// Waits for the services that this one depends on, and starts it.
    async fn start(&mut self, service: &str) {
        let needed = self.services[service]["depends_on"].as_object().cloned().unwrap_or_default();
        for (name, condition) in needed {
            match condition["condition"].as_str().unwrap() {
                "service_healthy" => self.wait_until_healthy(&name).await,
                "service_completed_successfully" => {
                    let ended = self.running.remove(&name).unwrap().ended().await;
                    assert_eq!(ended.status.code(), Some(0), "{name}: {}", ended.err);
                }
                "service_started" => assert!(self.running.contains_key(&name), "{name}"),
                other => panic!("unknown condition {other}"),
            }
        }
        let environment = self.environment(service);
        if self.services[service].get("build").is_none() {
            assert!(self.services[service]["image"].as_str().unwrap().starts_with("postgres:"), "{service}");
            let [user, name, password] =
                ["POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"].map(|name| environment[name].as_str());
            self.database = Some(postgres(user, name, password, self.ports["5432"]).await);
            return;
        }
        let image = image(self.services[service]["build"]["target"].as_str());
        let arguments = words(&self.services[service]["command"]);
        let process = self.host.start(&image, &arguments, &environment);
        self.running.insert(service.to_owned(), process);
    }

    /// Runs the health check of a service as often as the file says.
    async fn wait_until_healthy(&self, service: &str) {
        let check = &self.services[service]["healthcheck"];
        let test = words(&check["test"]);
        let ["CMD", program, arguments @ ..] = &*test.iter().map(String::as_str).collect::<Vec<_>>() else {
            panic!("unknown form of a health check: {test:?}")
        };
        let allowed = seconds(&check["interval"]) * u32::try_from(check["retries"].as_u64().unwrap()).unwrap();
        let begun = Instant::now();
        until("the service is healthy", async || {
            assert!(begun.elapsed() < allowed, "{service} is not healthy after {allowed:?}");
            let mut command = Command::new(Cluster::program(program).unwrap());
            command.args(arguments).env("PGHOST", "127.0.0.1").env("PGPORT", self.ports["5432"].to_string());
            command.output().await.unwrap().status.success()
        })
        .await;
    }

    /// Returns the address of a port that the service publishes to this machine.
    fn published(&self, container: &str) -> String {
        let port = self.ports[container];
        let ports = words(&self.services["gastown"]["ports"]);
        assert!(ports.contains(&format!("127.0.0.1:{port}:{port}")), "{ports:?}");
        format!("http://127.0.0.1:{port}")
    }

    /// Writes a program `docker` for the page's commands. It runs a command in the environment of a service that runs.
    fn docker(&self, folder: &std::path::Path) {
        let mut database = BTreeMap::from([("PGHOST".to_owned(), "127.0.0.1".to_owned())]);
        database.insert("PGPORT".to_owned(), self.ports["5432"].to_string());
        database.insert("PGPASSWORD".to_owned(), self.environment("postgres")["POSTGRES_PASSWORD"].clone());
        for (service, environment) in [("postgres", database), ("gastown", self.environment("gastown"))] {
            let lines = environment.iter().map(|(name, value)| format!("export {name}='{value}'\n"));
            std::fs::write(folder.join(format!("{service}.env")), lines.collect::<String>()).unwrap();
        }
        let script = r#"#!/bin/sh
set -eu
[ "$*" != "${*#compose --env-file compose.env -f docs/deploy/compose.yaml }" ] || { echo "no such file or variables: $*"; exit 64; }
shift 5
[ "$1" = exec ] || { echo "not run here: $*"; exit 0; }
shift
while [ "${1#-}" != "$1" ]; do [ "$1" != -e ] || { export "$2"; shift; }; shift; done
. "$(dirname "$0")/$1.env"
shift
exec "$@"
"#;
        let path = folder.join("docker");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a script of the page. Returns its output.
    async fn run(&self, script: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        self.docker(folder.path());
        let mut shell = Command::new("/bin/sh");
        shell.args(["-euc", script]).env_clear().current_dir(folder.path());
        shell.env("PATH", format!("{}:{}", folder.path().display(), self.host.search_path()));
        let output = shell.output().await.unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\n{out}{err}");
        out.into_owned()
    }
}

/// Replaces each address by one of the loopback.
fn on_loopback(text: &str, ports: &BTreeMap<&'static str, u16>) -> String {
    let mut text = text.to_owned();
    for (port, free) in ports {
        for host in ["postgres", "fly.internal", "gastown.internal", "0.0.0.0"] {
            text = text.replace(&format!("{host}:{port}"), &format!("127.0.0.1:{free}"));
        }
        text = text.replace(&format!("127.0.0.1:{port}:{port}"), &format!("127.0.0.1:{free}:{free}"));
        text = text.replace(&format!("PORT: \"{port}\""), &format!("PORT: \"{free}\""));
    }
    text
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn seconds(text: &Value) -> Duration {
    Duration::from_secs(text.as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_of_the_file_run_a_town() {
    let mut project = Project::new().await;
    let order = project.order();
    assert_eq!(order.last().map(String::as_str), Some("gastown"), "{order:?}");
    for service in &order {
        project.start(service).await;
    }
    let url = project.published("8080");
    until("the control plane is ready", async || {
        let answer = client::http().get(format!("{url}/readyz")).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;

    // The commands of the page, with the ports of this machine.
    let (_, section) = PAGE.split_once("## With Docker Compose").unwrap();
    let blocks = section.split("```sh\n").skip(2).map(|rest| rest.split("```").next().unwrap().replace("\n   ", "\n"));
    let mut script = blocks.collect::<String>();
    for (port, free) in &project.ports {
        script = script.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{free}"));
    }
    assert!(["up --build", "psql", "token mint", "createTown", "smoke"].iter().all(|part| script.contains(part)));
    let shown = project.run(&format!("{script}\nprintf '\\n%s' \"$GASTOWN_TOKEN\"")).await;
    assert!(shown.contains("All 6 steps succeeded."), "{shown}");
    let token = shown.lines().next_back().unwrap();
    let towns = client::call(&url, token, "listTowns", json!({})).await.unwrap();
    assert_eq!((&towns[0]["townName"], &towns[0]["status"]), (&json!("mill"), &json!("running")), "{shown}");

    // The sandbox reaches the control plane by the address of the file.
    let id = json!({ "townId": towns[0]["townId"] });
    until("a heartbeat has arrived", async || {
        !client::call(&url, token, "getTownStatus", id.clone()).await.unwrap()["lastHeartbeatAt"].is_null()
    })
    .await;
    let get = async |url: String| client::http().get(url).send().await.unwrap();
    assert_eq!(get(format!("{}/metrics", project.published("9464"))).await.status(), 200);
    let console = get(format!("{}/console", project.published("9465"))).await;
    assert!(console.text().await.unwrap().contains("Gastown"));

    let allowed = seconds(&project.services["gastown"]["stop_grace_period"]);
    let server = project.running.remove("gastown").unwrap();
    assert_writes_no_file(&server);
    let signalled = Instant::now();
    server.signal(Signal::SIGTERM);
    let ended = server.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(signalled.elapsed() < allowed, "took {:?}", signalled.elapsed());
    let fly = project.running.remove("fly").unwrap();
    fly.signal(Signal::SIGTERM);
    assert_eq!(fly.ended().await.status.code(), Some(0));
}
