//! The generated parts of `docs/concepts.md`: tables and diagrams from the lifecycle of the domain.

mod walk;

use std::fmt::Write as _;

use anyhow::{Context, ensure};
use gastown_domain::{OperationKind, StepEffect, StepName, TownStatus};

use walk::{Taken, begins_at, course};

/// The page, whose prose is written by hand.
const PAGE: &str = "docs/concepts.md";
/// The line before a generated part, with its name.
const BEGIN: &str = "<!-- generated: ";
/// The line after it.
const END: &str = "<!-- end of generated -->";

/// Returns the page with its generated parts as they have to be.
pub(super) fn file() -> anyhow::Result<(&'static str, String)> {
    let page = std::fs::read_to_string(crate::workspace::root().join(PAGE)).context(PAGE)?;
    Ok((PAGE, with_parts(&page, &parts()?)?))
}

/// Returns each part with its name, in the order of the page.
fn parts() -> anyhow::Result<Vec<(String, String)>> {
    let mut parts = vec![("statuses".to_owned(), statuses()?)];
    for kind in OperationKind::ALL {
        parts.push((kind.as_str().to_owned(), sequence(kind)?));
    }
    parts.push(("steps".to_owned(), steps()));
    Ok(parts)
}

/// Replaces the text of each part. Every part must have its place, in this order.
fn with_parts(page: &str, parts: &[(String, String)]) -> anyhow::Result<String> {
    let (mut done, mut rest) = (String::new(), page);
    for (name, text) in parts {
        let begin = format!("{BEGIN}{name} -->\n");
        let (before, after) = rest.split_once(&begin).with_context(|| format!("{PAGE} has no line {begin}"))?;
        let (_, after) = after.split_once(END).with_context(|| format!("{PAGE} has no end of {name}"))?;
        write!(done, "{before}{begin}\n{text}\n{END}")?;
        rest = after;
    }
    ensure!(!rest.contains(BEGIN), "{PAGE} has a part that nothing generates");
    Ok(done + rest)
}

/// Returns the state diagram of a town. Its arrows are the changes that the registry accepts, each with the operations that
/// make it.
fn statuses() -> anyhow::Result<String> {
    let mut text = "```mermaid\nstateDiagram-v2\n".to_owned();
    for status in TownStatus::ALL {
        writeln!(text, "    {status}")?;
    }
    writeln!(text, "    [*] --> {}: accepted create", TownStatus::Provisioning)?;
    for from in TownStatus::ALL {
        for to in TownStatus::ALL.into_iter().filter(|to| from.may_become(*to)) {
            let kinds = OperationKind::ALL.into_iter().filter(|kind| makes(*kind, from, to)).map(OperationKind::as_str);
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            ensure!(from == to || !kinds.is_empty(), "no operation leads from {from} to {to}");
            if !kinds.is_empty() {
                writeln!(text, "    {from} --> {to}: {kinds}")?;
            }
        }
    }
    text.push_str("```\n");
    Ok(text)
}

/// Returns true if an operation of this kind leads from one status to the other. The town of a create is `provisioning` until
/// the create ends.
fn makes(kind: OperationKind, from: TownStatus, to: TownStatus) -> bool {
    let begins = if kind == OperationKind::Create { &[TownStatus::Provisioning] } else { begins_at(kind) };
    begins.contains(&from) && kind.final_status() == to
}

/// Returns the sequence diagram of an undisturbed operation.
fn sequence(kind: OperationKind) -> anyhow::Result<String> {
    let course = course(kind)?;
    let mut text = "```mermaid\nsequenceDiagram\n    participant C as control plane\n".to_owned();
    text.push_str("    participant R as registry\n    participant P as provider\n");
    if course.iter().any(|taken| partner(taken.step) == "S") {
        text.push_str("    participant S as sandbox\n");
    }
    writeln!(text, "    C->>R: store the goal {kind}")?;
    for Taken { step, phase } in course {
        match step {
            StepName::Finish => writeln!(text, "    C->>R: end the operation, town is {}", kind.final_status())?,
            step => writeln!(text, "    C->>{}: {} ({})", partner(step), step.message(), step.as_str())?,
        }
        if let Some(phase) = phase {
            writeln!(text, "    Note over C: phase {}", phase.as_str())?;
        }
    }
    text.push_str("```\n");
    Ok(text)
}

/// Returns the participant that a step calls.
fn partner(step: StepName) -> &'static str {
    match (step, step.effect()) {
        (StepName::FinalSync | StepName::PrepareSandbox, _) => "S",
        (_, StepEffect::NoCall) => "R",
        (_, StepEffect::CreatesVolume | StepEffect::CreatesMachine | StepEffect::Changes | StepEffect::Waits) => "P",
    }
}

/// Returns the table of the steps that owners see.
fn steps() -> String {
    let rows = StepName::ALL.into_iter().filter(|step| step.is_shown());
    let rows = rows.map(|step| format!("| `{}` | {} |\n", step.as_str(), step.message()));
    format!("| `step` | Shown as |\n| --- | --- |\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_diagram_has_the_arrows_of_the_registry() {
        let text = statuses().unwrap();
        for arrow in [
            "[*] --> provisioning: accepted create",
            "provisioning --> running: create",
            "provisioning --> destroyed: destroy, roll_back",
            "running --> running: restart",
            "running --> stopped: stop",
            "stopped --> running: start, restore",
        ] {
            assert!(text.contains(&format!("    {arrow}\n")), "{arrow}:\n{text}");
        }
        assert!(!text.contains("destroyed -->"), "{text}");
    }

    #[test]
    fn every_kind_has_a_sequence_that_ends_at_its_status() {
        for kind in OperationKind::ALL {
            let text = sequence(kind).unwrap();
            assert!(text.contains(&format!("town is {}\n```", kind.final_status())), "{text}");
        }
        assert!(sequence(OperationKind::Create).unwrap().contains("C->>S: Waiting for the sandbox and its rigs"));
    }

    #[test]
    fn parts_are_replaced_and_a_missing_one_is_named() {
        let page = format!("a\n{BEGIN}one -->\nold\n{END}\nb\n");
        let parts = |name: &str| vec![(name.to_owned(), "new\n".to_owned())];
        let done = with_parts(&page, &parts("one")).unwrap();
        assert_eq!(done, format!("a\n{BEGIN}one -->\n\nnew\n\n{END}\nb\n"));
        assert_eq!(with_parts(&done, &parts("one")).unwrap(), done);
        assert!(with_parts(&page, &parts("two")).unwrap_err().to_string().contains("generated: two"));
        assert!(with_parts(&page, &[]).is_err(), "a part that nothing generates");
    }
}
