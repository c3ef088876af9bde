//! `PatternSet`.

use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::args::type_name;
use super::router::read_pattern;
use crate::ids::PatternId;
use crate::pattern::PatternSet;
use crate::route::Pattern;

/// Many regular expressions as one.
#[pyclass(frozen, name = "PatternSet", module = "fastcascade._core")]
pub struct PyPatternSet(PatternSet);

#[pymethods]
impl PyPatternSet {
    #[new]
    fn new(patterns: &Bound<'_, PyAny>) -> PyResult<Self> {
        let wrong = || {
            let name = type_name(patterns);
            PyTypeError::new_err(format!("patterns is a list of texts and compiled patterns, not {name}"))
        };
        if patterns.is_instance_of::<PyString>() {
            let message = format!("patterns is a list, not one text; write [{}]", patterns.repr()?);
            return Err(PyTypeError::new_err(message));
        }
        let mut all = Vec::new();
        for item in patterns.try_iter().map_err(|_| wrong())? {
            match read_pattern(&item?)? {
                Pattern::Text(text) => all.push((text, crate::pattern::PatternFlags::default())),
                Pattern::Regex(text, flags) => all.push((text, flags)),
            }
        }
        Ok(Self(PatternSet::new(all)?))
    }

    fn first(&self, text: &str) -> Option<u32> {
        self.0.first(text).map(|id| id.0)
    }

    fn all(&self, text: &str) -> Vec<u32> {
        self.0.all(text).into_iter().map(|id| id.0).collect()
    }

    fn params<'py>(&self, py: Python<'py>, index: usize, text: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        if index >= self.0.len() {
            let message = format!("there is no pattern {index}; the set has {}", self.0.len());
            return Err(PyIndexError::new_err(message));
        }
        let (id, mut spans) = (PatternId(index as u32), Vec::new());
        if !self.0.captures(id, text, &mut spans) {
            return Ok(None);
        }
        let params = PyDict::new(py);
        for ((_, name), span) in self.0.group_names(id).zip(spans) {
            if let Some((start, end)) = span {
                params.set_item(name, &text[start as usize..end as usize])?;
            }
        }
        Ok(Some(params))
    }

    #[getter]
    fn memory(&self) -> usize {
        self.0.memory()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __repr__(&self) -> String {
        format!("<PatternSet of {} patterns>", self.0.len())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a PatternSet cannot be pickled; build it from its patterns in each process"))
    }
}
