// Generated from the Rust types by `cargo xtask codegen`. Do not edit.

export const reasons = Object.freeze([
  "no_procedure",
  "wrong_method",
  "wrong_content_type",
  "malformed_request",
  "batch_too_large",
  "malformed_input",
  "invalid_input",
  "region_not_offered",
  "body_too_large",
  "body_timeout",
  "answer_too_large",
  "answers_not_read",
  "too_many_calls",
  "too_many_watchers",
  "overloaded",
  "timed_out",
  "not_started",
  "still_running",
  "invalid_token",
  "invalid_key",
  "account_blocked",
  "town_not_found",
  "rig_not_found",
  "town_name_taken",
  "rig_name_taken",
  "idempotency_key_reused",
  "operation_in_progress",
  "config_changed",
  "first_rigs_fixed",
  "config_too_large",
  "rig_in_use",
  "rig_refused",
  "too_many_towns",
  "too_many_rigs",
  "too_many_operations",
  "too_many_changes",
  "unavailable",
  "internal",
  "no_capacity",
  "volume_refused",
  "machine_refused",
  "machine_never_started",
  "machine_failed",
  "sandbox_unhealthy",
  "volume_lost",
  "throttled",
  "provider_unavailable",
  "provider_misconfigured",
  "name_taken",
  "machine_busy",
  "volume_bound",
  "secrets_unavailable",
  "preempted",
  "owner_unknown",
  "owner_blocked",
  "unrecognized",
]);

export function errorData(error) {
  const data = error?.data ?? error?.shape?.data;
  return typeof data?.reason === 'string' ? data : undefined;
}

export function fieldErrors(error) {
  return errorData(error)?.zodError?.fieldErrors ?? {};
}
