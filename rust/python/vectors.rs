//! `VectorSet` and `cosine`.

use pyo3::buffer::{PyBuffer, PyUntypedBuffer};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyList, PyString, PyTuple};

use super::args::{number, type_name};
use super::errors::ConfigError;
use crate::vectors::{Fault, GroupId, Vectors, VectorsError, cosine as cosine_of};

/// So many multiplications take some twenty microseconds: from here on other threads may run meanwhile.
const LONG_WORK: usize = 400_000;

impl From<VectorsError> for PyErr {
    fn from(error: VectorsError) -> Self {
        ConfigError::new_err(error.to_string())
    }
}

/// Rows of numbers in groups.
#[pyclass(frozen, name = "VectorSet", module = "fastcascade._core")]
pub struct PyVectorSet(Vectors);

#[pymethods]
impl PyVectorSet {
    #[new]
    #[pyo3(signature = (rows, groups, *, top = 1))]
    fn new(rows: &Bound<'_, PyAny>, groups: &Bound<'_, PyAny>, top: usize) -> PyResult<Self> {
        let groups = read_groups(groups)?;
        let (dim, values) = read_rows(rows, groups.len())?;
        Ok(Self(Vectors::build(dim, &values, &groups, top)?))
    }

    fn best(&self, py: Python<'_>, query: &Bound<'_, PyAny>) -> PyResult<(u32, f64)> {
        let (group, score) = self.ask(py, query, Vectors::nearest)?;
        Ok((group.0, f64::from(score)))
    }

    fn scores<'py>(&self, py: Python<'py>, query: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.ask(py, query, Vectors::scores)?)
    }

    #[getter]
    fn dim(&self) -> usize {
        self.0.dim()
    }

    #[getter]
    fn groups(&self) -> usize {
        self.0.groups()
    }

    #[getter]
    fn memory(&self) -> usize {
        self.0.memory()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __repr__(&self) -> String {
        let (rows, groups, dim) = (self.0.len(), self.0.groups(), self.0.dim());
        format!("<VectorSet of {rows} rows in {groups} groups, {dim} dimensions>")
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a VectorSet cannot be pickled; build it from its rows in each process"))
    }
}

impl PyVectorSet {
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        query: &Bound<'_, PyAny>,
        question: fn(&Vectors, &[f32]) -> Result<T, Fault>,
    ) -> PyResult<T> {
        let numbers = read_vector(query, "the query")?;
        let answer = if self.0.work() < LONG_WORK {
            question(&self.0, &numbers)
        } else {
            py.detach(|| question(&self.0, &numbers))
        };
        answer.map_err(|fault| PyValueError::new_err(format!("the query {fault}")))
    }
}

/// The cosine of the angle between two vectors.
#[pyfunction]
#[pyo3(signature = (a, b, /))]
pub fn cosine(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<f64> {
    let (first, second) = (read_vector(a, "the first vector")?, read_vector(b, "the second vector")?);
    let fault = |fault| {
        let first_is_fine = matches!(fault, Fault::Dim { .. }) || cosine_of(&first, &first).is_ok();
        let which = if first_is_fine { "second" } else { "first" };
        PyValueError::new_err(format!("the {which} vector {fault}"))
    };
    cosine_of(&first, &second).map(f64::from).map_err(fault)
}

fn read_groups(groups: &Bound<'_, PyAny>) -> PyResult<Vec<GroupId>> {
    let read = |group: PyResult<Bound<'_, PyAny>>| {
        let group = group?;
        group.extract().map(GroupId).map_err(|_| {
            let shown = group.repr().map_or_else(|_| type_name(&group), |text| text.to_string());
            ConfigError::new_err(format!("a group is a number from 0 on, not {shown}"))
        })
    };
    let wrong = |_| PyTypeError::new_err(format!("groups is a list of numbers, not {}", type_name(groups)));
    groups.try_iter().map_err(wrong)?.map(read).collect()
}

/// The rows one after the other, and how many numbers each has.
fn read_rows(rows: &Bound<'_, PyAny>, count: usize) -> PyResult<(usize, Vec<f32>)> {
    if let Some(buffer) = buffer_of(rows) {
        let dim = match buffer.shape() {
            [_, dim] => *dim,
            [len] if count > 0 && len % count == 0 => len / count,
            [len] => {
                let message = format!("rows is one buffer of {len} numbers, which {count} groups do not divide evenly");
                return Err(ConfigError::new_err(message));
            }
            shape => return Err(ConfigError::new_err(format!("rows has {} axes; it takes one or two", shape.len()))),
        };
        return Ok((dim, copy(rows.py(), buffer, "rows")?));
    }
    let (mut dim, mut values) = (0, Vec::new());
    let wrong = |_| PyTypeError::new_err(format!("rows is a buffer or a list of rows, not {}", type_name(rows)));
    for (row, numbers) in rows.try_iter().map_err(wrong)?.enumerate() {
        let numbers = read_vector(&numbers?, &format!("row {row}"))?;
        if row == 0 {
            dim = numbers.len();
        } else if numbers.len() != dim {
            let fault = Fault::Dim { given: numbers.len(), expected: dim };
            return Err(VectorsError::Row { row, fault }.into());
        }
        values.extend_from_slice(&numbers);
    }
    Ok((dim, values))
}

/// A buffer of numbers, or any sequence of them.
fn read_vector(vector: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<f32>> {
    if let Some(buffer) = buffer_of(vector) {
        if buffer.dimensions() != 1 {
            let message = format!("{what} has {} axes; it is one row of numbers", buffer.dimensions());
            return Err(PyValueError::new_err(message));
        }
        return copy(vector.py(), buffer, what);
    }
    let wrong = || PyTypeError::new_err(format!("{what} is a buffer or a list of numbers, not {}", type_name(vector)));
    if vector.is_instance_of::<PyString>() {
        return Err(wrong());
    }
    let read = |item: &Bound<'_, PyAny>| match item.cast_exact::<PyFloat>() {
        Ok(float) => Ok(float.value() as f32),
        Err(_) => number(item, &format!("each of the numbers of {what}")).map(|number| number as f32),
    };
    if let Ok(list) = vector.cast_exact::<PyList>() {
        return list.iter().map(|item| read(&item)).collect();
    }
    vector.try_iter().map_err(|_| wrong())?.map(|item| read(&item?)).collect()
}

/// None for what is surely no buffer, and for what says that it is none.
fn buffer_of(object: &Bound<'_, PyAny>) -> Option<PyUntypedBuffer> {
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        return None;
    }
    PyUntypedBuffer::get(object).ok()
}

/// The numbers of a buffer, whatever its strides.
fn copy(py: Python<'_>, buffer: PyUntypedBuffer, what: &str) -> PyResult<Vec<f32>> {
    if let Ok(single) = buffer.as_typed::<f32>() {
        return single.to_vec(py);
    }
    let format = buffer.format().to_string_lossy().into_owned();
    let double: PyBuffer<f64> = buffer.into_typed().map_err(|_| {
        PyTypeError::new_err(format!("{what} is a buffer of {format:?}; it takes float32 (\"f\") or float64 (\"d\")"))
    })?;
    Ok(double.to_vec(py)?.into_iter().map(|number| number as f32).collect())
}
