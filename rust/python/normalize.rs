//! `PathPolicy` and `TextPolicy`.

use std::borrow::Cow;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::args::type_name;
use crate::path::{self, DotSegments, EncodedSlash, PathPolicy, TrailingSlash};
use crate::router::Normalize;
use crate::text::{self, Form, TextPolicy};

/// How a raw HTTP path becomes the text that routes are matched against.
#[pyclass(frozen, eq, name = "PathPolicy", module = "fastcascade._core")]
#[derive(Clone, Copy, PartialEq)]
pub struct PyPathPolicy(PathPolicy);

#[pymethods]
impl PyPathPolicy {
    #[new]
    #[pyo3(signature = (*, trailing_slash = "keep", encoded_slash = "refuse", dot_segments = "resolve", merge_slashes = true))]
    fn new(trailing_slash: &str, encoded_slash: &str, dot_segments: &str, merge_slashes: bool) -> PyResult<Self> {
        Ok(Self(PathPolicy {
            trailing_slash: choose("trailing_slash", trailing_slash, &TRAILING_SLASH)?,
            encoded_slash: choose("encoded_slash", encoded_slash, &ENCODED_SLASH)?,
            dot_segments: choose("dot_segments", dot_segments, &DOT_SEGMENTS)?,
            merge_slashes,
        }))
    }

    fn normalize<'a>(&self, path: &'a str) -> PyResult<Cow<'a, str>> {
        Ok(path::normalize(path, &self.0)?)
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<((), Bound<'py, PyDict>)> {
        let settings = PyDict::new(py);
        settings.set_item("trailing_slash", name(self.0.trailing_slash, &TRAILING_SLASH))?;
        settings.set_item("encoded_slash", name(self.0.encoded_slash, &ENCODED_SLASH))?;
        settings.set_item("dot_segments", name(self.0.dot_segments, &DOT_SEGMENTS))?;
        settings.set_item("merge_slashes", self.0.merge_slashes)?;
        Ok(((), settings))
    }

    fn __repr__(&self) -> String {
        format!(
            "PathPolicy(trailing_slash={:?}, encoded_slash={:?}, dot_segments={:?}, merge_slashes={})",
            name(self.0.trailing_slash, &TRAILING_SLASH),
            name(self.0.encoded_slash, &ENCODED_SLASH),
            name(self.0.dot_segments, &DOT_SEGMENTS),
            python_bool(self.0.merge_slashes),
        )
    }
}

/// How free text is folded before it is matched.
#[pyclass(frozen, eq, name = "TextPolicy", module = "fastcascade._core")]
#[derive(Clone, Copy, PartialEq)]
pub struct PyTextPolicy(TextPolicy);

#[pymethods]
impl PyTextPolicy {
    #[new]
    #[pyo3(signature = (*, form = "nfkc", fold_case = true, collapse_space = true))]
    fn new(form: &str, fold_case: bool, collapse_space: bool) -> PyResult<Self> {
        Ok(Self(TextPolicy { form: choose("form", form, &FORM)?, fold_case, collapse_space }))
    }

    fn normalize<'a>(&self, text: &'a str) -> Cow<'a, str> {
        text::fold(text, &self.0)
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<((), Bound<'py, PyDict>)> {
        let settings = PyDict::new(py);
        settings.set_item("form", name(self.0.form, &FORM))?;
        settings.set_item("fold_case", self.0.fold_case)?;
        settings.set_item("collapse_space", self.0.collapse_space)?;
        Ok(((), settings))
    }

    fn __repr__(&self) -> String {
        format!(
            "TextPolicy(form={:?}, fold_case={}, collapse_space={})",
            name(self.0.form, &FORM),
            python_bool(self.0.fold_case),
            python_bool(self.0.collapse_space),
        )
    }
}

/// What a router was given as `normalize`.
pub fn read(object: Option<&Bound<'_, PyAny>>) -> PyResult<Normalize> {
    let Some(object) = object else { return Ok(Normalize::Verbatim) };
    if let Ok(policy) = object.cast::<PyPathPolicy>() {
        return Ok(Normalize::Path(policy.get().0));
    }
    if let Ok(policy) = object.cast::<PyTextPolicy>() {
        return Ok(Normalize::Text(policy.get().0));
    }
    let name = type_name(object);
    Err(PyTypeError::new_err(format!("normalize is a PathPolicy, a TextPolicy or None, not {name}")))
}

const TRAILING_SLASH: [(&str, TrailingSlash); 2] = [("keep", TrailingSlash::Keep), ("strip", TrailingSlash::Strip)];
const ENCODED_SLASH: [(&str, EncodedSlash); 2] = [("refuse", EncodedSlash::Refuse), ("keep", EncodedSlash::Keep)];
const DOT_SEGMENTS: [(&str, DotSegments); 2] = [("resolve", DotSegments::Resolve), ("refuse", DotSegments::Refuse)];
const FORM: [(&str, Form); 3] = [("keep", Form::Keep), ("nfc", Form::Nfc), ("nfkc", Form::Nfkc)];

fn choose<T: Copy>(setting: &str, given: &str, choices: &[(&str, T)]) -> PyResult<T> {
    let found = choices.iter().find(|(name, _)| *name == given).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        PyValueError::new_err(format!("{setting} is {}, not {given:?}", names.join(" or ")))
    })
}

fn name<T: Copy + PartialEq>(value: T, choices: &[(&'static str, T)]) -> &'static str {
    choices.iter().find(|(_, choice)| *choice == value).map_or("", |(name, _)| name)
}

pub const fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
