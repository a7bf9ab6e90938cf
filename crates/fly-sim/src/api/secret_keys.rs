//! The calls on the keys of an app.
//!
//! The kinds with which a key works are those that flyctl offers (`internal/command/secrets/keys_common.go`).

use base64::{Engine, engine::general_purpose::STANDARD};
use crypto_secretbox::{KeyInit as _, Nonce, XSalsa20Poly1305, aead::Aead};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use super::{ApiRequest, secrets};
use crate::{
    api_error::ApiError,
    clock::rfc3339,
    reply::Reply,
    rules,
    world::{SecretKey, World},
};

/// The kinds of fly-go (`secrets_types.go`), with the length of a generated value in bytes.
const KINDS: [(&str, usize); 8] = [
    ("SECRET_TYPE_KMS_HS256", 32),
    ("SECRET_TYPE_KMS_HS384", 48),
    ("SECRET_TYPE_KMS_HS512", 64),
    ("SECRET_TYPE_KMS_XAES256GCM", 32),
    ("SECRET_TYPE_KMS_NACL_AUTH", 32),
    ("SECRET_TYPE_KMS_NACL_BOX", 32),
    ("SECRET_TYPE_KMS_NACL_SECRETBOX", 32),
    ("SECRET_TYPE_KMS_NACL_SIGN", 64),
];

/// The length in bytes of the nonce before a box.
const NONCE: usize = 24;

pub(super) fn list(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let kinds = request.query("types").filter(|kinds| !kinds.is_empty());
    let app = secrets::at_version(world, request)?;
    let is_wanted = |key: &SecretKey| kinds.is_none_or(|kinds| kinds.split(',').any(|kind| kind == key.kind));
    let keys = app.secret_keys.iter().filter(|(_, key)| is_wanted(key));
    let shown: Vec<Value> = keys.map(|(name, key)| render(name, key)).collect();
    Ok(Reply::json(200, json!({ "secret_keys": shown })))
}

pub(super) fn get(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let key = find(world, request)?;
    Ok(Reply::json(200, render(&request.route.key, &key)))
}

pub(super) fn set(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let value = bytes(request, "value")?;
    if value.is_empty() {
        return Err(ApiError::invalid("value is required"));
    }
    store(world, request, value)
}

pub(super) fn generate(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let length = kind_of(request)?.1;
    let value = world.ids.bytes(length);
    store(world, request, value)
}

fn store(world: &mut World, request: &ApiRequest, value: Vec<u8>) -> Result<Reply, ApiError> {
    let (kind, at, name) = (kind_of(request)?.0, world.wall(), &request.route.key);
    if !rules::is_secret_name(name) {
        return Err(ApiError::invalid(format!("'{name}' is not a valid secret name")));
    }
    let app = world.app(&request.route.app)?;
    let created_at = app.secret_keys.get(name).map_or(at, |old| old.created_at);
    let key = SecretKey { kind: kind.to_owned(), value, created_at, updated_at: at };
    let mut shown = render(name, &key);
    app.secret_keys.insert(name.clone(), key);
    app.secrets_version += 1;
    shown["version"] = json!(app.secrets_version);
    shown["Version"] = json!(app.secrets_version);
    Ok(Reply::json(201, shown))
}

pub(super) fn delete(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let app = world.app(&request.route.app)?;
    app.secret_keys.remove(&request.route.key).ok_or(ApiError::SecretNotFound)?;
    app.secrets_version += 1;
    Ok(Reply::json(200, json!({ "version": app.secrets_version, "Version": app.secrets_version })))
}

pub(super) fn sign(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let signature = signature(&find(world, request)?, &bytes(request, "plaintext")?)?;
    Ok(Reply::json(200, json!({ "signature": STANDARD.encode(signature) })))
}

pub(super) fn verify(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let expected = signature(&find(world, request)?, &bytes(request, "plaintext")?)?;
    if expected == bytes(request, "signature")? {
        Ok(Reply::empty(204))
    } else {
        Err(ApiError::InvalidPlain("signature is not valid".to_owned()))
    }
}

pub(super) fn encrypt(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let key = find(world, request)?;
    let (cipher, text) = (cipher(&key, request)?, bytes(request, "plaintext")?);
    let nonce = world.ids.bytes(NONCE);
    let boxed = cipher.encrypt(Nonce::from_slice(&nonce), text.as_slice()).map_err(ApiError::invalid)?;
    let ciphertext = [nonce, boxed].concat();
    Ok(Reply::json(200, json!({ "ciphertext": STANDARD.encode(ciphertext) })))
}

pub(super) fn decrypt(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let key = find(world, request)?;
    let (cipher, ciphertext) = (cipher(&key, request)?, bytes(request, "ciphertext")?);
    let invalid = || ApiError::InvalidPlain("ciphertext is not valid".to_owned());
    let (nonce, boxed) = ciphertext.split_at_checked(NONCE).ok_or_else(invalid)?;
    let text = cipher.decrypt(Nonce::from_slice(nonce), boxed).map_err(|_| invalid())?;
    Ok(Reply::json(200, json!({ "plaintext": STANDARD.encode(text) })))
}

/// Returns the cipher of a key for encryption, which has no associated data.
fn cipher(key: &SecretKey, request: &ApiRequest) -> Result<XSalsa20Poly1305, ApiError> {
    if key.kind != "SECRET_TYPE_KMS_NACL_SECRETBOX" {
        return Err(ApiError::not_simulated(format!("encryption with {}", key.kind)));
    }
    if !bytes(request, "associated_data")?.is_empty() {
        return Err(ApiError::not_simulated(format!("associated data with {}", key.kind)));
    }
    XSalsa20Poly1305::new_from_slice(&key.value).map_err(ApiError::invalid)
}

fn signature(key: &SecretKey, text: &[u8]) -> Result<Vec<u8>, ApiError> {
    match &*key.kind {
        "SECRET_TYPE_KMS_HS256" => mac::<Hmac<Sha256>>(&key.value, text),
        "SECRET_TYPE_KMS_HS384" => mac::<Hmac<Sha384>>(&key.value, text),
        "SECRET_TYPE_KMS_HS512" => mac::<Hmac<Sha512>>(&key.value, text),
        // NaCl's `crypto_auth` is HMAC-SHA-512, of which it keeps 256 bits.
        "SECRET_TYPE_KMS_NACL_AUTH" => Ok(mac::<Hmac<Sha512>>(&key.value, text)?[..32].to_vec()),
        kind => Err(ApiError::not_simulated(format!("signatures with {kind}"))),
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut mac = <M as KeyInit>::new_from_slice(key).map_err(ApiError::invalid)?;
    mac.update(text);
    Ok(mac.finalize().into_bytes().to_vec())
}

fn find(world: &mut World, request: &ApiRequest) -> Result<SecretKey, ApiError> {
    let app = secrets::at_version(world, request)?;
    app.secret_keys.get(&request.route.key).cloned().ok_or(ApiError::SecretNotFound)
}

fn kind_of(request: &ApiRequest) -> Result<(&'static str, usize), ApiError> {
    let wanted = request.text("type").unwrap_or_default();
    let found = KINDS.into_iter().find(|(kind, _)| *kind == wanted);
    found.ok_or_else(|| ApiError::invalid(format!("invalid secret key type '{wanted}'")))
}

/// Parses bytes, which Go writes in base64 and the document describes as a list of numbers.
fn bytes(request: &ApiRequest, key: &str) -> Result<Vec<u8>, ApiError> {
    if let Some(text) = request.text(key) {
        return STANDARD.decode(text).map_err(|error| ApiError::invalid(format!("{key}: {error}")));
    }
    let numbers = request.body.get(key).and_then(Value::as_array);
    let bytes = numbers.into_iter().flatten().map(|number| u8::try_from(number.as_u64()?).ok());
    bytes.collect::<Option<_>>().ok_or_else(|| ApiError::invalid(format!("{key} must be a list of bytes")))
}

fn render(name: &str, key: &SecretKey) -> Value {
    json!({
        "name": name, "type": key.kind, "public_key": null,
        "created_at": rfc3339(key.created_at), "updated_at": rfc3339(key.updated_at),
    })
}
