//! The newest rollout, as text.

use std::fmt::Write as _;

use gastown_domain::{Recorded, RolloutState};

use super::table::{headed, moment, plain};
use crate::reports::{FailedTown, NewestRollout, Rollout, RolloutTowns, TownsOfImage};

/// Returns the newest rollout as text.
pub(in crate::commands) fn text(newest: &NewestRollout) -> String {
    let NewestRollout { rollout: Some(rollout), towns: Some(towns) } = newest else {
        return "There was no rollout.".to_owned();
    };
    let RolloutTowns { done, failed, skipped, in_flight, waiting, unhealthy, stopped, failures, images, at: _ } = towns;
    let mut text = format!("Rollout {} of {}: {}\n", rollout.number, rollout.image, plain(&rollout.state));
    let mut line = |text_of_line: String| {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{text_of_line}");
    };
    line(format!("started      {} by {}", moment(rollout.started_at), plain(&rollout.started_by)));
    line(format!("changed      {} by {}", moment(rollout.changed_at), plain(&rollout.changed_by)));
    line(format!("towns        {} %, {}", rollout.percent, how(rollout)));
    if let Some(reason) = &rollout.reason {
        line(format!("paused       {}", plain(reason)));
    }
    line(format!("restarted    {done} healthy, {failed} failed, {skipped} skipped"));
    line(format!("in flight    {in_flight}"));
    line(format!("waiting      {waiting}"));
    line(format!("next start   {stopped} stopped, {unhealthy} unhealthy"));
    line(String::new());
    line(hint(rollout).to_owned());
    if !failures.is_empty() {
        text += "\n\nFailed\n\n";
        text += &failed_rows(failures);
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
        format!("at most {} restarted at the same time", rollout.max_unavailable)
    }
}

/// Returns what the state means, and what an operator can do.
fn hint(rollout: &Rollout) -> &'static str {
    match Recorded::<RolloutState>::read(&rollout.state) {
        Recorded::Known(RolloutState::Running) => "Towns get the image, in waves and at their next start.",
        Recorded::Known(RolloutState::Paused) => {
            "No further town is touched; starts give the image. Next: `gastown rollout resume` or `gastown rollout undo`."
        }
        Recorded::Known(RolloutState::Finished) => {
            "Each start gives the image, until FLY_IMAGE names another image than before. Set FLY_IMAGE to it."
        }
        Recorded::Known(RolloutState::Undoing) => "Towns get the image of before, in waves and at their next start.",
        Recorded::Known(RolloutState::UndoPaused) => {
            "Starts give the image of before, and no further town is touched. Next: `gastown rollout resume`."
        }
        Recorded::Known(RolloutState::Undone) => "The rollout decides nothing any more.",
        Recorded::Newer(_) => "A newer version of gastown knows this state.",
    }
}

fn failed_rows(failures: &[FailedTown]) -> String {
    let mut table = headed(["town", "id", "cause"]);
    for failed in failures {
        table.add_row([plain(&failed.town_name), failed.town_id.to_string(), plain(&failed.message)]);
    }
    table.trim_fmt()
}

fn image_rows(images: &[TownsOfImage]) -> String {
    let mut table = headed(["image", "towns"]);
    for TownsOfImage { image, towns } in images {
        table.add_row([image.as_deref().map_or_else(|| "not known".to_owned(), plain), towns.to_string()]);
    }
    table.trim_fmt()
}
