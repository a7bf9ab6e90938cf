//! The variables of a sandbox's environment that decide if it boots.

/// The image's private key. It is a secret of the Fly app, so that only sandboxes have it.
pub const PRIVATE_KEY: &str = "SANDBOX_PRIVATE_KEY";
/// The private key from before a rotation. Optional.
pub const PREVIOUS_PRIVATE_KEY: &str = "SANDBOX_PRIVATE_KEY_PREVIOUS";
/// The variables without which a sandbox does not boot. An empty one counts as missing.
pub const REQUIRED_VARIABLES: [&str; 6] =
    ["KILO_API_URL", "KILO_JWT", "TOWN_ID", "R2_BUCKET", "R2_ACCESS_KEY", "INTERNAL_API_KEY"];
