use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where a commit is struck. Whoever asked for it cannot tell one from the other, except that [`Cut::Silence`] makes it
/// wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server never hears of it; both connections are dropped, so the transaction is undone.
    Request,
    /// The server has committed; both connections are dropped before its answer is passed on.
    Answer,
    /// The server has committed; nothing is passed on any more, and both connections stay until the client ends its own.
    Silence,
}

/// What a proxy has seen, and what it is to do.
#[derive(Default)]
pub(super) struct Orders(Mutex<Ledger>);

#[derive(Default)]
struct Ledger {
    commits: u64,
    strokes: u64,
    armed: Option<(u64, Cut)>,
}

impl Orders {
    pub(super) fn commits(&self) -> u64 {
        self.ledger().commits
    }

    pub(super) fn strokes(&self) -> u64 {
        self.ledger().strokes
    }

    /// The commit that comes as the `nth` from now is struck; nothing else is any more.
    pub(super) fn arm(&self, nth: u32, cut: Cut) {
        let mut ledger = self.ledger();
        ledger.armed = Some((ledger.commits + u64::from(nth.max(1)), cut));
    }

    pub(super) fn disarm(&self) {
        self.ledger().armed = None;
    }

    /// A commit was asked for; how it is to be struck, if it is.
    pub(super) fn next_commit(&self) -> Option<Cut> {
        let mut ledger = self.ledger();
        ledger.commits += 1;
        let commits = ledger.commits;
        ledger.armed.take_if(|(at, _)| *at == commits).map(|(_, cut)| cut)
    }

    /// It was struck.
    pub(super) fn struck(&self) {
        self.ledger().strokes += 1;
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
