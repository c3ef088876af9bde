//! A route as it is given to the table, and what it asks of those who take it.

use crate::pattern::PatternFlags;

/// What a route matches.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// A text with `{param}` segments and perhaps a `{rest...}` tail; `*` alone is the wildcard.
    Text(String),
    /// A regular expression, matched anywhere in the path.
    Regex(String, PatternFlags),
}

impl Pattern {
    /// The text as given.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Regex(text, _) => text,
        }
    }
}

/// With whom an answer of a protected route may be shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Share {
    /// With nobody: it is kept for the identity that asked.
    #[default]
    Identity,
    /// With those of the same tenant who hold the same scopes.
    Tenant,
}

/// What a route asks of those who take it.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// Nobody need say who they are, and answers are everybody's.
    pub public: bool,
    /// With whom the answer may be shared, unless it is public.
    pub share: Share,
    /// What the identity must be allowed, in any order.
    pub scopes: Box<[Box<str>]>,
    /// Tokens that one request takes.
    pub cost: f64,
}

impl Default for Access {
    fn default() -> Self {
        Self { public: false, share: Share::Identity, scopes: Box::default(), cost: 1.0 }
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Route<T> {
    /// What it matches.
    pub pattern: Pattern,
    /// The methods it takes; None for all.
    pub methods: Option<Vec<String>>,
    /// What it asks.
    pub access: Access,
    /// Where it goes.
    pub target: T,
}

impl<T> Route<T> {
    /// A rule for every method and with nothing asked.
    ///
    /// A text may begin with the methods it takes, `"GET,HEAD /users/{id}"`.
    pub fn new(pattern: Pattern, target: T) -> Self {
        let (methods, pattern) = match pattern {
            Pattern::Text(text) => {
                let (methods, path) = split_methods(&text);
                (methods, Pattern::Text(path.to_owned()))
            }
            regex @ Pattern::Regex(..) => (None, regex),
        };
        Self { pattern, methods, access: Access::default(), target }
    }
}

/// Take `"GET,HEAD /path"` apart; a text that does not begin like that is a path as it stands.
pub fn split_methods(text: &str) -> (Option<Vec<String>>, &str) {
    let Some((methods, path)) = text.split_once(' ') else { return (None, text) };
    let is_method = |method: &str| !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    if (path.starts_with('/') || path == "*") && methods.split(',').all(is_method) {
        return (Some(methods.split(',').map(str::to_owned).collect()), path);
    }
    (None, text)
}
