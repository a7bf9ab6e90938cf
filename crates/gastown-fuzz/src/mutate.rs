//! Mutations of inputs.

use rand::RngExt as _;
use rand::rngs::StdRng;

/// The longest input, in bytes.
pub(crate) const MAX_BYTES: usize = 64 * 1024;
/// The most mutations of one input.
const MAX_MUTATIONS: usize = 5;

/// Pieces that are special to many parsers.
const PIECES: [&str; 26] = [
    "\0",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\u{202e}",
    "\u{feff}",
    "ü",
    "\u{10ffff}",
    "%00",
    "%2e%2e",
    "%",
    "..",
    "/",
    "//",
    "\\",
    "\"",
    "'",
    "[",
    "{",
    "{\"a\":",
    "-1",
    "1e999",
    "9223372036854775808",
    "null",
    "\\u0000",
];

/// Returns a mutation of one of the inputs. `words` are pieces that are special to the target.
pub(crate) fn mutate(rng: &mut StdRng, inputs: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let pick = |rng: &mut StdRng| inputs.get(rng.random_range(0..inputs.len())).cloned().unwrap_or_default();
    let mut input = pick(rng);
    for _ in 0..rng.random_range(1..=MAX_MUTATIONS) {
        match rng.random_range(0..9) {
            0 => flip_bit(rng, &mut input),
            1 => set_byte(rng, &mut input),
            2 => remove_part(rng, &mut input),
            3 => repeat_part(rng, &mut input),
            4 | 5 if !words.is_empty() => {
                let word = words[rng.random_range(0..words.len())];
                insert(rng, &mut input, word.as_bytes());
            }
            6 => {
                let other = pick(rng);
                let part = part_of(rng, other.len());
                insert(rng, &mut input, &other[part]);
            }
            7 => input.truncate(rng.random_range(0..=input.len())),
            _ => {
                let piece = PIECES[rng.random_range(0..PIECES.len())];
                insert(rng, &mut input, piece.as_bytes());
            }
        }
    }
    input.truncate(MAX_BYTES);
    input
}

fn flip_bit(rng: &mut StdRng, input: &mut [u8]) {
    if !input.is_empty() {
        let at = rng.random_range(0..input.len());
        input[at] ^= 1 << rng.random_range(0..8);
    }
}

fn set_byte(rng: &mut StdRng, input: &mut [u8]) {
    if !input.is_empty() {
        let at = rng.random_range(0..input.len());
        input[at] = rng.random();
    }
}

fn remove_part(rng: &mut StdRng, input: &mut Vec<u8>) {
    let part = part_of(rng, input.len());
    input.drain(part);
}

/// Repeats a part up to a thousand times, for depth and length.
fn repeat_part(rng: &mut StdRng, input: &mut Vec<u8>) {
    let part = part_of(rng, input.len());
    let times = if rng.random_ratio(1, 8) { rng.random_range(1..1000) } else { rng.random_range(1..4) };
    let repeated = input[part].repeat(times);
    insert(rng, input, &repeated[..repeated.len().min(MAX_BYTES)]);
}

fn insert(rng: &mut StdRng, input: &mut Vec<u8>, piece: &[u8]) {
    let at = rng.random_range(0..=input.len());
    input.splice(at..at, piece.iter().copied());
}

fn part_of(rng: &mut StdRng, length: usize) -> std::ops::Range<usize> {
    let from = rng.random_range(0..=length);
    let longest = (length - from).min(64);
    from..from + rng.random_range(0..=longest)
}
