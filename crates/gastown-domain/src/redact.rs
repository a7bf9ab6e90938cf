//! Removes private keys from texts of other services, before they are logged or shown.

/// The length of a key of 32 bytes in base64, without its padding.
const KEY_CHARS: usize = 43;
/// The replacement of a key.
const HIDDEN: &str = "***";

/// Replaces every key of 32 bytes in padded base64, such as the private key of sandboxes. This service does not have that
/// key, so it cannot search for it.
pub fn hide_keys(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut pieces = text.split('=');
    let mut piece = pieces.next().unwrap_or_default();
    for next in pieces {
        let in_base64 = piece.bytes().rev().take_while(|byte| is_base64(*byte)).take(KEY_CHARS).count();
        if in_base64 == KEY_CHARS {
            shown.push_str(&piece[..piece.len() - KEY_CHARS]);
            shown.push_str(HIDDEN);
        } else {
            shown.push_str(piece);
            shown.push('=');
        }
        piece = next;
    }
    shown.push_str(piece);
    shown
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "I5DHCQJFb1AESuSneeju3qZEKtkb1Gn5lDh+lOoiFIQ=";

    #[test]
    fn keys_in_base64_are_hidden_wherever_they_stand() {
        for (text, want) in [
            (KEY.to_owned(), "***"),
            (format!("SANDBOX_PRIVATE_KEY={KEY}"), "SANDBOX_PRIVATE_KEY=***"),
            (format!("\"{KEY}\",{KEY}{KEY}ü"), "\"***\",******ü"),
            (format!("ab{KEY}"), "ab***"),
            (KEY[1..].to_owned(), &KEY[1..]),
            ("a=b, c==, =".to_owned(), "a=b, c==, ="),
            (
                format!("image@sha256:{} not found", "0".repeat(64)),
                &format!("image@sha256:{} not found", "0".repeat(64)),
            ),
        ] {
            assert_eq!(hide_keys(&text), want, "{text:?}");
        }
    }
}
