//! The report of a sandbox in its heartbeats, from the files on its volume.

use fly_sim::Files;
use serde_json::{Value, json};

use crate::misbehaviour::Misbehaviour;

/// The file with the number of polecats that are at work, below the volume's mount point. Without it none is.
const POLECATS: &str = "polecats";
/// The file with the time of the last sync.
pub(crate) const LAST_SYNC: &str = "last_sync";
/// The size of a volume that is full.
const FULL: u64 = 10 << 30;

/// Returns the body of a heartbeat. `None`: a wedged sandbox sends none.
pub(crate) fn heartbeat(town: &str, files: &Files) -> Option<Value> {
    let misbehaviour = Misbehaviour::of(files);
    let text = |name: &str| String::from_utf8(files.get(name)?.clone()).ok();
    let used: usize = files.values().map(Vec::len).sum();
    let mut body = json!({
        "townId": town,
        "gtRunning": misbehaviour != Some(Misbehaviour::DaemonDown),
        "doltRunning": misbehaviour != Some(Misbehaviour::DoltDown),
        "activePolecats": text(POLECATS).and_then(|number| number.trim().parse::<u32>().ok()).unwrap_or(0),
        "diskUsedBytes": if misbehaviour == Some(Misbehaviour::DiskFull) { json!(FULL) } else { json!(used) },
    });
    if let Some(at) = text(LAST_SYNC) {
        body["lastR2SyncAt"] = json!(at);
    }
    (misbehaviour != Some(Misbehaviour::Wedged)).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)]) -> Option<Value> {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
        heartbeat("town-1", &files)
    }

    #[test]
    fn heartbeat_reports_what_is_on_the_volume() {
        let idle = json!({
            "townId": "town-1", "gtRunning": true, "doltRunning": true, "activePolecats": 0, "diskUsedBytes": 0,
        });
        assert_eq!(with(&[]), Some(idle));
        let busy = with(&[("polecats", "3\n"), ("last_sync", "2026-11-24T13:45:00.000Z")]).unwrap();
        assert_eq!((&busy["activePolecats"], &busy["diskUsedBytes"]), (&json!(3), &json!(26)));
        assert_eq!(busy["lastR2SyncAt"], "2026-11-24T13:45:00.000Z");
    }

    #[test]
    fn broken_parts_are_reported_and_a_wedged_sandbox_reports_nothing() {
        let of = |misbehaviour: &str| with(&[("misbehave", misbehaviour)]);
        assert_eq!(of("daemon_down until restart").unwrap()["gtRunning"], false);
        assert_eq!(of("dolt_down").unwrap()["doltRunning"], false);
        assert_eq!(of("disk_full").unwrap()["diskUsedBytes"], 10_u64 << 30);
        assert_eq!(of("wrong_town").unwrap()["townId"], "town-1", "it lies to those who ask");
        assert_eq!(of("wedged"), None);
    }
}
