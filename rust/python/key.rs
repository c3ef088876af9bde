//! `Key`, and whatever else may stand for one.

use pyo3::exceptions::{PyRecursionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::args::type_name;
use super::fastcall::small_int;
use crate::key::{self, Digest, Parts};

/// A 128-bit keyed digest over exactly what an answer depends on.
#[pyclass(frozen, eq, hash, name = "Key", module = "fastcascade._core")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PyKey(pub Digest);

#[pymethods]
impl PyKey {
    #[new]
    #[pyo3(signature = (*parts))]
    fn new(parts: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let mut digest = Parts::default();
        digest.sequence(parts.len());
        let mut writer = Writer { left: MOST };
        parts.iter_borrowed().try_for_each(|part| writer.write(&mut digest, &part, 0))?;
        Ok(Self(digest.finish()))
    }

    /// The digest itself is not shown: it says nothing outside the process, and inside it stays a secret.
    fn __repr__(&self) -> &'static str {
        "<Key>"
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Key cannot be pickled: its digest means nothing in another process"))
    }
}

/// A key as Python may give it: text, bytes, a number, a tuple, or a `Key`.
pub struct AnyKey(pub Digest);

impl<'py> FromPyObject<'_, 'py> for AnyKey {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.cast::<PyString>() {
            return Ok(Self(key::text(text.to_str()?)));
        }
        rare(&object).map(Self)
    }
}

#[inline(never)]
fn rare(object: &Bound<'_, PyAny>) -> PyResult<Digest> {
    if let Ok(key) = object.cast::<PyKey>() {
        return Ok(key.get().0);
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(key::bytes(bytes.as_bytes()));
    }
    if object.is_exact_instance_of::<PyInt>()
        && let Some(int) = small_int(object)
    {
        return Ok(key::int(int));
    }
    if !object.is_instance_of::<PyTuple>() && !object.is_instance_of::<PyInt>() {
        let name = type_name(object);
        return Err(PyTypeError::new_err(format!("a key is a str, bytes, int, tuple or Key, not {name}")));
    }
    let mut parts = Parts::default();
    Writer { left: MOST }.write(&mut parts, object, 0)?;
    Ok(parts.finish())
}

/// Deep enough for any request body, shallow enough for any stack.
const DEEPEST: usize = 100;
/// More parts than any request body has; a list that holds itself many times over would have more than atoms.
const MOST: usize = 1_000_000;

/// Writes Python objects as parts, within bounds.
struct Writer {
    left: usize,
}

impl Writer {
    fn write(&mut self, parts: &mut Parts, object: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
        if depth > DEEPEST {
            return Err(PyRecursionError::new_err(format!("a key's parts are nested deeper than {DEEPEST}")));
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            PyValueError::new_err(format!("a key has more than {MOST} parts; digest the large ones to bytes first"))
        })?;
        if let Ok(tuple) = object.cast::<PyTuple>() {
            parts.sequence(tuple.len());
            tuple.iter_borrowed().try_for_each(|item| self.write(parts, &item, depth + 1))
        } else if let Ok(list) = object.cast::<PyList>() {
            // A copy: what runs in between could change the list.
            let tuple = list.to_tuple();
            parts.sequence(tuple.len());
            tuple.iter_borrowed().try_for_each(|item| self.write(parts, &item, depth + 1))
        } else if let Ok(dict) = object.cast::<PyDict>() {
            self.write_dict(parts, dict, depth)
        } else {
            write_plain(parts, object)
        }
    }

    /// Pairs are put in the order of their keys' digests: one order whatever the dict's, and no comparison in
    /// Python.
    fn write_dict(&mut self, parts: &mut Parts, dict: &Bound<'_, PyDict>, depth: usize) -> PyResult<()> {
        let mut digest = |object: &Bound<'_, PyAny>| {
            let mut parts = Parts::default();
            self.write(&mut parts, object, depth + 1).map(|()| parts.finish())
        };
        let mut pairs = Vec::with_capacity(dict.len());
        // A copy: what runs in between could change the dict.
        for pair in dict.items() {
            let (key, value) = pair.extract()?;
            pairs.push((digest(&key)?, digest(&value)?));
        }
        pairs.sort_unstable_by_key(|(key, _)| key.to_bytes());
        parts.mapping(pairs.len());
        for (key, value) in pairs {
            parts.digest(key);
            parts.digest(value);
        }
        Ok(())
    }
}

fn write_plain(parts: &mut Parts, object: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(text) = object.cast::<PyString>() {
        parts.text(text.to_str()?);
    } else if let Ok(value) = object.cast::<PyBool>() {
        parts.bool(value.is_true());
    } else if object.is_instance_of::<PyInt>() {
        // In hexadecimal there is no limit to the number of digits.
        parts.int(object.call_method0("__int__")?.call_method1("__format__", ("x",))?.extract()?);
    } else if let Ok(value) = object.cast::<PyFloat>() {
        parts.float(value.value());
    } else if object.is_none() {
        parts.none();
    } else if let Ok(bytes) = object.cast::<PyBytes>() {
        parts.bytes(bytes.as_bytes());
    } else if let Ok(key) = object.cast::<PyKey>() {
        parts.digest(key.get().0);
    } else {
        let name = type_name(object);
        return Err(PyTypeError::new_err(format!(
            "a key's part is a str, bytes, int, float, bool, None, tuple, list, dict or Key, not {name}"
        )));
    }
    Ok(())
}
