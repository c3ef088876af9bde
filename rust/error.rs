//! What can be wrong with a route table: found when it is built, never when a request is matched.

use std::fmt;

use crate::pattern::PatternError;

/// Why a table cannot be built. Every message names the route at fault and what to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A route's text is no template.
    Template {
        /// The route's text.
        route: String,
        /// Where in it, in bytes.
        position: usize,
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// Two routes would answer the same request.
    Conflict {
        /// The later of the two.
        route: String,
        /// The earlier.
        with: String,
    },
    /// A method that is no method.
    Method {
        /// The route's text.
        route: String,
        /// The method as given.
        method: String,
    },
    /// A route that takes no method at all, or more of one's own than fit.
    Methods {
        /// The route's text.
        route: String,
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// A cost that is no number of tokens.
    Cost {
        /// The route's text.
        route: String,
        /// The cost as given.
        cost: f64,
    },
    /// A regular expression that cannot be compiled.
    Pattern(PatternError),
    /// The table is larger than its indices reach.
    TooLarge {
        /// What there is too much of.
        what: &'static str,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template { route, position, reason } => {
                write!(f, "route {route:?} cannot be read at byte {position}: {reason}")
            }
            Self::Conflict { route, with } => {
                write!(
                    f,
                    "route {route:?} answers the same requests as {with:?}; remove one, or give them different methods"
                )
            }
            Self::Method { route, method } => {
                write!(f, "route {route:?} names the method {method:?}, which is not an upper-case HTTP method")
            }
            Self::Methods { route, reason } => write!(f, "route {route:?} {reason}"),
            Self::Cost { route, cost } => {
                write!(f, "route {route:?} costs {cost}; a cost is a finite number of tokens, zero or more")
            }
            Self::Pattern(error) => error.fmt(f),
            Self::TooLarge { what } => write!(f, "the table has too much {what}; split it over several routers"),
        }
    }
}

impl std::error::Error for BuildError {}

impl From<PatternError> for BuildError {
    fn from(error: PatternError) -> Self {
        Self::Pattern(error)
    }
}
