//! Rust and libsodium open each other's sealed boxes.

use gastown_secrets::{PublicSealingKey, SandboxKey, SealedValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::sodium;

const TEXTS: [&str; 3] = ["", "a gateway token", "größer als ASCII \u{1f3ed}\0 und mit Null"];

/// Returns the bare box of the text form, which libsodium understands.
fn box_of(value: &SealedValue) -> String {
    value.to_text().rsplit(':').next().unwrap().to_owned()
}

fn private_half(key: &SandboxKey) -> Value {
    key.to_secret().expose_secret().into()
}

#[test]
fn libsodium_opens_what_rust_seals() {
    let key = SandboxKey::generate();
    let public = key.public_key();
    let job = |text: &str| {
        let sealed = box_of(&public.seal(&SecretString::from(text)).unwrap());
        json!({"do": "open", "publicKey": public.to_string(), "privateKey": private_half(&key), "sealed": sealed})
    };

    let answers = sodium::run(TEXTS.map(job));

    assert_eq!(answers, TEXTS.map(|text| json!({ "text": text })));
}

#[test]
fn rust_opens_what_libsodium_seals() {
    let key = SandboxKey::generate();
    let public = key.public_key();

    let answers = sodium::run(TEXTS.map(|text| json!({"do": "seal", "publicKey": public.to_string(), "text": text})));

    let opened = answers.map(|answer| {
        let sealed = format!("nacl:v1:{}:{}", key.key_id(), answer["sealed"].as_str().unwrap());
        key.open(&sealed).unwrap().expose_secret().to_owned()
    });
    assert_eq!(opened, TEXTS);
}

#[test]
fn key_pair_of_libsodium_is_valid() {
    let [pair] = sodium::run([json!({"do": "key pair"})]);

    let private = SandboxKey::parse(&SecretString::from(pair["privateKey"].as_str().unwrap())).unwrap();
    let public: PublicSealingKey = pair["publicKey"].as_str().unwrap().parse().unwrap();

    assert_eq!(private.public_key(), &public);
}

#[test]
fn libsodium_refuses_a_box_sealed_for_another_key() {
    let (key, other) = (SandboxKey::generate(), SandboxKey::generate());
    let sealed = box_of(&other.public_key().seal(&SecretString::from("not for you")).unwrap());

    let [answer] = sodium::run([json!({
        "do": "open", "publicKey": key.public_key().to_string(), "privateKey": private_half(&key), "sealed": sealed,
    })]);

    assert_eq!(answer, json!({"refused": true}));
}
