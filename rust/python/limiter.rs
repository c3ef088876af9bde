//! `Quota` and `RateLimiter`.

use std::ffi::CStr;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString};

use super::args::{Seconds, number};
use super::clock::{PyClock, or_system};
use super::errors::ConfigError;
use super::fastcall::{Args, FastMethod, Signature, needed};
use super::key::AnyKey;
use crate::bucket::{Admission, Limiter, Quota, QuotaError};
use crate::clock::Clock;
use crate::ids::Nanos;

/// What a client is allowed.
#[pyclass(frozen, eq, name = "Quota", module = "fastcascade._core")]
#[derive(Clone, Copy, PartialEq)]
pub struct PyQuota {
    #[pyo3(get)]
    n: f64,
    #[pyo3(get)]
    per: f64,
    #[pyo3(get)]
    burst: f64,
    quota: Quota,
}

#[pymethods]
impl PyQuota {
    #[new]
    #[pyo3(signature = (n, per = None, burst = None), text_signature = "(n, per='second', burst=None)")]
    fn new(n: f64, per: Option<&Bound<'_, PyAny>>, burst: Option<f64>) -> PyResult<Self> {
        let per = per.map_or(Ok(Nanos(1_000_000_000)), read_period)?;
        let burst = burst.unwrap_or(n);
        let quota = Quota::new(n, per, burst).map_err(|error| {
            ConfigError::new_err(match error {
                QuotaError::Amount => format!("a quota is a finite number above zero per period, not {n}"),
                QuotaError::Period => "a quota's period is a finite time above zero".to_owned(),
                QuotaError::Burst => format!("a quota's burst is a finite number above zero, not {burst}"),
                QuotaError::TooSlow => format!(
                    "a bucket of {burst} would take more than a century to fill; allow more, or a smaller burst"
                ),
            })
        })?;
        Ok(Self { n, per: per.as_secs(), burst, quota })
    }

    fn __getnewargs__(&self) -> (f64, f64, f64) {
        (self.n, self.per, self.burst)
    }

    fn __hash__(&self) -> u64 {
        self.n.to_bits() ^ self.per.to_bits().rotate_left(21) ^ self.burst.to_bits().rotate_left(42)
    }

    fn __repr__(&self) -> String {
        format!("Quota({}, per={}, burst={})", self.n, self.per, self.burst)
    }
}

fn read_period(per: &Bound<'_, PyAny>) -> PyResult<Nanos> {
    let Ok(name) = per.cast::<PyString>() else { return per.extract::<Seconds>().map(|seconds| seconds.0) };
    let seconds = match name.to_str()? {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        other => {
            let message =
                format!("per is \"second\", \"minute\", \"hour\", \"day\" or a number of seconds, not {other:?}");
            return Err(ConfigError::new_err(message));
        }
    };
    Ok(Nanos(seconds * 1_000_000_000))
}

/// A token bucket per client.
#[pyclass(frozen, name = "RateLimiter", module = "fastcascade._core")]
pub struct PyRateLimiter {
    pub limiter: Limiter,
    pub clock: Clock,
    quota: PyQuota,
}

#[pymethods]
impl PyRateLimiter {
    #[new]
    #[pyo3(signature = (quota, *, max_clients = 1_000_000, clock = None))]
    fn new(quota: &Bound<'_, PyQuota>, max_clients: usize, clock: Option<Bound<'_, PyClock>>) -> PyResult<Self> {
        if max_clients == 0 {
            return Err(ConfigError::new_err("max_clients is 0; a limiter must remember at least one client"));
        }
        let quota = *quota.get();
        Ok(Self { limiter: Limiter::new(quota.quota, max_clients), clock: or_system(clock), quota })
    }

    fn settle(&self, client: AnyKey, reserved: f64, used: f64) -> PyResult<()> {
        check_tokens("reserved", reserved)?;
        check_tokens("used", used)?;
        self.limiter.settle(client.0, reserved, used, self.clock.precise());
        Ok(())
    }

    fn available(&self, client: AnyKey) -> f64 {
        self.limiter.available(client.0, self.clock.precise())
    }

    #[getter]
    fn quota(&self) -> PyQuota {
        self.quota
    }

    #[getter]
    fn memory(&self) -> usize {
        self.limiter.memory()
    }

    fn __len__(&self) -> usize {
        self.limiter.len()
    }

    fn __repr__(&self) -> String {
        format!("<RateLimiter {} for {} clients>", self.quota.__repr__(), self.limiter.len())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a RateLimiter cannot be pickled; each process has its own"))
    }
}

/// `RateLimiter.admit`.
pub struct Admit;

impl FastMethod for Admit {
    type Class = PyRateLimiter;
    const NAME: &'static CStr = c"admit";
    const DOC: &'static CStr =
        c"admit($self, client, cost=1.0)\n--\n\n0.0 when admitted; else the seconds to wait, and nothing was taken.";

    #[inline]
    fn call<'py>(this: &PyRateLimiter, py: Python<'py>, args: Args<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
        const SIGNATURE: Signature<2> = Signature { names: ["client", "cost"], required: 1, positional: 2 };
        let [client, cost] = args.read(&SIGNATURE)?;
        let client = needed(client)?.extract::<AnyKey>()?;
        let cost = cost.map_or(Ok(1.0), |cost| number(&cost, "cost"))?;
        check_tokens("cost", cost)?;
        let wait = match this.limiter.admit(client.0, cost, this.clock.precise()) {
            Admission::Admitted => 0.0,
            Admission::Wait(wait) => wait.as_secs(),
            Admission::Never => f64::INFINITY,
        };
        Ok(PyFloat::new(py, wait).into_any())
    }
}

fn check_tokens(what: &str, tokens: f64) -> PyResult<()> {
    if tokens >= 0.0 && tokens.is_finite() {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{what} is a finite number of tokens, zero or more, not {tokens}")))
}
