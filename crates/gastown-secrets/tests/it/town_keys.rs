//! The internal API key of a town.

use gastown_domain::TownId;
use gastown_domain::ports::TownKeys as _;
use gastown_secrets::{DerivedTownKeys, SecretTooShort};
use secrecy::{ExposeSecret as _, SecretString};

const MILL: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
const FORGE: &str = "00000000-0000-0000-0000-000000000000";
const SECRET: &str = "an-internal-api-secret-of-some-length";

fn town(id: &str) -> TownId {
    id.parse().unwrap()
}

fn keys(secret: &str) -> DerivedTownKeys {
    DerivedTownKeys::new(&SecretString::from(secret)).unwrap()
}

/// Computed with Python's `hmac` over `gastown-internal-api-key:v1:<town id>`.
#[test]
fn frozen_vectors() {
    let cases = [
        ("0123456789abcdef", FORGE, "VghK4xZW12WXZHY6hzUcz63xqcAQWbBdagjHpVYoKac"),
        (SECRET, MILL, "JNsvsec-48RC4Ocsp9Yjx_GhSPQLwP-WKa5qucTi6H8"),
        (SECRET, FORGE, "N9lftKhuVSqMnDn_ylMwZZLRcTvOswC9CDw8A1Nqg1o"),
        (
            "a secret of more than one block of SHA-256, that is, of more than sixty-four bytes",
            MILL,
            "mF0re4l-_TZ7o2Pmph3lsVoyM5MEvgqVdk6QMfjeLfg",
        ),
    ];

    for (secret, id, want) in cases {
        assert_eq!(keys(secret).key_of(town(id)).expose_secret(), want, "{secret} {id}");
    }
}

/// Computed with Python's `hmac` over `gastown-internal-api-key-id:v1`.
#[test]
fn id_names_the_secret_of_new_keys() {
    let old = SecretString::from("0123456789abcdef");

    assert_eq!(keys("0123456789abcdef").key_id(), "7e74f03f95d1ccbd");
    assert_eq!(keys(SECRET).accepting_previous(&old).unwrap().key_id(), "8a81749e7ef501e6");
}

#[test]
fn own_key_of_a_town_is_accepted() {
    let keys = keys(SECRET);

    assert!(keys.verify(town(MILL), &keys.key_of(town(MILL))));
}

#[test]
fn every_other_key_is_refused() {
    let keys = keys(SECRET);
    let right = keys.key_of(town(MILL)).expose_secret().to_owned();
    let wrong = [
        String::new(),
        " ".into(),
        SECRET.into(),
        MILL.into(),
        right.to_lowercase(),
        right[..42].into(),
        format!("{right}="),
        format!("{right} "),
        keys.key_of(town(FORGE)).expose_secret().into(),
        self::keys("another-internal-api-secret").key_of(town(MILL)).expose_secret().into(),
    ];

    for presented in wrong {
        assert!(!keys.verify(town(MILL), &SecretString::from(presented.as_str())), "{presented:?}");
    }
}

#[test]
fn rotation_accepts_both_secrets_and_derives_from_the_new_one() {
    let (old, new) = (keys("the-secret-before-it"), keys(SECRET));
    let rotating = keys(SECRET).accepting_previous(&SecretString::from("the-secret-before-it")).unwrap();
    let mill = town(MILL);

    assert!(rotating.verify(mill, &old.key_of(mill)));
    assert!(rotating.verify(mill, &new.key_of(mill)));
    assert!(!rotating.verify(mill, &old.key_of(town(FORGE))));
    assert_eq!(rotating.key_of(mill).expose_secret(), new.key_of(mill).expose_secret());
    let shown: Vec<_> = rotating.keys_of(mill).iter().map(|key| key.expose_secret().to_owned()).collect();
    assert_eq!(shown, [new.key_of(mill).expose_secret(), old.key_of(mill).expose_secret()]);
}

#[test]
fn secret_of_less_than_sixteen_bytes_is_refused() {
    for (secret, want) in [("", 0), ("123456789012345", 15)] {
        let refused = DerivedTownKeys::new(&SecretString::from(secret)).unwrap_err();
        assert_eq!(refused, SecretTooShort { got: want }, "{secret:?}");
        let rotated = keys(SECRET).accepting_previous(&SecretString::from(secret)).unwrap_err();
        assert_eq!(rotated, SecretTooShort { got: want }, "{secret:?}");
    }
    assert!(DerivedTownKeys::new(&SecretString::from("1234567890123456")).is_ok());
}

#[test]
fn debug_shows_neither_secret_nor_key() {
    assert_eq!(format!("{:?}", keys(SECRET)), "DerivedTownKeys { previous: 0, .. }");
}
