//! Fly's answers to an organization that may not have what it asks for: a region, an image, or anything at all.

use crate::faults::Effect;

/// An answer that ends only when an operator acts. Fly was seen to vary the statuses, so a test chooses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The region is retired.
    RegionRetired,
    /// The organization has no way to pay.
    PaymentMissing,
    /// The registry does not know the image.
    ImageMissing,
    /// The registry does not give out the image.
    ImageForbidden,
}

impl Policy {
    /// Returns the effect that gives this answer with this status. Only the text tells what it means.
    pub fn effect(self, status: u16) -> Effect {
        Effect::refusal(status, self.text())
    }

    /// Returns the statuses under which the answer was seen.
    pub const fn statuses(self) -> &'static [u16] {
        match self {
            Self::RegionRetired => &[400, 403, 412, 422],
            Self::PaymentMissing => &[402, 422],
            Self::ImageMissing => &[400, 404, 422],
            Self::ImageForbidden => &[400, 401, 403, 422],
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::RegionRetired => "Region iad is deprecated, please use another region",
            Self::PaymentMissing => "please add a payment method to your organization",
            Self::ImageMissing => "failed to get manifest: MANIFEST_UNKNOWN: manifest unknown",
            Self::ImageForbidden => "failed to get manifest: UNAUTHORIZED: authentication required",
        }
    }
}
