//! References to container images, as Fly resolves them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The registry of an image that names none, and of one on Docker Hub.
const DOCKER_HUB: &str = "docker-hub-mirror.fly.io";
const MAX_TAG: usize = 128;
const DIGEST_PREFIX: &str = "sha256:";
const DIGEST_DIGITS: usize = 64;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The text that is not a reference to an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid config.image, could not parse reference: {0}")]
pub(crate) struct ImageError(String);

/// A reference to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    registry: String,
    repository: String,
    tag: String,
    digest: String,
}

impl Image {
    /// Parses `[registry/]repository[:tag][@digest]`. An image that pins no digest gets one that follows from its name.
    pub(crate) fn parse(text: &str) -> Result<Self, ImageError> {
        Self::read(text).ok_or_else(|| ImageError(text.to_owned()))
    }

    fn read(text: &str) -> Option<Self> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (path, tag) = match name.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (name, "latest"),
        };
        let (registry, repository) = match path.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
            Some(_) => (DOCKER_HUB, path.to_owned()),
            None => (DOCKER_HUB, format!("library/{path}")),
        };
        let is_valid = is_registry(registry) && repository.split('/').all(is_component) && is_tag(tag);
        let digest = digest.map_or_else(|| digest_of(name), str::to_owned);
        (is_valid && is_digest(&digest)).then(|| Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.to_owned(),
            digest,
        })
    }

    /// Renders the image as Fly's `image_ref`.
    pub(crate) fn render(&self) -> Value {
        json!({
            "registry": self.registry, "repository": self.repository, "tag": self.tag, "digest": self.digest,
            "labels": {},
        })
    }
}

/// Returns the digest of a simulated image or snapshot: that of its name.
pub(crate) fn digest_of(name: &str) -> String {
    let mut digest = DIGEST_PREFIX.to_owned();
    for byte in Sha256::digest(name.as_bytes()) {
        digest.extend([byte >> 4, byte & 0xf].map(|digit| char::from(HEX[usize::from(digit)])));
    }
    digest
}

fn is_registry(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "443"));
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
        && port.parse::<u16>().is_ok()
}

/// Returns true for a part of a repository's name.
fn is_component(part: &str) -> bool {
    let is_plain = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_plain(part.bytes().next())
        && is_plain(part.bytes().last())
        && part
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-'))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MAX_TAG).contains(&tag.len())
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

/// Returns true for a digest. Shorter ones than Fly's are accepted, because examples and tests abbreviate them.
fn is_digest(digest: &str) -> bool {
    digest.strip_prefix(DIGEST_PREFIX).is_some_and(|digits| {
        (1..=DIGEST_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_as_by_docker() {
        for (text, registry, repository, tag) in [
            ("nginx", DOCKER_HUB, "library/nginx", "latest"),
            ("flyio/hellofly:1", DOCKER_HUB, "flyio/hellofly", "1"),
            ("registry.fly.io/mill:deployment-01K", "registry.fly.io", "mill", "deployment-01K"),
            ("localhost:5000/a/b", "localhost:5000", "a/b", "latest"),
        ] {
            let image = Image::parse(text).unwrap();
            assert_eq!((&*image.registry, &*image.repository, &*image.tag), (registry, repository, tag), "{text}");
            assert!(is_digest(&image.digest), "{text}: {}", image.digest);
        }
    }

    #[test]
    fn pinned_digest_is_kept_and_others_follow_from_the_name() {
        let pinned = format!("sha256:{}", "a".repeat(DIGEST_DIGITS));
        assert_eq!(Image::parse(&format!("nginx@{pinned}")).unwrap().digest, pinned);
        assert_eq!(Image::parse("nginx:1").unwrap(), Image::parse("nginx:1").unwrap());
        assert_ne!(Image::parse("nginx:1").unwrap().digest, Image::parse("nginx:2").unwrap().digest);
    }

    #[test]
    fn texts_that_are_no_references_are_refused() {
        let long = format!("nginx:{}", "a".repeat(MAX_TAG + 1));
        for text in
            ["", "::::", "nginx:", "Nginx", "a//b", "nginx@sha256:x", "nginx@md5:1", "host.io:x/a", "a b", "-a", &long]
        {
            assert_eq!(Image::parse(text), Err(ImageError(text.to_owned())), "{text}");
        }
    }
}
