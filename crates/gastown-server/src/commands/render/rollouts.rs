//! The newest rollout, as text and as JSON.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use gastown_domain::ports::{FailedTouch, RolloutReport};
use gastown_domain::{Recorded, Rollout, RolloutPass, RolloutState};
use serde_json::{Value, json};

use super::table::{headed, plain, time};

/// Returns the newest rollout as text.
pub(in crate::commands) fn text(report: Option<&RolloutReport>) -> String {
    let Some(report) = report else { return "There was no rollout.".to_owned() };
    let RolloutReport { rollout, counts, waiting, unhealthy, stopped, failures, images, at: _ } = report;
    let mut text = format!("Rollout {} of {}: {}\n", rollout.number, rollout.image, rollout.state.as_str());
    let mut line = |text_of_line: String| {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{text_of_line}");
    };
    line(format!("started      {} by {}", time(rollout.started_at), plain(&rollout.started_by)));
    line(format!("changed      {} by {}", time(rollout.changed_at), plain(&rollout.changed_by)));
    line(format!("towns        {} %, {}", rollout.percent.get(), how(rollout)));
    if let Some(reason) = &rollout.reason {
        line(format!("paused       {}", plain(reason)));
    }
    line(format!("restarted    {} healthy, {} failed, {} skipped", counts.done, counts.failed, counts.skipped));
    line(format!("in flight    {}", counts.in_flight));
    line(format!("waiting      {waiting}"));
    line(format!("next start   {stopped} stopped, {unhealthy} unhealthy"));
    line(String::new());
    line(hint(rollout));
    if !failures.is_empty() {
        text += "\n\nFailed\n\n";
        text += &failed(failures);
    }
    if !images.is_empty() {
        text += "\n\nImages of all towns\n\n";
        text += &image_rows(images);
    }
    text
}

fn how(rollout: &Rollout) -> String {
    if rollout.only_stopped {
        "no running town is restarted".to_owned()
    } else {
        format!("at most {} restarted at the same time", rollout.max_unavailable.get())
    }
}

/// Returns what the state means, and what an operator can do.
fn hint(rollout: &Rollout) -> String {
    match rollout.state {
        RolloutState::Running => "Towns get the image, in waves and at their next start.",
        RolloutState::Paused => {
            "No further town is touched; starts give the image. Next: `gastown rollout resume` or `gastown rollout undo`."
        }
        RolloutState::Finished => {
            "Each start gives the image, until FLY_IMAGE names another image than before. Set FLY_IMAGE to it."
        }
        RolloutState::Undoing => "Towns get the image of before, in waves and at their next start.",
        RolloutState::UndoPaused => "Starts give the image of before, and no further town is touched. Next: `gastown rollout resume`.",
        RolloutState::Undone => "The rollout decides nothing any more.",
    }
    .to_owned()
}

fn failed(failures: &[FailedTouch]) -> String {
    let mut table = headed(["town", "id", "cause"]);
    for failed in failures {
        table.add_row([plain(&failed.name), failed.town.to_string(), cause(failed)]);
    }
    table.trim_fmt()
}

fn cause(failed: &FailedTouch) -> String {
    let unhealthy = || "became unhealthy after its restart".to_owned();
    failed
        .failure
        .as_ref()
        .map_or_else(unhealthy, |failure| format!("{}: {}", plain(failure.as_str()), failure.message()))
}

fn image_rows(images: &[(Option<String>, u64)]) -> String {
    let mut table = headed(["image", "towns"]);
    for (image, towns) in images {
        table.add_row([image.as_deref().map_or_else(|| "not known".to_owned(), plain), towns.to_string()]);
    }
    table.trim_fmt()
}

/// Returns the newest rollout as JSON, or null.
pub(in crate::commands) fn json(report: Option<&RolloutReport>) -> Value {
    let Some(report) = report else { return json!({ "rollout": null }) };
    let RolloutReport { rollout, counts, waiting, unhealthy, stopped, failures, images, at } = report;
    let failure = |failed: &FailedTouch| {
        json!({
            "townId": failed.town,
            "townName": failed.name,
            "code": failed.failure.as_ref().map(Recorded::as_str),
            "message": cause(failed),
        })
    };
    let image = |(image, towns): &(Option<String>, u64)| json!({ "image": image, "towns": towns });
    json!({
        "rollout": {
            "number": rollout.number.get(),
            "image": rollout.image,
            "settingsImage": rollout.setting,
            "state": rollout.state.as_str(),
            "direction": match rollout.state.pass() { RolloutPass::Out => "out", RolloutPass::Back => "back" },
            "reason": rollout.reason,
            "percent": rollout.percent.get(),
            "onlyStopped": rollout.only_stopped,
            "maxUnavailable": rollout.max_unavailable.get(),
            "startedBy": rollout.started_by,
            "changedBy": rollout.changed_by,
            "startedAt": moment(rollout.started_at),
            "changedAt": moment(rollout.changed_at),
            "endedAt": rollout.ended_at.map(moment),
        },
        "done": counts.done,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "inFlight": counts.in_flight,
        "waiting": waiting,
        "unhealthy": unhealthy,
        "stopped": stopped,
        "failures": failures.iter().map(failure).collect::<Vec<_>>(),
        "images": images.iter().map(image).collect::<Vec<_>>(),
        "at": moment(*at),
    })
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
