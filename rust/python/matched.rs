//! `Match` and `Step`: what a table says of a path.

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::fastcall::Parts;
use super::record::{Getter, Record};
use crate::prefix::Spans;
use crate::router::By;

/// What is the same for every match of one route, made when the route is first matched.
#[pyclass(frozen, module = "fastcascade._core")]
pub struct RouteInfo {
    pub target: Py<PyAny>,
    pub by: By,
    pub route: Py<PyString>,
    pub names: Py<PyTuple>,
    /// Every name with None: copying it and setting the values takes two thirds of making a dict anew.
    pub blank: Py<PyDict>,
}

#[pymethods]
impl RouteInfo {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.target)
    }
}

/// A route together with where its params lie in one path.
pub struct Located {
    pub info: Py<RouteInfo>,
    /// None where there are no params: then every match of the route is the same.
    pub params: Option<(Py<PyString>, Spans)>,
}

/// The span of a group that took no part in a match.
pub const NO_SPAN: (u32, u32) = (u32::MAX, u32::MAX);

impl Located {
    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        let params = self.params.as_ref().map(|(path, spans)| (path.clone_ref(py), spans.clone()));
        Self { info: self.info.clone_ref(py), params }
    }

    pub fn target(&self, py: Python<'_>) -> Py<PyAny> {
        self.info.get().target.clone_ref(py)
    }

    pub fn by<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        matcher_name(py, self.info.get().by)
    }

    pub fn params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Some((path, spans)) = &self.params else { return Ok(PyDict::new(py)) };
        let (info, path) = (self.info.get(), path.bind(py));
        let (params, parts) = (info.blank.bind(py).copy()?, Parts::of(path)?);
        for (name, (start, end)) in info.names.bind(py).iter_borrowed().zip(spans) {
            if (*start, *end) == NO_SPAN {
                params.del_item(name)?;
            } else {
                params.set_item(name, parts.part(*start as usize, *end as usize)?)?;
            }
        }
        Ok(params)
    }

    /// Show what could be part of a cycle: a text cannot.
    pub fn visit(&self, visit: &mut dyn FnMut(*mut ffi::PyObject)) {
        visit(self.info.as_ptr());
    }

    pub fn release(self, py: Python<'_>) {
        self.info.drop_ref(py);
        if let Some((path, _)) = self.params {
            path.drop_ref(py);
        }
    }
}

/// The name of a matcher, the same object every time.
pub fn matcher_name(py: Python<'_>, by: By) -> &Bound<'_, PyString> {
    match by {
        By::Exact => pyo3::intern!(py, "exact"),
        By::Prefix => pyo3::intern!(py, "prefix"),
        By::Regex => pyo3::intern!(py, "regex"),
        By::Wildcard => pyo3::intern!(py, "wildcard"),
    }
}

/// What a route table says of one path.
pub struct PyMatch(pub Located);

impl Record for PyMatch {
    const NAME: &'static CStr = c"fastcascade._core.Match";
    const DOC: &'static CStr = c"What a route table says of one path.";
    const MATCH_ARGS: &'static [&'static str] = &["target", "params", "by"];
    const FIELDS: &'static [(&'static CStr, Getter<Self>)] = &[
        (c"target", |this, py| Ok(this.0.target(py).into_bound(py))),
        (c"params", |this, py| Ok(this.0.params(py)?.into_any())),
        (c"by", |this, py| Ok(this.0.by(py).clone().into_any())),
        (c"route", |this, py| Ok(this.0.info.get().route.bind(py).clone().into_any())),
    ];

    fn class_cell() -> &'static PyOnceLock<Py<PyType>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        &CLASS
    }

    fn repr(&self, py: Python<'_>) -> PyResult<String> {
        let target = self.0.info.get().target.bind(py).repr()?;
        Ok(format!("Match(target={target}, params={}, by='{}')", self.0.params(py)?.repr()?, self.0.by(py)))
    }

    fn visit(&self, visit: &mut dyn FnMut(*mut ffi::PyObject)) {
        self.0.visit(visit);
    }

    fn release(self, py: Python<'_>) {
        self.0.release(py);
    }
}

/// One line of `Router.explain`.
#[pyclass(frozen, eq, hash, get_all, name = "Step", module = "fastcascade._core")]
#[derive(PartialEq, Eq, Hash)]
pub struct PyStep {
    pub matcher: &'static str,
    pub outcome: &'static str,
    pub route: Option<String>,
}

#[pymethods]
impl PyStep {
    #[classattr]
    const __match_args__: (&'static str, &'static str, &'static str) = ("matcher", "outcome", "route");

    fn __repr__(&self) -> String {
        let route = self.route.as_ref().map_or_else(|| "None".to_owned(), |route| format!("{route:?}"));
        format!("Step(matcher='{}', outcome='{}', route={route})", self.matcher, self.outcome)
    }
}
