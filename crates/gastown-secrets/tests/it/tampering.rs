//! A sealed value opens only unaltered and with the right key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_box::PublicKey;
use crypto_box::aead::OsRng;
use gastown_domain::ports::Sealer;
use gastown_secrets::{KeyId, OpenError, SandboxKey, SealedValue, open_with};
use secrecy::{ExposeSecret as _, SecretString};

fn sealed(key: &SandboxKey) -> String {
    key.public_key().seal(&SecretString::from("hush")).unwrap().to_text()
}

#[test]
fn matching_key_opens_a_value() {
    let key = SandboxKey::generate();

    assert_eq!(key.open(&sealed(&key)).unwrap().expose_secret(), "hush");
}

#[test]
fn value_sealed_by_the_port_opens() {
    let key = SandboxKey::generate();
    let port: &dyn Sealer = key.public_key();

    let text = port.seal(&SecretString::from("hush")).unwrap();

    assert_eq!(key.open(&text).unwrap().expose_secret(), "hush");
}

#[test]
fn wrong_key_is_an_error_that_names_the_right_key() {
    let (key, other) = (SandboxKey::generate(), SandboxKey::generate());

    assert_eq!(other.open(&sealed(&key)).unwrap_err(), OpenError::UnknownKey { key: key.key_id() });
}

#[test]
fn box_with_another_key_id_does_not_open() {
    let (key, other) = (SandboxKey::generate(), SandboxKey::generate());
    let relabelled = sealed(&key).replace(&key.key_id().to_string(), &other.key_id().to_string());

    assert_eq!(other.open(&relabelled).unwrap_err(), OpenError::Tampered);
}

#[test]
fn box_with_an_altered_byte_does_not_open() {
    let key = SandboxKey::generate();
    let text = sealed(&key);
    let (head, encoded) = text.rsplit_once(':').unwrap();
    let honest = STANDARD.decode(encoded).unwrap();

    for at in 0..honest.len() {
        let mut altered = honest.clone();
        altered[at] ^= 1;
        let altered = format!("{head}:{}", STANDARD.encode(altered));
        assert_eq!(key.open(&altered).unwrap_err(), OpenError::Tampered, "byte {at}");
    }
}

#[test]
fn truncated_box_does_not_open() {
    let key = SandboxKey::generate();
    let text = sealed(&key);
    let (head, encoded) = text.rsplit_once(':').unwrap();
    let honest = STANDARD.decode(encoded).unwrap();

    for length in 0..honest.len() {
        let cut = format!("{head}:{}", STANDARD.encode(&honest[..length]));
        assert!(key.open(&cut).is_err(), "{length} bytes");
    }
}

#[test]
fn box_without_text_is_refused() {
    let key = SandboxKey::generate();
    let public = STANDARD.decode(key.public_key().to_string()).unwrap();
    let bytes = PublicKey::from_slice(&public).unwrap().seal(&mut OsRng, &[0xff, 0xfe]).unwrap();

    let value = format!("nacl:v1:{}:{}", key.key_id(), STANDARD.encode(bytes));

    assert_eq!(key.open(&value).unwrap_err(), OpenError::NotText);
}

#[test]
fn rotation_opens_values_of_both_keys() {
    let (old, new) = (SandboxKey::generate(), SandboxKey::generate());
    let values = [sealed(&old), sealed(&new)];

    let keys = [new, old];

    for value in values {
        assert_eq!(open_with(&keys, &value).unwrap().expose_secret(), "hush");
    }
}

#[test]
fn no_value_opens_without_a_key() {
    let key = SandboxKey::generate();
    let id: KeyId = sealed(&key).parse::<SealedValue>().unwrap().key_id();

    assert_eq!(open_with(&[], &sealed(&key)).unwrap_err(), OpenError::UnknownKey { key: id });
}
