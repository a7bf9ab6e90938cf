//! Sealed values and keys: nothing opens that was not sealed.

use gastown_secrets::{EnvValue, PublicSealingKey, SandboxKey, SealedValue, open_env};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Outcome, Run, Target, hold};

/// Sealed values, private and public keys. In an input, `SEALED` stands for a valid value.
pub(super) const VALUES: Target = Target {
    name: "sealed",
    start,
    words: &["SEALED", "nacl:", "nacl:v1:", "nacl:v2:", "0011223344556677:", "AAAA", "=", "+", "/"],
    memory: (32 * 1024, 64),
};

fn start() -> anyhow::Result<Run> {
    let (key, other) = (SandboxKey::generate(), SandboxKey::generate());
    let sealed = key.public_key().seal(&SecretString::from("the content"))?.to_text();
    let keys = [key, other];
    Ok(Box::new(move |input| {
        let input = String::from_utf8_lossy(input).replacen("SEALED", &sealed, 4);
        check(&keys, &input, &sealed)
    }))
}

fn check(keys: &[SandboxKey], input: &str, sealed: &str) -> Outcome {
    let value = input.parse::<SealedValue>();
    if let Ok(value) = &value {
        hold(value.to_text() == input, "the written form of a sealed value differs")?;
    }
    let label = match open_env(keys, [("NAME", input)]) {
        Ok(opened) => match opened.first() {
            Some((_, EnvValue::Opened(content))) => {
                hold(input == sealed && content.expose_secret() == "the content", "a value opens that was not sealed")?;
                "opened".to_owned()
            }
            Some((_, EnvValue::Plain(plain))) => {
                hold(plain == input && !input.starts_with("nacl:"), "a sealed value was taken as it is")?;
                "plain".to_owned()
            }
            None => return Err("the variable is lost".to_owned()),
        },
        Err(error) => {
            hold(input.len() < 20 || !error.to_string().contains(input), "an error shows the value")?;
            format!("{:?}", error.failures().first().map(|failure| failure.cause).map(without_numbers))
        }
    };
    let public = input.parse::<PublicSealingKey>();
    if let Ok(key) = &public {
        hold(key.to_string().parse::<PublicSealingKey>().as_ref() == Ok(key), "the written form of a key differs")?;
    }
    let private = SandboxKey::parse(&input.into()).map(|_| ());
    Ok(format!("{label} {:?} {private:?}", public.map(|_| ()).map_err(|error| format!("{error:?}").len())))
}

/// Removes the sizes and ids, which differ with each input.
fn without_numbers(cause: gastown_secrets::OpenError) -> String {
    format!("{cause:?}").split([' ', '{']).next().unwrap_or_default().to_owned()
}
