use std::str::FromStr;

use chrono::{DateTime, Utc};
use gastown_domain::Invalid;
use serde_json::{Map, Value};

use super::issue::{Issue, bad_request};
use crate::trpc::CallError;

/// The members of an object, and the faults found in them so far.
pub(super) struct Fields {
    members: Map<String, Value>,
    pub(super) issues: Vec<Issue>,
}

impl Fields {
    /// Takes the members of an input, which must be an object.
    pub(super) fn of(raw: Option<Value>) -> Result<Self, CallError> {
        match raw {
            Some(Value::Object(members)) => Ok(Self::over(members)),
            other => Err(Issue::wrong_type(Vec::new(), "object", other.as_ref()).into()),
        }
    }

    pub(super) fn over(members: Map<String, Value>) -> Self {
        Self { members, issues: Vec::new() }
    }

    /// Takes a required text.
    pub(super) fn required<T: FromStr<Err = Invalid>>(&mut self, name: &str) -> Option<T> {
        let value = self.remove(name);
        self.text(name, "regex", value.as_ref())
    }

    /// Takes a required id.
    pub(super) fn id<T: FromStr<Err = Invalid>>(&mut self, name: &str) -> Option<T> {
        let value = self.remove(name);
        self.text(name, "uuid", value.as_ref())
    }

    /// Takes an optional text. `null` is not absent.
    pub(super) fn optional<T: FromStr<Err = Invalid>>(&mut self, name: &str) -> Option<T> {
        let value = self.remove(name)?;
        self.text(name, "regex", Some(&value))
    }

    /// Takes an optional id. `null` counts as absent, because clients begin with it.
    pub(super) fn optional_id<T: FromStr<Err = Invalid>>(&mut self, name: &str) -> Option<T> {
        let value = self.remove(name).filter(|value| !value.is_null())?;
        self.text(name, "uuid", Some(&value))
    }

    /// Takes an optional text after which a client resumes. One that is no position is none, because it may be that of another
    /// version. So the client begins anew instead of failing for good.
    pub(super) fn position<T: FromStr>(&mut self, name: &str) -> Option<T> {
        match self.remove(name)? {
            Value::String(text) => text.parse().ok(),
            other => {
                self.issues.push(Issue::wrong_type(vec![name.into()], "string", Some(&other)));
                None
            }
        }
    }

    /// Takes an optional whole number within bounds. `null` counts as absent.
    pub(super) fn optional_number(&mut self, name: &str, min: u32, max: u32) -> Option<u32> {
        let value = self.remove(name).filter(|value| !value.is_null())?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.issues.push(Issue::custom(name, format!("must be a whole number between {min} and {max}")));
        }
        number
    }

    /// Takes an optional flag, `false` by default.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        match self.remove(name) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.issues.push(Issue::wrong_type(vec![name.into()], "boolean", Some(&other)));
                false
            }
        }
    }

    /// Takes an optional whole number of at most `max`. `null` counts as absent.
    pub(super) fn optional_amount(&mut self, name: &str, max: u64) -> Option<u64> {
        let value = self.remove(name).filter(|value| !value.is_null())?;
        let amount = value.as_u64().filter(|amount| *amount <= max);
        if amount.is_none() {
            self.issues.push(Issue::custom(name, format!("must be a whole number between 0 and {max}")));
        }
        amount
    }

    /// Takes an optional flag. `null` counts as absent.
    pub(super) fn optional_flag(&mut self, name: &str) -> Option<bool> {
        match self.remove(name).filter(|value| !value.is_null())? {
            Value::Bool(flag) => Some(flag),
            other => {
                self.issues.push(Issue::wrong_type(vec![name.into()], "boolean", Some(&other)));
                None
            }
        }
    }

    /// Takes an optional time of RFC 3339. `null` counts as absent.
    pub(super) fn optional_moment(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let value = self.remove(name).filter(|value| !value.is_null())?;
        let moment = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        if moment.is_none() {
            self.issues.push(Issue::custom(name, "must be a time of RFC 3339, such as 2026-11-24T13:45:00Z"));
        }
        moment.map(|moment| moment.to_utc())
    }

    /// Takes an optional object.
    pub(super) fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.remove(name)? {
            Value::Object(members) => Some(members),
            other => {
                self.issues.push(Issue::wrong_type(vec![name.into()], "object", Some(&other)));
                None
            }
        }
    }

    /// Returns true if there is such a member.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Takes a member unchecked.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.remove(name)
    }

    fn remove(&mut self, name: &str) -> Option<Value> {
        #[cfg(test)]
        tests::note(name);
        self.members.remove(name)
    }

    /// Returns the members that were not taken, and the faults.
    pub(super) fn rest(self) -> (Map<String, Value>, Vec<Issue>) {
        (self.members, self.issues)
    }

    /// Returns the built value, or all faults. Every missing part has left a fault.
    pub(super) fn finish<T>(self, built: Option<T>) -> Result<T, CallError> {
        match built {
            Some(value) if self.issues.is_empty() => Ok(value),
            _ => Err(bad_request(&self.issues)),
        }
    }

    fn text<T: FromStr<Err = Invalid>>(
        &mut self,
        name: &str,
        validation: &'static str,
        value: Option<&Value>,
    ) -> Option<T> {
        let path = vec![name.into()];
        let issue = match value {
            Some(Value::String(text)) => match text.parse() {
                Ok(parsed) => return Some(parsed),
                Err(error) => Issue::invalid(path, validation, &error),
            },
            other => Issue::wrong_type(path, "string", other),
        };
        self.issues.push(issue);
        None
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{cell::RefCell, collections::BTreeSet};

    thread_local! {
        static READ: RefCell<BTreeSet<String>> = RefCell::default();
    }

    /// Notes that the parser reads a member.
    pub(super) fn note(name: &str) {
        READ.with_borrow_mut(|read| read.insert(name.to_owned()));
    }

    /// Returns the members that were read since the last time.
    #[cfg(feature = "schema")]
    pub(crate) fn read() -> BTreeSet<String> {
        READ.take()
    }
}
