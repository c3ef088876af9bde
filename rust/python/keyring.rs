//! `KeyRing` and `Identity`.

use std::ffi::CStr;
use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyFrozenSet, PyTzInfoAccess};

use super::args::{Seconds, Secret, type_name};
use super::clock::{PyClock, or_system};
use super::errors::CredentialError;
use super::fastcall::{Args, FastMethod, Signature, needed, or_none};
use super::router::read_texts;
use crate::clock::Clock;
use crate::ids::Nanos;
use crate::keyring::{Identity, KeyRing};

/// Who a credential belongs to.
#[pyclass(frozen, name = "Identity", module = "fastcascade._core")]
pub struct PyIdentity(Identity);

#[pymethods]
impl PyIdentity {
    #[classattr]
    const __match_args__: (&'static str, &'static str, &'static str) = ("name", "tenant", "scopes");

    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    #[getter]
    fn tenant(&self) -> Option<&str> {
        self.0.tenant()
    }

    #[getter]
    fn scopes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyFrozenSet>> {
        PyFrozenSet::new(py, self.0.scopes().iter().map(AsRef::<str>::as_ref))
    }

    fn __repr__(&self) -> String {
        let tenant = self.0.tenant().map_or_else(|| "None".to_owned(), |tenant| format!("{tenant:?}"));
        format!("Identity({:?}, tenant={tenant}, scopes={:?})", self.0.name(), self.0.scopes())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("an Identity cannot be pickled; ask the KeyRing of the process"))
    }
}

/// An identity on the ring: the Python object, which is also the core's.
pub struct Held(pub Py<PyIdentity>);

impl AsRef<Identity> for Held {
    fn as_ref(&self) -> &Identity {
        &self.0.get().0
    }
}

impl Held {
    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        Self(self.0.clone_ref(py))
    }
}

/// Credentials, kept only as keyed hashes.
#[pyclass(frozen, name = "KeyRing", module = "fastcascade._core")]
pub struct PyKeyRing {
    pub ring: KeyRing<Held>,
    pub clock: Clock,
}

#[pymethods]
impl PyKeyRing {
    #[new]
    #[pyo3(signature = (*, clock = None))]
    fn new(clock: Option<Bound<'_, PyClock>>) -> Self {
        Self { ring: KeyRing::default(), clock: or_system(clock) }
    }

    #[pyo3(
        signature = (secret, identity, scopes = None, tenant = None, expires = None),
        text_signature = "($self, secret, identity, scopes=(), tenant=None, expires=None)"
    )]
    fn add(
        &self,
        py: Python<'_>,
        secret: Secret<'_, '_>,
        identity: &str,
        scopes: Option<&Bound<'_, PyAny>>,
        tenant: Option<&str>,
        expires: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyIdentity>> {
        if identity.is_empty() {
            return Err(CredentialError::new_err("the identity is empty; a credential must belong to somebody"));
        }
        let scopes = scopes.map_or(Ok(None), |scopes| read_texts(scopes, "scopes"))?.unwrap_or_default();
        let now = self.clock.coarse();
        let ends = expires.map_or(Ok(Nanos::NEVER), |expires| read_expiry(expires).map(|left| now.plus(left)))?;
        let identity = Held(Py::new(py, PyIdentity(Identity::new(identity, tenant, scopes)))?);
        self.ring.add(secret.as_bytes()?, identity.clone_ref(py), ends, now)?;
        Ok(identity.0)
    }

    #[pyo3(signature = (old, new, grace = Seconds(Nanos(0))), text_signature = "($self, old, new, grace=0.0)")]
    fn rotate(
        &self,
        py: Python<'_>,
        old: Secret<'_, '_>,
        new: Secret<'_, '_>,
        grace: Seconds,
    ) -> PyResult<Option<Py<PyIdentity>>> {
        let now = self.clock.coarse();
        self.ring
            .rotate(old.as_bytes()?, new.as_bytes()?, now.plus(grace.0), now, |identity| identity.clone_ref(py))?;
        Ok(self.ring.identify(new.as_bytes()?, || now, |identity, _| identity.clone_ref(py).0))
    }

    fn remove(&self, secret: Secret<'_, '_>) -> PyResult<bool> {
        Ok(self.ring.remove(secret.as_bytes()?, self.clock.coarse()))
    }

    fn revoke(&self, identity: &str) -> usize {
        self.ring.revoke(identity, self.clock.coarse())
    }

    fn __len__(&self) -> usize {
        self.ring.len()
    }

    /// A ring is there even when it is empty: `keys or None` must not switch the guard off.
    fn __bool__(&self) -> bool {
        true
    }

    fn __repr__(&self) -> String {
        format!("<KeyRing of {} credentials>", self.ring.len())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a KeyRing cannot be pickled, so that no credential leaves the process"))
    }
}

/// `KeyRing.identify`.
pub struct Identify;

impl FastMethod for Identify {
    type Class = PyKeyRing;
    const NAME: &'static CStr = c"identify";
    const DOC: &'static CStr =
        c"identify($self, secret)\n--\n\nWhose secret it is; None when it is unknown or has expired.";

    #[inline]
    fn call<'py>(this: &PyKeyRing, py: Python<'py>, args: Args<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
        const SIGNATURE: Signature<1> = Signature { names: ["secret"], required: 1, positional: 1 };
        let [secret] = args.read(&SIGNATURE)?;
        let secret = needed(secret)?.extract::<Secret<'_, '_>>()?;
        let found =
            this.ring.identify(secret.as_bytes()?, || this.clock.coarse(), |identity, _| identity.clone_ref(py).0);
        Ok(found.map_or_else(|| or_none(py, None), |identity| identity.into_bound(py).into_any()))
    }
}

/// Time left: a duration as it is, a date by the machine's clock.
fn read_expiry(expires: &Bound<'_, PyAny>) -> PyResult<Nanos> {
    let Ok(date) = expires.cast::<PyDateTime>() else {
        let wrong = |error: PyErr| {
            let is_type = error.is_instance_of::<PyTypeError>(expires.py());
            let message =
                format!("expires is seconds from now, a timedelta or an aware datetime, not {}", type_name(expires));
            if is_type { PyTypeError::new_err(message) } else { error }
        };
        return expires.extract::<Seconds>().map(|left| left.0).map_err(wrong);
    };
    if date.get_tzinfo().is_none() {
        return Err(PyValueError::new_err(
            "expires has no time zone; pass an aware datetime, such as datetime.now(UTC)",
        ));
    }
    let ends: f64 = date.call_method0("timestamp")?.extract()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    Ok(Nanos::from_secs(ends - now))
}
