//! The few methods that are called for every request, without the ten nanoseconds that `PyO3` adds to a call.
//!
//! A `#[pymethods]` call costs 22 ns on a machine where Python's own C methods cost 12: the difference is
//! general argument parsing and keeping count of attachment. Where the whole call takes forty, that is
//! worth this file, and this file is the only one in the crate that may use `unsafe`.
//!
//! What makes each use sound:
//!
//! 1. Python calls a method descriptor only after checking that `self` is of the class it was made for, so
//!    the cast of `self` cannot be wrong.
//! 2. Python owns the arguments for the whole call, so borrowing them for it is right.
//! 3. Python calls C functions attached to the interpreter, so `assume_attached` says the truth.
//! 4. A panic must not unwind into C: it is caught and raised as an exception.
//!
//! `PyO3` does not know that these calls are attached, so a `Py` dropped during one waits in a queue until an
//! ordinary call. What is dropped here in numbers is therefore an `Object`, which attaches first.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::{PyString, PyTuple};

use super::args::type_name;

/// A Python object that is let go as soon as it is dropped, whatever `PyO3` knows about the thread.
#[derive(Debug)]
pub struct Object(ManuallyDrop<Py<PyAny>>);

impl Object {
    pub const fn new(object: Py<PyAny>) -> Self {
        Self(ManuallyDrop::new(object))
    }

    pub fn get(&self) -> &Py<PyAny> {
        &self.0
    }

    /// The object itself, for an owner that sees to its end.
    pub fn into_inner(self) -> Py<PyAny> {
        let mut whole = ManuallyDrop::new(self);
        // SAFETY: `whole` is never dropped, so nobody takes it again.
        unsafe { ManuallyDrop::take(&mut whole.0) }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: it is being dropped, so nobody takes it again.
        let object = unsafe { ManuallyDrop::take(&mut self.0) };
        // Without an interpreter there is nothing left to count.
        let _ = Python::try_attach(|py| object.drop_ref(py));
    }
}

/// A method of a class, called the short way.
pub trait FastMethod {
    /// The class it belongs to.
    type Class: pyo3::PyClass<Frozen = True> + Sync;
    /// Its name.
    const NAME: &'static CStr;
    /// Its signature, as Python's own C functions write it into their documentation.
    const DOC: &'static CStr;

    /// What it does.
    fn call<'py>(this: &Self::Class, py: Python<'py>, args: Args<'_, 'py>) -> PyResult<Bound<'py, PyAny>>;
}

/// The names of a method's parameters.
#[derive(Debug)]
pub struct Signature<const N: usize> {
    pub names: [&'static str; N],
    /// How many must be given.
    pub required: usize,
    /// How many may be given by position.
    pub positional: usize,
}

/// The arguments of one call.
pub struct Args<'a, 'py> {
    py: Python<'py>,
    /// The positional ones, then the values of the named ones.
    values: &'a [*mut ffi::PyObject],
    positional: usize,
    names: Option<Borrowed<'a, 'py, PyTuple>>,
}

impl<'a, 'py> Args<'a, 'py> {
    /// Each parameter's argument, None where it was left out.
    #[inline]
    pub fn read<const N: usize>(self, signature: &Signature<N>) -> PyResult<[Option<Borrowed<'a, 'py, PyAny>>; N]> {
        let mut read = [None; N];
        if self.positional > signature.positional {
            return Err(self.too_many(signature.positional));
        }
        for (place, at) in read.iter_mut().zip(0..self.positional) {
            *place = Some(self.value(at));
        }
        if let Some(names) = self.names {
            self.read_named(signature, names, &mut read)?;
        }
        match read[..signature.required].iter().position(Option::is_none) {
            Some(missing) => Err(PyTypeError::new_err(format!("missing the argument '{}'", signature.names[missing]))),
            None => Ok(read),
        }
    }

    fn read_named<const N: usize>(
        &self,
        signature: &Signature<N>,
        names: Borrowed<'a, 'py, PyTuple>,
        read: &mut [Option<Borrowed<'a, 'py, PyAny>>; N],
    ) -> PyResult<()> {
        for (name, at) in names.iter_borrowed().zip(self.positional..) {
            let name = name.extract::<&str>()?;
            let Some(place) = signature.names.iter().position(|known| *known == name) else {
                let known = signature.names.join(", ");
                return Err(PyTypeError::new_err(format!("there is no argument '{name}'; there are {known}")));
            };
            if read[place].replace(self.value(at)).is_some() {
                return Err(PyTypeError::new_err(format!("the argument '{name}' is given twice")));
            }
        }
        Ok(())
    }

    #[inline]
    fn value(&self, at: usize) -> Borrowed<'a, 'py, PyAny> {
        // SAFETY: reason 2; the pointers come from Python and are not null.
        unsafe { Borrowed::from_ptr(self.py, self.values[at]) }
    }

    #[cold]
    fn too_many(&self, most: usize) -> PyErr {
        PyTypeError::new_err(format!("takes at most {most} positional arguments, not {}", self.positional))
    }
}

/// Let go of an error that is not wanted. Merely dropped, it would wait in the queue, and with it whatever it
/// quotes: a secret, say.
pub fn discard(error: PyErr) {
    Python::attach(|_| drop(error));
}

/// A whole number of 64 bits, None if it has more; found out without an exception.
pub fn small_int(object: &Bound<'_, PyAny>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: the object is an int, for which the call cannot fail otherwise than by overflow.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object.as_ptr(), &raw mut overflow) };
    (overflow == 0).then_some(value)
}

/// An argument that `read` has found to be there.
#[inline]
pub fn needed<'a, 'py>(argument: Option<Borrowed<'a, 'py, PyAny>>) -> PyResult<Borrowed<'a, 'py, PyAny>> {
    argument.ok_or_else(|| PyTypeError::new_err("an argument is missing"))
}

/// An argument that counts as left out when it is None.
#[inline]
pub fn given<'a, 'py>(argument: Option<Borrowed<'a, 'py, PyAny>>) -> Option<Borrowed<'a, 'py, PyAny>> {
    argument.filter(|argument| !argument.is_none())
}

/// A text argument, read in place.
#[inline]
pub fn text<'a>(argument: Borrowed<'a, '_, PyAny>, name: &str) -> PyResult<&'a str> {
    if !argument.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!("{name} is a str, not {}", type_name(&argument))));
    }
    argument.extract()
}

/// A text of which parts are wanted, their ends given in bytes of UTF-8.
pub struct Parts<'a, 'py> {
    text: &'a Bound<'py, PyString>,
    utf8: &'a str,
    /// In an ASCII text bytes are characters, and Python can copy them without decoding: half the cost.
    ascii: bool,
}

impl<'a, 'py> Parts<'a, 'py> {
    #[inline]
    pub fn of(text: &'a Bound<'py, PyString>) -> PyResult<Self> {
        let utf8 = text.to_str()?;
        Ok(Self { text, utf8, ascii: utf8.len() == text.len()? })
    }

    #[inline]
    pub fn part(&self, start: usize, end: usize) -> PyResult<Bound<'py, PyAny>> {
        let py = self.text.py();
        if !self.ascii {
            return Ok(PyString::new(py, self.utf8.get(start..end).unwrap_or_default()).into_any());
        }
        let (start, end) = (start.cast_signed(), end.cast_signed());
        // SAFETY: `text` is a str, and the call checks its ends; a failure is a null, which `_or_err` reads.
        unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_Substring(self.text.as_ptr(), start, end)) }
    }
}

/// The default a caller gave, or None.
#[inline]
pub fn or_none<'py>(py: Python<'py>, default: Option<Borrowed<'_, 'py, PyAny>>) -> Bound<'py, PyAny> {
    default.map_or_else(|| py.None().into_bound(py), Borrowed::to_owned)
}

/// Give a class a method. Called once, when the module is made.
pub fn install<M: FastMethod>(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<M::Class>();
    // A descriptor points at its definition for as long as the process lives.
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: M::NAME.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: enter::<M> },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: M::DOC.as_ptr(),
    }));
    // SAFETY: the class is alive, the definition for ever; a failure is a null, which `_or_err` reads.
    let method = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(class.as_type_ptr(), definition)) }?;
    class.setattr(M::NAME.to_string_lossy(), method)
}

/// What Python calls.
unsafe extern "C" fn enter<M: FastMethod>(
    this: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    positional: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: reason 3.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: reason 2; `names` is null or a tuple with one name for each value beyond the positional ones.
    let args = unsafe {
        let positional = positional.unsigned_abs();
        let names = Borrowed::from_ptr_or_opt(py, names).map(|names| names.cast_unchecked::<PyTuple>());
        let len = positional + names.map_or(0, |names| names.len());
        let values = if len == 0 { &[] } else { std::slice::from_raw_parts(values, len) };
        Args { py, values, positional, names }
    };
    // SAFETY: reason 1.
    let this = unsafe { Borrowed::from_ptr(py, this).cast_unchecked::<M::Class>() };
    let outcome = catch_unwind(AssertUnwindSafe(|| M::call(this.get(), py, args)));
    match outcome {
        Ok(Ok(result)) => result.into_ptr(),
        Ok(Err(error)) => raise(error),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            raise(PanicException::new_err(message.unwrap_or_default()))
        }
    }
}

/// Raise an error. `PyO3` must know the thread for this, or the parts of the error that it drops would queue up.
#[cold]
pub fn raise(error: PyErr) -> *mut ffi::PyObject {
    Python::attach(|py| error.restore(py));
    std::ptr::null_mut()
}
