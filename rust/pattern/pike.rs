//! A plain simulation of the automaton, for what the fast engines cannot express.
//!
//! It knows Python's `$` (also before a newline that ends the text) and Python's word boundaries. It is used only where
//! these differ from what the fast engines do: a text ending in a newline, or one with characters over which Python and
//! Unicode disagree. Time is the size of the pattern times the length of the text.

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;
use regex_syntax::hir::Look;

use crate::pattern::dialect::is_word;

type Slots = Vec<Option<usize>>;

/// Threads in order of preference, each state at most once.
struct Threads {
    list: Vec<(StateID, Slots)>,
    seen: Vec<bool>,
}

impl Threads {
    fn new(states: usize) -> Self {
        Self { list: Vec::new(), seen: vec![false; states] }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.seen.fill(false);
    }
}

/// The slots of the leftmost match by Python's order of preference; two per capture, the whole match first.
pub(crate) fn search(nfa: &NFA, text: &str) -> Option<Slots> {
    let bytes = text.as_bytes();
    let mut now = Threads::new(nfa.states().len());
    let mut next = Threads::new(nfa.states().len());
    let mut best: Option<Slots> = None;
    for at in 0..=bytes.len() {
        if best.is_none() && text.is_char_boundary(at) {
            let slots = vec![None; nfa.group_info().slot_len()];
            follow(nfa, text, at, nfa.start_anchored(), slots, &mut now);
        }
        if now.list.is_empty() && best.is_some() {
            break;
        }
        step(nfa, text, at, &mut now, &mut next, &mut best);
        std::mem::swap(&mut now, &mut next);
        next.clear();
    }
    best
}

/// Moves all threads over the byte at `at`. A thread that has matched ends those it was preferred to.
fn step(nfa: &NFA, text: &str, at: usize, now: &mut Threads, next: &mut Threads, best: &mut Option<Slots>) {
    let byte = text.as_bytes().get(at).copied();
    for (id, slots) in now.list.drain(..) {
        let state = nfa.state(id);
        if let State::Match { .. } = state {
            *best = Some(slots);
            break;
        }
        let Some(byte) = byte else { continue };
        let to = match state {
            State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
            State::Sparse(sparse) => sparse.matches_byte(byte),
            State::Dense(dense) => dense.matches_byte(byte),
            _ => None,
        };
        if let Some(to) = to {
            follow(nfa, text, at + 1, to, slots, next);
        }
    }
    now.clear();
}

/// Adds `id` and all that is reached from it without reading, in order of preference.
fn follow(nfa: &NFA, text: &str, at: usize, id: StateID, slots: Slots, threads: &mut Threads) {
    let mut stack = vec![(id, slots)];
    while let Some((id, mut slots)) = stack.pop() {
        if std::mem::replace(&mut threads.seen[id.as_usize()], true) {
            continue;
        }
        match nfa.state(id) {
            State::Fail => {}
            State::Look { look, next } => {
                if holds(hir_look(*look), text, at) {
                    stack.push((*next, slots));
                }
            }
            State::Union { alternates } => {
                stack.extend(alternates.iter().rev().map(|&id| (id, slots.clone())));
            }
            State::BinaryUnion { alt1, alt2 } => {
                stack.push((*alt2, slots.clone()));
                stack.push((*alt1, slots));
            }
            State::Capture { next, slot, .. } => {
                slots[slot.as_usize()] = Some(at);
                stack.push((*next, slots));
            }
            _ => threads.list.push((id, slots)),
        }
    }
}

/// The two crates name the same looks by types of their own.
fn hir_look(look: regex_automata::util::look::Look) -> Look {
    use regex_automata::util::look::Look as L;
    match look {
        L::Start => Look::Start,
        L::End => Look::End,
        L::StartLF => Look::StartLF,
        L::EndLF => Look::EndLF,
        L::EndCRLF => Look::EndCRLF,
        L::WordAscii => Look::WordAscii,
        L::WordAsciiNegate => Look::WordAsciiNegate,
        L::WordUnicode => Look::WordUnicode,
        L::WordUnicodeNegate => Look::WordUnicodeNegate,
        other => unreachable!("no pattern is read into {other:?}"),
    }
}

fn holds(look: Look, text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    let (before, after) = (&bytes[..at], &bytes[at..]);
    match look {
        Look::Start => before.is_empty(),
        Look::End => after.is_empty(),
        Look::StartLF => before.last().is_none_or(|&byte| byte == b'\n'),
        Look::EndLF => after.first().is_none_or(|&byte| byte == b'\n'),
        Look::WordAscii => ascii_boundary(before, after),
        Look::WordAsciiNegate => !ascii_boundary(before, after),
        Look::WordUnicode => boundary(text, at),
        Look::WordUnicodeNegate => !boundary(text, at),
        // The mark for Python's `$`.
        _ => after.is_empty() || after == b"\n",
    }
}

fn ascii_boundary(before: &[u8], after: &[u8]) -> bool {
    let word = |byte: Option<&u8>| byte.is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
    word(before.last()) != word(after.first())
}

fn boundary(text: &str, at: usize) -> bool {
    // Inside a character there is neither a boundary nor the lack of one to speak of; no thread waits there.
    if !text.is_char_boundary(at) {
        return false;
    }
    let before = text[..at].chars().next_back().is_some_and(is_word);
    let after = text[at..].chars().next().is_some_and(is_word);
    before != after
}
