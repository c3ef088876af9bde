//! From routes as they are given to a table as it is read.

use std::collections::HashMap;

use crate::draft::Builder;
use crate::endpoint::{Endpoints, Place};
use crate::error::BuildError;
use crate::exact::{Exact, Span};
use crate::ids::RouteId;
use crate::key::{Digest, Parts};
use crate::method::{MethodError, MethodSet, Methods};
use crate::path::{self, PathPolicy};
use crate::pattern::{PatternFlags, PatternSet};
use crate::prefix::Tree;
use crate::route::{Access, Pattern, Route, Share};
use crate::router::{Entry, Normalize, Router};
use crate::template::{self, Part};
use crate::text;

impl<T> Router<T> {
    /// Compile a table.
    ///
    /// # Errors
    /// When a route cannot be read, two of them would answer the same request, or a pattern cannot be had in
    /// linear time; the error names the route.
    pub fn build(routes: impl IntoIterator<Item = Route<T>>, normalize: Normalize) -> Result<Self, BuildError> {
        Self::try_build(routes.into_iter().map(Ok::<_, BuildError>), normalize)
    }

    /// Compile a table from routes that are read one by one, of which reading may fail.
    ///
    /// # Errors
    /// The first error, of reading or of compiling.
    pub fn try_build<E: From<BuildError>>(
        routes: impl IntoIterator<Item = Result<Route<T>, E>>,
        normalize: Normalize,
    ) -> Result<Self, E> {
        let routes = routes.into_iter();
        // A hint may be anything; room for a million is what a wrong one may cost.
        let mut compiler = Compiler::new(normalize, routes.size_hint().0.min(1 << 20));
        for route in routes {
            compiler.add(route?)?;
        }
        Ok(compiler.finish()?)
    }
}

/// How a distinct `Access` is recognized: its cost by its bits.
type AccessKey = (bool, Share, Box<[Box<str>]>, u64);

struct Compiler<T> {
    normalize: Normalize,
    methods: Methods,
    endpoints: Endpoints,
    exact: Exact,
    tree: Builder,
    patterns: Vec<(String, PatternFlags)>,
    pattern_routes: Vec<(RouteId, MethodSet)>,
    wildcard: Place,
    routes: Vec<Entry>,
    access: Vec<Access>,
    access_ids: HashMap<AccessKey, u32>,
    names: Vec<Box<str>>,
    targets: Vec<T>,
    /// Every route with what it asks, digested as they come.
    rules: Parts,
}

impl<T> Compiler<T> {
    fn new(normalize: Normalize, routes: usize) -> Self {
        Self {
            normalize,
            methods: Methods::default(),
            endpoints: Endpoints::default(),
            exact: Exact::with_capacity(routes),
            tree: Builder::default(),
            patterns: Vec::new(),
            pattern_routes: Vec::new(),
            wildcard: Place::NONE,
            routes: Vec::with_capacity(routes),
            access: Vec::new(),
            access_ids: HashMap::new(),
            names: Vec::new(),
            targets: Vec::with_capacity(routes),
            rules: rules_under(normalize),
        }
    }

    fn add(&mut self, route: Route<T>) -> Result<(), BuildError> {
        let id = self.next_id()?;
        let text = route.pattern.as_str();
        let methods = self.method_set(text, route.methods.as_deref())?;
        write_rule(&mut self.rules, &route);
        let access = self.access_id(text, route.access)?;
        let names_at = self.names.len() as u32;
        let span = match route.pattern {
            Pattern::Text(text) if text == "*" => {
                self.wildcard = self.place(self.wildcard, methods, id, &text)?;
                self.keep(&text)?
            }
            Pattern::Text(text) if text.contains(['{', '}']) => self.add_template(&text, methods, id)?,
            Pattern::Text(text) => self.add_exact(&text, methods, id)?,
            Pattern::Regex(text, flags) => {
                // A pattern's place is its own, so HEAD comes with GET at once.
                let head = if methods.meets(MethodSet::GET) { MethodSet::HEAD } else { MethodSet::NONE };
                self.pattern_routes.push((id, methods.union(head)));
                let span = self.keep(&text)?;
                self.patterns.push((text, flags));
                span
            }
        };
        let names = (names_at, self.names.len() as u32 - names_at);
        self.routes.push(Entry { text: span, access, names });
        self.targets.push(route.target);
        Ok(())
    }

    fn add_exact(&mut self, given: &str, methods: MethodSet, id: RouteId) -> Result<Span, BuildError> {
        let text = match self.normalize.apply(given) {
            Ok(text) => text,
            Err(error) => return Err(unreadable(given, error.position, "is a path that its own policy refuses")),
        };
        if text.is_empty() {
            return Err(unreadable(given, 0, "it is empty; the root is \"/\", and \"*\" takes whatever is left"));
        }
        let known = self.exact.find(&text).unwrap_or(Place::NONE);
        let place = self.place(known, methods, id, &text)?;
        self.exact.set(&text, place).map_err(|_| TOO_MUCH_TEXT)
    }

    fn add_template(&mut self, text: &str, methods: MethodSet, id: RouteId) -> Result<Span, BuildError> {
        let mut parts = template::parse(text).map_err(|error| unreadable(text, error.position, error.reason))?;
        self.bring_into_form(text, &mut parts)?;
        if let [Part::Literal(literal)] = parts.as_slice() {
            // Only doubled braces: the text they stand for has no params after all.
            return self.add_exact(&literal.clone(), methods, id);
        }
        self.names.extend(template::names(&parts).map(Into::into));
        let known = *self.tree.place(&parts);
        let place = self.place(known, methods, id, text)?;
        *self.tree.place(&parts) = place;
        self.keep(text)
    }

    /// The literal parts of a template, as the paths they will be compared with are written.
    fn bring_into_form(&self, text: &str, parts: &mut [Part]) -> Result<(), BuildError> {
        match &self.normalize {
            Normalize::Verbatim => Ok(()),
            Normalize::Path(policy) => normalize_literals(text, parts, *policy),
            Normalize::Text(policy) => {
                let last = parts.len().saturating_sub(1);
                for (at, part) in parts.iter_mut().enumerate() {
                    let Part::Literal(literal) = part else { continue };
                    *literal = fold_inside(literal, *policy, at > 0, at < last);
                }
                Ok(())
            }
        }
    }

    /// Give a place one more route, or say with which of its routes that one collides.
    fn place(&mut self, place: Place, methods: MethodSet, id: RouteId, text: &str) -> Result<Place, BuildError> {
        self.endpoints.add(place, methods, id).map_err(|taken| BuildError::Conflict {
            route: text.to_owned(),
            with: self
                .routes
                .get(taken.index())
                .map_or_else(String::new, |entry| self.exact.text(entry.text).to_owned()),
        })
    }

    fn method_set(&mut self, route: &str, methods: Option<&[String]>) -> Result<MethodSet, BuildError> {
        let Some(methods) = methods else { return Ok(MethodSet::ANY) };
        if methods.is_empty() {
            let reason = "takes no method; leave its methods out and it takes all";
            return Err(BuildError::Methods { route: route.to_owned(), reason });
        }
        methods.iter().try_fold(MethodSet::NONE, |set, method| match self.methods.name(method) {
            Ok(bit) => Ok(set.union(bit)),
            Err(MethodError::NotAToken) => Err(BuildError::Method { route: route.to_owned(), method: method.clone() }),
            Err(MethodError::TooMany) => {
                let reason = "names one method too many; a table has room for 22 beside the usual nine";
                Err(BuildError::Methods { route: route.to_owned(), reason })
            }
        })
    }

    fn access_id(&mut self, route: &str, mut access: Access) -> Result<u32, BuildError> {
        if self.access.last() == Some(&access) {
            return Ok(self.access.len() as u32 - 1);
        }
        if !(access.cost.is_finite() && access.cost >= 0.0) {
            return Err(BuildError::Cost { route: route.to_owned(), cost: access.cost });
        }
        access.scopes.sort_unstable();
        let key = (access.public, access.share, access.scopes.clone(), access.cost.to_bits());
        let next = self.access.len() as u32;
        let id = *self.access_ids.entry(key).or_insert(next);
        if id == next {
            self.access.push(access);
        }
        Ok(id)
    }

    /// Route numbers have 31 bits: a place uses the other one.
    fn next_id(&self) -> Result<RouteId, BuildError> {
        let id = u32::try_from(self.routes.len()).ok().filter(|id| *id < u32::MAX >> 1);
        id.map(RouteId).ok_or(BuildError::TooLarge { what: "routes" })
    }

    fn keep(&mut self, text: &str) -> Result<Span, BuildError> {
        self.exact.keep(text).map_err(|_| TOO_MUCH_TEXT)
    }

    /// A digest of all that decides who may see what: when a table with other rules takes this one's place,
    /// answers filed under the old rules are not found any more. Which path goes to which route is part of
    /// that, so every route counts, as soon as one asks anything special.
    fn mark(&self) -> Digest {
        let nothing_special =
            |access: &Access| !access.public && access.share == Share::Identity && access.scopes.is_empty();
        if self.access.iter().all(nothing_special) {
            return Parts::default().finish();
        }
        self.rules.finish()
    }

    fn finish(mut self) -> Result<Router<T>, BuildError> {
        let patterns = PatternSet::new(std::mem::take(&mut self.patterns))?;
        for (pattern, (route, _)) in self.pattern_routes.iter().enumerate() {
            let at = self.names.len() as u32;
            let id = crate::ids::PatternId(pattern as u32);
            self.names.extend(patterns.group_names(id).map(|(_, name)| name.into()));
            self.routes[route.index()].names = (at, self.names.len() as u32 - at);
        }
        let tree: Tree = self.tree.build();
        let places: Vec<Place> = self.exact.iter().map(|(_, place)| place).chain(tree.places()).collect();
        self.endpoints.derive_head(places.into_iter().chain([self.wildcard]));
        self.endpoints.shrink();
        self.exact.shrink();
        self.names.shrink_to_fit();
        let mark = self.mark();
        Ok(Router {
            mark,
            methods: self.methods,
            endpoints: self.endpoints,
            exact: self.exact,
            tree,
            patterns,
            pattern_routes: self.pattern_routes,
            wildcard: self.wildcard,
            routes: self.routes,
            has_public: self.access.iter().any(|access| access.public),
            shares_by_tenant: self.access.iter().any(|access| access.share == Share::Tenant),
            access: self.access,
            names: self.names,
            targets: self.targets,
            normalize: self.normalize,
        })
    }
}

fn rules_under(normalize: Normalize) -> Parts {
    let mut rules = Parts::default();
    rules.text(&format!("{normalize:?}"));
    rules
}

fn write_rule<T>(rules: &mut Parts, route: &Route<T>) {
    let Access { public, share, scopes, .. } = &route.access;
    match &route.pattern {
        Pattern::Text(text) => {
            rules.none();
            rules.text(text);
        }
        Pattern::Regex(text, flags) => {
            rules.text(text);
            rules.text(&format!("{flags:?}"));
        }
    }
    rules.bool(route.methods.is_some());
    let methods = route.methods.as_deref().unwrap_or_default();
    rules.sequence(methods.len());
    for name in methods {
        rules.text(name);
    }
    rules.bool(*public);
    rules.bool(*share == Share::Tenant);
    rules.sequence(scopes.len());
    for scope in scopes {
        rules.text(scope);
    }
}

const TOO_MUCH_TEXT: BuildError = BuildError::TooLarge { what: "text (4 GiB)" };

fn unreadable(route: &str, position: usize, reason: &'static str) -> BuildError {
    BuildError::Template { route: route.to_owned(), position, reason }
}

/// Bring a template's literals into form together, each param standing as a character that no path changes.
fn normalize_literals(text: &str, parts: &mut [Part], policy: PathPolicy) -> Result<(), BuildError> {
    const PARAM: char = '\u{f8ff}';
    let refused =
        |position| unreadable(text, position, "is a path that its own policy refuses, or loses a param by it");
    let stand_in = |part: &Part| if let Part::Literal(text) = part { text.clone() } else { PARAM.to_string() };
    let joined: String = parts.iter().map(stand_in).collect();
    let normal = path::normalize(&joined, &policy).map_err(|error| refused(error.position))?;
    let params = parts.iter().filter(|part| !matches!(part, Part::Literal(_))).count();
    if normal.matches(PARAM).count() != params || joined.matches(PARAM).count() != params {
        return Err(refused(0));
    }
    let mut normal = normal.split(PARAM).filter(|literal| !literal.is_empty());
    let last = parts.len() - 1;
    for (at, part) in parts.iter_mut().enumerate() {
        let Part::Literal(literal) = part else { continue };
        match normal.next() {
            Some(text) => text.clone_into(literal),
            // A slash at the end, which the policy strips.
            None if at == last => literal.clear(),
            None => return Err(refused(0)),
        }
    }
    if normal.next().is_some() { Err(refused(0)) } else { Ok(()) }
}

/// Fold a literal that has something before or behind it: there a space at its edge is part of it, which
/// folding by itself would trim.
fn fold_inside(literal: &str, policy: text::TextPolicy, before: bool, behind: bool) -> String {
    let space = |edge: bool, c: Option<char>| if edge && c.is_some_and(char::is_whitespace) { " " } else { "" };
    let folded = text::fold(literal, &policy);
    if !policy.collapse_space || folded.is_empty() {
        return folded.into_owned();
    }
    [space(before, literal.chars().next()), &folded, space(behind, literal.chars().next_back())].concat()
}
