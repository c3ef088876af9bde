//! What Python may pass: durations, clients and secrets, each read once into what the core takes.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDelta, PyString};

use super::fastcall::discard;
use crate::ids::Nanos;

/// Seconds as a number, or a `timedelta`.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub Nanos);

impl<'py> FromPyObject<'_, 'py> for Seconds {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let seconds: f64 = if object.is_instance_of::<PyDelta>() {
            object.call_method0("total_seconds")?.extract()?
        } else {
            object.extract().map_err(|_| {
                PyTypeError::new_err(format!(
                    "a duration is a number of seconds or a timedelta, not {}",
                    type_name(&object)
                ))
            })?
        };
        if seconds.is_nan() || seconds < 0.0 {
            return Err(PyValueError::new_err(format!("a duration is zero or more seconds, not {seconds}")));
        }
        Ok(Self(Nanos::from_secs(seconds)))
    }
}

/// A secret: text or bytes, read in place.
#[derive(Debug)]
pub enum Secret<'a, 'py> {
    /// Compared by its UTF-8.
    Text(Borrowed<'a, 'py, PyString>),
    /// As it is.
    Bytes(Borrowed<'a, 'py, PyBytes>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Secret<'a, 'py> {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.cast::<PyString>() {
            return Ok(Self::Text(text));
        }
        let bytes = object.cast::<PyBytes>();
        // The value is not shown: it may be a secret of the wrong type.
        let wrong = |_| PyTypeError::new_err(format!("a secret is str or bytes, not {}", type_name(&object)));
        bytes.map(Self::Bytes).map_err(wrong)
    }
}

impl Secret<'_, '_> {
    /// The bytes to hash.
    #[inline]
    pub fn as_bytes(&self) -> PyResult<&[u8]> {
        match self {
            // Python would quote the secret in its own error.
            Self::Text(text) => text.to_str().map(str::as_bytes).map_err(|error| {
                discard(error);
                PyValueError::new_err("the secret has a lone surrogate and so no UTF-8; pass it as bytes")
            }),
            Self::Bytes(bytes) => Ok(bytes.as_bytes()),
        }
    }
}

/// A number, named in the error.
#[inline]
pub fn number(object: &Bound<'_, PyAny>, what: &str) -> PyResult<f64> {
    object.extract().map_err(|error| {
        discard(error);
        PyTypeError::new_err(format!("{what} is a number, not {}", type_name(object)))
    })
}

/// The name of an object's type, for messages.
pub fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "an object".to_owned(), |name| name.to_string())
}
