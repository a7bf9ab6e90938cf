//! The answers of a run, from the report of Schemathesis.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// The answers: their numbers by operation and status, and one body of each status of an operation.
#[derive(Debug, Default)]
pub(super) struct Answers {
    counts: BTreeMap<(String, u16), u64>,
    /// The different bodies, as far as they fit.
    bodies: BTreeSet<String>,
}

/// The maximum number of bodies that are kept.
const MAX_BODIES: usize = 20_000;

/// A line of the report that has answers. Other lines have other keys.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "ScenarioFinished")]
    scenario: Option<Scenario>,
}

#[derive(Deserialize)]
struct Scenario {
    recorder: Recorder,
}

#[derive(Deserialize)]
struct Recorder {
    /// The operation, as `GET /apps`.
    label: String,
    #[serde(default)]
    interactions: BTreeMap<String, Interaction>,
}

#[derive(Deserialize)]
struct Interaction {
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    status_code: u16,
    content: Option<Content>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "$base64")]
    base64: String,
}

impl Answers {
    /// Reads a report.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut answers = Self::default();
        for line in BufReader::new(file).lines() {
            answers.add(&line?).context("the report of Schemathesis has another form")?;
        }
        Ok(answers)
    }

    fn add(&mut self, line: &str) -> anyhow::Result<()> {
        let Some(Scenario { recorder }) = serde_json::from_str::<Line>(line)?.scenario else { return Ok(()) };
        for response in recorder.interactions.into_values().filter_map(|interaction| interaction.response) {
            *self.counts.entry((recorder.label.clone(), response.status_code)).or_default() += 1;
            if let Some(content) = response.content
                && self.bodies.len() < MAX_BODIES
            {
                let body = STANDARD.decode(content.base64).context("a body is not in base64")?;
                self.bodies.insert(String::from_utf8_lossy(&body).into_owned());
            }
        }
        Ok(())
    }

    /// Returns the operations that were answered with this status.
    pub(super) fn operations_with(&self, status: u16) -> BTreeSet<&str> {
        let answered = self.counts.keys().filter(|(_, answered)| *answered == status);
        answered.map(|(operation, _)| operation.as_str()).collect()
    }

    /// Returns true if a body has this text.
    pub(super) fn show(&self, text: &str) -> bool {
        self.bodies.iter().any(|body| body.contains(text))
    }

    /// Returns the operations that were answered.
    pub(super) fn operations(&self) -> BTreeSet<String> {
        self.counts.keys().map(|(operation, _)| operation.clone()).collect()
    }

    /// Returns the number of answers.
    pub(super) fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Returns the number of answers by the first digit of their status.
    pub(super) fn by_class(&self) -> BTreeMap<u16, u64> {
        let mut classes = BTreeMap::new();
        for ((_, status), count) in &self.counts {
            *classes.entry(status / 100).or_default() += count;
        }
        classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_from_the_lines_that_have_them() {
        let mut answers = Answers::default();
        answers.add(r#"{"EngineStarted": {"id": "1"}}"#).unwrap();
        answers
            .add(
                r#"{"ScenarioFinished": {"phase": "fuzzing", "recorder": {"label": "GET /apps", "interactions": {
                    "a": {"request": {}, "response": {"status_code": 200, "content": {"$base64": "eyJhIjpudWxsfQ=="}}},
                    "b": {"request": {}, "response": {"status_code": 404, "content": null}},
                    "c": {"request": {}, "response": null}}}}}"#,
            )
            .unwrap();
        assert_eq!(answers.count(), 2);
        assert!(answers.operations_with(404).contains("GET /apps") && answers.operations_with(500).is_empty());
        assert!(answers.show(r#""a":null"#) && !answers.show("b"));
        assert_eq!(answers.by_class(), BTreeMap::from([(2, 1), (4, 1)]));
    }
}
