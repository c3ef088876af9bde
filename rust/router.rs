//! The route table, and the only place where precedence is stated:
//!
//! 1. **exact**: a text without params that is the path;
//! 2. **prefix**: the radix tree; literal beats param beats tail, byte for byte from the left;
//! 3. **regex**: the first pattern, in the order given, that matches;
//! 4. **wildcard**: whatever is left.
//!
//! A route that does not take the method is no match: the search goes on behind it. So a path may be
//! unknown under one method and known under another, and only when nothing at all matches is it asked which
//! methods would have (`allowed`): that, and not a route, is what tells 405 from 404.

use std::borrow::Cow;

use crate::endpoint::{Endpoints, Place};
use crate::exact::{Exact, Span};
use crate::ids::{PatternId, RouteId};
use crate::key::Digest;
use crate::method::{MethodSet, Methods};
use crate::path::{self, PathError, PathPolicy};
use crate::pattern::PatternSet;
use crate::prefix::{Spans, Tree};
use crate::route::Access;
use crate::text::{self, TextPolicy};

/// Which matcher found a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// The exact table.
    Exact,
    /// The radix tree.
    Prefix,
    /// The pattern set.
    Regex,
    /// The wildcard.
    Wildcard,
}

impl By {
    /// All matchers in their order.
    pub const ALL: [Self; 4] = [Self::Exact, Self::Prefix, Self::Regex, Self::Wildcard];

    /// The name users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Prefix => "prefix",
            Self::Regex => "regex",
            Self::Wildcard => "wildcard",
        }
    }
}

/// How a path or text is brought into form before it is matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalize {
    /// Not at all: what comes in is matched as it stands.
    #[default]
    Verbatim,
    /// As the raw path of an HTTP request.
    Path(PathPolicy),
    /// As free text.
    Text(TextPolicy),
}

impl Normalize {
    /// The text to match; borrowed when it is in form already.
    ///
    /// # Errors
    /// When it is a path that the policy refuses.
    #[inline]
    pub fn apply<'a>(&self, raw: &'a str) -> Result<Cow<'a, str>, PathError> {
        match self {
            Self::Verbatim => Ok(Cow::Borrowed(raw)),
            Self::Path(policy) => path::normalize(raw, policy),
            Self::Text(policy) => Ok(text::fold(raw, policy)),
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The route.
    pub route: RouteId,
    /// Which matcher found it.
    pub by: By,
    /// Where its params lie, if the tree found it; a pattern's are looked for when they are asked for.
    pub spans: Spans,
}

/// One line of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The matcher.
    pub matcher: By,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of one matcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It found this route, and the search ended.
    Match(RouteId),
    /// It has routes, but none for this path.
    Miss,
    /// It has a route for the path, but not for the method: this one.
    WrongMethod(RouteId),
    /// It has no routes.
    Empty,
}

/// A compiled table: read by any number of threads, never changed.
#[derive(Debug)]
pub struct Router<T> {
    pub(crate) mark: Digest,
    pub(crate) methods: Methods,
    pub(crate) endpoints: Endpoints,
    pub(crate) exact: Exact,
    pub(crate) tree: Tree,
    pub(crate) patterns: PatternSet,
    /// The route of each pattern, and the methods it takes.
    pub(crate) pattern_routes: Vec<(RouteId, MethodSet)>,
    pub(crate) wildcard: Place,
    pub(crate) routes: Vec<Entry>,
    /// The distinct things routes ask; most tables have a handful.
    pub(crate) access: Vec<Access>,
    pub(crate) has_public: bool,
    pub(crate) shares_by_tenant: bool,
    pub(crate) names: Vec<Box<str>>,
    pub(crate) targets: Vec<T>,
    pub(crate) normalize: Normalize,
}

/// A route as the table keeps it, 20 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) text: Span,
    pub(crate) access: u32,
    pub(crate) names: (u32, u32),
}

impl<T> Router<T> {
    /// The first route that matches. `path` is matched as it stands: `Normalize::apply` is the caller's.
    #[inline]
    pub fn find(&self, path: &str, method: MethodSet) -> Option<Found> {
        if let Some(route) = self.find_exact(path, method) {
            return Some(Found { route, by: By::Exact, spans: Spans::new() });
        }
        self.find_beyond_exact(path, method)
    }

    /// The exact table alone: what most requests need, small enough to be compiled into the caller.
    #[inline]
    pub fn find_exact(&self, path: &str, method: MethodSet) -> Option<RouteId> {
        self.exact.find(path).and_then(|place| self.endpoints.find(place, method))
    }

    /// `find_exact` for several paths, step by step for all of them: the waits for memory then overlap.
    #[inline]
    pub fn find_exact_each<const N: usize>(&self, paths: [&str; N], method: MethodSet) -> [Option<RouteId>; N] {
        let hashes = paths.map(|path| self.exact.hash(path));
        let mut places = [None; N];
        for ((place, hash), path) in places.iter_mut().zip(hashes).zip(paths) {
            *place = self.exact.find_hashed(hash, path);
        }
        places.map(|place| place.and_then(|place| self.endpoints.find(place, method)))
    }

    /// The first route that matches, if no exact one does.
    pub fn find_beyond_exact(&self, path: &str, method: MethodSet) -> Option<Found> {
        if u32::try_from(path.len()).is_err() {
            return None;
        }
        if let Some((route, spans)) = self.tree.find(path, |place| self.endpoints.find(place, method)) {
            return Some(Found { route, by: By::Prefix, spans });
        }
        let found = if let Some(route) = self.find_pattern(path, method) {
            (route, By::Regex)
        } else {
            (self.endpoints.find(self.wildcard, method)?, By::Wildcard)
        };
        Some(Found { route: found.0, by: found.1, spans: Spans::new() })
    }

    /// The methods under which some route, of whichever matcher, takes the path.
    pub fn allowed(&self, path: &str) -> MethodSet {
        let mut allowed = self.exact.find(path).map_or(MethodSet::NONE, |place| self.endpoints.allowed(place));
        self.tree.find(path, |place| {
            allowed = allowed.union(self.endpoints.allowed(place));
            None
        });
        for pattern in self.patterns.all(path) {
            allowed = allowed.union(self.pattern_routes[pattern.index()].1);
        }
        allowed.union(self.endpoints.allowed(self.wildcard))
    }

    /// Which matchers are tried for a path, in order, and what comes of each; the last one matched, or none did.
    pub fn explain(&self, path: &str, method: MethodSet) -> Vec<Step> {
        let mut steps = Vec::with_capacity(By::ALL.len());
        for matcher in By::ALL {
            let outcome = self.outcome(matcher, path, method);
            steps.push(Step { matcher, outcome });
            if matches!(outcome, Outcome::Match(_)) {
                break;
            }
        }
        steps
    }

    /// The methods the table knows.
    pub const fn methods(&self) -> &Methods {
        &self.methods
    }

    /// How paths are to be brought into form for this table.
    pub const fn normalize(&self) -> &Normalize {
        &self.normalize
    }

    /// Where a route goes.
    #[inline]
    pub fn target(&self, route: RouteId) -> &T {
        &self.targets[route.index()]
    }

    /// Where all routes go, in their order.
    pub fn targets(&self) -> &[T] {
        &self.targets
    }

    /// A route's own text.
    pub fn text(&self, route: RouteId) -> &str {
        self.exact.text(self.routes[route.index()].text)
    }

    /// What a route asks of those who take it.
    #[inline]
    pub fn access(&self, route: RouteId) -> &Access {
        &self.access[self.routes[route.index()].access as usize]
    }

    /// Stands for who may see what under this table.
    pub const fn mark(&self) -> Digest {
        self.mark
    }

    /// Whether any route is public.
    pub const fn has_public(&self) -> bool {
        self.has_public
    }

    /// Whether any route shares its answers within a tenant.
    pub const fn shares_by_tenant(&self) -> bool {
        self.shares_by_tenant
    }

    /// The names of a route's params, in the order of their spans.
    pub fn names(&self, route: RouteId) -> &[Box<str>] {
        let (at, len) = self.routes[route.index()].names;
        &self.names[at as usize..][..len as usize]
    }

    /// Where the named groups of a regex route lie in a path that it matches; a group that took no part is None.
    pub fn groups(&self, route: RouteId, path: &str) -> Vec<Option<(u32, u32)>> {
        let mut spans = Vec::new();
        if let Ok(pattern) = self.pattern_routes.binary_search_by_key(&route, |(own, _)| *own) {
            self.patterns.captures(PatternId(pattern as u32), path, &mut spans);
        }
        spans
    }

    /// How many routes.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Bytes held; of a target what a place in a vector takes.
    pub fn memory(&self) -> usize {
        self.exact.memory()
            + self.tree.memory()
            + self.endpoints.memory()
            + self.patterns.memory()
            + self.routes.capacity() * size_of::<Entry>()
            + self.names.iter().map(|name| name.len() + size_of::<Box<str>>()).sum::<usize>()
            + self.targets.capacity() * size_of::<T>()
    }

    /// Check what must hold in every part.
    ///
    /// # Panics
    /// When it does not.
    pub fn validate(&self) {
        self.exact.validate();
        self.tree.validate();
        self.patterns.validate();
        assert_eq!(self.routes.len(), self.targets.len(), "a route without a target");
        assert_eq!(self.patterns.len(), self.pattern_routes.len(), "a pattern without a route");
    }

    fn find_pattern(&self, path: &str, method: MethodSet) -> Option<RouteId> {
        if self.patterns.is_empty() {
            return None;
        }
        let takes = |pattern: PatternId| self.pattern_routes[pattern.index()].1.meets(method);
        self.patterns.first_where(path, takes).map(|pattern| self.pattern_routes[pattern.index()].0)
    }

    fn outcome(&self, matcher: By, path: &str, method: MethodSet) -> Outcome {
        let (empty, found): (bool, &dyn Fn(MethodSet) -> Option<RouteId>) = match matcher {
            By::Exact => (self.exact.is_empty(), &|method| self.find_exact(path, method)),
            By::Prefix => (self.tree.is_empty(), &|method| {
                self.tree.find(path, |place| self.endpoints.find(place, method)).map(|(route, _)| route)
            }),
            By::Regex => (self.patterns.is_empty(), &|method| self.find_pattern(path, method)),
            By::Wildcard => (self.wildcard == Place::NONE, &|method| self.endpoints.find(self.wildcard, method)),
        };
        match found(method) {
            _ if empty => Outcome::Empty,
            Some(route) => Outcome::Match(route),
            None => found(MethodSet::ANY).map_or(Outcome::Miss, Outcome::WrongMethod),
        }
    }
}
