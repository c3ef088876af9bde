//! A small automaton for asking whether a pattern matches an ASCII text.
//!
//! It is worked out by `regex-automata` and then copied into half the width, without the parts that only matter after a
//! match. Reading a byte is two loads and a compare; there is no scratch memory, so threads share it without a lock.

use std::collections::HashMap;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::NFA;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};

/// Entries of the largest table, so that a place in it fits 16 bits.
const MAX_ENTRIES: usize = u16::MAX as usize;
/// Bytes spent on working a table out; a pattern that takes more does without.
const WORK_LIMIT: usize = 256 << 10;

const DEAD: u16 = 0;
const MATCHED: u16 = 1;

/// One byte for each kind of neighbor a match can start after; `None` is the start of the text.
const BEFORE: [Option<u8>; 5] = [None, Some(b'\n'), Some(b'\r'), Some(b'a'), Some(b' ')];

/// The table of one pattern.
#[derive(Debug)]
pub(crate) struct Table {
    classes: Box<[u8; 256]>,
    /// Where each state's row starts is also its name; the last column is for the end of the text.
    next: Box<[u16]>,
    end_column: u8,
    starts: [u16; 5],
}

impl Table {
    /// `anchored` says whether a match must start where the search does. `None` if the table would be too large.
    pub fn new(nfa: &NFA, anchored: bool) -> Option<Self> {
        let config = dense::Config::new()
            .start_kind(if anchored { StartKind::Anchored } else { StartKind::Unanchored })
            .match_kind(MatchKind::LeftmostFirst)
            .accelerate(false)
            .dfa_size_limit(Some(WORK_LIMIT))
            .determinize_size_limit(Some(WORK_LIMIT));
        let dfa = dense::Builder::new().configure(config).build_from_nfa(nfa).ok()?;
        Self::copy(&dfa, if anchored { Anchored::Yes } else { Anchored::No })
    }

    fn copy(dfa: &dense::DFA<Vec<u32>>, anchored: Anchored) -> Option<Self> {
        let (classes, bytes) = columns(dfa);
        let stride = bytes.len() + 1;
        let mut rows = Rows { stride, named: HashMap::new(), order: Vec::new() };
        let mut starts = [DEAD; 5];
        for (start, before) in starts.iter_mut().zip(BEFORE) {
            let config = start::Config::new().anchored(anchored).look_behind(before);
            *start = rows.name(dfa, dfa.start_state(&config).ok()?)?;
        }
        // The first row is never read: its place is taken by the two special names.
        let mut next = vec![DEAD; stride];
        let mut done = 0;
        while let Some(&state) = rows.order.get(done) {
            for &byte in &bytes {
                next.push(rows.name(dfa, dfa.next_state(state, byte))?);
            }
            next.push(rows.name(dfa, dfa.next_eoi_state(state))?);
            done += 1;
        }
        Some(Self { classes, next: next.into(), end_column: u8::try_from(bytes.len()).ok()?, starts })
    }

    /// Where the shortest match starting at `from` (or not before it, if the table is not anchored) ends, or sooner
    /// seen: the earliest point at which it is certain that there is one.
    #[inline]
    pub fn search(&self, text: &[u8], from: usize) -> Option<usize> {
        let mut state = self.starts[kind_before(text, from)];
        if state == DEAD {
            return None;
        }
        for (at, &byte) in text.iter().enumerate().skip(from) {
            state = self.next[state as usize + self.classes[byte as usize] as usize];
            if state <= MATCHED {
                return (state == MATCHED).then_some(at);
            }
        }
        let last = self.next[state as usize + self.end_column as usize];
        (last == MATCHED).then_some(text.len())
    }

    pub fn memory(&self) -> usize {
        256 + self.next.len() * 2
    }
}

/// Gives states their place in the table.
struct Rows {
    stride: usize,
    named: HashMap<StateID, u16>,
    order: Vec<StateID>,
}

impl Rows {
    fn name(&mut self, dfa: &dense::DFA<Vec<u32>>, state: StateID) -> Option<u16> {
        if dfa.is_match_state(state) {
            return Some(MATCHED);
        }
        if dfa.is_dead_state(state) {
            return Some(DEAD);
        }
        if let Some(&known) = self.named.get(&state) {
            return Some(known);
        }
        let place = (self.order.len() + 1) * self.stride;
        let name = u16::try_from(place).ok().filter(|_| place + self.stride <= MAX_ENTRIES)?;
        self.named.insert(state, name);
        self.order.push(state);
        Some(name)
    }
}

/// Which column each byte reads, and a byte for each column. Other bytes than ASCII do not occur.
fn columns(dfa: &dense::DFA<Vec<u32>>) -> (Box<[u8; 256]>, Vec<u8>) {
    let (mut classes, mut bytes, mut seen) = (Box::new([0; 256]), Vec::new(), HashMap::new());
    for byte in 0..128_u8 {
        let class = dfa.byte_classes().get(byte);
        let column = *seen.entry(class).or_insert_with(|| {
            bytes.push(byte);
            bytes.len() - 1
        });
        classes[usize::from(byte)] = u8::try_from(column).unwrap_or(u8::MAX);
    }
    (classes, bytes)
}

/// Which of [`BEFORE`] stands before `at`.
#[inline]
fn kind_before(text: &[u8], at: usize) -> usize {
    match at.checked_sub(1).and_then(|before| text.get(before)) {
        None => 0,
        Some(b'\n') => 1,
        Some(b'\r') => 2,
        Some(byte) if byte.is_ascii_alphanumeric() || *byte == b'_' => 3,
        Some(_) => 4,
    }
}
