//! The sandbox id: deterministic from user and town name, and what a tombstone makes of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::id::{bounded, text_newtype};
use crate::{Invalid, TownId, TownName, UserId};

/// Longest id of a living town, in characters.
const LIVING_MAX: usize = 63;

text_newtype!(
    /// A town's sandbox id, as stored: that of a living town, or that of a tombstone.
    ///
    /// The KiloClaw pattern: base64url without padding of the UTF-8 of `<user id>:<town name>`. The last `:` separates,
    /// for a town's name has none, so no two pairs share one text. Where that would be longer than 63 characters, it is
    /// base64url of the SHA-256 of the same text (43 characters).
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
    /// The id of the living town of this user and name.
    pub fn derive(user: &UserId, name: &TownName) -> Self {
        let text = format!("{user}:{name}");
        let plain = encode(text.as_bytes());
        if plain.len() <= LIVING_MAX { Self(plain) } else { Self(encode(&Sha256::digest(text.as_bytes()))) }
    }

    /// What the tombstone of `town` keeps: `<sandbox id>~<town id>`. The column stays unique and the name is free again.
    /// Repeating it changes nothing.
    #[must_use]
    pub fn tombstone(&self, town: TownId) -> Self {
        if self.is_tombstone() { self.clone() } else { Self(format!("{}~{town}", self.0)) }
    }

    /// Whether this is a tombstone's id. `~` is not in the base64url alphabet.
    pub fn is_tombstone(&self) -> bool {
        self.0.contains('~')
    }
}

/// base64url without padding, KiloClaw's plain encoding.
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

    /// Frozen: other services on the database compute the same ids. A change here loses towns.
    #[test]
    fn vectors_are_frozen() {
        for (user, name, want) in [
            ("user_abc123", "mill", "dXNlcl9hYmMxMjM6bWlsbA"),
            ("u", "a", "dTph"),
            ("müller", "t", "bcO8bGxlcjp0"),
            ("a:b", "c", "YTpiOmM"),
            // 47 bytes: 63 characters, the longest plain one
            ("user_0123456789012345678901234567890", "0123456789", LONGEST_PLAIN),
            // 48 bytes would be 64 characters: hashed
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
    fn the_plain_encoding_is_kiloclaws() {
        assert_eq!(encode(b"user_abc123"), "dXNlcl9hYmMxMjM");
    }

    #[test]
    fn a_tombstone_gives_up_the_id_once() {
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
