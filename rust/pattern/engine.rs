//! Builds what `regex-automata` offers, with our bounds.

use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_syntax::hir::Hir;

/// The largest small automaton the general engine may build ahead of time.
const AHEAD_LIMIT: usize = 64 << 10;
/// The general engine's scratch memory per pattern and thread.
const SCRATCH: usize = 2 << 20;

/// The automaton of a pattern; `None` if it is larger than `limit`.
pub(crate) fn thompson(hir: &Hir, captures: WhichCaptures, limit: Option<usize>) -> Option<NFA> {
    let config = thompson::Config::new()
        .utf8(matches!(captures, WhichCaptures::All))
        .which_captures(captures)
        .nfa_size_limit(limit);
    thompson::Compiler::new().configure(config).build_from_hir(hir).ok()
}

/// The size of every pattern was bounded when it was read, so there is no limit here that could be hit.
pub(crate) fn general(hir: &Hir) -> Regex {
    let config = meta::Config::new()
        .nfa_size_limit(None)
        .hybrid_cache_capacity(SCRATCH)
        .onepass_size_limit(Some(AHEAD_LIMIT))
        .dfa_size_limit(Some(AHEAD_LIMIT))
        .dfa_state_limit(Some(64));
    meta::Builder::new().configure(config).build_from_hir(hir).expect("a bounded pattern compiles")
}
