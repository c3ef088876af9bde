//! The objects that answer a call: read-only, made and thrown away once a request.
//!
//! A `#[pyclass]` takes 440 instructions to make and to free, a plain C type 230; a call that returns one takes
//! a thousand, so the difference shows. These types have fields to read and nothing else. This file and
//! `fastcall.rs` are the only ones that may use `unsafe`.
//!
//! What makes each use sound:
//!
//! 1. Objects of these types come from `new` alone (Python may not instantiate them, unless a program puts a
//!    `__new__` of its own on the type), which writes the whole record before anyone sees the object. So wherever Python hands one back, the record is there.
//! 2. Python calls slots and getters attached to the interpreter, with an object of the type they belong to.
//! 3. A record is never changed, so any number of threads may read it.
//! 4. The specification of a type, its getters and their names live as long as the process.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple, PyType};

use super::fastcall::raise;

/// Reads one field.
pub type Getter<R> = for<'py> fn(&R, Python<'py>) -> PyResult<Bound<'py, PyAny>>;

/// What such an object holds.
pub trait Record: Sized + Send + Sync + 'static {
    /// The full name of its type.
    const NAME: &'static CStr;
    /// What it is.
    const DOC: &'static CStr;
    /// Its fields.
    const FIELDS: &'static [(&'static CStr, Getter<Self>)];
    /// The fields a pattern names by position.
    const MATCH_ARGS: &'static [&'static str];

    /// Where its type is kept once it is made.
    fn class_cell() -> &'static PyOnceLock<Py<PyType>>;
    /// As people see it.
    fn repr(&self, py: Python<'_>) -> PyResult<String>;
    /// Show every Python object it holds.
    fn visit(&self, visit: &mut dyn FnMut(*mut ffi::PyObject));
    /// Let go of every Python object it holds.
    fn release(self, py: Python<'_>);
}

#[repr(C)]
struct Layout<R> {
    head: ffi::PyObject,
    record: R,
}

/// An object that holds the record.
#[inline]
pub fn new<R: Record>(py: Python<'_>, record: R) -> PyResult<Bound<'_, PyAny>> {
    let class = class::<R>(py)?;
    // SAFETY: the type has the size and layout of `Layout<R>`, and the object is not tracked, hence not seen,
    // before the record is in it.
    unsafe {
        let object = ffi::PyObject_GC_New::<Layout<R>>(class.as_ptr().cast());
        if object.is_null() {
            let error = PyErr::fetch(py);
            record.release(py);
            return Err(error);
        }
        (&raw mut (*object).record).write(record);
        ffi::PyObject_GC_Track(object.cast());
        Ok(Bound::from_owned_ptr(py, object.cast()))
    }
}

/// The type, made when it is first asked for.
#[inline]
pub fn class<R: Record>(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    R::class_cell().get_or_try_init(py, || make_class::<R>(py)).map(|class| class.bind(py))
}

#[cold]
fn make_class<R: Record>(py: Python<'_>) -> PyResult<Py<PyType>> {
    let mut getters: Vec<ffi::PyGetSetDef> = R::FIELDS.iter().map(|field| getter::<R>(field)).collect();
    getters.push(ffi::PyGetSetDef::default());
    let subscript = ffi::PyMethodDef {
        ml_name: c"__class_getitem__".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: subscript },
        ml_flags: ffi::METH_O | ffi::METH_CLASS,
        ml_doc: std::ptr::null(),
    };
    let methods = vec![subscript, ffi::PyMethodDef::zeroed()];
    let slot = |slot: c_int, value: *mut c_void| ffi::PyType_Slot { slot, pfunc: value };
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc::<R> as ffi::destructor as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse::<R> as ffi::traverseproc as *mut c_void),
        slot(ffi::Py_tp_repr, repr::<R> as ffi::reprfunc as *mut c_void),
        slot(ffi::Py_tp_getset, Box::leak(getters.into_boxed_slice()).as_mut_ptr().cast()),
        slot(ffi::Py_tp_methods, Box::leak(methods.into_boxed_slice()).as_mut_ptr().cast()),
        slot(ffi::Py_tp_doc, R::DOC.as_ptr().cast_mut().cast()),
        ffi::PyType_Slot::default(),
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = ffi::PyType_Spec {
        name: R::NAME.as_ptr(),
        basicsize: c_int::try_from(size_of::<Layout<R>>())?,
        itemsize: 0,
        // Every flag is below 2^32.
        flags: flags as u32,
        slots: slots.as_mut_ptr(),
    };
    debug_assert_eq!(offset_of!(Layout<R>, head), 0, "a Python object begins with its head");
    // SAFETY: reason 4; the specification itself is copied. A failure is a null, which `_or_err` reads.
    let class = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec)) }?;
    class.setattr("__match_args__", PyTuple::new(py, R::MATCH_ARGS)?)?;
    Ok(class.cast_into::<PyType>()?.unbind())
}

fn getter<R: Record>((name, read): &'static (&'static CStr, Getter<R>)) -> ffi::PyGetSetDef {
    ffi::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get::<R>),
        set: None,
        doc: std::ptr::null(),
        closure: std::ptr::from_ref(read).cast_mut().cast(),
    }
}

/// The record in an object.
///
/// # Safety
/// The object must be of the record's type and outlive the reference.
unsafe fn record<'a, R: Record>(object: *mut ffi::PyObject) -> &'a R {
    // SAFETY: reason 1.
    unsafe { &(*object.cast::<Layout<R>>()).record }
}

unsafe extern "C" fn get<R: Record>(object: *mut ffi::PyObject, read: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: reasons 2 and 4; the closure is the getter that `getter` put there.
    let (py, record, read) =
        unsafe { (Python::assume_attached(), record::<R>(object), *read.cast_const().cast::<Getter<R>>()) };
    give(read(record, py))
}

unsafe extern "C" fn repr<R: Record>(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: reason 2.
    let (py, record) = unsafe { (Python::assume_attached(), record::<R>(object)) };
    give(record.repr(py).map(|text| PyString::new(py, &text).into_any()))
}

/// `Match[int]` and the like, for annotations.
unsafe extern "C" fn subscript(class: *mut ffi::PyObject, item: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: reason 2.
    unsafe { ffi::Py_GenericAlias(class, item) }
}

unsafe extern "C" fn traverse<R: Record>(
    object: *mut ffi::PyObject,
    visit: ffi::visitproc,
    context: *mut c_void,
) -> c_int {
    let mut outcome = 0;
    let mut show = |held: *mut ffi::PyObject| {
        if outcome == 0 {
            // SAFETY: the collector's own function, with its own context, on an object that is alive.
            outcome = unsafe { visit(held, context) };
        }
    };
    // SAFETY: reason 2. An object also holds its type.
    unsafe {
        show(ffi::Py_TYPE(object).cast());
        record::<R>(object).visit(&mut show);
    }
    outcome
}

unsafe extern "C" fn dealloc<R: Record>(object: *mut ffi::PyObject) {
    // SAFETY: reason 2. It is untracked first, so that the collector does not come upon it half gone.
    unsafe { ffi::PyObject_GC_UnTrack(object.cast()) };
    let Ok(depth) = DEPTH.try_with(Cell::get) else { return free::<R>(object) };
    if depth >= DEEPEST {
        // Too many hold one another for the stack: whoever began goes on with this one later.
        LATER.with_borrow_mut(|later| later.push(Later { object, free: free::<R> }));
        return;
    }
    DEPTH.set(depth + 1);
    free::<R>(object);
    while depth == 0
        && let Some(next) = LATER.with_borrow_mut(Vec::pop)
    {
        (next.free)(next.object);
    }
    DEPTH.set(depth);
}

/// So many objects of these types may free one another on the stack.
const DEEPEST: u32 = 50;

struct Later {
    object: *mut ffi::PyObject,
    free: fn(*mut ffi::PyObject),
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static LATER: RefCell<Vec<Later>> = const { RefCell::new(Vec::new()) };
}

/// Let go of what an object holds, and of the object, which nobody has any more and which is not tracked.
fn free<R: Record>(object: *mut ffi::PyObject) {
    // SAFETY: `dealloc` alone calls this, once for an object of the record's type, attached (reason 2); so the
    // record may be moved out of it.
    unsafe {
        let class = ffi::Py_TYPE(object);
        let record = (&raw const (*object.cast::<Layout<R>>()).record).read();
        record.release(Python::assume_attached());
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(class.cast());
    }
}

fn give(result: PyResult<Bound<'_, PyAny>>) -> *mut ffi::PyObject {
    result.map_or_else(raise, Bound::into_ptr)
}
