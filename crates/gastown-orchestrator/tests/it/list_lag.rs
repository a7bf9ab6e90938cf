//! How long lists hid something.

/// How lists of one town's volumes lagged: too little was shown so often in a row, lately and at most.
#[derive(Debug, Default)]
pub(crate) struct ListLag {
    current: usize,
    /// Whether one of these hid something; the others came before what was asked for was there.
    hid_something: bool,
    pub(crate) longest: usize,
}

impl ListLag {
    pub(crate) fn observe_list(&mut self, lags: bool, shows_nothing: bool) {
        if lags || shows_nothing {
            (self.current, self.hid_something) = (self.current + 1, self.hid_something || lags);
        } else {
            (self.current, self.hid_something) = (0, false);
        }
        if self.hid_something {
            self.longest = self.longest.max(self.current);
        }
    }
}
