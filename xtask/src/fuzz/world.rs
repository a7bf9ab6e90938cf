//! The simulator that is fuzzed, and the values that reach its entities.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;
use fly_sim::{FlySim, RateLimits, SeedDocument, Timing};
use serde_json::{Value, json};

/// The app whose entities are called.
const APP: &str = "mill";
/// The number of machines, of volumes, and of apps that are there to be deleted.
const COUNT: usize = 16;
/// The entities at the start of a list that stay. The others are deleted, or their machines are ended or leased.
const KEPT: usize = 6;
/// The keys of the app that are never replaced.
const SIGNING_KEY: &str = "signing";
const BOX_KEY: &str = "boxes";

/// Starts the simulator with an app, machines and volumes.
pub(super) async fn start() -> anyhow::Result<FlySim> {
    let mut seed = format!("[[apps]]\nname = \"{APP}\"\nsecrets = {{ KEY = \"value\" }}\n");
    for number in 0..COUNT {
        write!(seed, "[[apps.volumes]]\nname = \"data_{number}\"\n")?;
    }
    for number in 0..COUNT {
        // Half of the volumes are free, so that they can be deleted.
        let volume = if number % 2 == 0 { format!("volume = \"data_{number}\"\n") } else { String::new() };
        write!(seed, "[[apps.machines]]\nname = \"machine-{number}\"\n{volume}")?;
    }
    for number in 0..COUNT {
        write!(seed, "[[apps]]\nname = \"doomed-{number}\"\n")?;
    }
    let builder = FlySim::builder().timing(Timing::instant()).rates(RateLimits::Off);
    let sim = builder.seeded(SeedDocument::from_toml(&seed)?).start().await?;
    generate_keys(&sim).await?;
    Ok(sim)
}

/// Creates a key that signs and one that encrypts, which a seed cannot.
async fn generate_keys(sim: &FlySim) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    for (name, kind) in [(SIGNING_KEY, "SECRET_TYPE_KMS_HS256"), (BOX_KEY, "SECRET_TYPE_KMS_NACL_SECRETBOX")] {
        let url = format!("{}/v1/apps/{APP}/secretkeys/{name}/generate", sim.url());
        let answer = client.post(url).bearer_auth("any").json(&json!({ "type": kind })).send().await?;
        answer.error_for_status().context("a key is refused")?;
    }
    Ok(())
}

/// Returns the settings of Schemathesis that give generated calls the names of entities.
pub(super) fn settings(sim: &FlySim) -> BTreeMap<&'static str, Value> {
    let machines: Vec<String> = sim.machines().into_iter().map(|machine| machine.id).collect();
    let volumes: Vec<String> = sim.volumes().into_iter().map(|volume| volume.id).collect();
    let doomed: Vec<String> = (0..COUNT).map(|number| format!("doomed-{number}")).collect();
    let dictionaries = json!({
        "apps": { "values": [APP] },
        "doomed_apps": { "values": doomed },
        "machines": { "values": machines[..KEPT] },
        "ended_machines": { "values": machines[KEPT..KEPT + 2] },
        "leased_machines": { "values": machines[KEPT + 2..KEPT + 4] },
        "suspended_machines": { "values": machines[KEPT + 4..KEPT + 5] },
        "doomed_machines": { "values": machines[KEPT + 5..] },
        "volumes": { "values": volumes[..KEPT] },
        "doomed_volumes": { "values": volumes[KEPT..] },
        "organizations": { "values": ["personal"] },
        // Longer waits would use the whole time.
        "timeouts": { "values": [1] },
        "keys": { "values": ["one", "two", "KEY"] },
        "signing_keys": { "values": [SIGNING_KEY] },
        "box_keys": { "values": [BOX_KEY] },
        "hostnames": { "values": ["example.org", "www.example.org"] },
    });
    let bind = |dictionary: &str, probability: f64| json!({ "dictionary": dictionary, "probability": probability });
    let parameters = json!({
        "path.app_name": bind("apps", 0.9),
        "path.machine_id": bind("machines", 0.8),
        "path.volume_id": bind("volumes", 0.8),
        "path.org_slug": bind("organizations", 0.8),
        "query.org_slug": bind("organizations", 0.5),
        "query.timeout": bind("timeouts", 1.0),
        "path.secret_name": bind("keys", 0.7),
        "path.key": bind("keys", 0.7),
        "path.hostname": bind("hostnames", 0.7),
    });
    // Methods that Fly lacks are no operations of the document.
    let phases = json!({ "coverage": { "unexpected-methods": [] } });
    BTreeMap::from([("dictionaries", dictionaries), ("parameters", parameters), ("phases", phases)])
}

/// Returns the settings of the operations that would leave nothing to call: those that end, delete or lock, and `wait`.
pub(super) fn operations() -> Vec<Value> {
    let machine = "/apps/{app_name}/machines/{machine_id}";
    let mut operations = vec![
        of("DELETE /apps/{app_name}", &[("path.app_name", "doomed_apps")]),
        of(
            "DELETE /apps/{app_name}/volumes/{volume_id}",
            &[("path.app_name", "apps"), ("path.volume_id", "doomed_volumes")],
        ),
        // A wait without a timeout lasts a minute.
        json!({ "include-name": format!("GET {machine}/wait"), "generation": { "mode": "positive" } }),
    ];
    for (method, part, machines) in [
        ("DELETE", "", "doomed_machines"),
        ("POST", "", "ended_machines"),
        ("POST", "/start", "ended_machines"),
        ("POST", "/stop", "ended_machines"),
        ("POST", "/suspend", "suspended_machines"),
        ("POST", "/signal", "ended_machines"),
        ("GET", "/lease", "leased_machines"),
        ("POST", "/lease", "leased_machines"),
        ("DELETE", "/lease", "leased_machines"),
    ] {
        let parameters = [("path.app_name", "apps"), ("path.machine_id", machines)];
        operations.push(of(&format!("{method} {machine}{part}"), &parameters));
    }
    let key = "/apps/{app_name}/secretkeys/{secret_name}";
    for (method, verb, keys) in [
        ("POST", "/sign", "signing_keys"),
        ("POST", "/verify", "signing_keys"),
        ("POST", "/encrypt", "box_keys"),
        ("POST", "/decrypt", "box_keys"),
        ("POST", "/generate", "keys"),
        ("POST", "", "keys"),
        ("DELETE", "", "keys"),
    ] {
        let parameters = [("path.app_name", "apps"), ("path.secret_name", keys)];
        operations.push(of(&format!("{method} {key}{verb}"), &parameters));
    }
    operations
}

/// Binds the parameters of an operation to dictionaries. The bindings of all operations do not apply to it.
fn of(operation: &str, parameters: &[(&str, &str)]) -> Value {
    let bind = |dictionary: &str| json!({ "dictionary": dictionary, "probability": 0.9 });
    let bindings: BTreeMap<&str, Value> =
        parameters.iter().map(|(name, dictionary)| (*name, bind(dictionary))).collect();
    // Names from other answers would be those of entities that stay.
    let own = json!({ "extra-data-sources": { "responses": false } });
    let coverage = json!({ "extra-data-sources": { "responses": false }, "unexpected-methods": [] });
    let phases = json!({ "coverage": coverage, "fuzzing": own });
    json!({ "include-name": operation, "parameters": bindings, "phases": phases })
}
