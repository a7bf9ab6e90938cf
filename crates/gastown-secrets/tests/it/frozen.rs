//! Frozen vectors: a key pair and boxes of libsodium 0.8.4 (libsodium-wrappers).

use gastown_secrets::{PublicSealingKey, SandboxKey};
use secrecy::{ExposeSecret as _, SecretString};

const PRIVATE: &str = "H2OKhiOYF9yHqC+dpyrvvvM2IEUqVJxjF97lA5pepD0=";
const PUBLIC: &str = "GzTVR/BPOUgb03j/4QMASX7rQKbhkFmkz44FFP558TE=";
const PUBLIC_HEX: &str = "1b34d547f04f39481bd378ffe10300497eeb40a6e19059a4cf8e0514fe79f131";
const KEY_ID: &str = "cbfe63ec3773d2ac";
const SEALED: [(&str, &str); 2] = [
    (
        "a gateway token, größer als ASCII",
        "nacl:v1:cbfe63ec3773d2ac:LqSvaai3CuvAOS65TKQDX/dLeqraf3yTTNj6AaQwLTGh0Wd32ZLGe4IUOZ09UJePykqG4on2qMcDQB+aQNpgSaLf0/U2R0a6/WHcYZYD/KcaVfs=",
    ),
    ("", "nacl:v1:cbfe63ec3773d2ac:FVZLIMQwDTHrmn7j5j2Ul5L4BGkkvRl0kEHYFYnMUBVcCudPgjjBzApRNWafxuJm"),
];

fn key() -> SandboxKey {
    SandboxKey::parse(&SecretString::from(PRIVATE)).unwrap()
}

#[test]
fn frozen_private_key_has_the_frozen_public_key_and_id() {
    let key = key();

    assert_eq!(key.public_key().to_string(), PUBLIC);
    assert_eq!(key.key_id().to_string(), KEY_ID);
    assert_eq!(PUBLIC_HEX.parse::<PublicSealingKey>().as_ref(), Ok(key.public_key()));
    assert_eq!(key.to_secret().expose_secret(), PRIVATE);
}

#[test]
fn frozen_sealed_values_open() {
    for (text, sealed) in SEALED {
        assert_eq!(key().open(sealed).unwrap().expose_secret(), text, "{sealed}");
    }
}
