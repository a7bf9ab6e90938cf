//! Identifiers in Fly's formats, from one seeded source.

use chrono::{DateTime, Utc};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::world::IpKind;

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LOWER: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const HEX: &[u8; 16] = b"0123456789abcdef";
const ADJECTIVES: [&str; 8] = ["autumn", "bitter", "bold", "cold", "dry", "frosty", "green", "silent"];
const NOUNS: [&str; 8] = ["bush", "cloud", "dawn", "field", "flower", "moon", "river", "wood"];

/// The world's only source of randomness. The same seed and the same calls give the same ids.
#[derive(Debug)]
pub(crate) struct IdSource {
    rng: StdRng,
}

impl IdSource {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed) }
    }

    /// Returns a machine id: 14 hex digits.
    pub(crate) fn machine(&mut self) -> String {
        self.pick(HEX, 14)
    }

    /// Returns a volume id: `vol_` and 17 lowercase letters and digits.
    pub(crate) fn volume(&mut self) -> String {
        format!("vol_{}", self.pick(LOWER, 17))
    }

    /// Returns a ULID: 10 characters of time and 16 random ones.
    pub(crate) fn ulid(&mut self, at: DateTime<Utc>) -> String {
        let mut millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
        let mut time = [b'0'; 10];
        for place in time.iter_mut().rev() {
            *place = CROCKFORD[(millis % 32) as usize];
            millis /= 32;
        }
        time.iter().map(|byte| char::from(*byte)).chain(self.pick(CROCKFORD, 16).chars()).collect()
    }

    /// Returns a lease nonce: 12 hex digits.
    pub(crate) fn nonce(&mut self) -> String {
        self.pick(HEX, 12)
    }

    /// Returns the id of a snapshot: `vs_` and 17 lowercase letters and digits.
    pub(crate) fn snapshot(&mut self) -> String {
        format!("vs_{}", self.pick(LOWER, 17))
    }

    /// Returns random bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.rng.random()).collect()
    }

    /// Returns an address of an app, in Fly's ranges.
    pub(crate) fn ip(&mut self, kind: IpKind) -> String {
        let (third, fourth) = (self.rng.random_range(1..255), self.rng.random_range(1..255));
        match kind {
            IpKind::V4 => format!("37.16.{third}.{fourth}"),
            IpKind::SharedV4 => format!("66.241.{third}.{fourth}"),
            IpKind::V6 => format!("2a09:8280:1::{third:x}:{}:0", self.zone()),
            IpKind::PrivateV6 => format!("fdaa:0:{}:0:1::{fourth:x}", self.zone()),
        }
    }

    /// Returns the hardware zone of a volume: 4 hex digits.
    pub(crate) fn zone(&mut self) -> String {
        self.pick(HEX, 4)
    }

    /// Returns the name of a machine that was created without one: `adjective-noun-NNNN`.
    pub(crate) fn machine_name(&mut self) -> String {
        let adjective = ADJECTIVES[self.rng.random_range(0..ADJECTIVES.len())];
        let noun = NOUNS[self.rng.random_range(0..NOUNS.len())];
        format!("{adjective}-{noun}-{:04}", self.rng.random_range(0..10_000))
    }

    /// Returns an address in Fly's private network range.
    pub(crate) fn private_ip(&mut self) -> String {
        format!("fdaa:0:{}:a7b:{}:{}:0:2", self.zone(), self.zone(), self.zone())
    }

    fn pick(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(alphabet[self.rng.random_range(0..alphabet.len())])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_same_ids() {
        let (mut one, mut other) = (IdSource::seeded(7), IdSource::seeded(7));
        assert_eq!((one.machine(), one.volume()), (other.machine(), other.volume()));
    }

    #[test]
    fn ids_have_the_formats_of_fly() {
        let mut ids = IdSource::seeded(1);
        let machine = ids.machine();
        assert!(machine.len() == 14 && machine.chars().all(|c| c.is_ascii_hexdigit()), "{machine}");
        assert!(ids.volume().starts_with("vol_"));
        let ulid = ids.ulid(DateTime::from_timestamp_millis(1_469_918_176_385).unwrap());
        assert_eq!((ulid.len(), &ulid[..10]), (26, "01ARYZ6S41"));
    }
}
