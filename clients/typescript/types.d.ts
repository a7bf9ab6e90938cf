// Generated from the Rust types by `cargo xtask codegen`. Do not edit.

/** A rig to be added. */
export interface AddRigInput {
  /** The branch. Without it, the repository's default branch is taken. */
  branch?: string;
  /** The configuration, at most 32 KiB as JSON, kept as it is. */
  config?: Record<string, unknown>;
  /** The repository, by HTTPS or SSH, on a public host. */
  repoUrl: string;
  /** The name: 1 to 64 letters, digits and `_`, and no name of a directory of Gas Town. */
  rigName: string;
  /** The town. */
  townId: Id;
}

/** A rig that was added, with its town. */
export interface AddedRig {
  /** The branch. `null` until the sandbox has told the repository's default branch. */
  branch: string | null;
  /** The configuration, as it was given. */
  config: Record<string, unknown>;
  /** The time of acceptance. */
  createdAt: Time;
  /** The idle stop that this call has ended: the town starts, and then gets the rig. `null`: the call starts nothing. */
  idleStop: IdleStop | null;
  /** The repository. */
  repoUrl: string;
  /** The id. */
  rigId: Id;
  /** The name, unique in its town, ignoring case. */
  rigName: string;
  /** The status. `pending` and `removing` wait for the sandbox. */
  status: RigStatus;
  /** The town after the call, with its operation in flight. */
  town: Town;
}

/** The kind of a change of a watched town. */
export type ChangeKind = "present" | "started" | "step" | "retry" | "status" | "health" | "ended" | "gone";

/** A town to be created. */
export interface CreateTownInput {
  /** The configuration, at most 32 KiB as JSON. Unknown keys are kept. */
  config?: TownConfig;
  /** A repeat with the same key and input returns the same town: 1 to 128 printable ASCII characters. */
  idempotencyKey?: string;
  /** One of `listRegions`. Without it, the first region with room is taken. */
  region?: string;
  /** The name: 1 to 64 characters of `a-z 0-9 -`, with a letter or digit at both ends. */
  townName: string;
}

/** A town to be destroyed. */
export interface DestroyTownInput {
  /** The town. */
  townId: Id;
  /** True to wait until nothing is left. Otherwise the call returns once the removal is certain. */
  waitUntilGone?: boolean;
}

/** A difference between a town and its row. */
export type Drift = "machine_stopped" | "machine_started" | "machine_missing" | "machine_replaced" | "volume_moved" | "volume_lost";

/** The codes of tRPC that are used. */
export type ErrorCode = "BAD_GATEWAY" | "BAD_REQUEST" | "CONFLICT" | "FORBIDDEN" | "GATEWAY_TIMEOUT" | "INTERNAL_SERVER_ERROR" | "METHOD_NOT_SUPPORTED" | "NOT_FOUND" | "PAYLOAD_TOO_LARGE" | "PRECONDITION_FAILED" | "SERVICE_UNAVAILABLE" | "TIMEOUT" | "TOO_MANY_REQUESTS" | "UNAUTHORIZED" | "UNPROCESSABLE_CONTENT" | "UNSUPPORTED_MEDIA_TYPE";

/** The member `data` of an error. */
export interface ErrorData {
  /** The code of tRPC. */
  code: ErrorCode;
  /** The failure of the operation, if it was accepted and failed. */
  failure?: Failure;
  /** The status of this call alone. */
  httpStatus: number;
  /** The work that would be lost, with `rig_in_use`. */
  inTheWay?: string[];
  /** The faults of the input, with `invalid_input` and `region_not_offered`. */
  issues?: InputIssue[];
  /** The limit that is reached. */
  limit?: number;
  /** The largest answer in bytes, with `answer_too_large`. */
  maxBytes?: number;
  /** The kind of the operation in flight, with `operation_in_progress`. */
  operation?: OperationKind | (string & {});
  /** The procedure. Absent if the whole request failed. */
  path?: string;
  /** The reason. Programs test it. */
  reason: ErrorReason;
  /** The seconds after which the call may be repeated. */
  retryAfter?: number;
  /** False: the call did nothing, and may be repeated. Present with time-outs. */
  started?: boolean;
  /** The faults of the input by field, as zod's `flatten()` groups them. */
  zodError?: FlattenedIssues;
}

/** The reasons of errors. */
export type ErrorReason = "no_procedure" | "wrong_method" | "wrong_content_type" | "malformed_request" | "batch_too_large" | "malformed_input" | "invalid_input" | "region_not_offered" | "body_too_large" | "body_timeout" | "answer_too_large" | "answers_not_read" | "too_many_calls" | "too_many_watchers" | "overloaded" | "timed_out" | "not_started" | "still_running" | "invalid_token" | "invalid_key" | "account_blocked" | "town_not_found" | "rig_not_found" | "town_name_taken" | "rig_name_taken" | "idempotency_key_reused" | "operation_in_progress" | "config_changed" | "first_rigs_fixed" | "config_too_large" | "not_confirmed" | "volume_not_lost" | "never_saved" | "rig_in_use" | "rig_refused" | "too_many_towns" | "too_many_rigs" | "too_many_operations" | "too_many_changes" | "unavailable" | "internal" | "no_capacity" | "volume_refused" | "machine_refused" | "machine_never_started" | "machine_failed" | "sandbox_unhealthy" | "volume_lost" | "throttled" | "provider_unavailable" | "provider_misconfigured" | "name_taken" | "machine_busy" | "volume_bound" | "secrets_unavailable" | "preempted" | "volume_found" | "data_not_restored" | "owner_unknown" | "owner_blocked" | "unrecognized";

/** The actions that a town's owner sees in its history. Others are for operators only. */
export type EventAction = "create" | "start" | "stop" | "restart" | "restore" | "undo_restore" | "destroy" | "roll_back" | "add_rig" | "remove_rig" | "update_config" | "rig_refused" | "drift" | "health" | "retry";

/** The kind of the author of an event. */
export type EventActor = "user" | "operator" | "monitor" | "idle" | "system";

/** The reason of an event. */
export interface EventCause {
  /** The code. Programs test it. */
  code: string;
  /** The text for the user. */
  message: string;
}

/** The outcome of an event. */
export type EventOutcome = "accepted" | "done" | "failed" | "rolled_back" | "preempted" | "observed";

/** A page of the history of a town, newest first. */
export interface EventPage {
  /** The events. */
  events: TownEvent[];
  /** The cursor of the next page. `null`: there are no older events. */
  nextCursor: Id | null;
}

/** An external change of a town. */
export interface ExternalChange {
  /** The kind of the change. */
  code: Drift | (string & {});
  /** The text for the user. */
  message: string;
  /** The time at which it was confirmed. */
  since: Time;
}

/** The cause of a failed or delayed operation. Its code is stable. Its text for users never has a provider's words. */
export type Failure = "no_capacity" | "volume_refused" | "machine_refused" | "machine_never_started" | "machine_failed" | "sandbox_unhealthy" | "volume_lost" | "throttled" | "provider_unavailable" | "provider_misconfigured" | "name_taken" | "machine_busy" | "volume_bound" | "secrets_unavailable" | "preempted" | "volume_found" | "data_not_restored" | "owner_unknown" | "owner_blocked" | "unrecognized";

/** A rig that is created together with its town. */
export interface FirstRig {
  /** The branch, by default that of the repository. */
  branch?: string;
  /** The repository to clone. */
  repoUrl: string;
  /** The name of the rig. */
  rigName: string;
}

/** The faults of an input, by field. */
export interface FlattenedIssues {
  /** Faults of its fields. */
  fieldErrors: Record<string, string[]>;
  /** Faults of the input as a whole. */
  formErrors: string[];
}

/** A new gateway token, for the sandbox only. */
export interface GatewayToken {
  /** The time of its expiry. */
  expiresAt: Time;
  /** The token. */
  token: string;
}

/** The health of a town. */
export interface Health {
  /** The time of the last attempt to compare the town with Fly. */
  checkedAt: Time | null;
  /** True after damage that a start does not repair. */
  degraded: boolean;
  /** A change of the town that the service did not make. */
  drift: ExternalChange | null;
  /** Consecutive failed checks. */
  failures: number;
  /** The image that the machine has. It is null if it is not known, as after a lost answer. */
  image: string | null;
  /** The time of the last heartbeat of the sandbox. */
  lastReportAt: Time | null;
  /** The reason, while checks fail. */
  reason: HealthReason | null;
  /** The report of the sandbox in that heartbeat. */
  report: SandboxReport;
  /** Restarts within the window. */
  restarts: number;
  /** The time since which the state is this one. */
  since: Time | null;
  /** The state, as checks of the running sandbox show it. It is `unknown` before the first check and while the town is not running. */
  state: HealthState | (string & {});
}

/** The reason of failed checks. */
export interface HealthReason {
  /** The code. Programs test it. */
  code: HealthReason2 | (string & {});
  /** The text for the user. */
  message: string;
}

/** The reason of a failed check. */
export type HealthReason2 = "no_answer" | "not_ready" | "daemon_down" | "dolt_down" | "disk_full" | "wrong_answer" | "key_refused";

/** The state of a running town's health. */
export type HealthState = "unknown" | "healthy" | "unhealthy" | "error";

/** The health of a town in a list. */
export interface HealthSummary {
  /** The time since which the state is this one. */
  since: Time | null;
  /** The state, as in `getTownStatus`. */
  state: HealthState | (string & {});
}

/** The answer to a heartbeat. */
export interface Heartbeat {
  /** True: the heartbeat is recorded. */
  recorded: boolean;
  /** The town. */
  townId: Id;
}

/** A heartbeat of a sandbox. A part that it does not report is unknown. */
export interface HeartbeatInput {
  /** The workers (polecats) that are at work. */
  activePolecats?: number;
  /** The used part of the volume, in bytes. */
  diskUsedBytes?: number;
  /** True if its database runs. */
  doltRunning?: boolean;
  /** True if the daemon of `gt` runs. */
  gtRunning?: boolean;
  /** The time of the last complete sync to R2. A time in the future counts as now. */
  lastR2SyncAt?: Time;
  /** The town. */
  townId: Id;
}

/** An id in the canonical form of a UUID, in lower case. */
export type Id = string;

/** The stop of a town that was not used for as long as its configuration says. The next start, or a new rig, ends it. */
export interface IdleStop {
  /** The text for the user. */
  message: string;
  /** The time since which the state is this one. */
  since: Time;
  /** The state: `stopping` while the stop is in flight, and then `stopped`. */
  state: IdleStopState;
}

/** The state of an idle stop. */
export type IdleStopState = "stopping" | "stopped";

/** A fault of an input, as zod reports it. */
export interface InputIssue {
  /** The kind of the fault. */
  code: string;
  /** The text for the user. */
  message: string;
  /** Names and indexes from the root of the input. */
  path: (string | number)[];
  [key: string]: unknown;
}

/** The end of the last operation. */
export interface LastOutcome {
  /** The time of the end. */
  at: Time;
  /** The reason, if the operation failed. */
  failure: OperationFailure | null;
  /** The kind, as it was requested. */
  kind: OperationKind | (string & {});
  /** The result. */
  result: OutcomeResult;
}

/** A page of the history of a town. */
export interface ListEventsInput {
  /** The `nextCursor` of the previous page. Without it, the page begins with the newest event. */
  cursor?: Id;
  /** The most events of the page, 1 to 200, by default 50. */
  limit?: number;
  /** The town. */
  townId: Id;
}

/** A page of the list. Without an input, the whole list is returned. */
export interface ListTownsInput {
  /** The `townId` of the last town of the previous page. */
  cursor?: Id;
  /** The most towns of the page, 1 to 100. Without it, all towns. */
  limit?: number;
}

/** The models to use, by role or as a list in order of preference. */
export type Models = Record<string, string> | string[];

/** An operation in flight. */
export interface Operation {
  /** Failed attempts since the last progress. */
  attempt: number;
  /** `null` for an operation that is never given up. */
  deadlineAt: Time | null;
  /** The time that such an operation usually takes, in seconds. */
  expectedSeconds: number | null;
  /** The purpose of the operation, in words. */
  goal: string;
  /** The goal. */
  kind: OperationKind | (string & {});
  /** The cause of the last failed attempt. */
  lastError: OperationFailure | null;
  /** The next action and the reason of a failed attempt, in words. `nextAttemptAt` is its time. */
  next: string;
  /** The earliest time of the next attempt. */
  nextAttemptAt: Time;
  /** The time spent in queues for Fly's rate limits, in milliseconds (FM-53). */
  queuedMs: number;
  /** The time of acceptance. */
  startedAt: Time;
  /** The last step that was begun, for display. */
  step: string | null;
  /** The last step, in words. */
  stepMessage: string;
  /** The time of the last change. */
  updatedAt: Time;
}

/** The cause of a failed operation or attempt. */
export interface OperationFailure {
  /** The code. Programs test it. */
  code: Failure | (string & {});
  /** The text for the user. */
  message: string;
}

/** The goal of an operation. */
export type OperationKind = "create" | "start" | "stop" | "restart" | "restore" | "destroy" | "roll_back" | "undo_restore";

/** The result of an ended operation. */
export type OutcomeResult = "done" | "failed";

/** A rig that the sandbox refused. It is not a rig of the town any more. */
export interface RefusedRig {
  /** The reason, as the sandbox gave it. */
  reason: string;
  /** The time of the refusal. */
  refusedAt: Time;
  /** The repository. */
  repoUrl: string;
  /** The name. */
  rigName: string;
}

/** A region in which towns can be created. */
export interface Region {
  /** True for the region of towns that are created without one. */
  isDefault: boolean;
  /** The region's code, such as `iad`. */
  region: string;
}

/** A rig to be removed. */
export interface RemoveRigInput {
  /** True to remove the rig even if work is lost. */
  force?: boolean;
  /** The rig. */
  rigId: Id;
  /** The town. */
  townId: Id;
}

/** A town to be restored from R2. */
export interface RestoreTownInput {
  /** The name of the town, as a confirmation that the changes since the last sync are lost. */
  confirm: string;
  /** The town. */
  townId: Id;
}

/** A town that is restored from R2. */
export interface RestoredTown {
  /** The last confirmed sync before the volume was lost. Later changes are lost. */
  savedAt: Time;
  /** The town after the call, with its operation in flight. */
  town: Town;
}

/** A rig in the list of its town's rigs. */
export interface Rig {
  /** The branch. `null` until the sandbox has told the repository's default branch. */
  branch: string | null;
  /** The time of acceptance. */
  createdAt: Time;
  /** The repository. */
  repoUrl: string;
  /** The id. */
  rigId: Id;
  /** The name, unique in its town, ignoring case. */
  rigName: string;
  /** The status. `pending` and `removing` wait for the sandbox. */
  status: RigStatus;
}

/** A rig with its configuration. */
export interface RigDetails {
  /** The branch. `null` until the sandbox has told the repository's default branch. */
  branch: string | null;
  /** The configuration, as it was given. */
  config: Record<string, unknown>;
  /** The time of acceptance. */
  createdAt: Time;
  /** The repository. */
  repoUrl: string;
  /** The id. */
  rigId: Id;
  /** The name, unique in its town, ignoring case. */
  rigName: string;
  /** The status. `pending` and `removing` wait for the sandbox. */
  status: RigStatus;
}

/** The rig of a call. */
export interface RigInput {
  /** The rig. */
  rigId: Id;
  /** The town. */
  townId: Id;
}

/** The outcome of a removal of a rig. With `removed: false` the rig is removed when the sandbox answers again. */
export interface RigRemoval {
  /** False: the sandbox does not answer now, and the rig is removed later. */
  removed: boolean;
  /** The rig. */
  rigId: Id;
  /** The town after the call, with its operation in flight. */
  town: Town;
}

/** The status of a rig, in the column `gastown_rigs.status`. */
export type RigStatus = "pending" | "active" | "removing";

/** The report of a sandbox about itself. A part that its image does not report is null. */
export interface SandboxReport {
  /** The workers (polecats) that are at work. */
  activePolecats: number | null;
  /** The used part of the volume, in bytes. */
  diskUsedBytes: number | null;
  /** True if its database runs. */
  doltRunning: boolean | null;
  /** True if the daemon of `gt` runs. */
  gtRunning: boolean | null;
}

/** A town after a start. */
export interface StartedTown {
  /** The configuration. Unknown keys are kept. */
  config: TownConfig;
  /** The version of the configuration, for `updateTown`. It changes with the configuration. */
  configVersion: string;
  /** The time of acceptance. */
  createdAt: Time;
  /** The machine, once there is one. */
  flyMachineId: string | null;
  /** The region of the volume, or the desired one. */
  flyRegion: string | null;
  /** The volume, once there is one. */
  flyVolumeId: string | null;
  /** The idle stop that the start has ended. `null`: the town was not stopped because it was idle. */
  idleStop: IdleStop | null;
  /** The last heartbeat of the sandbox. */
  lastHeartbeatAt: Time | null;
  /** The last confirmed sync to R2. */
  lastR2SyncAt: Time | null;
  /** The operation in flight. `null`: nothing is in flight, and `status` is final. */
  operation: Operation | null;
  /** The id of the sandbox, derived from user and name. */
  sandboxId: string;
  /** The status. An operation in flight may change it. */
  status: TownStatus;
  /** The id. Every other procedure takes it. */
  townId: Id;
  /** The name, unique among the caller's live towns. */
  townName: string;
}

/** A time in ISO 8601 with milliseconds, such as `2026-11-29T12:00:00.000Z`. */
export type Time = string;

/** A town with its operation in flight, as shown to its owner. */
export interface Town {
  /** The configuration. Unknown keys are kept. */
  config: TownConfig;
  /** The version of the configuration, for `updateTown`. It changes with the configuration. */
  configVersion: string;
  /** The time of acceptance. */
  createdAt: Time;
  /** The machine, once there is one. */
  flyMachineId: string | null;
  /** The region of the volume, or the desired one. */
  flyRegion: string | null;
  /** The volume, once there is one. */
  flyVolumeId: string | null;
  /** The last heartbeat of the sandbox. */
  lastHeartbeatAt: Time | null;
  /** The last confirmed sync to R2. */
  lastR2SyncAt: Time | null;
  /** The operation in flight. `null`: nothing is in flight, and `status` is final. */
  operation: Operation | null;
  /** The id of the sandbox, derived from user and name. */
  sandboxId: string;
  /** The status. An operation in flight may change it. */
  status: TownStatus;
  /** The id. Every other procedure takes it. */
  townId: Id;
  /** The name, unique among the caller's live towns. */
  townName: string;
}

/** A change of a watched town, with its present status and operation. */
export interface TownChange {
  /** The time of the change, as far as it is recorded. */
  at: Time;
  /** The kind of the change. The first value is `present`, unless the client resumes. */
  change: ChangeKind;
  /** The cause of a failed attempt or operation. */
  failure: OperationFailure | null;
  /** A sentence for people. */
  message: string;
  /** The present operation in flight. */
  operation: Operation | null;
  /** The present status. */
  status: TownStatus;
  /** The step that was begun. Only `step` has one. */
  step: string | null;
  /** The town. */
  townId: Id;
}

/** The column `gastown_towns.config`. Unknown keys are kept unchanged (FM-47). */
export interface TownConfig {
  /** The minutes without use after which the running town is stopped, 5 to 10080. Without it, the town is never stopped unasked. */
  idle_stop_minutes?: number;
  /** The maximum number of workers (polecats) that run at once. */
  max_polecats?: number;
  /** The models to use. */
  models?: Models;
  /** The first rigs, as given at creation. The current rigs are in `gastown_rigs`. */
  rigs?: FirstRig[];
  [key: string]: unknown;
}

/** A change of a configuration. A key that it names is replaced, or removed by `null`. Every other key stays. */
export interface TownConfigPatch {
  /** The minutes without use after which the running town is stopped. `null` turns idle stops off. */
  idle_stop_minutes?: number | null;
  /** The maximum number of workers (polecats) that run at once. */
  max_polecats?: number | null;
  /** The models to use. */
  models?: Models | null;
  /** The first rigs, which do not change. A change may only repeat them. `addRig` and `removeRig` change the rigs. */
  rigs?: FirstRig[] | null;
  [key: string]: unknown;
}

/** An event in the history of a town. */
export interface TownEvent {
  /** The action. The end of an operation has that of its request. */
  action: EventAction | (string & {});
  /** The author. The end of an operation has that of its request. */
  actor: EventActor;
  /** The time. */
  at: Time;
  /** The reason of a failure, a change from outside or a refused rig, or the new state of the health. */
  cause: EventCause | null;
  /** The time from the request to the end of an operation, in milliseconds. */
  durationMs: number | null;
  /** The id, which is also a cursor. */
  eventId: Id;
  /** A sentence for people. */
  message: string;
  /** The outcome. */
  outcome: EventOutcome | (string & {});
  /** The name of the rig, for an event of a rig. */
  rigName: string | null;
}

/** The town of a call. */
export interface TownInput {
  /** The town. */
  townId: Id;
}

/** A change of the caller's list of towns. */
export interface TownListChange {
  /** The ids of the towns that are not in the list any more. */
  gone: Id[];
  /** True if `towns` is the whole list, which replaces what the client has. The first value is, unless the client resumes. */
  isWhole: boolean;
  /** The towns that are new or have changed, as in `listTowns`, oldest first. */
  towns: TownSummary[];
}

/** The status of a town, in the column `gastown_towns.status`. */
export type TownStatus = "provisioning" | "running" | "stopped" | "destroyed";

/** Everything about one town. */
export interface TownStatusReport {
  /** The configuration. Unknown keys are kept. */
  config: TownConfig;
  /** The version of the configuration, for `updateTown`. It changes with the configuration. */
  configVersion: string;
  /** The time of acceptance. */
  createdAt: Time;
  /** The machine, once there is one. */
  flyMachineId: string | null;
  /** The region of the volume, or the desired one. */
  flyRegion: string | null;
  /** The volume, once there is one. */
  flyVolumeId: string | null;
  /** The health. */
  health: Health;
  /** The idle stop of the town. `null`: it was not stopped because it was idle. */
  idleStop: IdleStop | null;
  /** The last heartbeat of the sandbox. */
  lastHeartbeatAt: Time | null;
  /** The end of the last operation. `null`: none has ended, or it is older than the history. */
  lastOutcome: LastOutcome | null;
  /** The last confirmed sync to R2. */
  lastR2SyncAt: Time | null;
  /** The operation in flight. `null`: nothing is in flight, and `status` is final. */
  operation: Operation | null;
  /** The last rigs that the sandbox refused. They are no rigs of the town. */
  refusedRigs: RefusedRig[];
  /** True if the volume is lost and the data was saved to R2 before. */
  restoreAvailable: boolean;
  /** The time of the data that `restoreTown` brings back. Later changes are lost. `null`: there is nothing to restore. */
  restoresDataOf: Time | null;
  /** The rigs, oldest first, without their configurations. */
  rigs: Rig[];
  /** The id of the sandbox, derived from user and name. */
  sandboxId: string;
  /** The status. An operation in flight may change it. */
  status: TownStatus;
  /** The id. Every other procedure takes it. */
  townId: Id;
  /** The name, unique among the caller's live towns. */
  townName: string;
}

/** A town of a list, with its health in short. */
export interface TownSummary {
  /** The configuration. Unknown keys are kept. */
  config: TownConfig;
  /** The version of the configuration, for `updateTown`. It changes with the configuration. */
  configVersion: string;
  /** The time of acceptance. */
  createdAt: Time;
  /** The machine, once there is one. */
  flyMachineId: string | null;
  /** The region of the volume, or the desired one. */
  flyRegion: string | null;
  /** The volume, once there is one. */
  flyVolumeId: string | null;
  /** The health. `getTownStatus` has the rest of it. */
  health: HealthSummary;
  /** The idle stop of the town. `null`: it was not stopped because it was idle. */
  idleStop: IdleStop | null;
  /** The last heartbeat of the sandbox. */
  lastHeartbeatAt: Time | null;
  /** The last confirmed sync to R2. */
  lastR2SyncAt: Time | null;
  /** The operation in flight. `null`: nothing is in flight, and `status` is final. */
  operation: Operation | null;
  /** The id of the sandbox, derived from user and name. */
  sandboxId: string;
  /** The status. An operation in flight may change it. */
  status: TownStatus;
  /** The id. Every other procedure takes it. */
  townId: Id;
  /** The name, unique among the caller's live towns. */
  townName: string;
}

/** A change of a town's configuration. */
export interface UpdateTownInput {
  /** The change. The configuration may then have at most 32 KiB as JSON. */
  config: TownConfigPatch;
  /** The `configVersion` of the town as it was read. If the configuration has changed since, nothing is done. */
  configVersion: string;
  /** The town. */
  townId: Id;
}

/** A town to be watched. */
export interface WatchTownInput {
  /** The id of the last value that the client has seen. The client of tRPC sends it when it reconnects. */
  lastEventId?: string;
  /** The town. */
  townId: Id;
}

/** The list to watch: that of the caller. */
export interface WatchTownsInput {
  /** The id of the last value that the client has seen. The client of tRPC sends it when it reconnects. */
  lastEventId?: string;
}

/** The shape of every error: `error` of the envelope, and `shape` of a `TRPCClientError`. */
export interface ErrorShape {
  message: string;
  code: number;
  data: ErrorData;
}

/** The reasons of errors, as values. */
export declare const reasons: readonly ErrorReason[];

/** Returns the data of an error of this service, or `undefined` for another error, such as one of the network. */
export declare function errorData(error: unknown): ErrorData | undefined;

/** Returns the faults of an input by the name of the field, such as `townName`. Empty for every other error. */
export declare function fieldErrors(error: unknown): Partial<Record<string, string[]>>;
