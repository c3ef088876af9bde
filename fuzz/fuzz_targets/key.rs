//! Paths and texts brought into form, for any bytes.
//!
//! `cargo +nightly fuzz run key -- -max_total_time=60`

#![no_main]

#[path = "../../tests/rust/fuzz_bodies.rs"]
#[allow(dead_code)] // each target calls its own bodies
mod fuzz_bodies;
#[path = "../../tests/rust/oracles.rs"]
#[allow(dead_code)] // the bodies need one of the twins
mod oracles;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_bodies::fuzz_path(data);
    fuzz_bodies::fuzz_text(data);
});
