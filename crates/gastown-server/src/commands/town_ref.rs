//! A town on the command line: its id, the name of its machine, or its owner and name.

use std::str::FromStr;

use gastown_domain::ports::TownFilter;
use gastown_domain::{TownId, TownName, TownTag, UserId};
use gastown_fly::tag_of_machine_name;

use super::exit::CodedError;
use super::remote::Remote;
use crate::operator_access::OperatorAccess;
use crate::reports::Readable;

/// A town as an operator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TownRef {
    /// The id, which a machine's name contains.
    Id(TownId),
    /// The owner's live town of this name.
    Named {
        /// The owner.
        owner: UserId,
        /// The name.
        name: TownName,
    },
}

/// The text names no town.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the id of a town, such as 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b, the name of its machine, such as \
     town-0190a1b2c3d47e5f8a9b0c1d2e3f4a5b, or USER/NAME, such as alice/mill"
)]
pub(super) struct InvalidTownRef;

impl FromStr for TownRef {
    type Err = InvalidTownRef;

    fn from_str(raw: &str) -> Result<Self, InvalidTownRef> {
        match (raw.parse(), tag_of_machine_name(raw)) {
            (Ok(town), _) | (_, Some(TownTag::Whole(town))) => return Ok(Self::Id(town)),
            _ => {}
        }
        // The id of a user may contain slashes, the name of a town does not.
        let (owner, name) = raw.rsplit_once('/').ok_or(InvalidTownRef)?;
        match (owner.parse(), name.parse()) {
            (Ok(owner), Ok(name)) => Ok(Self::Named { owner, name }),
            _ => Err(InvalidTownRef),
        }
    }
}

impl std::fmt::Display for TownRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(town) => town.fmt(f),
            Self::Named { owner, name } => write!(f, "{owner}/{name}"),
        }
    }
}

impl TownRef {
    /// Returns the id of the town.
    ///
    /// Errors: the owner has no live town of this name, the database, the server.
    pub(super) async fn resolve(&self, access: &dyn OperatorAccess) -> anyhow::Result<TownId> {
        let (owner, name) = match self {
            Self::Id(town) => return Ok(*town),
            Self::Named { owner, name } => (owner.clone(), name.clone()),
        };
        let filter = TownFilter { owner: Some(owner), name: Some(name), ..TownFilter::default() };
        match access.towns(&filter, 1).await?.towns.into_iter().next() {
            Some(Readable::Read(listed)) => Ok(listed.town.town_id),
            // Its other rows may be readable, and its id is known.
            Some(Readable::Unreadable(row)) => Ok(row.town_id),
            None => Err(CodedError::NoSuchTown(self.to_string()).into()),
        }
    }
}

/// A town on the command line, in the database or at a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AnyTown {
    /// Its id, or its owner and name.
    Ref(TownRef),
    /// Its name alone, because the token of a server names the user.
    Name(TownName),
}

impl FromStr for AnyTown {
    type Err = InvalidTownRef;

    fn from_str(raw: &str) -> Result<Self, InvalidTownRef> {
        match (raw.parse(), raw.parse()) {
            (Ok(known), _) => Ok(Self::Ref(known)),
            (Err(_), Ok(name)) => Ok(Self::Name(name)),
            (Err(invalid), Err(_)) => Err(invalid),
        }
    }
}

impl AnyTown {
    /// Returns the town for the database.
    ///
    /// Errors: it is a name without its owner.
    pub(super) fn in_database(&self) -> anyhow::Result<&TownRef> {
        match self {
            Self::Ref(known) => Ok(known),
            Self::Name(name) => Err(without_owner(name.as_str()).into()),
        }
    }

    /// Returns the id of the town of the token's user.
    ///
    /// Errors: it names a user, there is no such town, the server.
    pub(super) async fn at_server(&self, remote: &Remote) -> anyhow::Result<String> {
        let name = match self {
            Self::Ref(TownRef::Id(town)) => return Ok(town.to_string()),
            Self::Ref(TownRef::Named { .. }) => return Err(with_owner().into()),
            Self::Name(name) => name,
        };
        let towns = remote.query("listTowns", &serde_json::Value::Null).await?;
        let found = towns.as_array().into_iter().flatten().find(|town| town["townName"] == name.as_str());
        let id = found.and_then(|town| town["townId"].as_str());
        id.map(ToOwned::to_owned).ok_or_else(|| CodedError::NoSuchTown(name.to_string()).into())
    }
}

/// Returns the error for a town of the database that names no owner.
pub(super) fn without_owner(given: &str) -> CodedError {
    CodedError::Usage(format!("give the town as USER/NAME instead of {given}, or a server with --server"))
}

/// Returns the error for a town of a server that names an owner.
pub(super) fn with_owner() -> CodedError {
    CodedError::Usage("give only the name of the town, because the token names the user".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towns_are_named_in_three_ways() {
        let id = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
        let by_id = TownRef::Id(id.parse().unwrap());
        let named = |owner: &str| TownRef::Named { owner: owner.parse().unwrap(), name: "mill".parse().unwrap() };
        for (raw, expected) in [
            (id, &by_id),
            ("town-0190a1b2c3d47e5f8a9b0c1d2e3f4a5b", &by_id),
            ("alice/mill", &named("alice")),
            ("oauth/google:42/mill", &named("oauth/google:42")),
        ] {
            assert_eq!(&raw.parse::<TownRef>().unwrap(), expected, "{raw}");
        }
        assert_eq!(named("alice").to_string(), "alice/mill");
        for raw in ["", "mill", "/mill", "alice/", "alice/Mill", "a b/mill", "town-0190", &id[1..]] {
            assert_eq!(raw.parse::<TownRef>(), Err(InvalidTownRef), "{raw:?}");
        }
    }
}
