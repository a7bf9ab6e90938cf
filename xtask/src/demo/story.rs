use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::announcement::Announcement;
use super::fly::{Fly, Machine};
use super::show::{Note, Show};
use super::watch;
use crate::trpc::{Trpc, is_not_found};

/// The owner of the town.
pub(super) const USER: &str = "demo";

const RIG: &str = "app";
const REPOSITORY: &str = "https://git.example.com/demo/app.git";
const MARKER: &str = "written before the stop";

/// For one change of a town. On Fly a volume can stay attached for minutes.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// For the removal of a town after a failed step.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(30);

/// The files of a volume, by name.
type Files = BTreeMap<String, String>;

/// The life of one town, from its creation until nothing is left on Fly.
pub(super) struct Story {
    town_name: String,
    /// The address of the control plane, and the token of the user.
    world: (String, String),
    watching: reqwest::Client,
    trpc: Trpc,
    fly: Fly,
    note: Note,
}

impl Story {
    pub(super) fn new(world: &Announcement, note: Note) -> anyhow::Result<Self> {
        let trpc = Trpc::new(&world.url, world.token_of(USER)?)?;
        let fly = Fly::new(&world.fly_url, &world.fly_app, &world.fly_token)?;
        // A database that outlives the demo may hold towns of earlier runs.
        let town_name = format!("demo-{}", std::process::id());
        let world = (world.url.clone(), world.token_of(USER)?.to_owned());
        // Without a time limit, because the answer lasts as long as the operation.
        let watching = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { town_name, world, watching, trpc, fly, note })
    }

    /// Runs the steps up to the first that fails.
    pub(super) async fn play(&self, show: &mut Show) -> anyhow::Result<()> {
        let town = show.step("create a town, watching it", self.create()).await?;
        show.step("show its status", self.status(&town)).await?;
        let rig = show.step("add a rig", self.add_rig(&town)).await?;
        let files = show.step("write to its volume", self.write(&town)).await?;
        show.step("stop it", self.stop(&town)).await?;
        show.step("start it", self.start(&town)).await?;
        show.step("find its volume intact", self.read(&town, &files)).await?;
        show.step("wedge its sandbox", self.wedge(&town)).await?;
        show.step("watch it come back", self.mended(&town)).await?;
        show.step("remove the rig", self.remove_rig(&town, &rig)).await?;
        show.step("destroy it", self.destroy(&town)).await?;
        show.step("find nothing left on Fly", self.nothing_left()).await
    }

    /// Destroys the town if it exists, and ignores errors.
    pub(super) async fn clean_up(&self) {
        let remove = async {
            match self.listed().await? {
                Some(town) => {
                    self.trpc.mutate("destroyTown", &json!({ "townId": town["townId"], "waitUntilGone": true })).await
                }
                None => Ok(Value::Null),
            }
        };
        let _best_effort = tokio::time::timeout(CLEAN_UP_TIMEOUT, remove).await;
    }

    /// Creates the town, and watches it until it runs. Returns its id.
    pub(super) async fn create(&self) -> anyhow::Result<(String, String)> {
        let create = json!({ "townName": self.town_name });
        let (created, watched) = tokio::try_join!(self.trpc.mutate("createTown", &create), self.watch())?;
        let town = text(&created, "townId")?.to_owned();
        self.until_settled(&town, "running").await?;
        let machine = self.fly.machine_of(&town).await?;
        let volume = self.fly.volume(&machine.mount()?.volume).await?.context("the volume does not exist on Fly")?;
        ensure!(machine.state == "started", "the machine is {}", machine.state);
        let seen = format!(
            "{} runs after {} changes: machine {} in {}, volume {} of {} GB",
            self.town_name,
            watched.len(),
            machine.id,
            machine.region,
            volume.id,
            volume.size_gb
        );
        Ok((town, seen))
    }

    /// Watches the town from its first row until its create has ended. Returns the messages of all changes.
    async fn watch(&self) -> anyhow::Result<Vec<String>> {
        let town = loop {
            match self.listed().await? {
                Some(town) => break text(&town, "townId")?.to_owned(),
                None => tokio::time::sleep(POLL_INTERVAL).await,
            }
        };
        let (url, token) = &self.world;
        watch::until_an_end(&self.watching, (url, token), &town, |message| self.note.write(message.to_owned())).await
    }

    async fn status(&self, town: &str) -> anyhow::Result<((), String)> {
        let report = self.report(town).await?;
        let seen = format!(
            "status {}, {} rigs, created {}",
            text(&report, "status")?,
            rigs(&report).count(),
            text(&report, "createdAt")?
        );
        Ok(((), seen))
    }

    async fn add_rig(&self, town: &str) -> anyhow::Result<(String, String)> {
        let input = json!({ "townId": town, "rigName": RIG, "repoUrl": REPOSITORY });
        let added = self.change("addRig", input).await?;
        let rig = text(&added, "rigId")?.to_owned();
        let report = self.until(town, |report| rig_status(report, &rig) == Some("active")).await?;
        ensure!(rigs(&report).count() == 1, "the town has other rigs too");
        Ok((rig, format!("{RIG} from {REPOSITORY}, branch {}, is active", text(&added, "branch")?)))
    }

    /// Writes a file and returns all files of the volume.
    async fn write(&self, town: &str) -> anyhow::Result<(Files, String)> {
        let machine = self.fly.machine_of(town).await?;
        let marker = marker_of(&machine)?;
        self.fly.exec(&machine.id, &["sh", "-c", &format!("echo '{MARKER}' > {marker}")]).await?;
        let files = self.files_on(&machine).await?;
        let seen = format!("{marker} says {MARKER:?}; on the volume: {}", names(&files));
        Ok((files, seen))
    }

    async fn stop(&self, town: &str) -> anyhow::Result<((), String)> {
        self.change("stopTown", json!({ "townId": town })).await?;
        self.until_settled(town, "stopped").await?;
        let machine = self.fly.machine_of(town).await?;
        ensure!(machine.state == "stopped", "the machine is {}", machine.state);
        let volume = self.fly.volume(&machine.mount()?.volume).await?.context("the volume no longer exists on Fly")?;
        Ok(((), format!("machine {} on Fly, volume {} kept", machine.state, volume.id)))
    }

    async fn start(&self, town: &str) -> anyhow::Result<((), String)> {
        self.change("startTown", json!({ "townId": town })).await?;
        self.until_settled(town, "running").await?;
        let machine = self.fly.machine_of(town).await?;
        ensure!(machine.state == "started", "the machine is {}", machine.state);
        Ok(((), format!("machine {} is {}", machine.id, machine.state)))
    }

    async fn read(&self, town: &str, before: &Files) -> anyhow::Result<((), String)> {
        let machine = self.fly.machine_of(town).await?;
        let marker = self.fly.exec(&machine.id, &["cat", &marker_of(&machine)?]).await?;
        ensure!(marker.trim() == MARKER, "the file says {marker:?}");
        // The stop may have added a file with the time of its sync.
        let files = self.files_on(&machine).await?;
        let lost: Vec<_> = before.iter().filter(|(name, content)| files.get(*name) != Some(content)).collect();
        ensure!(lost.is_empty(), "changed or lost on the volume: {lost:?}");
        let report = self.until(town, |report| rigs(report).all(|rig| rig["status"] == "active")).await?;
        let rigs: Vec<&str> = rigs(&report).filter_map(|rig| rig["rigName"].as_str()).collect();
        ensure!(rigs == [RIG], "its rigs are {rigs:?}");
        Ok(((), format!("the file says {:?}, {} are unchanged, rig {RIG} is active", marker.trim(), names(before))))
    }

    /// Makes the sandbox answer nothing until its machine boots again.
    async fn wedge(&self, town: &str) -> anyhow::Result<((), String)> {
        let machine = self.fly.machine_of(town).await?;
        let file = format!("{}/misbehave", machine.mount()?.path);
        self.fly.exec(&machine.id, &["sh", "-c", &format!("echo 'wedged until restart' > {file}")]).await?;
        Ok(((), format!("machine {} runs, and its sandbox does not answer", machine.id)))
    }

    /// Waits until the health monitor has restarted the town.
    async fn mended(&self, town: &str) -> anyhow::Result<((), String)> {
        let is_mended = |report: &Value| {
            let restarts = report.pointer("/health/restarts").and_then(Value::as_u64).unwrap_or_default();
            let is_healthy = report.pointer("/health/state").is_some_and(|state| state == "healthy");
            restarts > 0 && is_healthy && report["status"] == "running" && report["operation"].is_null()
        };
        let report = self.until(town, is_mended).await?;
        let restarts = &report["health"]["restarts"];
        Ok(((), format!("the health monitor restarted it {restarts} time(s); healthy again")))
    }

    async fn remove_rig(&self, town: &str, rig: &str) -> anyhow::Result<((), String)> {
        self.change("removeRig", json!({ "townId": town, "rigId": rig })).await?;
        self.until(town, |report| rigs(report).count() == 0).await?;
        Ok(((), "the town has no rigs".to_owned()))
    }

    async fn destroy(&self, town: &str) -> anyhow::Result<((), String)> {
        self.change("destroyTown", json!({ "townId": town, "waitUntilGone": true })).await?;
        match self.report(town).await {
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error),
            Ok(report) => bail!("the town still exists, with status {}", report["status"]),
        }
        ensure!(self.listed().await?.is_none(), "the town is still listed");
        Ok(((), "the town is no longer listed".to_owned()))
    }

    async fn nothing_left(&self) -> anyhow::Result<((), String)> {
        let deadline = Instant::now() + CHANGE_TIMEOUT;
        loop {
            let left = self.fly.all().await?.join(", ");
            if left.is_empty() {
                return Ok(((), "no machine, no volume".to_owned()));
            }
            ensure!(Instant::now() < deadline, "still there: {left}");
            self.note.write(format!("still there: {left}"));
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Requests a change and shows the progress of the town until the answer.
    async fn change(&self, procedure: &str, input: Value) -> anyhow::Result<Value> {
        tokio::select! {
            answer = self.trpc.mutate(procedure, &input) => answer,
            never = self.show_progress() => match never {},
        }
    }

    async fn show_progress(&self) -> Infallible {
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            if let Ok(Some(town)) = self.listed().await
                && let Some(id) = town["townId"].as_str()
                && let Ok(report) = self.report(id).await
            {
                self.note.write(progress(&report));
            }
        }
    }

    /// Returns the town from the list of the user's towns.
    async fn listed(&self) -> anyhow::Result<Option<Value>> {
        let towns = self.trpc.query("listTowns", &json!({})).await?;
        Ok(towns.as_array().into_iter().flatten().find(|town| town["townName"] == *self.town_name).cloned())
    }

    async fn report(&self, town: &str) -> anyhow::Result<Value> {
        self.trpc.query("getTownStatus", &json!({ "townId": town })).await
    }

    async fn until_settled(&self, town: &str, status: &str) -> anyhow::Result<Value> {
        self.until(town, |report| report["status"] == status && report["operation"].is_null()).await
    }

    /// Polls the status of the town until it is as wanted.
    async fn until(&self, town: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = Instant::now() + CHANGE_TIMEOUT;
        loop {
            let report = self.report(town).await?;
            if wanted(&report) {
                return Ok(report);
            }
            let state = progress(&report);
            ensure!(Instant::now() < deadline, "timed out; the town is {state}");
            self.note.write(state);
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn files_on(&self, machine: &Machine) -> anyhow::Result<Files> {
        let folder = &machine.mount()?.path;
        let mut files = Files::new();
        for name in self.fly.exec(&machine.id, &["ls", folder]).await?.lines() {
            let content = self.fly.exec(&machine.id, &["cat", &format!("{folder}/{name}")]).await?;
            files.insert(name.to_owned(), content);
        }
        Ok(files)
    }
}

fn names(files: &Files) -> String {
    files.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn marker_of(machine: &Machine) -> anyhow::Result<String> {
    Ok(format!("{}/marker", machine.mount()?.path))
}

fn text<'answer>(answer: &'answer Value, field: &str) -> anyhow::Result<&'answer str> {
    answer[field].as_str().with_context(|| format!("no {field} in {answer}"))
}

fn rigs(report: &Value) -> impl Iterator<Item = &Value> {
    report["rigs"].as_array().into_iter().flatten()
}

fn rig_status<'report>(report: &'report Value, rig: &str) -> Option<&'report str> {
    rigs(report).find(|listed| listed["rigId"] == rig)?["status"].as_str()
}

/// Formats a status as `provisioning: create at ensure_machine, attempt 2`.
fn progress(report: &Value) -> String {
    let word = |pointer| report.pointer(pointer).and_then(Value::as_str);
    let status = word("/status").unwrap_or("?");
    let Some(kind) = word("/operation/kind") else { return status.to_owned() };
    let attempt = report.pointer("/operation/attempt").and_then(Value::as_u64).unwrap_or_default();
    format!("{status}: {kind} at {}, attempt {attempt}", word("/operation/step").unwrap_or("its first step"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_names_status_and_step() {
        let operation = json!({ "kind": "create", "step": "ensure_machine", "attempt": 2 });
        for (report, want) in [
            (
                json!({ "status": "provisioning", "operation": operation }),
                "provisioning: create at ensure_machine, attempt 2",
            ),
            (json!({ "status": "running", "operation": null }), "running"),
            (json!({}), "?"),
        ] {
            assert_eq!(progress(&report), want);
        }
    }

    #[test]
    fn a_rig_is_found_by_its_id() {
        let report = json!({ "rigs": [{ "rigId": "1", "status": "pending" }, { "rigId": "2", "status": "active" }] });
        assert_eq!(rig_status(&report, "2"), Some("active"));
        assert_eq!(rig_status(&report, "3"), None);
        assert_eq!(rigs(&json!({})).count(), 0);
    }

    #[test]
    fn a_missing_field_is_named() {
        assert_eq!(text(&json!({}), "townId").unwrap_err().to_string(), "no townId in {}");
    }
}
