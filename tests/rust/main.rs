//! The core against naive twins, tables of cases and threads: one module for each structure.
// Cases and twins are written to be read beside each other; the pedantic lints are for the library.
#![allow(clippy::pedantic, clippy::type_complexity)]

mod bucket;
mod cache;
mod errors;
mod exact;
mod front;
mod fuzz;
mod fuzz_bodies;
mod key;
mod keyring;
mod method;
mod oracles;
mod path;
mod pattern_dialect;
mod pattern_hostile;
mod pattern_oracle;
mod policy_adaptive;
mod policy_lru;
mod policy_slab;
mod prefix;
mod router;
mod template;
mod text;
mod threads;
mod types;
mod vectors;

use proptest::test_runner::Config;

/// So many random cases; a failure is shrunk and printed, and becomes a table entry by hand.
fn cases(count: u32) -> Config {
    Config { cases: count, failure_persistence: None, ..Config::default() }
}
