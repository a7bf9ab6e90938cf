//! How long lists hid something.

/// How lists of one town's volumes lagged: too little was shown so often in a row, lately and at most.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    lately: usize,
    /// Whether one of these hid something; the others came before what was asked for was there.
    hides: bool,
    pub(crate) longest: usize,
}

impl Lag {
    pub(crate) fn count(&mut self, lags: bool, shows_nothing: bool) {
        if lags || shows_nothing {
            (self.lately, self.hides) = (self.lately + 1, self.hides || lags);
        } else {
            (self.lately, self.hides) = (0, false);
        }
        if self.hides {
            self.longest = self.longest.max(self.lately);
        }
    }
}
