//! `Router`.

use std::borrow::Cow;
use std::ffi::CStr;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyMapping, PyString, PyTuple};

use super::args::{number, type_name};
use super::errors::RouteError;
use super::fastcall::{Args, FastMethod, Signature, discard, given, needed, or_none, text};
use super::matched::{Located, NO_SPAN, PyMatch, PyStep, RouteInfo};
use super::{normalize, record};
use crate::ids::RouteId;
use crate::method::MethodSet;
use crate::pattern::PatternFlags;
use crate::prefix::Spans;
use crate::route::{Access, Pattern, Route, Share};
use crate::router::{By, Found, Normalize, Outcome, Router};

/// Where a route goes, and the match that is the same every time.
pub struct Target {
    object: Py<PyAny>,
    prepared: OnceLock<Prepared>,
}

/// What every match of a route shares, and the whole match of a route without params.
pub struct Prepared {
    info: Py<RouteInfo>,
    plain: Py<PyAny>,
}

pub type Table = Router<Target>;

impl Table {
    /// What all matches of a route share; made when it is first matched.
    pub fn prepared<'t>(&'t self, py: Python<'_>, route: RouteId, by: By) -> PyResult<&'t Prepared> {
        let target = self.target(route);
        if let Some(prepared) = target.prepared.get() {
            return Ok(prepared);
        }
        let names = PyTuple::new(py, self.names(route).iter().map(|name| PyString::intern(py, name)))?;
        let blank = PyDict::new(py);
        names.iter_borrowed().try_for_each(|name| blank.set_item(name, py.None()))?;
        let info = RouteInfo {
            target: target.object.clone_ref(py),
            by,
            route: PyString::new(py, self.text(route)).unbind(),
            names: names.unbind(),
            blank: blank.unbind(),
        };
        let info = Py::new(py, info)?;
        let plain = record::new(py, PyMatch(Located { info: info.clone_ref(py), params: None }))?.unbind();
        // Another thread may have been first; either will do.
        Ok(target.prepared.get_or_init(|| Prepared { info, plain }))
    }

    /// A route with its params in one path; `raw` is the path as Python has it.
    #[inline]
    pub fn locate(&self, found: Found, path: Cow<'_, str>, raw: &Bound<'_, PyString>) -> PyResult<Located> {
        let py = raw.py();
        let info = self.prepared(py, found.route, found.by)?.info.clone_ref(py);
        let spans = if found.by == By::Regex { self.group_spans(found.route, &path) } else { found.spans };
        let params = (!spans.is_empty()).then(|| {
            let path = match path {
                Cow::Borrowed(_) => raw.clone(),
                Cow::Owned(path) => PyString::new(py, &path),
            };
            (path.unbind(), spans)
        });
        Ok(Located { info, params })
    }

    /// Whether a match says more than its route does.
    pub fn has_params(&self, found: &Found) -> bool {
        !found.spans.is_empty() || (found.by == By::Regex && !self.names(found.route).is_empty())
    }

    fn group_spans(&self, route: RouteId, path: &str) -> Spans {
        if self.names(route).is_empty() {
            return Spans::new();
        }
        self.groups(route, path).into_iter().map(|span| span.unwrap_or(NO_SPAN)).collect()
    }
}

/// A compiled route table.
#[pyclass(frozen, generic, name = "Router", module = "fastcascade._core")]
pub struct PyRouter {
    pub table: ArcSwap<Table>,
}

#[pymethods]
impl PyRouter {
    #[new]
    #[pyo3(signature = (routes, *, normalize = None))]
    fn new(routes: &Bound<'_, PyAny>, normalize: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let normalize = normalize::read(normalize)?;
        Ok(Self { table: ArcSwap::from_pointee(build(routes, normalize)?) })
    }

    fn allowed<'py>(&self, py: Python<'py>, path: &str) -> PyResult<Bound<'py, PyTuple>> {
        let table = self.table.load();
        let path = table.normalize().apply(path)?;
        PyTuple::new(py, table.methods().names(table.allowed(&path)))
    }

    #[pyo3(signature = (path, method = None))]
    fn explain(&self, path: &str, method: Option<&str>) -> Vec<PyStep> {
        let table = self.table.load();
        let Ok(path) = table.normalize().apply(path) else {
            return vec![PyStep { matcher: "normalize", outcome: "refused", route: None }];
        };
        let steps = table.explain(&path, query(&table, method));
        let line = |step: crate::router::Step| {
            let (outcome, route) = match step.outcome {
                Outcome::Match(route) => ("match", Some(route)),
                Outcome::Miss => ("miss", None),
                Outcome::WrongMethod(route) => ("wrong method", Some(route)),
                Outcome::Empty => ("empty", None),
            };
            PyStep { matcher: step.matcher.name(), outcome, route: route.map(|route| table.text(route).to_owned()) }
        };
        steps.into_iter().map(line).collect()
    }

    fn replace(&self, routes: &Bound<'_, PyAny>) -> PyResult<()> {
        let normalize = *self.table.load().normalize();
        self.table.store(Arc::new(build(routes, normalize)?));
        Ok(())
    }

    #[getter]
    fn memory(&self) -> usize {
        self.table.load().memory()
    }

    fn __len__(&self) -> usize {
        self.table.load().len()
    }

    fn __repr__(&self) -> String {
        format!("<Router of {} routes>", self.table.load().len())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for target in self.table.load().targets() {
            visit.call(&target.object)?;
            let Some(prepared) = target.prepared.get() else { continue };
            visit.call(&prepared.info)?;
            visit.call(&prepared.plain)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        if let Ok(empty) = Router::build([], Normalize::Verbatim) {
            self.table.store(Arc::new(empty));
        }
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Router cannot be pickled; build it from its routes in each process"))
    }
}

fn query(table: &Table, method: Option<&str>) -> MethodSet {
    method.map_or(MethodSet::ANY, |method| table.methods().query(method))
}

/// The match of one path, None if there is none.
#[inline]
fn find_one<'py>(table: &Table, path: Borrowed<'_, 'py, PyAny>, method: MethodSet) -> PyResult<Bound<'py, PyAny>> {
    let py = path.py();
    let Ok(raw) = path.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!("a path is a str, not {}", type_name(&path))));
    };
    let path = table.normalize().apply(raw.to_str()?)?;
    if let Some(route) = table.find_exact(&path, method) {
        return Ok(table.prepared(py, route, By::Exact)?.plain.bind(py).clone());
    }
    match table.find_beyond_exact(&path, method) {
        Some(found) if !table.has_params(&found) => {
            Ok(table.prepared(py, found.route, found.by)?.plain.bind(py).clone())
        }
        Some(found) => record::new(py, PyMatch(table.locate(found, path, &raw)?)),
        None => Ok(or_none(py, None)),
    }
}

/// The matches of many paths: the exact table is asked for 32 at a time, the rest one by one.
fn find_many<'py>(table: &Table, paths: &[Bound<'py, PyAny>], method: MethodSet) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut found = Vec::with_capacity(paths.len());
    let (chunks, rest) = paths.as_chunks::<32>();
    for chunk in chunks {
        // What is no text is told by `find_one`, which is asked for whatever is not found here.
        let texts = chunk.each_ref().map(|path| {
            path.extract::<&str>().unwrap_or_else(|error| {
                discard(error);
                ""
            })
        });
        let exact = match table.normalize() {
            Normalize::Verbatim => table.find_exact_each(texts, method),
            _ => [None; 32],
        };
        for (path, route) in chunk.iter().zip(exact) {
            found.push(match route {
                Some(route) => table.prepared(path.py(), route, By::Exact)?.plain.bind(path.py()).clone(),
                None => find_one(table, path.as_borrowed(), method)?,
            });
        }
    }
    for path in rest {
        found.push(find_one(table, path.as_borrowed(), method)?);
    }
    Ok(found)
}

/// `Router.match`.
pub struct Match;

impl FastMethod for Match {
    type Class = PyRouter;
    const NAME: &'static CStr = c"match";
    const DOC: &'static CStr = c"match($self, path, method=None)\n--\n\nThe first route that matches, with its params.";

    #[inline]
    fn call<'py>(this: &PyRouter, _py: Python<'py>, args: Args<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
        let [path, method] = args.read(&PATH_METHOD)?;
        let table = this.table.load();
        find_one(&table, needed(path)?, read_method(&table, method)?)
    }
}

/// `Router.lookup`.
pub struct Lookup;

impl FastMethod for Lookup {
    type Class = PyRouter;
    const NAME: &'static CStr = c"lookup";
    const DOC: &'static CStr = c"lookup($self, path, method=None)\n--\n\nThe target alone, without a `Match`.";

    #[inline]
    fn call<'py>(this: &PyRouter, py: Python<'py>, args: Args<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
        let [path, method] = args.read(&PATH_METHOD)?;
        let table = this.table.load();
        let method = read_method(&table, method)?;
        let path = table.normalize().apply(text(needed(path)?, "path")?)?;
        let exact = table.find_exact(&path, method);
        let route = exact.or_else(|| table.find_beyond_exact(&path, method).map(|found| found.route));
        Ok(route.map_or_else(|| or_none(py, None), |route| table.target(route).object.bind(py).clone()))
    }
}

/// `Router.match_many`.
pub struct MatchMany;

impl FastMethod for MatchMany {
    type Class = PyRouter;
    const NAME: &'static CStr = c"match_many";
    const DOC: &'static CStr = c"match_many($self, paths, method=None)\n--\n\n`match` for every path, in one call.";

    fn call<'py>(this: &PyRouter, py: Python<'py>, args: Args<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
        let [paths, method] = args.read(&Signature { names: ["paths", "method"], ..PATH_METHOD })?;
        let (paths, table) = (needed(paths)?, this.table.load());
        let method = read_method(&table, method)?;
        if paths.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err("paths is a sequence of texts, not one text; write [path]"));
        }
        let paths: Vec<Bound<'py, PyAny>> = match paths.cast::<PyList>() {
            Ok(paths) => paths.iter().collect(),
            Err(_) => paths.try_iter()?.collect::<PyResult<_>>()?,
        };
        let found = find_many(&table, &paths, method)?;
        Ok(PyList::new(py, found)?.into_any())
    }
}

const PATH_METHOD: Signature<2> = Signature { names: ["path", "method"], required: 1, positional: 2 };

#[inline]
fn read_method(table: &Table, method: Option<Borrowed<'_, '_, PyAny>>) -> PyResult<MethodSet> {
    let method = given(method).map(|method| text(method, "method")).transpose()?;
    Ok(query(table, method))
}

/// A mapping of patterns to targets, or any iterable of `Route`; read one by one, so that a million routes
/// are never held twice.
fn build(routes: &Bound<'_, PyAny>, normalize: Normalize) -> PyResult<Table> {
    if let Ok(dict) = routes.cast::<PyDict>() {
        return Router::try_build(dict.iter().map(|(pattern, target)| read_pair(&pattern, target)), normalize);
    }
    if let Ok(mapping) = routes.cast::<PyMapping>() {
        let pairs = mapping.items()?;
        let read = |pair: Bound<'_, PyAny>| pair.extract().and_then(|(pattern, target)| read_pair(&pattern, target));
        return Router::try_build(pairs.iter().map(read), normalize);
    }
    let items = routes.try_iter().map_err(|_| {
        PyTypeError::new_err(format!("routes are a mapping or an iterable of Route, not {}", type_name(routes)))
    })?;
    Router::try_build(items.map(|item| read_route(&item?)), normalize)
}

fn read_pair<'py>(pattern: &Bound<'py, PyAny>, target: Bound<'py, PyAny>) -> PyResult<Route<Target>> {
    Ok(Route::new(read_pattern(pattern)?, Target { object: target.unbind(), prepared: OnceLock::new() }))
}

fn read_route(item: &Bound<'_, PyAny>) -> PyResult<Route<Target>> {
    let path = item.getattr("path").map_err(|_| {
        PyTypeError::new_err(format!("an iterable of routes holds Route objects, not {}", type_name(item)))
    })?;
    let mut route = read_pair(&path, item.getattr("target")?)?;
    if let Some(methods) = read_texts(&item.getattr("methods")?, "methods")? {
        route.methods = Some(methods);
    }
    route.access = Access {
        public: item.getattr("public")?.is_truthy()?,
        share: read_share(&item.getattr("share")?, &path)?,
        scopes: read_texts(&item.getattr("scopes")?, "scopes")?
            .unwrap_or_default()
            .into_iter()
            .map(Into::into)
            .collect(),
        cost: number(&item.getattr("cost")?, "a route's cost")?,
    };
    Ok(route)
}

fn read_share(share: &Bound<'_, PyAny>, path: &Bound<'_, PyAny>) -> PyResult<Share> {
    match share.extract::<&str>() {
        Ok("identity") => Ok(Share::Identity),
        Ok("tenant") => Ok(Share::Tenant),
        _ => {
            let (path, share) = (path.repr()?, share.repr()?);
            Err(RouteError::new_err(format!("route {path} has share={share}; it is \"identity\" or \"tenant\"")))
        }
    }
}

/// An iterable of texts; a single text is nearly always a mistake, and is taken for one.
pub fn read_texts(object: &Bound<'_, PyAny>, what: &str) -> PyResult<Option<Vec<String>>> {
    if object.is_none() {
        return Ok(None);
    }
    if object.is_instance_of::<PyString>() {
        let message = format!("{what} is a list of texts, not one text; write [{}]", object.repr()?);
        return Err(PyTypeError::new_err(message));
    }
    let wrong = |found: &Bound<'_, PyAny>, part: &str| {
        PyTypeError::new_err(format!("{what} is a list of texts, {part} {}", type_name(found)))
    };
    let items = object.try_iter().map_err(|_| wrong(object, "not"))?;
    let read = |item: PyResult<Bound<'_, PyAny>>| {
        let item = item?;
        let is_text = item.is_instance_of::<PyString>();
        item.extract().map_err(|error| if is_text { error } else { wrong(&item, "and one of them is") })
    };
    items.map(read).collect::<PyResult<_>>().map(Some)
}

/// A text, or a compiled regular expression with its flags.
pub fn read_pattern(object: &Bound<'_, PyAny>) -> PyResult<Pattern> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Pattern::Text(text.to_str()?.to_owned()));
    }
    let (Ok(pattern), Ok(flags)) = (object.getattr("pattern"), object.getattr("flags")) else {
        let name = type_name(object);
        return Err(PyTypeError::new_err(format!("a route's path is a str or a compiled pattern, not {name}")));
    };
    let Ok(text) = pattern.cast::<PyString>() else {
        return Err(PyTypeError::new_err("a route's pattern is compiled from bytes; compile it from a str"));
    };
    let flags: u32 = flags.extract()?;
    let has = |bit: u32| flags & bit != 0;
    // The values of re.IGNORECASE and its like, part of Python's documented interface for decades.
    let flags =
        PatternFlags { ignore_case: has(2), multi_line: has(8), dot_all: has(16), verbose: has(64), ascii: has(256) };
    Ok(Pattern::Regex(text.to_str()?.to_owned(), flags))
}
