//! `kubernetes.yaml` and `fly.toml`: the control plane runs with their settings, and answers their probes.
//!
//! No cluster is started. Each port becomes a free one, and the addresses of Fly and of sandboxes become those of a simulated Fly.
//! The image's digest, which the operator fills in, becomes a valid one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fly_sim::{FlySim, SimConfig};
use gastown_sandbox_sim::SimulatedSandboxes;
use gastown_secrets::SandboxKey;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::image::{Host, assert_writes_no_file, free_port, image, postgres};
use super::{FLY, KUBERNETES, secret_names};
use crate::client;
use crate::rows::Rows;
use crate::stage::until;

/// The processes and probes of a manifest.
struct Manifest {
    settings: BTreeMap<String, String>,
    migrate: Vec<String>,
    serve: Vec<String>,
    /// Paths that must answer, with their ports in the container.
    probes: Vec<(String, u16)>,
    grace: Duration,
}

/// Returns a manifest of `kubernetes.yaml` by its kind.
fn manifest(kind: &str) -> Value {
    let all: Vec<Value> = serde_saphyr::from_multiple(KUBERNETES).unwrap();
    all.into_iter().find(|manifest| manifest["kind"] == kind).unwrap()
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn of_kubernetes() -> Manifest {
    let deployment = manifest("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let (migrate, server) = (&pod["initContainers"][0], &pod["containers"][0]);
    let settings = json!([{ "configMapRef": { "name": "gastown" } }, { "secretRef": { "name": "gastown" } }]);
    for container in [migrate, server] {
        assert_eq!(container["envFrom"], settings);
        // What the processes below keep to.
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["image"], server["image"]);
    }
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let port = |name: &Value| {
        let mut ports = server["ports"].as_array().unwrap().iter();
        let port = ports.find(|port| port["name"] == *name).unwrap_or_else(|| panic!("no port {name}"));
        u16::try_from(port["containerPort"].as_u64().unwrap()).unwrap()
    };
    let probes = ["livenessProbe", "readinessProbe"].map(|probe| {
        let get = &server[probe]["httpGet"];
        (get["path"].as_str().unwrap().to_owned(), port(&get["port"]))
    });
    // The service leads to the port of the probes.
    assert_eq!(port(&manifest("Service")["spec"]["ports"][0]["targetPort"]), probes[0].1);
    let data = manifest("ConfigMap")["data"].as_object().unwrap().clone();
    Manifest {
        settings: data.into_iter().map(|(name, value)| (name, value.as_str().unwrap().to_owned())).collect(),
        migrate: words(&migrate["args"]),
        serve: words(&server["args"]),
        probes: probes.into_iter().chain([("/metrics".to_owned(), port(&json!("metrics")))]).collect(),
        grace: Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().unwrap()),
    }
}

fn of_fly() -> Manifest {
    let file: Value = serde_json::to_value(FLY.parse::<toml::Table>().unwrap()).unwrap();
    let service = &file["services"][0];
    let port = |value: &Value| u16::try_from(value.as_u64().unwrap()).unwrap();
    let probe = |path: &Value, at: &Value| (path.as_str().unwrap().to_owned(), port(at));
    let settings = file["env"].as_object().unwrap().clone();
    Manifest {
        settings: settings.into_iter().map(|(name, value)| (name, value.as_str().unwrap().to_owned())).collect(),
        migrate: file["deploy"]["release_command"].as_str().unwrap().split(' ').map(str::to_owned).collect(),
        // The image's own.
        serve: image(None).arguments,
        probes: vec![
            probe(&service["http_checks"][0]["path"], &service["internal_port"]),
            probe(&file["metrics"][0]["path"], &file["metrics"][0]["port"]),
        ],
        grace: Duration::from_secs(file["kill_timeout"].as_u64().unwrap()),
    }
}

/// Returns the values of the secrets, and the private key of the sandboxes.
fn secrets(database: &str) -> (BTreeMap<String, String>, SandboxKey) {
    let key = SandboxKey::generate();
    let value = |name: &str| match name {
        "DATABASE_URL" => database.to_owned(),
        "SANDBOX_PUBLIC_KEY" => key.public_key().to_string(),
        other => format!("value-of-{other}-0a1b2c3d4e5f6g7h8i9j"),
    };
    (secret_names().into_iter().map(|name| (name.to_owned(), value(name))).collect(), key)
}

/// Replaces the ports of the settings by free ones. Returns the free port of each.
fn with_free_ports(manifest: &Manifest, settings: &mut BTreeMap<String, String>) -> BTreeMap<u16, u16> {
    let mut ports = BTreeMap::new();
    for (_, port) in &manifest.probes {
        ports.entry(*port).or_insert_with(free_port);
    }
    let is_ipv6_missing = std::net::TcpListener::bind("[::]:0").is_err();
    for (name, value) in settings.iter_mut() {
        if is_ipv6_missing {
            *value = value.replace("[::]", "0.0.0.0");
        }
        for (port, free) in &ports {
            if name == "PORT" || name.ends_with("_LISTEN") {
                *value = value.replace(&port.to_string(), &free.to_string());
            }
        }
    }
    ports
}

/// Returns a simulated Fly with the app of the manifest.
async fn simulator(manifest: &Manifest, key: &SandboxKey) -> FlySim {
    let app_secrets = vec![("SANDBOX_PRIVATE_KEY".to_owned(), key.to_secret())];
    let workload = SimulatedSandboxes::default().into_workload();
    let sim = FlySim::start(SimConfig { app_secrets, workload, ..SimConfig::fast() }).await.unwrap();
    sim.create_app(&manifest.settings["FLY_APP_NAME"]).unwrap();
    sim
}

/// Runs what a manifest starts, and creates a town.
async fn check(manifest: Manifest) {
    let host = Host::new().await;
    let database_port = free_port();
    let _database = postgres("gastown", "gastown", "password", database_port).await;
    let url = format!("postgres://gastown:password@127.0.0.1:{database_port}/gastown?sslmode=disable");
    let (secrets, key) = secrets(&url);
    let sim = simulator(&manifest, &key).await;
    let container = image(None);
    let mut settings = container.environment.clone();
    settings.extend(manifest.settings.clone());
    settings.extend(secrets);
    settings.insert("FLY_API_BASE_URL".to_owned(), sim.url());
    settings.insert("SANDBOX_URL".to_owned(), format!("{}/_machine/{{app}}/{{machine_id}}", sim.url()));
    let digest = settings["FLY_IMAGE"].replace("REPLACE", &"0a".repeat(32));
    settings.insert("FLY_IMAGE".to_owned(), digest);
    let ports = with_free_ports(&manifest, &mut settings);

    let migrated = host.start(&container, &manifest.migrate, &settings).ended().await;
    assert_eq!(migrated.status.code(), Some(0), "{}", migrated.err);
    let server = host.start(&container, &manifest.serve, &settings);
    for (path, port) in &manifest.probes {
        let url = format!("http://127.0.0.1:{}{path}", ports[port]);
        until(&format!("{url} answers\n{}", server.err()), async || {
            client::http().get(&url).send().await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
    }
    Rows::of(&url).await.execute("INSERT INTO kilocode_users (id) VALUES ('alice')").await;
    let token =
        host.start(&container, &["token", "mint", "--user", "alice"].map(str::to_owned), &settings).ended().await;
    let server_url = format!("http://127.0.0.1:{}", ports[&manifest.probes[0].1]);
    let made = client::call(&server_url, token.out.trim(), "createTown", json!({ "townName": "mill" })).await.unwrap();
    assert_eq!(made["status"], "running", "{made}");

    assert_writes_no_file(&server);
    let signalled = Instant::now();
    server.signal(Signal::SIGTERM);
    let ended = server.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(signalled.elapsed() < manifest.grace, "took {:?}", signalled.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubernetes_manifests_run_a_town() {
    check(of_kubernetes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fly_file_runs_a_town() {
    check(of_fly()).await;
}
