//! A pattern and a text made of any bytes: built or refused, and matched as another engine does.
//!
//! `cargo +nightly fuzz run patterns -- -max_total_time=60`

#![no_main]

#[path = "../../tests/rust/fuzz_bodies.rs"]
#[allow(dead_code)] // each target calls its own bodies
mod fuzz_bodies;
#[path = "../../tests/rust/oracles.rs"]
#[allow(dead_code)] // the bodies need one of the twins
mod oracles;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_bodies::fuzz_patterns(data);
});
