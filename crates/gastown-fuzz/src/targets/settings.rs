//! The settings of the server.

use gastown_server::{Config, Source};

use super::{Outcome, Target, hold};

/// Lines of `NAME=value`, which change a valid configuration.
pub(super) const SETTINGS: Target = Target {
    name: "settings",
    start: || Ok(Box::new(check)),
    words: &[
        "DATABASE_URL=",
        "FLY_RATE_LIMITS=",
        "FLY_API_BASE_URL=",
        "SANDBOX_URL=",
        "CORS_ALLOWED_ORIGINS=",
        "HOST=",
        "PORT=",
        "FLY_REGIONS=",
        "LEASE_SECONDS=",
        "MAX_BODY_BYTES=",
        "18446744073709551615",
        "postgres://",
        "sqlite://",
        "?sslmode=",
        "[::]",
        "create=1/1,",
        "{app}",
        "{machine_id}",
        ",",
        "=",
        "\n",
        "@",
        ":",
    ],
    memory: (256 * 1024, 256),
};

/// A value that no message may show.
const SECRET: &str = "Zq7Lw3Xs9Vb1Nm5Kj2Hg8Fd4Sa6Po0Iu";

const BASE: [(&str, &str); 13] = [
    ("DATABASE_URL", "postgres://gastown:Zq7Lw3Xs9Vb1Nm5Kj2Hg8Fd4Sa6Po0Iu@localhost/gastown"),
    ("NEXTAUTH_SECRET", SECRET),
    ("INTERNAL_API_SECRET", "Another-7Tt3Rr9Ee5Ww1Qq-0Pp8Oo6Ii4Uu2"),
    ("FLY_API_TOKEN", "fo1_Mn8Bv2Cx6Za4Sd0Fg"),
    ("FLY_APP_NAME", "towns"),
    ("FLY_IMAGE", "registry.fly.io/sandbox@sha256:0123012301230123012301230123012301230123012301230123012301230123"),
    ("SANDBOX_PUBLIC_KEY", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="),
    ("KILO_API_URL", "https://kilo.example.org"),
    ("R2_BUCKET", "towns"),
    ("R2_ACCESS_KEY", "Access-5Yy7Hh3Nn9"),
    ("R2_SECRET_KEY", "Secret-1Gg8Bb4Vv6"),
    ("HOST", "127.0.0.1"),
    ("PORT", "0"),
];

fn check(input: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(input);
    let given =
        text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let base = BASE.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let source = Source::from_pairs(base.chain(given));
    match Config::read(&source) {
        Ok(config) => {
            hold(!format!("{config:?}").contains(SECRET), "the configuration shows a secret")?;
            let limits = &config.http;
            Ok(format!("accepted {}", u8::from(limits.port == 0)))
        }
        Err(error) => {
            let shown = format!("{error} {error:?}");
            hold(!shown.contains(SECRET), "a mistake shows a secret")?;
            let names: Vec<_> = error.mistakes.iter().map(|mistake| mistake.name.as_str()).collect();
            hold(!names.is_empty(), "an error without a mistake")?;
            Ok(names.join(" "))
        }
    }
}
