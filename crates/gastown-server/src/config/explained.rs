//! All settings with their meanings and defaults, in the order of `docs/operations.md`, and the example file.

use std::fmt::Write as _;

use self::Default::{Absent, Required, Value};

/// A setting, as the example file shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The name.
    pub name: &'static str,
    /// The value that applies without the setting.
    pub default: Default,
    /// The meaning, in plain text.
    pub meaning: &'static str,
}

/// The value that applies without a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// The service does not start without the setting.
    Required,
    /// This value.
    Value(&'static str),
    /// None, or one that depends on the environment.
    Absent,
}

const fn setting(name: &'static str, default: Default, meaning: &'static str) -> Setting {
    Setting { name, default, meaning }
}

/// Every setting.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("DATABASE_URL", Required, "postgres://… or sqlite://… (address)"),
    setting("DATABASE_MAX_CONNECTIONS", Value("10"), "Connections per process, beside one for /readyz. SQLite in memory always has one."),
    setting("DATABASE_READ_CONNECTIONS", Value("4"), "How many of them only callers' reads use (performance.md). At least one is left for everything else."),
    setting("BLOCKED_COLUMN", Absent, "Column of kilocode_users that tells if a user is blocked: any value but an empty text, false or 0. A blocked user creates and starts nothing, adds no rig and gets no token. Reads, stop, destroy and the removal of rigs work. If it is set and missing, serve does not start."),
    setting("MIGRATE_ON_START", Value("false"), "Migrates the schema before serving (true, false). serve --migrate does the same."),
    setting("HOST", Value("0.0.0.0"), "Address to listen on: IPv4, IPv6 with or without brackets, or a name such as fly-local-6pn. [::] takes IPv4 too."),
    setting("PORT", Value("8080"), "Port to listen on. 0 picks a free one."),
    setting("CORS_ALLOWED_ORIGINS", Absent, "Origins whose pages may call from a browser, such as https://app.example.com, separated by commas. No wildcards, paths or credentials."),
    setting("MAX_BODY_BYTES", Value("1048576"), "largest request body"),
    setting("MAX_ANSWER_BYTES", Value("8388608"), "Largest answer to one request of queries. A query whose output does not fit gets 413."),
    setting("MAX_UNREAD_BYTES_PER_USER", Value("33554432"), "Bytes of large answers that a user has not read yet. Beyond it, large queries get 429. Once it is reached, all calls of the user do, before they start."),
    setting("HTTP_MAX_CONNECTIONS", Value("4096"), "Connections of clients (limits). The limit of file descriptors may lower it."),
    setting("HTTP_MAX_CONNECTIONS_PER_ADDRESS", Value("2048"), "Connections of one address. Behind a proxy, all connections may have its address."),
    setting("HTTP_HEAD_SECONDS", Value("10"), "How long the head of a request may take. It is also the limit of a new connection without a request. At most 3600, as the next three."),
    setting("HTTP_IDLE_SECONDS", Value("60"), "how long a connection is kept without a request"),
    setting("HTTP_BODY_SECONDS", Value("30"), "how long the body of a request may take"),
    setting("HTTP_WRITE_SECONDS", Value("30"), "A client that reads less than 64 kB of a waiting answer in this time is disconnected."),
    setting("HTTP_BATCH_CONCURRENCY", Value("4"), "calls of one batch that run at a time"),
    setting("MAX_READS", Value("32"), "queries that run at a time"),
    setting("MAX_READS_PER_USER", Value("16"), "those of one user"),
    setting("MAX_CHANGES", Value("1024"), "Mutations that run at a time. Most of them wait for their operation."),
    setting("MAX_CHANGES_PER_USER", Value("64"), "those of one user"),
    setting("MAX_WAITING_CALLS", Value("1024"), "Calls that wait for a place, counted for queries and mutations apart. One user has at most half."),
    setting("MAX_WATCHERS", Value("1000"), "Open subscriptions (watchTown, watchTowns). Beyond it, a new one ends with the reason overloaded. Its answer is 200 with an event serialized-error, which says 503 and when to try again."),
    setting("MAX_WATCHERS_PER_USER", Value("20"), "Those of one user. Beyond it, a new one ends with the reason too_many_watchers, in such an event that says 429."),
    setting("CALL_QUEUE_MILLISECONDS", Value("500"), "how long a call waits for a place before it is refused"),
    setting("SHUTDOWN_SECONDS", Value("25"), "how long a shutdown waits for requests in progress"),
    setting("NEXTAUTH_SECRET", Required, "Signs gateway tokens and verifies users' tokens (HS256). It is the host application's secret (rules)."),
    setting("NEXTAUTH_SECRET_PREVIOUS", Absent, "verifies tokens that were signed before a rotation"),
    setting("TOKEN_ENV", Absent, "Environment named in minted tokens. Users' tokens that name another one are refused."),
    setting("INTERNAL_API_SECRET", Required, "Each town's own key is derived from it (rules)."),
    setting("INTERNAL_API_SECRET_PREVIOUS", Absent, "accepts keys derived before a rotation, and uses them for sandboxes that refuse the new one"),
    setting("SANDBOX_PUBLIC_KEY", Required, "Seals the values that only a sandbox may read. X25519 public key, 32 bytes as base64 or hex."),
    setting("FLY_API_TOKEN", Required, "token for the Machines API"),
    setting("FLY_API_BASE_URL", Value("https://api.machines.dev"), "Address of the Machines API. Use http://_api.internal:4280 inside a Fly network."),
    setting("FLY_APP_NAME", Required, "the one app of all towns, which you create"),
    setting("FLY_ORG_SLUG", Absent, "organization in which an app is created for each user"),
    setting("FLY_APP_PREFIX", Absent, "prefix of the names of these apps, at most 40 characters"),
    setting("FLY_RATE_LIMITS", Value("fly"), "Limits on our own calls to Fly. fly is what Fly documents, off is no limit. A list such as get_machine=20/40,list_machines=5/10 raises single actions (see Fly's limits)."),
    setting("FLY_REGIONS", Value("iad"), "Regions in order of preference, separated by commas. Users may request one of them."),
    setting("FLY_IMAGE", Required, "Image of the sandboxes. Use a digest in production."),
    setting("SANDBOX_URL", Value("https://{app}.fly.dev"), "Address of a sandbox's API. {app} and {machine_id} are filled in."),
    setting("KILO_API_URL", Required, "passed to sandboxes: the model gateway"),
    setting("R2_BUCKET", Required, "passed to sandboxes: the bucket for backups"),
    setting("R2_ACCESS_KEY", Required, "passed to sandboxes, sealed: the access key of the bucket"),
    setting("R2_SECRET_KEY", Absent, "passed to sandboxes, sealed: the secret key of the bucket"),
    setting("R2_ENDPOINT", Absent, "passed to sandboxes: the endpoint of the bucket"),
    setting("GASTOWN_CLOUD_URL", Absent, "Passed to sandboxes: the address of this service. Without it they send no heartbeats and do not refresh their token, which expires after 24 hours."),
    setting("CALLER_WAIT_SECONDS", Value("60"), "How long a call waits for the end of its operation. Then it answers with the current state."),
    setting("CREATE_PATIENCE_SECONDS", Value("300"), "Time limit of a create. A create that is not done by then is rolled back."),
    setting("START_PATIENCE_SECONDS", Value("180"), "Time limit of a start. A start that is not done by then fails. A town that was stopped is stopped again."),
    setting("STOP_PATIENCE_SECONDS", Value("180"), "Time limit of a stop. A stop fails if its machine has not even begun to stop by then."),
    setting("RESTORE_PATIENCE_SECONDS", Value("1800"), "Time limit of a restore, with the download of the data. A restore that is not done by then is undone."),
    setting("SWEEP_SECONDS", Value("5"), "about how often a process looks for operations to claim"),
    setting("LEASE_SECONDS", Value("45"), "How long a process holds a town without a renewal (10 to 3600). A call to Fly takes at most two thirds of it, and at most 30 seconds."),
    setting("REPLICAS", Value("1"), "How many processes share Fly's limits of one app. Each process uses its share of them. With one app per user it has no effect."),
    setting("MAX_OPERATIONS_PER_USER", Value("20"), "how many operations of a user may be in flight; requests at the same time may exceed it by a few"),
    setting("CHANGES_PER_MINUTE", Value("120"), "How many changes a user may request in a minute, counted by each process. Creates with each of their first rigs count, starts, stops, and changes of rigs and configurations. As many may come at once, and refused ones count. Beyond it they get 429."),
    setting("SANDBOX_CALLS_PER_MINUTE", Value("60"), "Heartbeats of one town, and token requests of one town, counted apart. Beyond it they get 429."),
    setting("MAX_RIGS_PER_TOWN", Value("100"), "how many rigs a town may have"),
    setting("MAX_TOWNS_PER_USER", Value("50"), "how many towns a user may have that are not destroyed"),
    setting("INSPECT_SECONDS", Value("60"), "how often a town without an operation is compared with Fly"),
    setting("MONITOR_SECONDS", Value("180"), "how often the sandbox of a running town is asked for its health"),
    setting("ORPHAN_SWEEP_SECONDS", Value("600"), "how often Fly is searched for machines and volumes without a row"),
    setting("ORPHAN_GRACE_SECONDS", Value("3600"), "An orphan is deleted when it is older than this and has been recorded for as long. At most 30 days."),
    setting("EVENT_RETENTION_DAYS", Value("90"), "how long the events of towns are kept, in days"),
    setting("IDEMPOTENCY_KEY_RETENTION_DAYS", Value("30"), "How long idempotency keys are kept, in days. A repeat of an older request is a new one."),
    setting("TOMBSTONE_RETENTION_DAYS", Value("30"), "how long the configuration and the rigs of a destroyed town are kept, in days"),
    setting("RETENTION_SWEEP_SECONDS", Value("3600"), "how often one process removes what these three settings no longer keep"),
    setting("ROLLOUT_SECONDS", Value("10"), "how often one process gives the next towns of a rollout their turn"),
    setting("ORPHAN_DELETE", Value("true"), "deletes orphans (true) or only reports them (false)"),
    setting("METRICS_LISTEN", Absent, "Host and port of the metrics, such as 127.0.0.1:9464. Port 0 picks a free one."),
    setting("METRICS_TOKEN", Absent, "The bearer token of the metrics. Without it, everyone who reaches the address may read them."),
    setting("METRICS_SECONDS", Value("15"), "how often the registry is counted for the metrics (1 to 3600)"),
    setting("CONSOLE_LISTEN", Absent, "Host and port of the console for operators, such as 127.0.0.1:9465. Port 0 picks a free one."),
    setting("CONSOLE_TOKEN", Absent, "The token of operators without a name, which opens the console and the operators' API. CONSOLE_LISTEN requires it or CONSOLE_TOKENS."),
    setting("CONSOLE_TOKENS", Absent, "Tokens of named operators, as NAME:TOKEN pairs with commas between them. Events record operator:NAME. During a rotation a name may have two."),
    setting("OTEL_EXPORTER_OTLP_ENDPOINT", Absent, "The address of a collector of traces, such as http://127.0.0.1:4318. Without it no trace is made."),
    setting("OTEL_EXPORTER_OTLP_HEADERS", Absent, "Headers of each export, such as authorization=Bearer%20KEY, with commas between them and percent-encoded values. A secret."),
    setting("OTEL_TRACES_SAMPLER_ARG", Value("1"), "The part of the traces that is exported, from 0 to 1."),
    setting("LOG_FORMAT", Value("json"), "human or json"),
    setting("LOG_LEVEL", Value("info"), "Log filter in the syntax of RUST_LOG. If it is absent, RUST_LOG applies."),
];

/// Returns a commented settings file with every setting. Required ones are empty, and defaults are comments.
pub(crate) fn example() -> String {
    let mut text =
        "# Settings of `gastown serve`. Fill in those without `#`. docs/operations.md has the rules.\n".to_owned();
    for Setting { name, default, meaning } in SETTINGS {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n# {meaning}\n");
        let _ = match default {
            Required => writeln!(text, "{name} = \"\""),
            Value(value) => writeln!(text, "# {name} = \"{value}\""),
            Absent => writeln!(text, "# {name} = \"\""),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Config;
    use crate::settings_source::Source;

    fn read(text: &str) -> Result<Config, crate::config::ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gastown.toml");
        std::fs::write(&file, text).unwrap();
        Config::read(&Source::from_pairs([]).with_file(&file, &Config::NAMES).unwrap())
    }

    /// Returns the example with values for the required settings.
    fn filled() -> String {
        let values = [
            ("DATABASE_URL", "sqlite::memory:"),
            ("NEXTAUTH_SECRET", "first-secret-of-the-host-0123456789abcdef"),
            ("INTERNAL_API_SECRET", "second-secret-of-towns-fedcba9876543210"),
            ("SANDBOX_PUBLIC_KEY", "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="),
            ("FLY_API_TOKEN", "token-of-fly-4f5g6h"),
            ("FLY_APP_NAME", "towns"),
            ("FLY_IMAGE", "registry.example.com/sandbox:1"),
            ("KILO_API_URL", "https://kilo.example.com"),
            ("R2_BUCKET", "towns"),
            ("R2_ACCESS_KEY", "access-of-r2-1a2b3c"),
        ];
        values.iter().fold(example(), |text, (name, value)| {
            let before = format!("\n{name} = \"\"\n");
            assert!(text.contains(&before), "{name} is not required");
            text.replace(&before, &format!("\n{name} = \"{value}\"\n"))
        })
    }

    #[test]
    fn example_has_every_setting_once() {
        let names: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names, BTreeSet::from(Config::NAMES));
        let text = example();
        for name in Config::NAMES {
            let lines = text.lines().filter(|line| line.trim_start_matches("# ").starts_with(&format!("{name} = \"")));
            assert_eq!(lines.count(), 1, "{name}");
        }
    }

    #[test]
    fn unchanged_example_lacks_only_what_is_required() {
        let missing: BTreeSet<_> =
            read(&example()).unwrap_err().mistakes.into_iter().map(|mistake| mistake.name).collect();
        let required =
            SETTINGS.iter().filter(|setting| setting.default == Required).map(|setting| setting.name.to_owned());
        assert_eq!(missing, required.collect());
    }

    #[test]
    fn defaults_of_the_example_are_those_of_the_service() {
        let commented = filled();
        let is_setting =
            |line: &&str| SETTINGS.iter().any(|setting| line.starts_with(&format!("# {} = ", setting.name)));
        let given: Vec<_> = commented
            .lines()
            .map(|line| if is_setting(&line) { line.trim_start_matches("# ") } else { line })
            .collect();
        let (without, with) = (read(&commented).unwrap(), read(&given.join("\n")).unwrap());
        assert_eq!(format!("{without:?}"), format!("{with:?}"));
    }
}
