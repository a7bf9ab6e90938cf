//! The reasons for which Fly refuses a call.

use std::{fmt, time::Duration};

use crate::api::Subject;

/// The reason of a refused call, as far as a caller can act on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is wrong and will stay so.
    #[error("the request is invalid")]
    Invalid,
    /// The token is invalid or lacks a permission. Also seen for a moment after an app was created.
    #[error("the credentials are refused")]
    Unauthorized,
    /// The object does not exist. For machines and volumes this is a proof only while the app itself answers (FM-33).
    #[error("no such {0}")]
    NotFound(Subject),
    /// The path does not exist, so the base URL is not that of a Machines API.
    #[error("the address is not that of a Machines API")]
    NoSuchRoute,
    /// The app's name is in use, in our organization or in another.
    #[error("the app's name is taken")]
    AppNameTaken,
    /// A living machine has the name.
    #[error("the machine's name is taken")]
    MachineNameTaken {
        /// The machine with the name, where the text names it.
        holder: Option<String>,
    },
    /// There is no capacity.
    #[error("no capacity ({0})")]
    NoCapacity(Scope),
    /// The organization has as many machines as it may have.
    #[error("the organization's limit of machines is reached: destroy some, or ask Fly to raise it")]
    MachineLimit,
    /// Fly does not offer the region, or no longer, or not to this organization.
    #[error("the region is refused: Fly does not offer it to the organization")]
    RegionRefused,
    /// The organization has not paid, has no way to pay, or is blocked.
    #[error("the organization's account is stopped: check its payment method at Fly")]
    BillingStop,
    /// The registry does not know the image. It lags some seconds behind a push.
    #[error("the registry does not know the machine's image: check its name and digest")]
    ImageUnknown,
    /// The registry does not let Fly read the image.
    #[error("the registry refuses to give out the machine's image: check its name and the credentials for it")]
    ImageForbidden,
    /// The volume cannot be deleted while a machine holds it.
    #[error("the volume is attached to a machine")]
    VolumeBound,
    /// The volume belongs to another machine, or did until a moment ago.
    #[error("the volume is claimed by another machine")]
    VolumeClaimed,
    /// Another client holds the lease on the machine.
    #[error("another client holds the machine's lease")]
    LeaseHeld,
    /// Another client updated the machine in the meantime.
    #[error("another client updated the machine")]
    ConcurrentUpdate,
    /// The machine's state does not allow the action now.
    #[error("the machine's state does not allow it")]
    WrongState,
    /// A wait ended before the state was reached.
    #[error("the state was not reached in time")]
    NotYet,
    /// The rate limit is exceeded.
    #[error("too many calls")]
    Throttled {
        /// The pause that Fly asks for, where it names one.
        retry_after: Option<Duration>,
    },
    /// Fly or a gateway before it failed. A write may have been applied.
    #[error("server error")]
    ServerError,
    /// An answer that the table does not contain. No recovery is tried.
    #[error("an answer that is not known")]
    Unrecognised,
}

impl Refusal {
    /// Returns true if only an operator can end the refusal, and needs Fly's words for it.
    pub(crate) const fn is_for_operators(&self) -> bool {
        match self {
            Self::RegionRefused
            | Self::BillingStop
            | Self::ImageUnknown
            | Self::ImageForbidden
            | Self::MachineLimit => true,
            // A revoked token is reported by the callers. It would be logged here with every read.
            Self::Invalid
            | Self::Unauthorized
            | Self::NotFound(_)
            | Self::NoSuchRoute
            | Self::AppNameTaken
            | Self::MachineNameTaken { .. }
            | Self::NoCapacity(_)
            | Self::VolumeBound
            | Self::VolumeClaimed
            | Self::LeaseHeld
            | Self::ConcurrentUpdate
            | Self::WrongState
            | Self::NotYet
            | Self::Throttled { .. }
            | Self::ServerError
            | Self::Unrecognised => false,
        }
    }
}

/// The place that lacks capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The region, or the quota in it: use another region.
    Region,
    /// The host of the volume: use a new or forked volume elsewhere, or wait.
    VolumeHost,
    /// The machine's host, for now: wait, or use another host.
    Host,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Region => "region",
            Self::VolumeHost => "the volume's host",
            Self::Host => "host",
        })
    }
}
