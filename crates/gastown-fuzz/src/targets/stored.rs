//! Stored texts: configurations, the progress of operations, ids and words that another version wrote.

use gastown_domain::{
    Failure, Invalid, MachineId, Progress, Recorded, Region, StepName, TownConfig, TownId, UserId, VolumeId,
};

use super::{Outcome, Target, hold};

/// The JSON columns and the texts of rows.
pub(super) const TEXTS: Target = Target {
    name: "stored",
    start: || Ok(Box::new(check)),
    words: &[
        "\"rigs\":",
        "\"models\":",
        "\"refused_regions\":",
        "\"synced\":",
        "\"unconfirmed\":",
        "{",
        "}",
        "[",
        "]",
        ",",
        "1970-01-01T00:00:00Z",
        "+275760-09-13T00:00:00Z",
    ],
    memory: (32 * 1024, 256),
};

fn check(input: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(input);
    let config = serde_json::from_slice::<TownConfig>(input);
    if let Ok(config) = &config {
        let written =
            serde_json::to_vec(config).map_err(|error| format!("a configuration cannot be written: {error}"))?;
        let again = serde_json::from_slice::<TownConfig>(&written).ok();
        hold(again.as_ref() == Some(config), "a configuration that is written is read differently")?;
    }
    let progress = serde_json::from_slice::<Progress>(input);
    if let Ok(progress) = &progress {
        let written = serde_json::to_vec(progress).map_err(|error| format!("progress cannot be written: {error}"))?;
        let again = serde_json::from_slice::<Progress>(&written).ok();
        hold(again.as_ref() == Some(progress), "progress that is written is read differently")?;
    }
    let failure = Recorded::<Failure>::read(&text);
    hold(failure.as_str() == text, "a recorded failure is written differently")?;
    let step = Recorded::<StepName>::read(&text);
    hold(step.as_str() == text, "a recorded step is written differently")?;
    let ids = [
        text.parse::<TownId>().is_ok(),
        text.parse::<UserId>().is_ok(),
        text.parse::<MachineId>().is_ok(),
        text.parse::<VolumeId>().is_ok(),
        text.parse::<Region>().map_err(|_: Invalid| ()).is_ok(),
        matches!(failure, Recorded::Known(_)),
        matches!(step, Recorded::Known(_)),
    ];
    Ok(format!("{} {} {ids:?}", reason(&config), reason(&progress)))
}

/// Returns the message of an error without its place.
fn reason<T>(result: &Result<T, serde_json::Error>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string().split(['`', ':', '"']).next().unwrap_or_default().chars().take(24).collect(),
    }
}
