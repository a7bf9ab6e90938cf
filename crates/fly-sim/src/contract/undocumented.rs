//! The fields that Fly sends although its OpenAPI document does not describe them, with the source of each.
//!
//! A field that is served without a line here, and is not in the document, is a violation.

use chrono::DateTime;
use serde_json::Value;

use crate::route::Call;

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Bool,
    Integer,
    Number,
    Text,
    /// A text in RFC 3339, which Go decodes into a time.
    Time,
    /// An object or a list. Its entries need lines of their own.
    Container,
}

impl Form {
    /// Returns true if the value has the form.
    pub(super) fn fits(self, value: &Value) -> bool {
        match self {
            Self::Bool => value.is_boolean(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Text => value.is_string(),
            Self::Time => value.as_str().is_some_and(|text| DateTime::parse_from_rfc3339(text).is_ok()),
            Self::Container => value.is_object() || value.is_array(),
        }
    }
}

/// A field that the document lacks.
#[derive(Debug)]
pub(super) struct Undocumented {
    /// The calls in whose answers it is. Empty stands for all calls.
    pub(super) calls: &'static [Call],
    /// The end of its path in the body. The index of a list is `*`.
    pub(super) path: &'static str,
    pub(super) form: Form,
    pub(super) source: &'static str,
}

impl Undocumented {
    /// Returns true if the line is about this field.
    pub(super) fn is_about(&self, call: Call, segments: &[String]) -> bool {
        let wanted: Vec<&str> = self.path.split('/').collect();
        let Some(start) = segments.len().checked_sub(wanted.len()) else { return false };
        (self.calls.is_empty() || self.calls.contains(&call))
            && wanted.iter().zip(&segments[start..]).all(|(wanted, segment)| wanted == segment)
    }
}

const fn line(calls: &'static [Call], path: &'static str, form: Form, source: &'static str) -> Undocumented {
    Undocumented { calls, path, form, source }
}

const ACCEPTED: &[Call] = &[
    Call::StopMachine,
    Call::RestartMachine,
    Call::SignalMachine,
    Call::SuspendMachine,
    Call::CordonMachine,
    Call::UncordonMachine,
    Call::DeleteMachine,
    Call::ReleaseLease,
];
const EXIT: &str = "events of the live service, recorded in August 2026; fly-go `MachineExitEvent`";
const START: &str = "docs `machines/api/machines-resource`; fly-go `MachineStartResponse`";
const REGIONS: &str = "fly-go `flaps/flaps_platform.go` and the live service: capital keys";
const EXEC: &str = "OpenAPI `flydv1.ExecResponse`, described for another content type; fly-go `MachineExecResponse`";

/// The fields that are served and that the document lacks.
pub(super) const LINES: &[Undocumented] = &[
    line(ACCEPTED, "ok", Form::Bool, "docs `machines/api/machines-resource`: the answer to an accepted call"),
    line(&[Call::StartMachine], "previous_state", Form::Text, START),
    line(&[Call::StartMachine], "migrated", Form::Bool, START),
    line(&[Call::StartMachine], "new_host", Form::Text, START),
    line(&[Call::CreateApp], "id", Form::Text, "docs `machines/api/apps-resource`: the answer to a create"),
    line(&[Call::CreateApp], "created_at", Form::Integer, "docs `machines/api/apps-resource`: milliseconds"),
    line(&[Call::Exec], "stdout", Form::Text, EXEC),
    line(&[Call::Exec], "stderr", Form::Text, EXEC),
    line(&[Call::Exec], "exit_code", Form::Integer, EXEC),
    line(&[Call::Exec], "exit_signal", Form::Integer, EXEC),
    line(&[], "request/exit_event", Form::Container, EXIT),
    line(&[], "request/exit_event/exit_code", Form::Integer, EXIT),
    line(&[], "request/exit_event/guest_exit_code", Form::Integer, EXIT),
    line(&[], "request/exit_event/guest_signal", Form::Integer, EXIT),
    line(&[], "request/exit_event/guest_error", Form::Text, EXIT),
    line(&[], "request/exit_event/signal", Form::Integer, EXIT),
    line(&[], "request/exit_event/error", Form::Text, EXIT),
    line(&[], "request/exit_event/oom_killed", Form::Bool, EXIT),
    line(&[], "request/exit_event/requested_stop", Form::Bool, EXIT),
    line(&[], "request/exit_event/restarting", Form::Bool, EXIT),
    line(&[], "request/exit_event/exited_at", Form::Time, EXIT),
    line(&[], "request/restart_count", Form::Integer, EXIT),
    line(&[], "request/reason", Form::Text, "events of the live service, recorded in August 2026: of a stop"),
    line(&[], "cordoned", Form::Bool, "newer OpenAPI documents, since summer 2026"),
    line(&[], "Regions", Form::Container, REGIONS),
    line(&[], "Nearest", Form::Text, REGIONS),
    line(&[], "Regions/*", Form::Container, REGIONS),
    line(&[Call::ListRegions], "Regions/*/code", Form::Text, REGIONS),
    line(&[Call::ListRegions], "Regions/*/name", Form::Text, REGIONS),
    line(&[Call::ListRegions], "Regions/*/latitude", Form::Number, REGIONS),
    line(&[Call::ListRegions], "Regions/*/longitude", Form::Number, REGIONS),
    line(&[Call::ListRegions], "Regions/*/geo_region", Form::Text, REGIONS),
    line(&[Call::ListRegions], "Regions/*/gateway_available", Form::Bool, REGIONS),
    line(&[Call::ListRegions], "Regions/*/requires_paid_plan", Form::Bool, REGIONS),
    line(&[Call::ListRegions], "Regions/*/deprecated", Form::Bool, REGIONS),
    line(&[Call::GetPlacements], "Regions/*/Region", Form::Text, REGIONS),
    line(&[Call::GetPlacements], "Regions/*/Count", Form::Integer, REGIONS),
    line(&[Call::GetPlacements], "Regions/*/Concurrency", Form::Integer, REGIONS),
    line(&[Call::ListIps, Call::AssignIp], "network", Form::Container, "fly-go `IPAssignmentNetwork`"),
    line(&[Call::ListIps, Call::AssignIp], "network/name", Form::Text, "fly-go `IPAssignmentNetwork`"),
    line(&[Call::ListIps, Call::AssignIp], "network/org_slug", Form::Text, "fly-go `IPAssignmentNetwork`"),
];
