//! `Cache` and `CacheStats`.

use std::ffi::CStr;

use parking_lot::Mutex;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::args::Seconds;
use super::clock::{PyClock, or_system};
use super::errors::ConfigError;
use super::fastcall::{Args, FastMethod, Object, Signature, needed, or_none};
use super::key::AnyKey;
use super::router::read_texts;
use crate::cache::{Cache, Counters, Limits, Lookup};
use crate::clock::Clock;
use crate::eviction::PolicyName;
use crate::ids::Nanos;

/// A bounded cache of Python objects.
#[pyclass(frozen, generic, name = "Cache", module = "fastcascade._core")]
pub struct PyCache {
    pub cache: Mutex<Cache<Object>>,
    pub clock: Clock,
}

#[pymethods]
impl PyCache {
    #[new]
    #[pyo3(
        signature = (max_items = None, max_weight = None, ttl = None, stale_for = Seconds(Nanos(0)), policy = "lru", *, clock = None),
        text_signature = "(max_items=None, max_weight=None, ttl=None, stale_for=0.0, policy='lru', *, clock=None)"
    )]
    fn new(
        max_items: Option<usize>,
        max_weight: Option<u64>,
        ttl: Option<Seconds>,
        stale_for: Seconds,
        policy: &str,
        clock: Option<Bound<'_, PyClock>>,
    ) -> PyResult<Self> {
        if max_items.is_none() && max_weight.is_none() {
            return Err(ConfigError::new_err("a cache needs a bound: give max_items, max_weight or both"));
        }
        let Some(policy) = PolicyName::from_name(policy) else {
            let names = PolicyName::ALL.map(|policy| format!("{:?}", policy.name())).join(" or ");
            return Err(ConfigError::new_err(format!("policy is {names}, not {policy:?}")));
        };
        let limits = Limits {
            max_items: max_items.unwrap_or(usize::MAX),
            max_weight: max_weight.unwrap_or(u64::MAX),
            ttl: ttl.map(|ttl| ttl.0),
            stale_for: stale_for.0,
        };
        Ok(Self { cache: Mutex::new(Cache::new(limits, policy)), clock: or_system(clock) })
    }

    fn peek<'py>(&self, py: Python<'py>, key: AnyKey) -> Option<(Py<PyAny>, Bound<'py, PyString>)> {
        let found = self.cache.lock().peek(key.0, || self.clock.coarse(), |value| value.get().clone_ref(py));
        match found {
            Lookup::Fresh(value) => Some((value, pyo3::intern!(py, "fresh").clone())),
            Lookup::Stale(value) => Some((value, pyo3::intern!(py, "stale").clone())),
            Lookup::Miss => None,
        }
    }

    #[pyo3(
        signature = (key, value, ttl = None, weight = 1, tags = None),
        text_signature = "($self, key, value, ttl=None, weight=1, tags=())"
    )]
    fn put(
        &self,
        key: AnyKey,
        value: Py<PyAny>,
        ttl: Option<Seconds>,
        weight: u32,
        tags: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let tags = tags.map_or(Ok(None), |tags| read_texts(tags, "tags"))?.unwrap_or_default();
        let terms = (ttl.map(|ttl| ttl.0), weight);
        let names = tags.iter().map(String::as_str);
        let (kept, gone) = self.cache.lock().put(key.0, Object::new(value), terms, names, || self.clock.coarse());
        drop(gone);
        Ok(kept)
    }

    fn remove(&self, key: AnyKey) -> bool {
        let gone = self.cache.lock().remove(key.0);
        gone.is_some()
    }

    fn invalidate(&self, tag: &str) -> usize {
        let gone = self.cache.lock().invalidate(tag);
        gone.len()
    }

    fn clear(&self) {
        let gone = self.cache.lock().clear();
        drop(gone);
    }

    fn stats(&self) -> PyCacheStats {
        let cache = self.cache.lock();
        PyCacheStats { counters: cache.counters(), items: cache.len(), weight: cache.weight(), memory: cache.memory() }
    }

    fn __len__(&self) -> usize {
        self.cache.lock().len()
    }

    fn __contains__(&self, key: AnyKey) -> bool {
        let found = self.cache.lock().peek(key.0, || self.clock.coarse(), |_| ());
        matches!(found, Lookup::Fresh(()))
    }

    fn __repr__(&self) -> String {
        let stats = self.stats();
        format!("<Cache of {} items, {:.1} % hits>", stats.items, stats.hit_ratio() * 100.0)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Nobody runs Python while holding the lock, so it is free whenever the collector runs.
        let Some(cache) = self.cache.try_lock() else { return Ok(()) };
        cache.values().try_for_each(|value| visit.call(value.get()))
    }

    fn __clear__(&self) {
        self.clear();
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Cache cannot be pickled; each process has its own"))
    }
}

/// `Cache.get`.
pub struct Get;

impl FastMethod for Get {
    type Class = PyCache;
    const NAME: &'static CStr = c"get";
    const DOC: &'static CStr = c"get($self, key, default=None)\n--\n\nThe value while it is fresh; counts as a use.";

    #[inline]
    fn call<'py>(this: &PyCache, py: Python<'py>, args: Args<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
        const SIGNATURE: Signature<2> = Signature { names: ["key", "default"], required: 1, positional: 2 };
        let [key, default] = args.read(&SIGNATURE)?;
        let key = needed(key)?.extract::<AnyKey>()?;
        let (found, gone) = this.cache.lock().get(key.0, || this.clock.coarse(), |value| value.get().clone_ref(py));
        drop(gone);
        Ok(match found {
            Lookup::Fresh(value) => value.into_bound(py),
            Lookup::Stale(value) => {
                value.drop_ref(py);
                or_none(py, default)
            }
            Lookup::Miss => or_none(py, default),
        })
    }
}

/// Counters since the cache was made, and what it holds now.
#[pyclass(frozen, name = "CacheStats", module = "fastcascade._core")]
pub struct PyCacheStats {
    counters: Counters,
    #[pyo3(get)]
    items: usize,
    #[pyo3(get)]
    weight: u64,
    #[pyo3(get)]
    memory: usize,
}

#[pymethods]
impl PyCacheStats {
    #[getter]
    fn hits(&self) -> u64 {
        self.counters.hits
    }

    #[getter]
    fn stale(&self) -> u64 {
        self.counters.stale
    }

    #[getter]
    fn misses(&self) -> u64 {
        self.counters.misses
    }

    #[getter]
    fn puts(&self) -> u64 {
        self.counters.puts
    }

    #[getter]
    fn evictions(&self) -> u64 {
        self.counters.evictions
    }

    #[getter]
    fn expirations(&self) -> u64 {
        self.counters.expirations
    }

    #[getter]
    fn invalidations(&self) -> u64 {
        self.counters.invalidations
    }

    #[getter]
    fn hit_ratio(&self) -> f64 {
        let lookups = self.counters.hits + self.counters.stale + self.counters.misses;
        if lookups == 0 { 0.0 } else { self.counters.hits as f64 / lookups as f64 }
    }

    fn __repr__(&self) -> String {
        let Counters { hits, stale, misses, puts, evictions, expirations, invalidations } = self.counters;
        format!(
            "CacheStats(hits={hits}, stale={stale}, misses={misses}, puts={puts}, evictions={evictions}, \
             expirations={expirations}, invalidations={invalidations}, items={}, weight={}, memory={})",
            self.items, self.weight, self.memory
        )
    }
}
