//! The rules of the sandbox API, each with a name that never changes.

/// A rule that an image keeps or breaks.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The stable name, such as `health-town`.
    pub name: &'static str,
    /// The expectation, in words.
    pub expected: &'static str,
    /// The usual cause of a failure, and its repair.
    pub mend: &'static str,
}

macro_rules! rules {
    ($($constant:ident, $name:literal, $expected:literal, $mend:literal;)*) => {
        $(pub(crate) static $constant: Rule = Rule { name: $name, expected: $expected, mend: $mend };)*
        /// All rules, in the order of the report.
        pub static ALL: &[&Rule] = &[$(&$constant),*];
    };
}

rules! {
    HEALTH, "health", "GET /health answers 200 with status \"ok\" soon after the start",
        "Serve the API on port 8080 as soon as gt is up, and answer {\"status\":\"ok\",\"townId\":\"...\"}.";
    HEALTH_TOWN, "health-town", "GET /health names the town of TOWN_ID",
        "Answer the value of TOWN_ID as townId. Without it the control plane ignores the answer.";
    HEALTH_FAST, "health-fast", "GET /health answers within a second",
        "Use neither the network nor the repositories in the health check.";
    HEALTH_BUSY, "health-while-busy", "GET /health answers while another connection is idle",
        "Serve each connection in a thread or task of its own.";
    TOKEN_EXPIRY, "health-token-expiry", "tokenExpiresAt is the expiry of the gateway token",
        "Answer the claim exp of the current KILO_JWT as an RFC 3339 time, or leave the field out.";
    KEY_MISSING, "key-missing", "each route answers 401 `unauthorized` without a key",
        "Check x-internal-api-key before everything else, on each route.";
    KEY_WRONG, "key-wrong", "each route answers 401 `unauthorized` to a wrong key",
        "Compare the whole key, in constant time. A part of it, or more than it, is wrong.";
    KEY_ALIKE, "key-answers-alike", "a missing and a wrong key get the same answer",
        "Answer the same status and body in both cases.";
    KEY_FIRST, "key-first", "the key is checked before the body is parsed",
        "Answer 401 to a wrong key, also if the body is malformed.";
    KEY_NO_EFFECT, "key-no-effect", "a call with a wrong key changes nothing",
        "Return before any work is done.";
    RIGS_LIST, "rigs-list", "GET /rigs answers 200 with the list `rigs`",
        "Answer {\"rigs\":[{\"name\":\"...\",\"repoUrl\":\"...\",\"branch\":\"...\"}]}.";
    RIG_ADD, "rig-add", "POST /rigs answers 201 with the rig as it was sent",
        "Answer name, repoUrl and branch exactly as they were sent.";
    RIG_LISTED, "rig-listed", "an added rig is in the list",
        "Answer POST /rigs only when the rig is completely added, and list it from then on.";
    RIG_REPEAT, "rig-repeat", "the same call again answers 200 and changes nothing",
        "Compare name and repoUrl with the rigs that exist before anything is cloned.";
    RIG_CASE, "rig-case", "names are compared without regard to case",
        "Fold the case of ASCII letters when names are compared.";
    RIG_EXISTS, "rig-exists", "another repository under the same name answers 409 `rig_exists`",
        "Refuse the call, and keep the rig that exists.";
    RIG_BRANCH, "rig-default-branch", "a rig without a branch gets the default branch of its repository",
        "Take the branch that the remote's HEAD names, and return it in the answer and in the list.";
    RIG_REFUSED, "rig-refused", "a repository that cannot be read answers 422 `rig_refused`",
        "Answer 422 to permanent errors. 503 makes the control plane try again.";
    RIG_REFUSED_GONE, "rig-refused-leaves-nothing", "a refused rig leaves nothing that prevents a retry",
        "Delete the directory and the record of a rig that could not be added.";
    RIG_NAME, "rig-name", "a name that gt does not accept is refused (400 or 422)",
        "Accept ^[A-Za-z0-9_]{1,64}$ without the directory names of gt, such as mayor.";
    RIG_URL, "rig-url", "a repository that git could mistake for an option or a command is refused (400 or 422)",
        "Accept https://, ssh:// and user@host: only. Pass them to git after --, never through a shell.";
    RIG_BODY, "rig-body", "a malformed body answers 400 `bad_request`",
        "Answer 400 to a body that is not JSON, or that lacks name or repoUrl.";
    RIG_AT_ONCE, "rig-at-once", "two same calls at once add one rig, and both succeed",
        "Hold a lock for each name while its rig is added.";
    RIG_REMOVE, "rig-remove", "DELETE /rigs/{name} answers 204, and the rig is not listed any more",
        "Answer when the rig is completely removed. Compare the name without regard to case.";
    RIG_REMOVE_AGAIN, "rig-remove-again", "removing an unknown rig answers 404 `rig_not_found`",
        "Send the code. Without it the control plane cannot tell the sandbox's answer from a proxy's.";
    RIG_ADD_AGAIN, "rig-add-again", "a removed rig can be added again",
        "Remove the files of the rig too.";
    RIG_IN_USE, "rig-in-use", "a rig with unpushed work answers 409 `rig_in_use` and lists the work in inTheWay",
        "Check sessions, commits and changes before anything is deleted.";
    RIG_KEPT, "rig-in-use-kept", "a rig that was not removed is still listed",
        "Delete nothing before all checks have passed.";
    RIG_FORCE_WORD, "rig-force-value", "only force=true allows work to be lost",
        "Treat every other value of force as false.";
    RIG_FORCE, "rig-force", "force=true removes a rig with unpushed work",
        "End the sessions, discard the work, and answer 204.";
    SYNC, "sync", "POST /sync answers 200 with syncedAt",
        "Answer {\"syncedAt\":\"<RFC 3339 time>\"} when the last byte is stored.";
    SYNC_TIME, "sync-time", "syncedAt is the time of this sync",
        "Return the sandbox's own clock, in UTC or with an offset, and not a stored value.";
    SYNC_REPEAT, "sync-repeat", "a sync can be repeated",
        "Answer 200 again. The time of a later sync is not earlier.";
    ANSWERS, "answers", "each call gets a complete answer",
        "Do not close a connection before the answer is sent.";
    ANSWER_SIZE, "answer-size", "answers have at most 1 MiB",
        "List only rigs. Cut messages.";
    ANSWER_TIME, "answer-time", "answers come within the control plane's deadlines",
        "10 s for health and lists, 1 minute to remove a rig, 5 minutes to add a rig or to sync.";
    JSON_TYPE, "json-type", "bodies have the content type application/json",
        "Send the header content-type: application/json.";
    SECRET_SHOWN, "secret-shown", "no answer contains a secret of the environment",
        "Keep keys and tokens out of messages. The owner of the town sees them.";
    HEARTBEAT, "heartbeat", "the sandbox sends heartbeats to GASTOWN_CLOUD_URL",
        "POST {GASTOWN_CLOUD_URL}/trpc/gastown.heartbeat or /api/gastown/heartbeat, at the start and each minute.";
    HEARTBEAT_KEY, "heartbeat-key", "a heartbeat has the town's key",
        "Send the opened INTERNAL_API_KEY as x-internal-api-key.";
    HEARTBEAT_BODY, "heartbeat-body", "the body of a heartbeat is JSON with townId",
        "Send {\"townId\":\"<TOWN_ID>\"} with content-type application/json.";
    HEARTBEAT_REPORT, "heartbeat-report", "what a heartbeat says of the sandbox has the types and bounds of the specification",
        "Send booleans, whole numbers and an RFC 3339 time in the past, or leave a field out. Otherwise the heartbeat is refused.";
    HEARTBEAT_AGAIN, "heartbeat-after-error", "heartbeats go on after the control plane answered 503",
        "Catch every error of a call to the control plane, and send the next heartbeat as usual.";
    REFRESH, "token-refresh", "the sandbox requests a new gateway token before the old one expires",
        "POST {GASTOWN_CLOUD_URL}/trpc/gastown.refreshToken or /api/gastown/refresh-token well before exp of the KILO_JWT.";
    REFRESH_CALL, "token-refresh-call", "the request for a token has the town's key, and JSON with townId",
        "Send the same header and body as for a heartbeat.";
    REFRESH_USED, "token-refresh-used", "the new token replaces the old one",
        "Take the token from the answer (result.data.token, or token of the plain route), and answer its expiry in GET /health.";
    RIGS_SURVIVE, "rigs-survive-restart", "rigs are still there after a restart on the same volume",
        "Keep everything that must survive below /home/gt/data.";
    RESTORE_KEEPS, "restore-keeps-data", "R2_RESTORE changes nothing on a volume that has data",
        "Restore only onto an empty volume. A machine may boot again before its next start removes the variable.";
    STOP, "stop", "the sandbox ends soon after SIGINT",
        "Handle SIGINT in the first process of the image, or use an init such as tini.";
    BOOT_MISSING, "boot-missing-variable", "a missing or empty required variable ends the boot with a failure",
        "Check all required variables before the API is served. gastown-unseal does.";
    BOOT_KEY, "boot-unknown-key", "a value that was sealed for another key ends the boot with a failure",
        "Fail closed. Never use a sealed value unopened.";
    BOOT_ALTERED, "boot-altered-value", "an altered value ends the boot with a failure",
        "Let the exception of the cipher end the process.";
    BOOT_VERSION, "boot-unknown-version", "an unknown version of the sealed format ends the boot with a failure",
        "Accept only values that begin with nacl:v1:, among those that begin with nacl:.";
    BOOT_EVERY, "boot-every-value", "each sealed variable is opened, also one of an unknown name",
        "Iterate over the whole environment.";
    BOOT_PREVIOUS, "boot-previous-key", "values from before a rotation are opened by SANDBOX_PRIVATE_KEY_PREVIOUS",
        "Choose the key by the key id in the value. gastown-unseal does.";
}

/// The rules that hold for every answer.
pub(crate) static OF_ALL_CALLS: &[&Rule] = &[&ANSWERS, &ANSWER_SIZE, &ANSWER_TIME, &JSON_TYPE, &SECRET_SHOWN];
/// The rules about calls to the control plane.
pub(crate) static OF_HOME: &[&Rule] = &[
    &HEARTBEAT,
    &HEARTBEAT_KEY,
    &HEARTBEAT_BODY,
    &HEARTBEAT_REPORT,
    &HEARTBEAT_AGAIN,
    &REFRESH,
    &REFRESH_CALL,
    &REFRESH_USED,
];
/// The rules for which the image has to be booted.
pub(crate) static OF_BOOT: &[&Rule] = &[
    &RIGS_SURVIVE,
    &RESTORE_KEEPS,
    &STOP,
    &BOOT_MISSING,
    &BOOT_KEY,
    &BOOT_ALTERED,
    &BOOT_VERSION,
    &BOOT_EVERY,
    &BOOT_PREVIOUS,
];
