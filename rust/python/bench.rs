//! The same calls timed from inside, without the crossing: what `fastcascade bench` shows beside its own.
//!
//! Each function takes the inputs, times every call on its own, and returns nanoseconds, the cost of reading
//! the clock not yet taken off; `rounds` empty pairs of readings come first, to know that cost by.

use std::hint::black_box;
use std::time::Instant;

use pyo3::prelude::*;

use super::cache::PyCache;
use super::front::PyFastPath;
use super::limiter::PyRateLimiter;
use super::router::PyRouter;
use crate::front::Ask;
use crate::key;
use crate::method::MethodSet;

type Samples = (Vec<u32>, Vec<u32>);

/// Time `Router::find`.
#[pyfunction]
pub fn measure_router(router: &Bound<'_, PyRouter>, paths: Vec<String>) -> Samples {
    let table = router.get().table.load();
    measure(&paths, |path| table.find(path, MethodSet::GET).map(|found| found.route))
}

/// Time `Cache::get`, key digested and lock taken.
#[pyfunction]
pub fn measure_cache(py: Python<'_>, cache: &Bound<'_, PyCache>, keys: Vec<String>) -> Samples {
    let cache = cache.get();
    measure(&keys, |key| {
        cache.cache.lock().get(key::text(key), || cache.clock.coarse(), |value| value.get().clone_ref(py))
    })
}

/// Time `Limiter::admit`, client digested and clock read.
#[pyfunction]
pub fn measure_limiter(limiter: &Bound<'_, PyRateLimiter>, clients: Vec<String>) -> Samples {
    let limiter = limiter.get();
    measure(&clients, |client| limiter.limiter.admit(key::text(client), 1.0, limiter.clock.precise()))
}

/// Time `Front::take` for (path, credential) pairs.
#[pyfunction]
pub fn measure_front(py: Python<'_>, front: &Bound<'_, PyFastPath>, requests: Vec<(String, String)>) -> Samples {
    let front = front.get();
    let table = front.table();
    measure(&requests, |(path, credential)| {
        let ask = Ask { path, method: "GET", credential: Some(credential.as_bytes()), client: None, vary: None };
        front.front(&table).take(ask, |value| value.get().clone_ref(py), |identity| identity.clone_ref(py)).1.is_some()
    })
}

fn measure<I, R>(inputs: &[I], mut call: impl FnMut(&I) -> R) -> Samples {
    let empty = inputs.iter().map(|_| time(|| ())).collect();
    let calls = inputs.iter().map(|input| time(|| black_box(call(black_box(input))))).collect();
    (empty, calls)
}

#[inline]
fn time<R>(call: impl FnOnce() -> R) -> u32 {
    let start = Instant::now();
    let result = call();
    let nanos = start.elapsed().as_nanos();
    drop(result);
    u32::try_from(nanos).unwrap_or(u32::MAX)
}
