//! HTTP methods as bits, so that "does this route take it" is one `and`.

/// The methods with a bit of their own; others are given the next free bit when a route names them.
const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];

/// The bit that stands for every method no route names: only routes open to all carry it.
const OTHER: u32 = 1 << 31;

/// A set of methods, or the question "is this method among them".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MethodSet(u32);

impl MethodSet {
    /// All methods, named or not.
    pub const ANY: Self = Self(u32::MAX);
    /// No method.
    pub const NONE: Self = Self(0);
    /// `GET`.
    pub const GET: Self = Self(1);
    /// `HEAD`.
    pub const HEAD: Self = Self(2);

    /// Whether the two share a method.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// All of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The methods a table knows: the usual nine and those its routes name beside them.
#[derive(Clone, Debug, Default)]
pub struct Methods {
    named: Vec<Box<str>>,
}

/// Why a method cannot be taken into the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodError {
    /// Not an upper-case HTTP token.
    NotAToken,
    /// More methods of one's own than there are bits.
    TooMany,
}

impl Methods {
    /// The bit of a method, given one if it has none yet.
    ///
    /// # Errors
    /// When the name is no upper-case HTTP token, or when 22 others have been named already.
    pub fn name(&mut self, method: &str) -> Result<MethodSet, MethodError> {
        let token = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_.!#$%&'*+^`|~".contains(&b);
        if method.is_empty() || method == "*" || !method.bytes().all(token) {
            return Err(MethodError::NotAToken);
        }
        let known = self.query(method);
        if known.0 != OTHER {
            return Ok(known);
        }
        if KNOWN.len() + self.named.len() >= 31 {
            return Err(MethodError::TooMany);
        }
        self.named.push(method.into());
        Ok(self.query(method))
    }

    /// The bit to ask with; a method that no route names asks for routes open to all.
    pub fn query(&self, method: &str) -> MethodSet {
        match method {
            "GET" => MethodSet::GET,
            "HEAD" => MethodSet::HEAD,
            "POST" => MethodSet(4),
            _ => self.query_rare(method),
        }
    }

    #[cold]
    fn query_rare(&self, method: &str) -> MethodSet {
        let names = KNOWN.iter().copied().chain(self.named.iter().map(AsRef::as_ref));
        names.into_iter().position(|name| name == method).map_or(MethodSet(OTHER), |bit| MethodSet(1 << bit))
    }

    /// The names in a set, in the order of their bits; `["*"]` for all.
    pub fn names(&self, set: MethodSet) -> Vec<&str> {
        if set.0 & OTHER != 0 {
            return vec!["*"];
        }
        let names = KNOWN.iter().copied().chain(self.named.iter().map(AsRef::as_ref));
        names.enumerate().filter(|(bit, _)| set.0 & (1 << bit) != 0).map(|(_, name)| name).collect()
    }
}
