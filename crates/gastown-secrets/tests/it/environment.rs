//! Opening an environment at boot, completely or not at all.

use gastown_secrets::{EnvFailure, EnvValue, InvalidSealedValue, OpenError, SandboxKey, open_env};
use secrecy::{ExposeSecret as _, SecretString};

fn sealed(key: &SandboxKey, text: &str) -> String {
    key.public_key().seal(&SecretString::from(text)).unwrap().to_text()
}

/// Returns name, whether it was sealed, and value of a variable.
fn shown((name, value): &(String, EnvValue)) -> (&str, bool, &str) {
    match value {
        EnvValue::Opened(secret) => (name, true, secret.expose_secret()),
        EnvValue::Plain(text) => (name, false, text),
    }
}

#[test]
fn sealed_values_are_opened_and_plain_ones_kept() {
    let key = SandboxKey::generate();
    let env = [
        ("TOWN_ID", "5f0c".to_owned()),
        ("KILO_JWT", sealed(&key, "token")),
        ("EMPTY", String::new()),
        ("R2_ACCESS_KEY", sealed(&key, "access")),
    ];

    let opened = open_env(&[key], env).unwrap();

    let want = [
        ("TOWN_ID", false, "5f0c"),
        ("KILO_JWT", true, "token"),
        ("EMPTY", false, ""),
        ("R2_ACCESS_KEY", true, "access"),
    ];
    assert_eq!(opened.iter().map(shown).collect::<Vec<_>>(), want);
}

#[test]
fn every_failure_is_reported_with_its_variable_and_cause() {
    let (key, other) = (SandboxKey::generate(), SandboxKey::generate());
    let other_id = other.key_id();
    let env = [
        ("KILO_API_URL", "https://kilo.example".to_owned()),
        ("KILO_JWT", sealed(&other, "token")),
        ("R2_ACCESS_KEY", sealed(&key, "access")),
        ("INTERNAL_API_KEY", "nacl:v7:what-is-this".to_owned()),
    ];

    let error = open_env(&[key], env).unwrap_err();

    let want = [
        EnvFailure { name: "KILO_JWT".into(), cause: OpenError::UnknownKey { key: other_id } },
        EnvFailure { name: "INTERNAL_API_KEY".into(), cause: OpenError::Malformed(InvalidSealedValue::UnknownVersion) },
    ];
    assert_eq!(error.failures(), want);
    assert_eq!(
        error.to_string(),
        format!(
            "failed to open environment: KILO_JWT: sealed for key {other_id}, which is not available; \
             INTERNAL_API_KEY: sealed with an unknown version of the format"
        )
    );
}

#[test]
fn environment_without_sealed_values_needs_no_key() {
    let opened = open_env(&[], [("TOWN_ID", "5f0c")]).unwrap();

    assert_eq!(opened.iter().map(shown).collect::<Vec<_>>(), [("TOWN_ID", false, "5f0c")]);
}
