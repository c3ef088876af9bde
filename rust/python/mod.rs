//! The binding: each class is a thin shell around the type of the same name, with no logic of its own.
//!
//! Every class is frozen, nothing calls back into Python while a lock is held, and what leaves a structure
//! is dropped after its lock. So the module needs no GIL.

// Python's protocol methods and constants have the names and arguments that the protocol gives them.
#![allow(clippy::unused_self, clippy::unnecessary_wraps, clippy::trivially_copy_pass_by_ref, non_upper_case_globals)]
// These types are seen from Python alone, where `__repr__` is what is printed; `_core.pyi` documents them.
#![allow(missing_debug_implementations, missing_docs, clippy::missing_errors_doc)]

mod args;
mod bench;
mod cache;
mod clock;
mod errors;
mod fastcall;
mod front;
mod key;
mod keyring;
mod limiter;
mod matched;
mod normalize;
mod patterns;
mod record;
mod router;
mod vectors;

use pyo3::prelude::*;

/// The compiled core of fastcascade.
#[pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use super::{
        bench::{measure_cache, measure_front, measure_limiter, measure_router},
        cache::{PyCache, PyCacheStats},
        clock::PyClock,
        front::{PyFastPath, PyRefused},
        key::PyKey,
        keyring::{PyIdentity, PyKeyRing},
        limiter::{PyQuota, PyRateLimiter},
        matched::PyStep,
        normalize::{PyPathPolicy, PyTextPolicy},
        patterns::PyPatternSet,
        router::PyRouter,
        vectors::{PyVectorSet, cosine},
    };

    use pyo3::prelude::*;

    use super::record::class;
    use super::{cache, fastcall::install, front, keyring, limiter, matched, router};

    /// The calls made for every request are installed the short way.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        module.add("Match", class::<matched::PyMatch>(py)?)?;
        module.add("Hit", class::<front::PyHit>(py)?)?;
        module.add("Routed", class::<front::PyRouted>(py)?)?;
        install::<router::Match>(py)?;
        install::<router::Lookup>(py)?;
        install::<router::MatchMany>(py)?;
        install::<cache::Get>(py)?;
        install::<limiter::Admit>(py)?;
        install::<keyring::Identify>(py)?;
        install::<front::Take>(py)
    }

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    /// Whether the extension was built without optimization: then no figure it gives means anything.
    #[pymodule_export]
    const DEBUG_BUILD: bool = cfg!(debug_assertions);
}
