//! The README and the pages: what they show is run.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use fly_sim::{FlySim, Scenario, SeedDocument};
use tokio::process::Command;

/// The address in the pages, which a test replaces by that of its simulator.
const SHOWN: &str = "http://127.0.0.1:4280";

pub(crate) fn page(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the blocks of a page in one language.
pub(crate) fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Returns the commands of a page that call the simulator, and fail if it refuses.
fn script(page: &str, url: &str) -> String {
    let shown = blocks(page, "sh").concat();
    let lines = shown.lines().filter(|line| !line.starts_with("fly-sim ") && !line.starts_with("cargo "));
    let lines: Vec<&str> = lines.collect();
    (lines.join("\n") + "\n").replace(SHOWN, url).replace("curl -s ", "curl -sS --noproxy '*' --fail-with-body ")
}

pub(crate) async fn run(mut command: Command) {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {out}{err}");
}

#[tokio::test]
async fn commands_of_the_pages_run() {
    for shown in ["README.md", "../../docs/fly-sim/control-api.md", "../../docs/fly-sim/scenarios.md"] {
        let sim = FlySim::builder().app("mill").start().await.unwrap();
        let script = script(&page(shown), &sim.url());
        assert!(script.contains("curl"), "{shown} has commands");
        let mut shell = Command::new("sh");
        shell.args(["-eu", "-c", &script]);
        run(shell).await;
        assert_eq!(sim.violations(), [], "{shown}");
    }
}

#[tokio::test]
async fn seed_of_the_page_is_accepted() {
    let toml = blocks(&page("../../docs/fly-sim/control-api.md"), "toml").concat();
    let seed = SeedDocument::from_toml(&toml).unwrap();
    let sim = FlySim::builder().seeded(seed).start().await.unwrap();
    let machines: Vec<_> = sim.machines().into_iter().map(|machine| (machine.name, machine.region)).collect();
    assert_eq!(machines, [("one".into(), "lhr".into()), ("two".to_owned(), "iad".to_owned())]);
}

#[test]
fn page_lists_every_scenario() {
    let mut table = "| Scenario | Effect | Plays |\n| --- | --- | --- |\n".to_owned();
    for Scenario { name, effect, incident, source, .. } in Scenario::all() {
        writeln!(table, "| `{name}` | {effect} | {incident} ([source]({source})) |").unwrap();
    }
    assert!(page("../../docs/fly-sim/scenarios.md").contains(&table), "docs/fly-sim/scenarios.md must have:\n{table}");
}

#[test]
fn page_lists_every_call_of_the_control_api() {
    let (page, spec) = (page("../../docs/fly-sim/control-api.md"), page("spec/control-openapi.json"));
    let spec: serde_json::Value = serde_json::from_str(&spec).unwrap();
    for path in spec["paths"].as_object().unwrap().keys().filter(|path| *path != "/calls/{after}") {
        let last = PathBuf::from(path).file_name().unwrap().to_string_lossy().into_owned();
        let named = page.contains(&format!("/_sim{path}`")) || page.contains(&format!("`{last}`"));
        assert!(named, "docs/fly-sim/control-api.md lacks {path}");
    }
}
