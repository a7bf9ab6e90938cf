//! How long lists hid volumes.

/// The current and the longest run of consecutive lists of one town's volumes that showed too little.
#[derive(Debug, Default)]
pub(crate) struct ListLag {
    current: usize,
    /// True if a list of the current run hid something. The others were empty because nothing existed yet.
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
