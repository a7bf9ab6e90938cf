//! No printed value contains a secret.

use gastown_secrets::{OpenError, SandboxKey, open_env};
use secrecy::{ExposeSecret as _, SecretString};

const CANARY: &str = "canary-7f3a";

/// Returns all output of the crate that could contain the canary or the private key.
fn printed(key: &SandboxKey) -> Vec<String> {
    let secret = SecretString::from(CANARY);
    let sealed = key.public_key().seal(&secret).unwrap();
    let opened = open_env(std::slice::from_ref(key), [("A", sealed.to_text()), ("B", CANARY.into())]).unwrap();
    let not_sealed: OpenError = key.open(CANARY).unwrap_err();
    let not_base64 = key.open(&format!("nacl:v1:{}:{CANARY}", key.key_id())).unwrap_err();
    let not_a_version = open_env(std::slice::from_ref(key), [("A", format!("nacl:{CANARY}:"))]).unwrap_err();
    let not_a_key = SandboxKey::parse(&secret).unwrap_err();
    vec![
        format!("{key:?} {:?} {sealed:?}", key.public_key()),
        format!("{opened:?}"),
        format!("{not_sealed} {not_sealed:?}"),
        format!("{not_base64} {not_base64:?}"),
        format!("{not_a_version} {not_a_version:?}"),
        format!("{not_a_key} {not_a_key:?}"),
    ]
}

#[test]
fn no_printed_value_contains_a_secret_or_a_box() {
    let key = SandboxKey::generate();
    let private = key.to_secret();

    for text in printed(&key) {
        assert!(!text.contains(CANARY), "{text}");
        assert!(!text.contains(private.expose_secret()), "{text}");
        assert!(!text.contains("nacl:"), "{text}");
    }
}
