//! The sandbox id, derived from the user id and the town's name.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::id::{bounded, text_newtype};
use crate::{Invalid, TownId, TownName, UserId};

/// The maximum length of a live town's id, in characters.
const LIVING_MAX: usize = 63;

text_newtype!(
    /// The sandbox id of a live town or of a tombstone.
    ///
    /// It follows the KiloClaw pattern: base64url without padding of the UTF-8 of `<user id>:<town name>`. A town's name
    /// has no `:`, so the last `:` separates the two and no two pairs share one text. If the result would exceed 63
    /// characters, it is base64url of the SHA-256 of the same text (43 characters).
    ///
    /// ```
    /// use gastown_domain::SandboxId;
    /// let id = SandboxId::derive(&"user_abc123".parse()?, &"mill".parse()?);
    /// assert_eq!(id.as_str(), "dXNlcl9hYmMxMjM6bWlsbA");
    /// # Ok::<(), gastown_domain::Invalid>(())
    /// ```
    SandboxId,
    parse
);

impl SandboxId {
    /// Derives the id of a live town from its owner and name.
    pub fn derive(user: &UserId, name: &TownName) -> Self {
        let text = format!("{user}:{name}");
        let plain = encode(text.as_bytes());
        if plain.len() <= LIVING_MAX { Self(plain) } else { Self(encode(&Sha256::digest(text.as_bytes()))) }
    }

    /// Returns the town's name that a live town's id was derived from, or `None` if the id is a hash or of another user.
    ///
    /// ```
    /// use gastown_domain::SandboxId;
    /// let (user, name) = ("user_abc123".parse()?, "mill".parse()?);
    /// assert_eq!(SandboxId::derive(&user, &name).name_of(&user), Some(name));
    /// # Ok::<(), gastown_domain::Invalid>(())
    /// ```
    pub fn name_of(&self, user: &UserId) -> Option<TownName> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(&self.0).ok()?).ok()?;
        let (owner, name) = text.rsplit_once(':')?;
        (owner == user.as_str()).then(|| name.parse().ok())?
    }

    /// Returns the id that the tombstone of `town` keeps, `<sandbox id>~<town id>`.
    ///
    /// The column stays unique and the name is free again. The id of a tombstone is returned unchanged.
    #[must_use]
    pub fn tombstone(&self, town: TownId) -> Self {
        if self.is_tombstone() { self.clone() } else { Self(format!("{}~{town}", self.0)) }
    }

    /// Returns true for the id of a tombstone. `~` is not in the base64url alphabet.
    pub fn is_tombstone(&self) -> bool {
        self.0.contains('~')
    }
}

/// Encodes as base64url without padding, KiloClaw's plain encoding.
fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn parse(raw: &str) -> Result<String, Invalid> {
    bounded(raw, LIVING_MAX + 1 + 36)?;
    match raw.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~'))) {
        Some(bad) => Err(Invalid::Character { bad, allowed: "base64url characters and '~'" }),
        None => Ok(raw.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derive(user: &str, name: &str) -> SandboxId {
        SandboxId::derive(&user.parse().unwrap(), &name.parse().unwrap())
    }

    /// The vectors are frozen. Other services on the database compute the same ids, and a change loses towns.
    #[test]
    fn vectors_are_frozen() {
        for (user, name, want) in [
            ("user_abc123", "mill", "dXNlcl9hYmMxMjM6bWlsbA"),
            ("u", "a", "dTph"),
            ("müller", "t", "bcO8bGxlcjp0"),
            ("a:b", "c", "YTpiOmM"),
            // 47 bytes give 63 characters, the longest plain id.
            ("user_0123456789012345678901234567890", "0123456789", LONGEST_PLAIN),
            // 48 bytes would give 64 characters, so the id is hashed.
            ("user_0123456789012345678901234567890", "01234567890", FIRST_HASHED),
            ("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "production-west", HASHED),
        ] {
            assert_eq!(derive(user, name).as_str(), want, "{user} {name}");
        }
    }
    const LONGEST_PLAIN: &str = "dXNlcl8wMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwOjAxMjM0NTY3ODk";
    const FIRST_HASHED: &str = "v4ngBKAo57GEbBFShbV58XmgrbjIS1t3AvLRJczAdfM";
    const HASHED: &str = "WfU8-gV7HXHa9qlwALt62DG6a_Q06kSi9064_l9ITmI";

    #[test]
    fn plain_encoding_matches_kiloclaw() {
        assert_eq!(encode(b"user_abc123"), "dXNlcl9hYmMxMjM");
    }

    #[test]
    fn tombstone_appends_the_town_id_once() {
        let town: TownId = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".parse().unwrap();
        let dead = derive("user_abc123", "mill").tombstone(town);
        assert_eq!(dead.as_str(), "dXNlcl9hYmMxMjM6bWlsbA~0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b");
        assert_eq!(dead.tombstone(town), dead);
        assert_eq!(dead.as_str().parse::<SandboxId>(), Ok(dead));
    }

    proptest::proptest! {
        #[test]
        fn no_two_pairs_share_an_id(a in "[a-z:]{1,60}", b in "[a-z0-9]{1,10}", c in "[a-z:]{1,60}", d in "[a-z0-9]{1,10}") {
            proptest::prop_assume!((&a, &b) != (&c, &d));
            proptest::prop_assert_ne!(derive(&a, &b), derive(&c, &d));
        }

        #[test]
        fn a_living_id_has_at_most_63_characters(user in "\\PC{1,80}", name in "[a-z0-9]{1,64}") {
            proptest::prop_assume!(user.parse::<UserId>().is_ok());
            proptest::prop_assert!(derive(&user, &name).as_str().len() <= LIVING_MAX);
        }
    }
}
