//! Why a pattern was refused.

use std::fmt;

/// A pattern that cannot be compiled, or that could not be matched in linear time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatternError {
    /// Which pattern, counted from zero in the order given.
    pub index: usize,
    /// The pattern as given.
    pub pattern: String,
    /// Where in the pattern, counted in characters, or `None` if it is the whole.
    pub position: Option<usize>,
    /// What is wrong and what to do about it.
    pub reason: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pattern {} ({:?})", self.index, shorten(&self.pattern))?;
        if let Some(position) = self.position {
            write!(f, " at character {position}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for PatternError {}

/// Keeps a message readable when the pattern is very long.
fn shorten(pattern: &str) -> String {
    const SHOWN: usize = 120;
    match pattern.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &pattern[..end]),
        None => pattern.to_owned(),
    }
}
