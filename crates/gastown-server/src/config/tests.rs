use std::time::Duration;

use gastown::FlySettings;
use gastown_domain::AppPlacement;
use gastown_fly::{Rate, RateLimiting, Rates, Timeouts, api::Action};
use gastown_orchestrator::{OrphanPolicy, Policy};

use super::*;

const COMPLETE: [(&str, &str); 11] = [
    ("DATABASE_URL", "sqlite://town.db"),
    ("NEXTAUTH_SECRET", "canary-of-tokens-0123456789abcdef"),
    ("INTERNAL_API_SECRET", "canary-of-towns-fedcba98765432100"),
    ("FLY_API_TOKEN", "canary-token"),
    ("FLY_APP_NAME", "gastown"),
    ("FLY_IMAGE", "registry.fly.io/gastown@sha256:abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd"),
    ("SANDBOX_PUBLIC_KEY", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="),
    ("KILO_API_URL", "https://api.example.com"),
    ("R2_BUCKET", "towns"),
    ("R2_ACCESS_KEY", "canary-r2"),
    ("R2_SECRET_KEY", "canary-r2-secret"),
];

fn source(changes: &[(&str, &str)]) -> Source {
    let pairs = COMPLETE.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let pairs: std::collections::BTreeMap<_, _> = pairs.collect();
    Source::from_pairs(pairs)
}

fn pacing(config: &Config) -> RateLimiting {
    config.fly.settings().pacing(config.orchestrator.policy.timeouts.lease)
}

fn mistakes(changes: &[(&str, &str)]) -> Vec<String> {
    let error = Config::read(&source(changes)).unwrap_err();
    error.mistakes.into_iter().map(|mistake| mistake.name).collect()
}

#[test]
fn required_settings_are_enough() {
    let config = Config::read(&source(&[])).unwrap();
    assert_eq!(config.http.port, 8080);
    assert_eq!(config.orchestrator.regions, ["iad".parse().unwrap()]);
    assert_eq!(config.fly.app, AppPlacement::Shared("gastown".parse().unwrap()));
    assert_eq!(*config.orchestrator.policy, Policy::production());
}

#[test]
fn empty_source_names_all_required_settings() {
    let error = Config::read(&Source::default()).unwrap_err();
    let names: Vec<_> = error.mistakes.iter().map(|mistake| mistake.name.as_str()).collect();
    let mut required: Vec<_> = COMPLETE.iter().map(|(name, _)| *name).filter(|name| *name != "R2_SECRET_KEY").collect();
    required.sort_unstable();
    let mut reported = names.clone();
    reported.sort_unstable();
    assert_eq!(reported, required);
}

#[test]
fn blank_value_counts_as_absent() {
    assert_eq!(mistakes(&[("FLY_API_TOKEN", " "), ("R2_ACCESS_KEY", "\n")]), ["FLY_API_TOKEN", "R2_ACCESS_KEY"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gastown.toml");
    std::fs::write(&file, "R2_ACCESS_KEY = \"\"\nR2_BUCKET = \" \"\n").unwrap();
    let blank = source(&[("R2_ACCESS_KEY", ""), ("R2_BUCKET", "")]);
    let error = Config::read(&blank.with_file(&file, &["R2_ACCESS_KEY", "R2_BUCKET"]).unwrap()).unwrap_err();
    let reported: Vec<_> = error.mistakes.iter().map(|mistake| mistake.name.as_str()).collect();
    assert_eq!(reported, ["R2_BUCKET", "R2_ACCESS_KEY"]);
}

#[test]
fn all_mistakes_are_reported_by_name_and_never_by_value() {
    let wrong = [
        ("DATABASE_URL", "canary://x"),
        ("NEXTAUTH_SECRET", "canary"),
        ("INTERNAL_API_SECRET", "canary"),
        ("FLY_API_BASE_URL", "canary"),
        ("FLY_APP_NAME", "Canary"),
        ("FLY_REGIONS", "canary"),
        ("SANDBOX_PUBLIC_KEY", "canary"),
        ("SANDBOX_URL", "canary"),
        ("KILO_API_URL", "canary"),
        ("PORT", "canary"),
        ("HOST", "canary?"),
        ("CALLER_WAIT_SECONDS", "0"),
    ];
    let error = Config::read(&source(&wrong)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    let mut reported: Vec<_> = error.mistakes.iter().map(|mistake| mistake.name.as_str()).collect();
    reported.sort_unstable();
    let mut names: Vec<_> = wrong.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(reported, names);
}

#[test]
fn address_requires_http_or_https() {
    for name in
        ["KILO_API_URL", "R2_ENDPOINT", "GASTOWN_CLOUD_URL", "SANDBOX_URL", "FLY_API_BASE_URL", "CORS_ALLOWED_ORIGINS"]
    {
        for address in ["api.example.com", "api.example.com:443", "ftp://api.example.com", "file:///etc"] {
            assert_eq!(mistakes(&[(name, address)]), [name], "{address}");
        }
        assert!(Config::read(&source(&[(name, "https://api.example.com:8443")])).is_ok(), "{name}");
    }
}

/// The settings with an address to which keys are sent, or which is given to sandboxes.
const ADDRESSES: [&str; 5] = ["FLY_API_BASE_URL", "GASTOWN_CLOUD_URL", "KILO_API_URL", "R2_ENDPOINT", "SANDBOX_URL"];

#[test]
fn plain_http_is_only_for_private_hosts() {
    for name in ADDRESSES {
        for host in ["127.0.0.1:80", "127.8.9.1", "[::1]:80", "localhost", "_api.internal:4280", "a.b.flycast"] {
            assert!(Config::read(&source(&[(name, &format!("http://{host}"))])).is_ok(), "{name} {host}");
        }
        for host in [
            "api.machines.dev",
            "8.8.8.8",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "[2001:db8::1]",
            "internal",
            "flycast",
            "notinternal",
            "api.internal.example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
        ] {
            let error = Config::read(&source(&[(name, &format!("http://{host}"))])).unwrap_err().to_string();
            assert!(error.contains(&format!("{name} is invalid: must be https")), "{host}: {error}");
            assert!(Config::read(&source(&[(name, &format!("https://{host}"))])).is_ok(), "{name} {host}");
        }
    }
}

#[test]
fn addresses_have_no_credentials_and_paths_can_be_appended_to_our_own() {
    for name in ["FLY_API_BASE_URL", "GASTOWN_CLOUD_URL", "KILO_API_URL", "R2_ENDPOINT"] {
        for credentials in ["canary:canary@", "canary@", ":canary@"] {
            let address = format!("https://{credentials}api.example.com");
            assert!(!mistake(name, &address).contains("canary"), "{name} {address}");
        }
    }
    for address in ["https://api.example.com/?canary", "https://api.example.com/#canary"] {
        assert!(mistake("GASTOWN_CLOUD_URL", address).contains("without query and fragment"), "{address}");
    }
}

#[test]
fn template_of_sandboxes_is_judged_by_its_own_host() {
    for private in ["http://{app}.flycast", "http://{machine_id}.vm.{app}.internal:8080"] {
        assert!(Config::read(&source(&[("SANDBOX_URL", private)])).is_ok(), "{private}");
    }
    for public in ["http://{app}.fly.dev", "http://{app}", "http://internal.{app}"] {
        assert_eq!(mistakes(&[("SANDBOX_URL", public)]), ["SANDBOX_URL"], "{public}");
    }
}

#[test]
fn origins_have_no_wildcard_path_or_credentials() {
    let allowed = "https://app.example.com, http://localhost:3000,https://b.example.com/";
    let config = Config::read(&source(&[("CORS_ALLOWED_ORIGINS", allowed)])).unwrap();
    assert_eq!(
        config.http.allowed_origins,
        ["https://app.example.com", "http://localhost:3000", "https://b.example.com"]
    );
    for origin in [
        "*",
        "null",
        "https://*",
        "https://*.example.com",
        "https://app.example.com/trpc",
        "https://app.example.com/?x",
        "https://app.example.com#x",
        "https://canary:canary@app.example.com",
        "https://canary@app.example.com",
        "https://@app.example.com",
        "https://%2a.example.com",
        "https://%2A",
        "http:app.example.com",
        "https:/app.example.com",
        "https:\\\\app.example.com",
    ] {
        let list = format!("https://good.example.com,{origin}");
        let error = Config::read(&source(&[("CORS_ALLOWED_ORIGINS", &list)])).unwrap_err().to_string();
        assert!(error.contains("CORS_ALLOWED_ORIGINS is invalid: must be origins"), "{origin}: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn host_is_an_address_or_a_name() {
    for (given, resolved) in [
        ("0.0.0.0", "0.0.0.0"),
        ("127.0.0.1", "127.0.0.1"),
        ("::", "::"),
        ("[::]", "::"),
        ("[fdaa:0:1::3]", "fdaa:0:1::3"),
        ("fly-local-6pn", "fly-local-6pn"),
        ("localhost", "localhost"),
        ("gastown.internal", "gastown.internal"),
    ] {
        let config = Config::read(&source(&[("HOST", given)])).unwrap();
        assert_eq!(config.http.host.to_resolve(), resolved, "{given}");
    }
    for given in ["a b", "http://127.0.0.1", "127.0.0.1:8080", "[::]:80", "[127.0.0.1]", "*", "a/b", "8080", "0x7f"] {
        assert_eq!(mistakes(&[("HOST", given)]), ["HOST"], "{given}");
    }
}

#[test]
fn shutdown_is_bounded_as_documented() {
    for (given, valid) in [("1", true), ("86400", true), ("0", false), ("86401", false), ("-1", false)] {
        assert_eq!(Config::read(&source(&[("SHUTDOWN_SECONDS", given)])).is_ok(), valid, "{given}");
    }
}

const KEYS: [&str; 5] = [
    "CONSOLE_TOKEN",
    "INTERNAL_API_SECRET",
    "INTERNAL_API_SECRET_PREVIOUS",
    "NEXTAUTH_SECRET",
    "NEXTAUTH_SECRET_PREVIOUS",
];
const ISSUED: [&str; 3] = ["FLY_API_TOKEN", "R2_ACCESS_KEY", "R2_SECRET_KEY"];

/// Returns the text of the only mistake, which is about this setting and does not show its value.
fn mistake(name: &str, value: &str) -> String {
    let error = Config::read(&source(&[(name, value)])).unwrap_err();
    let [mistake] = &*error.mistakes else { panic!("{name} {value:?}: {error}") };
    assert_eq!(mistake.name, name, "{value:?}");
    assert!(!mistake.problem.contains(value.trim()), "{mistake}");
    mistake.problem.clone()
}

#[test]
fn keys_are_long_and_not_repetitive() {
    for name in KEYS {
        assert!(Config::read(&source(&[(name, "q7Jd0wXbR2mZ9sKfT4yHc1VgN8eLpA5u")])).is_ok(), "{name}: 32 bytes");
        assert!(Config::read(&source(&[(name, "9f86d081884c7d659a2feaa0c55ad015")])).is_ok(), "{name}: hexadecimal");
        assert!(mistake(name, "q7Jd0wXbR2mZ9sKfT4yHc1VgN8eLpA5").contains("less than 32 bytes"));
        for repeated in [
            "a".repeat(32),
            "ab".repeat(16),
            "ab1".repeat(11),
            "0123456789abcdef".repeat(2),
            "0123456789abcdef".repeat(3)[..40].to_owned(),
            format!("{}bcd", "a".repeat(40)),
            format!("{}X", "abcdefgh".repeat(4)),
            format!("X{}Y", "abcdefgh".repeat(4)),
            format!("{}0123456789", "q7Jd0wXbR2mZ9sKf".repeat(2)),
        ] {
            assert!(mistake(name, &repeated).contains("repeats itself"), "{repeated}");
        }
    }
    // Other services decide on the length of these.
    for name in ISSUED {
        assert!(Config::read(&source(&[(name, "short-one")])).is_ok(), "{name}");
        assert!(mistake(name, "xxxxxxxx").contains("repeats itself"));
    }
}

#[test]
fn secrets_are_no_placeholders() {
    for name in KEYS.into_iter().chain(ISSUED) {
        for value in [
            "changeme-0f3b1c7d9e5a2468-changeme-1",
            "CHANGE_ME_0f3b1c7d9e5a2468bd1357ac",
            "your-secret-0f3b1c7d9e5a2468bd1357",
            "please-replace-me-0f3b1c7d9e5a2468",
            "placeholder-0f3b1c7d9e5a2468bd1357",
            "an-example-secret-of-the-manual-01",
            "my-super-strong-Password-123456789",
            "your-256-bit-secret-of-a-web-page",
            "<the-secret-of-the-host-application>",
            "${NEXTAUTH_SECRET_0f3b1c7d9e5a2468}",
            "$NEXTAUTH_SECRET_0f3b1c7d9e5a2468",
            "{{ .Values.secret.of.the.host }} 01",
        ] {
            assert!(mistake(name, value).contains("placeholder"), "{name} {value}");
        }
    }
}

#[test]
fn secrets_have_no_white_space_around_them() {
    for name in KEYS.into_iter().chain(ISSUED) {
        for (before, after) in [("", "\n"), ("", "\r\n"), (" ", ""), ("\t", " "), ("", "\u{a0}")] {
            let value = format!("{before}q7Jd0wXbR2mZ9sKfT4yHc1VgN8eLpA5u{after}");
            assert!(mistake(name, &value).contains("white space"), "{name} {value:?}");
        }
    }
}

#[test]
fn secrets_have_no_rest_of_a_file_around_them() {
    for name in KEYS.into_iter().chain(ISSUED) {
        for (before, after, expected) in
            [("\u{feff}", "", "byte order mark"), ("\"", "", "quote"), ("", "\"", "quote"), ("'", "", "quote")]
        {
            let value = format!("{before}q7Jd0wXbR2mZ9sKfT4yHc1VgN8eLpA5u{after}");
            assert!(mistake(name, &value).contains(expected), "{name} {value:?}");
        }
    }
}

#[test]
fn no_two_secrets_are_alike() {
    let names: Vec<_> = KEYS.into_iter().chain(ISSUED).collect();
    let value = "q7Jd0wXbR2mZ9sKfT4yHc1VgN8eLpA5u";
    for (number, one) in names.iter().enumerate() {
        for other in &names[number + 1..] {
            let error = Config::read(&source(&[(*one, value), (*other, value)])).unwrap_err().to_string();
            assert_eq!(error.matches("has the same value as").count(), 1, "{one} {other}: {error}");
            assert!(error.contains(one) && error.contains(other) && !error.contains(value), "{error}");
        }
    }
}

#[test]
fn quotes_around_a_value_are_named_for_every_setting() {
    for name in Config::NAMES {
        // One app for each user, so that every setting is read.
        let per_user = [("FLY_APP_NAME", ""), ("FLY_ORG_SLUG", "acme"), ("FLY_APP_PREFIX", "gt")];
        let base = if name.starts_with("FLY_ORG") || name == "FLY_APP_PREFIX" { &per_user[..] } else { &[] };
        for quoted in ["\"canary\"", "'canary'", " \"canary\" ", "\"\""] {
            let error = Config::read(&source(&[base, &[(name, quoted)]].concat())).unwrap_err();
            let [mistake] = &*error.mistakes else { panic!("{name}: {error}") };
            assert_eq!(mistake.name, name);
            assert!(mistake.problem.contains("quotes") && !mistake.problem.contains("canary"), "{mistake}");
        }
        let commands = Source::from_pairs([(name.to_owned(), "\"canary\"".to_owned())]);
        assert!(commands.required(name).unwrap_err().problem.contains("quotes"), "{name}");
    }
}

#[test]
fn orphans_command_checks_the_token_of_fly() {
    let error = OrphansConfig::read(&source(&[("FLY_API_TOKEN", "canary\n")])).unwrap_err().to_string();
    assert!(error.contains("FLY_API_TOKEN is invalid: begins or ends with white space"), "{error}");
}

#[test]
fn call_to_fly_is_shorter_than_a_lease() {
    let usual = Policy::production().timeouts.lease;
    assert_eq!(FlySettings::timeouts(usual), Timeouts::default());
    for lease in [10, 12, 45, 3600] {
        let config = Config::read(&source(&[("LEASE_SECONDS", &lease.to_string())])).unwrap();
        let (policy, timeouts) = (&config.orchestrator.policy, FlySettings::timeouts(Duration::from_secs(lease)));
        assert_eq!(policy.timeouts.lease, Duration::from_secs(lease));
        assert!(timeouts.connect < timeouts.call && timeouts.call < policy.timeouts.lease, "{lease}: {timeouts:?}");
        assert!(policy.timeouts.await_state < policy.timeouts.lease, "{lease}");
        for replicas in 1..=50 {
            let settings = [("LEASE_SECONDS", lease.to_string()), ("REPLICAS", replicas.to_string())];
            let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
            let config = Config::read(&source(&settings)).unwrap();
            let RateLimiting::On(rates) = pacing(&config) else { panic!("the rate limiter is on") };
            let longest = rates.max_wait + timeouts.call;
            assert!(longest <= policy.timeouts.lease, "{lease} {replicas}: {rates:?}, including the time in the queue");
        }
    }
    for lease in ["9", "3601", "-1", "soon"] {
        assert_eq!(mistakes(&[("LEASE_SECONDS", lease)]), ["LEASE_SECONDS"], "{lease}");
    }
}

#[test]
fn replicas_share_the_limits_of_a_shared_app_only() {
    let rates = |settings: &[(&str, &str)]| {
        let RateLimiting::On(rates) = pacing(&Config::read(&source(settings)).unwrap()) else {
            panic!("the rate limiter is on")
        };
        format!("{rates:?}")
    };
    let per_user = [("FLY_APP_NAME", ""), ("FLY_ORG_SLUG", "acme"), ("FLY_APP_PREFIX", "gt")];
    let alone = rates(&[]);
    assert_ne!(rates(&[("REPLICAS", "3")]), alone);
    assert_eq!(rates(&[per_user.as_slice(), &[("REPLICAS", "3")]].concat()), alone);
}

#[test]
fn rate_limits_are_configurable() {
    let paced = |settings: &[(&str, &str)]| pacing(&Config::read(&source(settings)).unwrap());
    assert_eq!(paced(&[("FLY_RATE_LIMITS", "fly")]), paced(&[]));
    assert_eq!(paced(&[("FLY_RATE_LIMITS", "off"), ("REPLICAS", "3")]), RateLimiting::Off);
    let raised = [("FLY_RATE_LIMITS", "list_machines=20/9,start_machine=8/16")];
    let RateLimiting::On(rates) = paced(&raised) else { panic!("the rate limiter is on") };
    let rate = |calls: u32, burst: u32| Rate::per_second(calls.try_into().unwrap(), burst.try_into().unwrap());
    assert_eq!((rates.of(Action::ListMachines), rates.of(Action::StartMachine)), (rate(20, 9), rate(8, 16)));
    assert_eq!(rates.of(Action::ListVolumes), Rates::default().of(Action::ListVolumes), "as Fly documents");
    let RateLimiting::On(shared) = paced(&[raised[0], ("REPLICAS", "2")]) else { panic!("the rate limiter is on") };
    assert_eq!((shared.of(Action::ListMachines), shared.of(Action::StartMachine)), (rate(10, 4), rate(8, 16)));
}

#[test]
fn invalid_rate_limits_name_setting_part_and_known_actions() {
    for (value, part) in [
        ("canary", "entry 1"),
        ("get_machine=5/10,canary=1/1", "entry 2"),
        ("get_machine=canary", "get_machine must be rate/burst"),
        ("get_machine=5/10,get_machine=5/canary", "get_machine must be rate/burst"),
        ("get_app=5/10,get_app=5/10", "get_app is given twice"),
    ] {
        let error = Config::read(&source(&[("FLY_RATE_LIMITS", value)])).unwrap_err().to_string();
        assert!(error.contains(&format!("FLY_RATE_LIMITS is invalid: {part}")), "{value}: {error}");
        assert!(error.contains("create_app, get_app") && !error.contains("canary"), "{value}: {error}");
    }
}

#[test]
fn intervals_and_limits_are_configurable() {
    let settings = [
        ("MAX_TOWNS_PER_USER", "3"),
        ("MAX_OPERATIONS_PER_USER", "4"),
        ("CHANGES_PER_MINUTE", "5"),
        ("SANDBOX_CALLS_PER_MINUTE", "6"),
        ("EVENT_RETENTION_DAYS", "400"),
        ("IDEMPOTENCY_KEY_RETENTION_DAYS", "2"),
        ("TOMBSTONE_RETENTION_DAYS", "1"),
        ("INSPECT_SECONDS", "7"),
        ("MONITOR_SECONDS", "12"),
        ("ORPHAN_SWEEP_SECONDS", "8"),
        ("ORPHAN_GRACE_SECONDS", "604800"),
        ("ORPHAN_DELETE", "false"),
        ("REPLICAS", "4"),
        ("RETENTION_SWEEP_SECONDS", "11"),
        ("ROLLOUT_SECONDS", "13"),
    ];
    let config = Config::read(&source(&settings)).unwrap();
    let (policy, default) = (config.orchestrator.policy, Policy::production());
    let limits = &policy.limits;
    let seconds = policy.drift.every.as_secs();
    let retention = [policy.retention.events, policy.retention.keys, policy.retention.tombstones];
    assert_eq!(retention.map(|age| age.as_secs() / 86_400), [400, 2, 1]);
    assert_eq!((policy.retention.every.as_secs(), policy.monitor.every.as_secs()), (11, 12));
    assert_eq!((policy.rollout.every.as_secs(), policy.rollout.soak.as_secs()), (13, 48));
    assert_eq!((limits.towns_per_user, limits.operations_per_user, seconds), (3, 4, 7));
    assert_eq!((limits.changes_per_minute.get(), limits.sandbox_calls_per_minute.get()), (5, 6));
    let orphans = OrphanPolicy {
        every: Duration::from_secs(8),
        grace: Duration::from_secs(604_800),
        delete: false,
        ..default.orphans
    };
    assert_eq!((policy.orphans.clone(), config.fly.replicas.get()), (orphans, 4));
    for (name, value) in [
        ("MAX_TOWNS_PER_USER", "0"),
        ("MAX_OPERATIONS_PER_USER", "0"),
        ("EVENT_RETENTION_DAYS", "0"),
        ("IDEMPOTENCY_KEY_RETENTION_DAYS", "3654"),
        ("TOMBSTONE_RETENTION_DAYS", "0.5"),
        ("INSPECT_SECONDS", "0"),
        ("MONITOR_SECONDS", "0"),
        ("ORPHAN_SWEEP_SECONDS", "86401"),
        ("ORPHAN_GRACE_SECONDS", "0"),
        ("ORPHAN_DELETE", "perhaps"),
        ("REPLICAS", "0"),
        ("RETENTION_SWEEP_SECONDS", "0"),
        ("ROLLOUT_SECONDS", "0"),
    ] {
        assert_eq!(mistakes(&[(name, value)]), [name], "{value}");
    }
}

#[test]
fn orphans_command_needs_no_secret_except_flys() {
    let few = ["DATABASE_URL", "FLY_API_TOKEN", "FLY_APP_NAME"];
    let pairs = COMPLETE.iter().filter(|(name, _)| few.contains(name));
    let pairs: Vec<_> = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let config = OrphansConfig::read(&Source::from_pairs(pairs)).unwrap();
    assert_eq!(*config.policy, Policy::production());
    let error = OrphansConfig::read(&Source::default()).unwrap_err();
    let reported: Vec<_> = error.mistakes.iter().map(|mistake| mistake.name.as_str()).collect();
    assert_eq!(reported, few);
}

#[test]
fn limits_of_zero_are_invalid() {
    for name in ["DATABASE_MAX_CONNECTIONS", "DATABASE_READ_CONNECTIONS", "MAX_BODY_BYTES"] {
        assert_eq!(mistakes(&[(name, "0")]), [name]);
    }
}

#[test]
fn counts_have_an_upper_bound() {
    for (name, most) in [
        ("DATABASE_MAX_CONNECTIONS", 1000_u64),
        ("DATABASE_READ_CONNECTIONS", 1000),
        ("REPLICAS", 1000),
        ("MAX_BODY_BYTES", 67_108_864),
        ("MAX_ANSWER_BYTES", 67_108_864),
        ("MAX_UNREAD_BYTES_PER_USER", 1_073_741_824),
        ("CALL_QUEUE_MILLISECONDS", 3_600_000),
        ("CHANGES_PER_MINUTE", 1_000_000),
        ("SANDBOX_CALLS_PER_MINUTE", 1_000_000),
        ("HTTP_BATCH_CONCURRENCY", 1_000_000),
        ("HTTP_MAX_CONNECTIONS", 1_000_000),
        ("HTTP_MAX_CONNECTIONS_PER_ADDRESS", 1_000_000),
        ("MAX_CHANGES", 1_000_000),
        ("MAX_CHANGES_PER_USER", 1_000_000),
        ("MAX_OPERATIONS_PER_USER", 1_000_000),
        ("MAX_READS", 1_000_000),
        ("MAX_READS_PER_USER", 1_000_000),
        ("MAX_RIGS_PER_TOWN", 1_000_000),
        ("MAX_TOWNS_PER_USER", 1_000_000),
        ("MAX_WAITING_CALLS", 1_000_000),
    ] {
        assert!(Config::read(&source(&[(name, &most.to_string())])).is_ok(), "{name}");
        let expected = format!("is invalid: must be between 1 and {most}");
        assert_eq!(mistake(name, &(most + 1).to_string()), expected, "{name}");
        assert_eq!(mistakes(&[(name, "4294967295")]), [name]);
        assert_eq!(mistakes(&[(name, "18446744073709551615")]), [name]);
    }
}

#[test]
fn limits_of_the_http_server_are_configurable() {
    let limits = Config::read(&source(&[])).unwrap().http.limits;
    assert_eq!((limits.head_timeout.as_secs(), limits.idle_timeout.as_secs()), (10, 60));
    let names = Config::NAMES.iter().filter(|name| name.starts_with("HTTP_") || name.starts_with("MAX_"));
    let others = ["CALL_QUEUE_MILLISECONDS", "CHANGES_PER_MINUTE", "SANDBOX_CALLS_PER_MINUTE"];
    for name in names.chain(&others) {
        for value in ["0", "-1", "many"] {
            assert_eq!(mistakes(&[(name, value)]), [*name], "{value}");
        }
        let config = Config::read(&source(&[(name, "1")])).unwrap();
        assert!(config.http.limits != limits || !name.starts_with("HTTP_"), "{name} has no effect");
    }
    assert_eq!(mistakes(&[("HTTP_HEAD_SECONDS", "3601")]), ["HTTP_HEAD_SECONDS"]);
}

#[test]
fn settings_of_traces_are_checked() {
    for (name, valid) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example.com/otlp"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer 5vN0pQ8rT2wX4zA6, x-tenant=acme"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ] {
        assert!(Config::read(&source(&[(name, valid)])).is_ok(), "{name}: {valid}");
    }
    for (name, wrong) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example.com"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:word@collector.example.com"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example.com/?key=1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "content-type=text/plain"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Host=collector"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=one%0Atwo"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=one\ntwo"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "-0.1"),
        ("OTEL_TRACES_SAMPLER_ARG", "NaN"),
    ] {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert_eq!(mistakes(&[endpoint, (name, wrong)]), [name], "{wrong}");
    }
}

#[test]
fn settings_of_metrics_are_checked() {
    let valid = ["127.0.0.1:9464", "[::]:9464", "metrics.internal:0"];
    for listen in valid {
        let metrics = Config::read(&source(&[("METRICS_LISTEN", listen)])).unwrap().metrics;
        assert_eq!(metrics.listen.map(|address| address.to_string()).as_deref(), Some(listen));
    }
    for listen in ["9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:9464", "a b:1"] {
        assert_eq!(mistakes(&[("METRICS_LISTEN", listen)]), ["METRICS_LISTEN"], "{listen}");
    }
    for seconds in ["0", "3601", "1.5", "often"] {
        assert_eq!(mistakes(&[("METRICS_SECONDS", seconds)]), ["METRICS_SECONDS"], "{seconds}");
    }
    let repeated = "a".repeat(32);
    for token in ["changeme", repeated.as_str(), " 5vN0pQ8rT2wX4zA6cE1gI3kM7oS9uY0b"] {
        assert_eq!(mistakes(&[("METRICS_TOKEN", token)]), ["METRICS_TOKEN"], "{token:?}");
    }
}

#[test]
fn console_requires_its_token() {
    assert!(Config::read(&source(&[])).unwrap().console.listen.is_none());
    let token = ("CONSOLE_TOKEN", "q7Jd0wXbR2mZ9sKfT4yHc1VgN8eLpA5u");
    let console = Config::read(&source(&[("CONSOLE_LISTEN", "[::]:9465"), token])).unwrap().console;
    assert_eq!(console.listen.map(|address| address.to_string()).as_deref(), Some("[::]:9465"));
    assert!(console.token.is_some() && !console.allows_actions);
    assert_eq!(mistakes(&[("CONSOLE_LISTEN", "127.0.0.1:9465")]), ["CONSOLE_TOKEN"]);
    assert_eq!(mistakes(&[("CONSOLE_LISTEN", "9465"), token]), ["CONSOLE_LISTEN"]);
}

/// Two tokens that no rule refuses.
const TOKENS_OF_OPERATORS: [&str; 2] = ["q7Jd0wXbR2mZ9sKfT4yHc1VgN8eLpA5u", "5vN0pQ8rT2wX4zA6cE1gI3kM7oS9uY0b"];

#[test]
fn operators_have_names_and_tokens() {
    let [one, other] = TOKENS_OF_OPERATORS;
    let tokens = format!(" eve:{one} ,al:{other},");
    let console =
        Config::read(&source(&[("CONSOLE_LISTEN", "[::]:9465"), ("CONSOLE_TOKENS", &tokens)])).unwrap().console;
    let names: Vec<_> = console.named.iter().map(|of| of.name.to_string()).collect();
    assert_eq!(names, ["eve", "al"]);
    assert_eq!(console.named[0].token.expose_secret(), one);
    assert!(!format!("{console:?}").contains(one));
    assert!(Config::read(&source(&[("CONSOLE_TOKENS", &format!("eve:{one},eve:{other}"))])).is_ok(), "a rotation");
    for (tokens, problem) in [
        (one.to_owned(), "NAME:TOKEN"),
        ("eve:".to_owned(), "NAME:TOKEN"),
        (",".to_owned(), "has no token"),
        (format!("Eve:{one}"), "lower-case"),
        (format!("console:{one}"), "lower-case"),
        (format!("eve:{}", &one[1..]), "less than 32 bytes"),
        (format!("eve:{one},al:changeme-{other}"), "placeholder"),
        (format!("eve:{one},al:{one}"), "same value as CONSOLE_TOKENS"),
        (format!("eve:{one},eve:{other},eve:{}", one.to_lowercase()), "more than 2 tokens"),
    ] {
        assert!(mistake("CONSOLE_TOKENS", &tokens).contains(problem), "{tokens}");
    }
    let many: Vec<_> = (0..65).map(|at| format!("o{at}:{at:02}{one}")).collect();
    assert!(mistake("CONSOLE_TOKENS", &many.join(",")).contains("at most 64"));
    let same = format!("eve:{one}");
    assert_eq!(mistakes(&[("CONSOLE_TOKEN", one), ("CONSOLE_TOKENS", &same)]), ["CONSOLE_TOKENS"]);
}

#[test]
fn blocked_column_is_a_plain_name() {
    for bad in ["blocked reason", "a;b", "1x", "u.blocked", "\"x\""] {
        assert_eq!(mistakes(&[("BLOCKED_COLUMN", bad)]), ["BLOCKED_COLUMN"], "{bad}");
    }
    assert!(Config::read(&source(&[])).unwrap().blocked_column.is_none());
    let given = Config::read(&source(&[("BLOCKED_COLUMN", "blocked_at")])).unwrap().blocked_column;
    assert_eq!(given.unwrap().as_str(), "blocked_at");
}

#[test]
fn log_settings_are_checked() {
    assert_eq!(mistakes(&[("LOG_FORMAT", "xml")]), ["LOG_FORMAT"]);
    assert_eq!(mistakes(&[("LOG_LEVEL", "gastown_fly=loud")]), ["LOG_LEVEL"]);
    assert!(Config::read(&source(&[("LOG_LEVEL", "warn,gastown_fly=debug")])).is_ok());
}

#[test]
fn debug_of_config_shows_no_secret() {
    let config = Config::read(&source(&[])).unwrap();
    assert!(!format!("{config:?}").contains("canary"), "{config:?}");
}

#[test]
fn app_settings_are_complete_and_exclusive() {
    assert_eq!(mistakes(&[("FLY_ORG_SLUG", "acme")]), ["FLY_APP_NAME"]);
    assert_eq!(mistakes(&[("FLY_APP_NAME", ""), ("FLY_ORG_SLUG", "acme")]), ["FLY_APP_PREFIX"]);
    let both = [("FLY_APP_NAME", ""), ("FLY_ORG_SLUG", "acme"), ("FLY_APP_PREFIX", "gt")];
    let config = Config::read(&source(&both)).unwrap();
    assert_eq!(config.fly.app, AppPlacement::PerUser { organization: "acme".into(), prefix: "gt".parse().unwrap() });
}

#[test]
fn environment_precedes_file_and_unknown_names_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gastown.toml");
    std::fs::write(&path, "PORT = 9000\nFLY_REGIONS = \"lhr, iad\"\nR2_BUCKET = \"other\"\n").unwrap();
    let config = Config::read(&source(&[]).with_file(&path, &Config::NAMES).unwrap()).unwrap();
    assert_eq!(config.http.port, 9000);
    assert_eq!(config.orchestrator.regions.len(), 2);
    assert_eq!(config.orchestrator.env.r2_bucket, "towns");

    std::fs::write(&path, "PROT = 9000\nFLY_IMAGE = [\"canary\"]\nPORT = \"canary\"\n").unwrap();
    let error = Config::read(&source(&[("FLY_IMAGE", "")]).with_file(&path, &Config::NAMES).unwrap()).unwrap_err();
    let mut reported: Vec<_> = error.mistakes.iter().map(|mistake| mistake.name.as_str()).collect();
    reported.sort_unstable();
    assert_eq!(reported, ["FLY_IMAGE", "PORT", "PROT"], "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
    std::fs::write(&path, "PORT = 1\nR2_SECRET_KEY = canary\n").unwrap();
    let error = source(&[]).with_file(&path, &Config::NAMES).err().unwrap();
    assert!(error.to_string().contains("line 2") && !format!("{error:?}").contains("canary"), "{error}");
}

#[test]
fn operations_page_explains_exactly_these_settings() {
    let page = include_str!("../../../../docs/operations.md");
    let (_, section) = page.split_once("## Settings\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut explained: Vec<_> = rows.map(|(name, _)| name).collect();
    explained.sort_unstable();
    assert_eq!(explained, Config::NAMES);
}
