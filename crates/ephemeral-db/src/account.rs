use nix::unistd::{Gid, Uid, User};

use crate::EphemeralDbError;

/// An account to run Postgres as. Postgres refuses to run as root.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// Returns the account to switch to, or `None` if this process is not root.
    pub(crate) fn to_switch_to() -> Result<Option<Self>, EphemeralDbError> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        ["postgres", concat!("no", "body")]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|User { uid, gid, .. }| Some(Self::new(uid, gid)))
            .ok_or(EphemeralDbError::NoAccount)
    }

    fn new(uid: Uid, gid: Gid) -> Self {
        Self { uid: uid.as_raw(), gid: gid.as_raw() }
    }
}
