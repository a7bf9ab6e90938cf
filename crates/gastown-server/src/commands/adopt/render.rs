//! The output of `gastown adopt`.

use gastown_domain::SandboxRig;
use serde_json::{Value, json};

use super::Written;
use super::plan::{LeftOut, Plan, Proposal};
use crate::commands::render::table::{headed, none, or_none, plain, time};
use crate::reports::Town;

/// Everything that Fly does not show.
const NOT_KNOWN: &str = "\
Not at Fly, and not restored: configurations, events, idempotency keys, and the times of heartbeats and syncs. A creation time is that
of the volume or the machine, and a rig has that of its town. Rigs are those that running sandboxes list, without their
configurations. Other rigs stay in their sandboxes, and their owners add them again. Each town gets an event that says what is not
known.";

/// Returns the plan of a dry run.
pub(super) fn table(plan: &Plan) -> String {
    let rows = proposals(plan, |_| "missing".to_owned());
    let warning = missing_rigs(plan).map(|warning| format!("\n\n{warning}")).unwrap_or_default();
    let next = if plan.proposals.is_empty() {
        ""
    } else {
        "\n\nNothing was written. To write the rows: gastown adopt --apply"
    };
    format!("{rows}{warning}{next}")
}

/// Returns the warning about running towns whose rigs a repeat does not add.
pub(super) fn missing_rigs(plan: &Plan) -> Option<String> {
    let towns = plan.running_without_rigs();
    (towns > 0).then(|| {
        format!(
            "Rigs are not known of running towns: {towns}. They are written without rigs, and a repeat adds none. To have \
             their rigs, set INTERNAL_API_SECRET and SANDBOX_URL before --apply."
        )
    })
}

/// Returns the plan after its rows were written.
pub(super) fn written(plan: &Plan, written: &[Written]) -> String {
    proposals(plan, |at| match written.get(at) {
        Some(Written::Inserted) => "written".to_owned(),
        Some(Written::Known) => "known".to_owned(),
        Some(Written::Failed(error)) => plain(error),
        None => none(),
    })
}

fn proposals(plan: &Plan, state: impl Fn(usize) -> String) -> String {
    let mut text = format!(
        "Apps: {}. Towns without a row: {}. Left out of these: {}. Towns with a row: {}. Entries that cannot be read: {}.",
        plan.apps,
        plan.proposals.len() + plan.towns_left_out(),
        plan.towns_left_out(),
        plan.known,
        plan.unreadable
    );
    if !plan.proposals.is_empty() {
        let mut table =
            headed(["user", "name", "status", "machine", "volume", "region", "rigs", "created", "id", "row", "notes"]);
        for (at, Proposal { town, rigs, notes }) in plan.proposals.iter().enumerate() {
            table.add_row([
                town.owner.to_string(),
                town.name.to_string(),
                town.status.to_string(),
                or_none(town.machine_id.as_ref()),
                or_none(town.volume_id.as_ref()),
                or_none(town.region.as_ref()),
                rigs.as_ref().map_or_else(none, |rigs| rigs.len().to_string()),
                time(town.created_at),
                town.id.to_string(),
                state(at),
                notes.join("; "),
            ]);
        }
        text = format!("{text}\n\n{}\n\n{NOT_KNOWN}", table.trim_fmt());
    }
    if !plan.left_out.is_empty() {
        let lines: Vec<_> =
            plan.left_out.iter().map(|left| format!("{}: {}", left.resource, plain(&left.reason))).collect();
        text = format!("{text}\n\nLeft out\n\n{}", lines.join("\n"));
    }
    let (machines, volumes) = (plan.other_machines, plan.other_volumes);
    if machines + volumes > 0 {
        text = format!("{text}\n\nNot of this service, not shown: {machines} machines, {volumes} volumes.");
    }
    text
}

/// Returns the plan as JSON. `written` is empty in a dry run.
pub(super) fn json(plan: &Plan, written: &[Written]) -> Value {
    let town = |(at, proposal): (usize, &Proposal)| {
        let mut value = json!(Town::from(&proposal.town));
        let rig = |rig: &SandboxRig| json!({ "rigName": rig.name, "repoUrl": rig.repo, "branch": rig.branch });
        value["rigs"] = json!(proposal.rigs.as_ref().map(|rigs| rigs.iter().map(rig).collect::<Vec<_>>()));
        value["notes"] = json!(proposal.notes);
        value["row"] = match written.get(at) {
            Some(Written::Inserted) => json!("written"),
            Some(Written::Known) => json!("known"),
            Some(Written::Failed(error)) => json!({ "error": error }),
            None => json!("missing"),
        };
        value
    };
    let left_out = |LeftOut { resource, reason, .. }: &LeftOut| json!({ "resource": resource, "reason": reason });
    json!({
        "apps": plan.apps,
        "known": plan.known,
        "unreadable": plan.unreadable,
        "townsLeftOut": plan.towns_left_out(),
        "runningWithoutRigs": plan.running_without_rigs(),
        "notOfThisService": { "machines": plan.other_machines, "volumes": plan.other_volumes },
        "towns": plan.proposals.iter().enumerate().map(town).collect::<Vec<_>>(),
        "leftOut": plan.left_out.iter().map(left_out).collect::<Vec<_>>(),
    })
}
