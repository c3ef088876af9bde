//! One pattern, ready to be asked.
//!
//! For ASCII text there is a table of its own, built with the pattern, which needs no scratch memory and no lock. Other
//! text, and the spans of groups, go to the general engine of `regex-automata`, built when first needed.

use std::cell::OnceCell;
use std::sync::OnceLock;

use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::{NFA, WhichCaptures};
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, Look};

use crate::pattern::atoms::Clause;
use crate::pattern::dialect::{self, Parsed, PatternFlags, words_disagree};
use crate::pattern::engine::{general, thompson};
use crate::pattern::table::Table;
use crate::pattern::{narrow, pike};

/// The largest automaton from which a table is worked out.
const NFA_LIMIT: usize = 256 << 10;
/// Upper counts from here on are left out of the table and checked by the length of the match.
const RELAXED_FROM: u32 = 16;
/// Starting points to try around a hit; with more of them one search over the rest of the text is cheaper.
const MAX_WINDOW: usize = 8;

/// The text looked at, with what is known of it.
pub(crate) struct Text<'t> {
    pub str: &'t str,
    pub ascii: bool,
    newline_ends: bool,
    disputed: OnceCell<bool>,
}

impl<'t> Text<'t> {
    pub fn new(text: &'t str) -> Self {
        // Positions are kept in 32 bits; a larger text goes the general way.
        let ascii = text.is_ascii() && u32::try_from(text.len()).is_ok();
        Self { str: text, ascii, newline_ends: text.ends_with('\n'), disputed: OnceCell::new() }
    }

    fn disputed(&self) -> bool {
        !self.ascii && *self.disputed.get_or_init(|| words_disagree(self.str))
    }
}

/// Where in an ASCII text a match can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Only at the start of the text.
    Text,
    /// From `near` to `far` before a hit.
    Window { near: usize, far: usize },
    /// Anywhere, but not earlier than so much before the first hit.
    Free { far: Option<usize> },
}

/// What answers for ASCII text, large upper counts left out.
#[derive(Debug)]
enum Check {
    Table(Table),
    /// For a pattern whose table would be too large.
    Lazy(Regex),
}

impl Check {
    /// The check, and how long a match may be for the counts left out not to matter.
    fn new(hir: &Hir, start: Start) -> (Self, Option<usize>) {
        let anchored = !matches!(start, Start::Free { .. });
        let relaxed = narrow::relax(hir, RELAXED_FROM);
        let nfa = thompson(&relaxed.hir, WhichCaptures::None, Some(NFA_LIMIT));
        let table = nfa.and_then(|nfa| Table::new(&nfa, anchored));
        let check = table.map_or_else(|| Self::Lazy(general(&relaxed.hir)), Self::Table);
        (check, relaxed.exact_within)
    }

    /// Where it becomes certain that there is a match starting at `from`, or after it if not `anchored`.
    #[inline]
    fn search(&self, text: &str, from: usize, anchored: bool) -> Option<usize> {
        match self {
            Self::Table(table) => table.search(text.as_bytes(), from),
            Self::Lazy(regex) => {
                let anchored = if anchored { Anchored::Yes } else { Anchored::No };
                let input = Input::new(text).range(from..).anchored(anchored).earliest(true);
                regex.search_half(&input).map(|end| end.offset())
            }
        }
    }
}

/// What has to be found for a pattern to match.
pub(crate) struct Core {
    pub hir: Hir,
    lead: Option<usize>,
    names: Vec<(usize, String)>,
    soft_end: bool,
    word_boundary: bool,
}

impl Core {
    pub fn new(parsed: Parsed) -> Self {
        let core = narrow::core(&narrow::hard_end(&parsed.hir));
        let (hir, lead) = match narrow::without_lead(&core) {
            Some((hir, lead)) => (hir, Some(lead)),
            None => (core, None),
        };
        let Parsed { names, soft_end, word_boundary, .. } = parsed;
        Self { hir, lead, names, soft_end, word_boundary }
    }
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Matcher {
    /// Read again when an engine is to be built; the parsed form would take more memory than everything else here.
    source: String,
    flags: PatternFlags,
    names: Vec<(usize, String)>,
    soft_end: bool,
    word_boundary: bool,
    start: Start,
    check: Check,
    /// How far into the first line the check may find its match, if a lead such as `^.{0,200}` was left out.
    lead: Option<usize>,
    exact_within: Option<usize>,
    narrow: OnceLock<Regex>,
    wide: OnceLock<Regex>,
    plain: OnceLock<NFA>,
}

impl Matcher {
    /// `trigger` is the clause whose hits make the pattern a candidate.
    pub fn new((source, flags): (String, PatternFlags), core: Core, trigger: Option<&Clause>) -> Self {
        let start = start_of(&core.hir, trigger);
        let (check, exact_within) = Check::new(&narrow::ascii(&core.hir), start);
        Self {
            source,
            flags,
            names: core.names,
            soft_end: core.soft_end,
            word_boundary: core.word_boundary,
            start,
            check,
            lead: core.lead,
            exact_within,
            narrow: OnceLock::new(),
            wide: OnceLock::new(),
            plain: OnceLock::new(),
        }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Python's numbers and the names of the named groups.
    pub fn names(&self) -> &[(usize, String)] {
        &self.names
    }

    /// Whether the pattern matches, given where its trigger was hit (none if it has no trigger), in ascending order.
    /// `cut` says that there were more hits than were kept.
    #[inline]
    pub fn is_match(&self, text: &Text<'_>, hits: &[u64], cut: bool) -> bool {
        if !text.ascii || self.needs_python(text) {
            return self.is_match_general(text);
        }
        let len = text.str.len();
        match self.start {
            Start::Text => self.try_at(text, 0, true),
            Start::Free { far } => {
                let first = hits.first().map_or(0, |&hit| position(hit));
                self.try_at(text, far.map_or(0, |far| first.saturating_sub(far)), false)
            }
            Start::Window { .. } if cut => self.narrow().is_match(text.str),
            Start::Window { near, far } => hits.iter().map(|&hit| position(hit)).any(|hit| {
                hit >= near
                    && (hit.saturating_sub(far)..=(hit - near).min(len)).any(|start| self.try_at(text, start, true))
            }),
        }
    }

    /// One pass of the check. A match longer than the counts left out allow for sure is asked of the exact pattern.
    #[inline]
    fn try_at(&self, text: &Text<'_>, start: usize, anchored: bool) -> bool {
        let Some(end) = self.check.search(text.str, start, anchored) else { return false };
        let counts = self.exact_within.is_none_or(|within| end - start <= within);
        let lead = self.lead.is_none_or(|lead| end <= lead && !text.str.as_bytes()[..end].contains(&b'\n'));
        counts && lead || self.narrow().is_match(text.str)
    }

    /// Whether only the plain simulation reads this text as Python does.
    fn needs_python(&self, text: &Text<'_>) -> bool {
        self.soft_end && text.newline_ends || self.word_boundary && text.disputed()
    }

    #[cold]
    fn is_match_general(&self, text: &Text<'_>) -> bool {
        if self.needs_python(text) {
            return pike::search(self.plain(), text.str).is_some();
        }
        self.wide().is_match(text.str)
    }

    /// Byte spans of the named groups in order of appearance.
    pub fn captures(&self, text: &Text<'_>, spans: &mut Vec<Option<(u32, u32)>>) -> bool {
        spans.clear();
        let slots = if self.needs_python(text) {
            match pike::search(self.plain(), text.str) {
                Some(slots) => slots,
                None => return false,
            }
        } else {
            let regex = if text.ascii { self.narrow() } else { self.wide() };
            let mut slots = vec![None; 2 * (self.names.len() + 1)];
            if regex.search_slots(&Input::new(text.str), &mut slots).is_none() {
                return false;
            }
            slots.into_iter().map(|slot| slot.map(NonMaxUsize::get)).collect()
        };
        spans.extend(slots.chunks_exact(2).skip(1).take(self.names.len()).map(span));
        true
    }

    fn hir(&self) -> Hir {
        dialect::parse(&self.source, self.flags)
            .map_or_else(|_| unreachable!("it was read before"), |parsed| parsed.hir)
    }

    fn narrow(&self) -> &Regex {
        self.narrow.get_or_init(|| general(&narrow::ascii(&narrow::hard_end(&self.hir()))))
    }

    fn wide(&self) -> &Regex {
        self.wide.get_or_init(|| general(&narrow::hard_end(&self.hir())))
    }

    fn plain(&self) -> &NFA {
        self.plain.get_or_init(|| thompson(&self.hir(), WhichCaptures::All, None).unwrap_or_else(NFA::never_match))
    }

    /// Whether the pattern has a table of its own for ASCII text.
    pub fn has_table(&self) -> bool {
        matches!(self.check, Check::Table(_))
    }

    /// Heap bytes now held, without the general engines' scratch memory.
    pub fn memory(&self) -> usize {
        let check = match &self.check {
            Check::Table(table) => table.memory(),
            Check::Lazy(regex) => regex.memory_usage(),
        };
        let general = |regex: &OnceLock<Regex>| regex.get().map_or(0, Regex::memory_usage);
        self.source.len()
            + check
            + general(&self.narrow)
            + general(&self.wide)
            + self.plain.get().map_or(0, NFA::memory_usage)
    }
}

fn position(hit: u64) -> usize {
    (hit & u64::from(u32::MAX)) as usize
}

#[expect(clippy::cast_possible_truncation, reason = "the caller has checked that the text is shorter than 4 GiB")]
fn span(pair: &[Option<usize>]) -> Option<(u32, u32)> {
    Some((pair[0]? as u32, pair[1]? as u32))
}

fn start_of(core: &Hir, trigger: Option<&Clause>) -> Start {
    if core.properties().look_set_prefix().contains(Look::Start) {
        return Start::Text;
    }
    match trigger {
        None => Start::Free { far: None },
        Some(&Clause { near, far: Some(far), .. }) if far - near < MAX_WINDOW => Start::Window { near, far },
        Some(&Clause { far, .. }) => Start::Free { far },
    }
}
