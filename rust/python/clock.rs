//! `Clock`: a time that tests move.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;

use super::args::Seconds;
use crate::clock::Clock;
use crate::ids::Nanos;

/// A clock that stands still until it is told to move.
#[pyclass(frozen, name = "Clock", module = "fastcascade._core")]
pub struct PyClock {
    clock: Clock,
    time: Arc<AtomicU64>,
}

#[pymethods]
impl PyClock {
    #[new]
    #[pyo3(signature = (start = Seconds(Nanos(1_000_000_000_000))), text_signature = "(start=1000.0)")]
    fn new(start: Seconds) -> Self {
        let time = Arc::new(AtomicU64::new(start.0.0));
        Self { clock: Clock::Manual(Arc::clone(&time)), time }
    }

    fn advance(&self, seconds: Seconds) {
        let later = |time: u64| Some(time.saturating_add(seconds.0.0));
        // It never declines, so it never fails.
        let _ = self.time.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    fn now(&self) -> f64 {
        self.clock.precise().as_secs()
    }

    fn __repr__(&self) -> String {
        format!("Clock(now={})", self.now())
    }
}

/// The clock a class was given, or the machine's.
pub fn or_system(clock: Option<Bound<'_, PyClock>>) -> Clock {
    clock.map_or(Clock::System, |clock| clock.get().clock.clone())
}
