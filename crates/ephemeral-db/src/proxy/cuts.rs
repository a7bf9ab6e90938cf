use std::sync::{Mutex, MutexGuard, PoisonError};

/// The point at which a commit is cut. The client cannot tell the kinds apart, except that it waits in
/// [`Cut::Silence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The request never reaches the server. Both connections are dropped, so the transaction is rolled back.
    Request,
    /// The server commits. Both connections are dropped before its answer is forwarded.
    Answer,
    /// The server commits. Nothing is forwarded any more, and both connections stay open until the client closes its own.
    Silence,
}

/// The counts of a proxy, and the commit that it will cut.
#[derive(Default)]
pub(super) struct CommitCuts(Mutex<State>);

#[derive(Default)]
struct State {
    statements: u64,
    round_trips: u64,
    commits: u64,
    cuts: u64,
    /// The number of the commit to cut, and the kind of cut.
    armed: Option<(u64, Cut)>,
}

impl CommitCuts {
    pub(super) fn commits(&self) -> u64 {
        self.lock().commits
    }

    pub(super) fn cuts(&self) -> u64 {
        self.lock().cuts
    }

    pub(super) fn statements(&self) -> u64 {
        self.lock().statements
    }

    pub(super) fn round_trips(&self) -> u64 {
        self.lock().round_trips
    }

    /// Counts a statement that a client has sent.
    pub(super) fn record_statement(&self) {
        self.lock().statements += 1;
    }

    /// Counts the end of a server's answers to a batch.
    pub(super) fn record_round_trip(&self) {
        self.lock().round_trips += 1;
    }

    /// Arms a cut of the `nth` commit from now. It replaces an earlier one.
    pub(super) fn arm(&self, nth: u32, cut: Cut) {
        let mut state = self.lock();
        state.armed = Some((state.commits + u64::from(nth.max(1)), cut));
    }

    pub(super) fn disarm(&self) {
        self.lock().armed = None;
    }

    /// Counts a requested commit and returns the cut for it.
    pub(super) fn next_commit(&self) -> Option<Cut> {
        let mut state = self.lock();
        state.commits += 1;
        let commits = state.commits;
        state.armed.take_if(|(at, _)| *at == commits).map(|(_, cut)| cut)
    }

    /// Counts a commit that was cut.
    pub(super) fn record_cut(&self) {
        self.lock().cuts += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
