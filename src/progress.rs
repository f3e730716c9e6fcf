//! Progress of long work, told to whoever listens.
//!
//! The pipeline calls a [`Progress`]; the command line draws bars from it, tests pass [`Silent`].
//! Stages do not nest: a new [`Progress::stage`] replaces the one before it.

/// What one step of a stage counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Bytes read or written.
    Bytes,
    /// Object files compiled.
    Objects,
    /// Files of an archive or a tree.
    Files,
    /// Steps of any other kind.
    Steps,
}

impl Unit {
    /// The plural noun to print after a count.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Objects => "objects",
            Self::Files => "files",
            Self::Steps => "steps",
        }
    }
}

/// A listener to long work. Methods may be called from any thread and should return quickly.
pub trait Progress: Send + Sync {
    /// A stage of the work begins; `total` is the number of `unit`s it will take, where known.
    fn stage(&self, name: &str, total: Option<u64>, unit: Unit);

    /// The current stage is `amount` units further than at the last call.
    fn advance(&self, amount: u64);

    /// Something worth one line, such as a decision taken or a fallback used.
    fn message(&self, text: &str);

    /// The current stage is done.
    fn finish(&self);
}

/// A listener that ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _name: &str, _total: Option<u64>, _unit: Unit) {}
    fn advance(&self, _amount: u64) {}
    fn message(&self, _text: &str) {}
    fn finish(&self) {}
}
