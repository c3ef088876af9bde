//! `FastPath`, and the three things it can say.

use std::borrow::Cow;
use std::ffi::CStr;

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple, PyType};
use pyo3::{IntoPyObjectExt, ffi};

use super::args::{Secret, type_name};
use super::cache::PyCache;
use super::errors::ConfigError;
use super::fastcall::{Args, FastMethod, Object, Signature, given, needed, text};
use super::key::PyKey;
use super::keyring::{Held, PyIdentity, PyKeyRing};
use super::limiter::PyRateLimiter;
use super::matched::{Located, PyMatch};
use super::record::{self, Getter, Record};
use super::router::{PyRouter, Table, Target};
use crate::clock::Clock;
use crate::front::{Ask, Decision, Front, Refusal};
use crate::ids::Nanos;
use crate::key::Digest;

/// Identify, cache, match and admit in one call.
#[pyclass(frozen, generic, name = "FastPath", module = "fastcascade._core")]
pub struct PyFastPath {
    router: Py<PyRouter>,
    cache: Option<Py<PyCache>>,
    keys: Option<Py<PyKeyRing>>,
    limiter: Option<Py<PyRateLimiter>>,
    clock: Clock,
}

#[pymethods]
impl PyFastPath {
    #[new]
    #[pyo3(signature = (router, cache = None, keys = None, limiter = None))]
    fn new(
        router: Py<PyRouter>,
        cache: Option<Py<PyCache>>,
        keys: Option<Py<PyKeyRing>>,
        limiter: Option<Py<PyRateLimiter>>,
    ) -> PyResult<Self> {
        let clocks = [
            cache.as_ref().map(|cache| &cache.get().clock),
            keys.as_ref().map(|keys| &keys.get().clock),
            limiter.as_ref().map(|limiter| &limiter.get().clock),
        ];
        let clock = clocks.iter().flatten().next().map_or(Clock::System, |clock| Clock::clone(clock));
        if !clocks.into_iter().flatten().all(|other| other.is_same(&clock)) {
            return Err(ConfigError::new_err(
                "cache, keys and limiter go by different clocks; give all of them the same",
            ));
        }
        Ok(Self { router, cache, keys, limiter, clock })
    }

    #[getter]
    fn router(&self, py: Python<'_>) -> Py<PyRouter> {
        self.router.clone_ref(py)
    }

    #[getter]
    fn cache(&self, py: Python<'_>) -> Option<Py<PyCache>> {
        self.cache.as_ref().map(|cache| cache.clone_ref(py))
    }

    #[getter]
    fn keys(&self, py: Python<'_>) -> Option<Py<PyKeyRing>> {
        self.keys.as_ref().map(|keys| keys.clone_ref(py))
    }

    #[getter]
    fn limiter(&self, py: Python<'_>) -> Option<Py<PyRateLimiter>> {
        self.limiter.as_ref().map(|limiter| limiter.clone_ref(py))
    }

    fn __repr__(&self) -> String {
        let part = |name: &str, there: bool| if there { format!(", {name}") } else { String::new() };
        let parts = [
            part("cache", self.cache.is_some()),
            part("keys", self.keys.is_some()),
            part("limiter", self.limiter.is_some()),
        ];
        format!("<FastPath of router{}>", parts.concat())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.router)?;
        visit.call(&self.cache)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a FastPath cannot be pickled; build it from its parts in each process"))
    }
}

impl PyFastPath {
    pub fn front<'a>(&'a self, table: &'a Table) -> Front<'a, Target, Object, Held> {
        Front {
            router: table,
            cache: self.cache.as_ref().map(|cache| &cache.get().cache),
            keys: self.keys.as_ref().map(|keys| &keys.get().ring),
            limiter: self.limiter.as_ref().map(|limiter| &limiter.get().limiter),
            clock: &self.clock,
        }
    }

    pub fn table(&self) -> arc_swap::Guard<std::sync::Arc<Table>> {
        self.router.get().table.load()
    }
}

/// `FastPath.take`.
pub struct Take;

impl FastMethod for Take {
    type Class = PyFastPath;
    const NAME: &'static CStr = c"take";
    const DOC: &'static CStr =
        c"take($self, path, method='GET', credential=None, client=None, *, vary=None)\n--\n\nDecide one request.";

    #[inline]
    fn call<'py>(this: &PyFastPath, py: Python<'py>, args: Args<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
        const SIGNATURE: Signature<5> =
            Signature { names: ["path", "method", "credential", "client", "vary"], required: 1, positional: 4 };
        let [path, method, credential, client, vary] = args.read(&SIGNATURE)?;
        let raw = needed(path)?;
        let credential = given(credential).map(Borrowed::extract::<Secret<'_, '_>>).transpose()?;
        let ask = Ask {
            path: text(raw, "path")?,
            method: given(method).map_or(Ok("GET"), |method| text(method, "method"))?,
            credential: credential.as_ref().map(Secret::as_bytes).transpose()?,
            client: given(client).map(|client| text(client, "client")).transpose()?,
            vary: given(vary).map(read_vary).transpose()?,
        };
        let table = this.table();
        let (decision, identity) = this.front(&table).take(
            ask,
            |value| Object::new(value.get().clone_ref(py)),
            |identity| identity.clone_ref(py),
        );
        let identity = identity.map(|held| held.0);
        match decision {
            Decision::Hit(value) => record::new(py, PyHit { value: value.into_inner(), identity }),
            Decision::Routed { found, path, key, stale } => {
                let raw = raw.cast::<PyString>()?;
                let located = table.locate(found, path, &raw)?;
                let stale = stale.map(Object::into_inner);
                record::new(py, PyRouted { located, identity, key, stale })
            }
            Decision::Refused(refusal) => Ok(Bound::new(py, PyRefused::new(refusal, &table, identity))?.into_any()),
        }
    }
}

fn read_vary(vary: Borrowed<'_, '_, PyAny>) -> PyResult<Digest> {
    match vary.cast::<PyKey>() {
        Ok(key) => Ok(key.get().0),
        Err(_) => Err(PyTypeError::new_err(format!("vary is a Key, not {}", type_name(&vary)))),
    }
}

/// The answer was in the cache.
pub struct PyHit {
    value: Py<PyAny>,
    identity: Option<Py<PyIdentity>>,
}

impl Record for PyHit {
    const NAME: &'static CStr = c"fastcascade._core.Hit";
    const DOC: &'static CStr = c"The answer was in the cache.";
    const MATCH_ARGS: &'static [&'static str] = &["value"];
    const FIELDS: &'static [(&'static CStr, Getter<Self>)] = &[
        (c"value", |this, py| Ok(this.value.bind(py).clone())),
        (c"identity", |this, py| Ok(or_nothing(py, this.identity.as_ref()))),
    ];

    fn class_cell() -> &'static PyOnceLock<Py<PyType>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        &CLASS
    }

    fn repr(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Hit({})", self.value.bind(py).repr()?))
    }

    fn visit(&self, visit: &mut dyn FnMut(*mut ffi::PyObject)) {
        visit(self.value.as_ptr());
    }

    fn release(self, py: Python<'_>) {
        self.value.drop_ref(py);
        self.identity.into_iter().for_each(|identity| identity.drop_ref(py));
    }
}

/// The request may pass.
pub struct PyRouted {
    located: Located,
    identity: Option<Py<PyIdentity>>,
    key: Option<Digest>,
    stale: Option<Py<PyAny>>,
}

impl Record for PyRouted {
    const NAME: &'static CStr = c"fastcascade._core.Routed";
    const DOC: &'static CStr = c"The request may pass: where it goes, and the key to keep its answer under.";
    const MATCH_ARGS: &'static [&'static str] = &["target", "params", "by"];
    const FIELDS: &'static [(&'static CStr, Getter<Self>)] = &[
        (c"target", |this, py| Ok(this.located.target(py).into_bound(py))),
        (c"params", |this, py| Ok(this.located.params(py)?.into_any())),
        (c"by", |this, py| Ok(this.located.by(py).clone().into_any())),
        (c"match", |this, py| record::new(py, PyMatch(this.located.clone_ref(py)))),
        (c"identity", |this, py| Ok(or_nothing(py, this.identity.as_ref()))),
        (c"key", |this, py| this.key.map(PyKey).into_bound_py_any(py)),
        (c"stale", |this, py| Ok(or_nothing(py, this.stale.as_ref()))),
    ];

    fn class_cell() -> &'static PyOnceLock<Py<PyType>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        &CLASS
    }

    fn repr(&self, py: Python<'_>) -> PyResult<String> {
        let (target, params) = (self.located.target(py), self.located.params(py)?);
        let by = self.located.by(py);
        Ok(format!("Routed(target={}, params={}, by='{by}')", target.bind(py).repr()?, params.repr()?))
    }

    fn visit(&self, visit: &mut dyn FnMut(*mut ffi::PyObject)) {
        self.located.visit(visit);
        self.stale.iter().for_each(|stale| visit(stale.as_ptr()));
    }

    fn release(self, py: Python<'_>) {
        self.located.release(py);
        self.identity.into_iter().for_each(|identity| identity.drop_ref(py));
        self.stale.into_iter().for_each(|stale| stale.drop_ref(py));
    }
}

fn or_nothing<'py, T>(py: Python<'py>, object: Option<&Py<T>>) -> Bound<'py, PyAny> {
    object.map_or_else(|| py.None().into_bound(py), |object| object.bind(py).as_any().clone())
}

/// The request ends here.
#[pyclass(frozen, name = "Refused", module = "fastcascade._core")]
pub struct PyRefused {
    #[pyo3(get)]
    status: u16,
    reason: Cow<'static, str>,
    retry_after: Option<Nanos>,
    never: bool,
    allow: Vec<String>,
    #[pyo3(get)]
    identity: Option<Py<PyIdentity>>,
}

impl PyRefused {
    fn new(refusal: Refusal, table: &Table, identity: Option<Py<PyIdentity>>) -> Self {
        let mut refused = Self {
            status: refusal.status(),
            reason: refusal.reason(),
            retry_after: None,
            never: false,
            allow: Vec::new(),
            identity,
        };
        match refusal {
            Refusal::Limited(Some(wait)) => refused.retry_after = Some(wait),
            Refusal::Limited(None) => refused.never = true,
            Refusal::WrongMethod(allowed) => {
                refused.allow = table.methods().names(allowed).into_iter().map(str::to_owned).collect();
            }
            _ => {}
        }
        refused
    }
}

#[pymethods]
impl PyRefused {
    #[classattr]
    const __match_args__: (&'static str, &'static str) = ("status", "reason");

    #[getter]
    fn reason(&self) -> &str {
        &self.reason
    }

    #[getter]
    fn retry_after(&self) -> Option<f64> {
        if self.never { Some(f64::INFINITY) } else { self.retry_after.map(Nanos::as_secs) }
    }

    #[getter]
    fn allow<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.allow)
    }

    fn __repr__(&self) -> String {
        format!("Refused({}, {:?})", self.status, self.reason)
    }
}
