use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;
use crate::reconcile::samples::every_error;

fn shown(reaction: Reaction) -> String {
    match reaction {
        Reaction::Retry { failure, after, unclassified } => {
            let after = after.map_or_else(String::new, |after| format!(" after {} s", after.as_secs()));
            let unclassified = if unclassified { ", unclassified" } else { "" };
            format!("retry {}{after}{unclassified}", failure.code())
        }
        Reaction::NextRegion(RegionRefusal::HostFull) => "next region, host full".to_owned(),
        Reaction::NextRegion(RegionRefusal::Full) => "next region".to_owned(),
        Reaction::NextRegion(RegionRefusal::Retired) => "next region, retired".to_owned(),
        Reaction::GiveUp(failure) => format!("give up {}", failure.code()),
    }
}

/// The full cross product: for each error and kind, the steps grouped by their reaction.
#[test]
fn reactions_match_the_reviewed_table() {
    let mut table = String::new();
    for (name, error) in every_error() {
        for kind in OperationKind::ALL {
            let mut steps: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for step in StepName::ALL {
                steps.entry(shown(reaction(kind, step, &error))).or_default().push(step.as_str());
            }
            for (reaction, of) in steps {
                let of = if of.len() == StepName::ALL.len() { "every step".to_owned() } else { of.join(" ") };
                writeln!(table, "{:<26} {reaction}: {of}", format!("{name}/{kind}")).unwrap();
            }
        }
    }
    for kind in OperationKind::ALL {
        writeln!(table, "{:<26} {}", format!("lost volume/{kind}"), shown(lost_volume(kind))).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_removal_is_never_given_up_when_the_provider_refuses() {
    for (name, error) in every_error().into_iter().filter(|(name, _)| *name != "name_taken") {
        for step in StepName::ALL {
            for kind in [OperationKind::Destroy, OperationKind::RollBack] {
                let reaction = reaction(kind, step, &error);
                assert!(matches!(reaction, Reaction::Retry { .. }), "{name} {kind:?} {step:?} {reaction:?}");
            }
        }
    }
}
