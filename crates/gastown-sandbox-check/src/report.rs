//! The result of a check: an outcome for each rule.

use std::collections::BTreeMap;

use crate::rules::{ALL, Rule};

/// The outcome of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The sandbox keeps the rule.
    Passed,
    /// The sandbox breaks the rule.
    Failed {
        /// The observation. Secrets are masked in it.
        seen: String,
    },
    /// The rule was not checked.
    Skipped {
        /// The reason, and what is needed.
        why: String,
    },
}

/// A rule with its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// Its outcome.
    pub outcome: Outcome,
}

/// The findings of all rules, in the order of [`ALL`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One finding for each rule.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Returns true if no rule was broken. Rules that were not checked do not count.
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// Returns the broken rules.
    pub fn failed(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Failed { .. }))
    }
}

/// The outcomes so far. The first failure of a rule is kept.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    known: BTreeMap<&'static str, Outcome>,
}

impl Outcomes {
    /// Records the result of a rule. Returns `None` if it was broken, so that what depends on it is left out.
    pub(crate) fn check<T>(&mut self, rule: &'static Rule, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => {
                self.known.entry(rule.name).or_insert(Outcome::Passed);
                Some(value)
            }
            Err(seen) => {
                self.fail(rule, seen);
                None
            }
        }
    }

    /// Returns true if a rule was checked and kept.
    pub(crate) fn passed(&self, rule: &'static Rule) -> bool {
        self.known.get(rule.name) == Some(&Outcome::Passed)
    }

    pub(crate) fn fail(&mut self, rule: &'static Rule, seen: String) {
        if !matches!(self.known.get(rule.name), Some(Outcome::Failed { .. })) {
            self.known.insert(rule.name, Outcome::Failed { seen });
        }
    }

    pub(crate) fn skip(&mut self, rules: &[&'static Rule], why: &str) {
        for rule in rules {
            self.known.entry(rule.name).or_insert_with(|| Outcome::Skipped { why: why.to_owned() });
        }
    }

    /// Returns all rules. One without an outcome depends on a broken one.
    pub(crate) fn finish(mut self) -> Report {
        self.skip(ALL, "a rule that it depends on was broken");
        let outcome = |rule: &'static Rule| Some(Finding { rule, outcome: self.known.remove(rule.name)? });
        Report { findings: ALL.iter().copied().filter_map(outcome).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules;

    #[test]
    fn names_of_rules_are_unique() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn each_rule_has_an_outcome_and_the_first_failure_is_kept() {
        let mut outcomes = Outcomes::default();
        assert_eq!(outcomes.check(&rules::SYNC, Ok(1)), Some(1));
        assert_eq!(outcomes.check::<()>(&rules::HEALTH, Err("first".into())), None);
        assert_eq!(outcomes.check::<()>(&rules::HEALTH, Err("second".into())), None);
        assert_eq!(outcomes.check(&rules::HEALTH, Ok(2)), Some(2));
        outcomes.skip(&[&rules::STOP], "no command");
        let report = outcomes.finish();
        assert_eq!(report.findings.len(), ALL.len());
        let failed: Vec<_> = report.failed().collect();
        let first = Outcome::Failed { seen: "first".into() };
        assert_eq!(failed, [&Finding { rule: &rules::HEALTH, outcome: first }]);
        assert!(!report.passed());
    }
}
