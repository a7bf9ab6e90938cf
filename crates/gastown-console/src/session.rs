//! Sessions without a store: a cookie with its expiry and a code that only this console can make.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The time after which an operator signs in again.
pub(crate) const LIFETIME: TimeDelta = TimeDelta::hours(12);

/// The longest value of a cookie that is read.
const MAX_VALUE: usize = 256;

/// Makes and checks the codes of sessions and forms. Each has its own purpose, so that one is never taken for another.
#[derive(Clone)]
pub(crate) struct Sessions {
    keyed: Hmac<Sha256>,
}

impl Sessions {
    /// Derives the key from a secret. All replicas with the same secret accept the same sessions.
    pub(crate) fn new(secret: &SecretString) -> Self {
        // Hashed first, so that a secret of every length is a key.
        let mut key = [0; 64];
        let (first, _) = key.split_at_mut(32);
        first.copy_from_slice(&Sha256::digest(secret.expose_secret().as_bytes()));
        Self { keyed: Hmac::new((&key).into()) }
    }

    /// Returns the value of a new session's cookie. `nonce` is random, and of letters and digits.
    pub(crate) fn issue(&self, now: DateTime<Utc>, nonce: &str) -> String {
        let content = format!("{}.{nonce}", (now + LIFETIME).timestamp());
        let code = self.code("session", &content);
        format!("{content}.{code}")
    }

    /// Returns true if the value is of a session of ours that has not expired.
    pub(crate) fn is_valid(&self, value: &str, now: DateTime<Utc>) -> bool {
        if value.len() > MAX_VALUE {
            return false;
        }
        let Some((content, code)) = value.rsplit_once('.') else { return false };
        let is_ours: bool = self.code("session", content).as_bytes().ct_eq(code.as_bytes()).into();
        let expiry = content.split('.').next().and_then(|expiry| expiry.parse::<i64>().ok());
        is_ours && expiry.is_some_and(|expiry| now.timestamp() < expiry)
    }

    /// Returns the token of the forms of a session, which another site cannot know.
    pub(crate) fn form_token(&self, session: &str) -> String {
        self.code("form", session)
    }

    /// Returns true if the token is that of the session's forms.
    pub(crate) fn is_form_token(&self, session: &str, given: &str) -> bool {
        self.form_token(session).as_bytes().ct_eq(given.as_bytes()).into()
    }

    fn code(&self, purpose: &str, content: &str) -> String {
        let keyed = self.keyed.clone().chain_update(purpose).chain_update([0]).chain_update(content);
        BASE64_URL_SAFE_NO_PAD.encode(keyed.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(secret: &str) -> Sessions {
        Sessions::new(&secret.into())
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn sessions_expire_and_cannot_be_made_without_the_secret() {
        let ours = sessions("one");
        let value = ours.issue(at(0), "a1b2");
        let end = LIFETIME.num_seconds();
        assert!(ours.is_valid(&value, at(0)) && ours.is_valid(&value, at(end - 1)));
        assert!(!ours.is_valid(&value, at(end)));
        assert!(!sessions("two").is_valid(&value, at(0)));
        let later = value.replacen(&end.to_string(), &(end + 1).to_string(), 1);
        let (content, code) = value.rsplit_once('.').unwrap();
        let without_nonce = format!("{end}.{code}");
        for forged in
            [later.as_str(), "", ".", content, &without_nonce, &value[1..], &format!("{value}A"), &"9".repeat(300)]
        {
            assert!(!ours.is_valid(forged, at(0)), "{forged}");
        }
    }

    #[test]
    fn codes_of_one_purpose_do_not_serve_another() {
        let ours = sessions("one");
        let (first, second) = (ours.issue(at(0), "a"), ours.issue(at(0), "b"));
        let token = ours.form_token(&first);
        assert!(ours.is_form_token(&first, &token));
        assert!(!ours.is_form_token(&second, &token) && !ours.is_form_token(&first, ""));
        let (content, _) = first.rsplit_once('.').unwrap();
        assert!(!ours.is_valid(&format!("{content}.{}", ours.form_token(content)), at(0)));
        assert!(!sessions("two").is_form_token(&first, &token));
    }
}
