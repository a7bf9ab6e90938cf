//! The rules for the values of secrets. A mistake names the setting and never shows a part of its value.

use crate::settings_source::Reader;

/// The secrets that sign, from which keys are derived, or that open the console.
pub(super) const KEYS: [&str; 6] = [
    "CONSOLE_TOKEN",
    CONSOLE_TOKENS,
    "NEXTAUTH_SECRET",
    "NEXTAUTH_SECRET_PREVIOUS",
    "INTERNAL_API_SECRET",
    "INTERNAL_API_SECRET_PREVIOUS",
];
/// The setting that has several secrets, each after the name of its operator.
const CONSOLE_TOKENS: &str = "CONSOLE_TOKENS";
/// The secrets that other services issue, with their own lengths.
pub(super) const ISSUED: [&str; 5] =
    ["FLY_API_TOKEN", "METRICS_TOKEN", "OTEL_EXPORTER_OTLP_HEADERS", "R2_ACCESS_KEY", "R2_SECRET_KEY"];

/// The shortest key. HS256 requires as many bytes as its hash has (RFC 7518, section 3.2).
const MIN_KEY_BYTES: usize = 32;
/// Random text of that length has more different characters than this, also in hexadecimal.
const MIN_DIFFERENT_BYTES: usize = 8;
/// Parts of values that stand for a secret. Each is too long to appear in random text.
const PLACEHOLDERS: [&str; 20] = [
    "changeme",
    "change-me",
    "change_me",
    "change this",
    "changethis",
    "change-this",
    "change_this",
    "replaceme",
    "replace-me",
    "replace_me",
    "replace-with",
    "replace_with",
    "placeholder",
    "example",
    "your-secret",
    "your_secret",
    "yoursecret",
    "your-256-bit",
    "password",
    "insert-your",
];
/// The mark that some editors put before the first character of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';
const QUOTES: [char; 2] = ['"', '\''];
/// Marks of a template that was not filled in.
const TEMPLATE_MARKS: [&str; 4] = ["${", "$(", "{{", "<%"];

/// Checks the secrets of these names that are set. Each name has at most one mistake.
pub(super) fn check(reader: &mut Reader<'_>, keys: &[&'static str], issued: &[&'static str]) {
    let named = keys.iter().map(|name| (*name, true)).chain(issued.iter().map(|name| (*name, false)));
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (name, is_key) in named {
        let Some(value) = reader.value(name) else { continue };
        let mut wrong = None;
        for secret in secrets_in(name, value) {
            let twin = seen.iter().find(|(_, other)| *other == secret.trim());
            let twin = twin.map(|(other, _)| format!("has the same value as {other}"));
            wrong = wrong.or(problem(secret, is_key).map(str::to_owned)).or(twin);
            seen.push((name, secret.trim()));
        }
        if let Some(problem) = wrong {
            reader.wrong(name, &format!("is invalid: {problem}"));
        }
    }
}

/// Returns the secrets in the value of a setting. What is not `NAME:TOKEN` is a mistake elsewhere.
fn secrets_in<'a>(name: &str, value: &'a str) -> Vec<&'a str> {
    if name != CONSOLE_TOKENS {
        return vec![value];
    }
    value
        .split(',')
        .filter_map(|part| part.split_once(':'))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .collect()
}

fn problem(value: &str, is_key: bool) -> Option<&'static str> {
    let lower = value.to_lowercase();
    let is_template = TEMPLATE_MARKS.iter().any(|mark| value.contains(mark))
        || is_variable(value)
        || (value.starts_with(['<', '[']) && value.ends_with(['>', ']']));
    if value.trim() != value {
        Some("begins or ends with white space, such as a newline")
    } else if value.starts_with(BYTE_ORDER_MARK) {
        Some("begins with a byte order mark (U+FEFF), which an editor may have added")
    } else if value.starts_with(QUOTES) || value.ends_with(QUOTES) {
        Some("begins or ends with a quote, which an env file may have left there")
    } else if is_template || PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
        Some("is a placeholder or an example")
    } else if is_key && value.len() < MIN_KEY_BYTES {
        Some("has less than 32 bytes")
    } else if is_repetition(value.as_bytes()) || (is_key && different_bytes(value) < MIN_DIFFERENT_BYTES) {
        Some("repeats itself, so it can be guessed")
    } else {
        None
    }
}

/// Returns true for a variable that was not filled in, such as `$SECRET`.
fn is_variable(value: &str) -> bool {
    value.strip_prefix('$').is_some_and(|name| name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()))
}

/// Returns true if three quarters of the value, or more, are a shorter text that is written at least twice.
fn is_repetition(value: &[u8]) -> bool {
    (1..=value.len() / 2).any(|period| {
        let repeated = period + longest_run(value, period);
        repeated >= 2 * period && repeated * 4 >= value.len() * 3
    })
}

/// Returns the length of the longest part whose bytes are all the same as those `period` bytes later.
fn longest_run(value: &[u8], period: usize) -> usize {
    let pairs = value.iter().zip(value.iter().skip(period));
    let runs = pairs.scan(0, |run, (one, other)| {
        *run = if one == other { *run + 1 } else { 0 };
        Some(*run)
    });
    runs.max().unwrap_or(0)
}

fn different_bytes(value: &str) -> usize {
    value.bytes().collect::<std::collections::BTreeSet<_>>().len()
}
