//! The targets. Each has a folder below `corpus`.

mod answers;
mod jwt;
mod sealed;
mod settings;
mod stored;
mod texts;
mod trpc;

/// A label of the behaviour, or the invariant that was broken.
pub type Outcome = Result<String, String>;
/// A started target.
pub(crate) type Run = Box<dyn FnMut(&[u8]) -> Outcome>;

/// A parser of input from outside.
pub struct Target {
    /// The name, which is that of the corpus too.
    pub name: &'static str,
    /// Prepares the target for any number of inputs.
    pub(crate) start: fn() -> anyhow::Result<Run>,
    /// Pieces that are special to it.
    pub(crate) words: &'static [&'static str],
    /// The bytes that it may allocate at once, for any input and for each byte of one.
    pub(crate) memory: (u64, u64),
}

impl Target {
    /// Returns the bytes that the target may allocate at once for an input of this length.
    pub(crate) fn memory(&self, length: usize) -> u64 {
        self.memory.0 + self.memory.1 * length as u64
    }
}

/// Returns all targets.
pub fn all() -> Vec<Target> {
    vec![
        trpc::PATHS,
        trpc::BODIES,
        texts::NAMES,
        texts::REPOS,
        texts::BRANCHES,
        answers::FLY,
        answers::SANDBOX,
        jwt::TOKENS,
        sealed::VALUES,
        stored::TEXTS,
        settings::SETTINGS,
    ]
}

/// Fails with this text unless the condition holds.
fn hold(condition: bool, invariant: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(invariant.to_owned()) }
}
