//! Many patterns asked at once: which is the first to match?

mod atoms;
mod dialect;
mod engine;
mod error;
mod matcher;
mod narrow;
mod pike;
mod plan;
mod scan;
mod table;

use std::cell::Cell;
use std::ops::ControlFlow;

use crate::ids::PatternId;
pub use crate::pattern::dialect::PatternFlags;
pub use crate::pattern::error::PatternError;
use crate::pattern::matcher::{Core, Matcher, Text};
use crate::pattern::scan::Scanner;

/// Hits of one pattern that are tried one by one; with more of them one search over the text is cheaper, and bounded.
const MAX_HITS: usize = 8;
/// Hits gathered before those beyond [`MAX_HITS`] are thrown away.
const GATHERED: usize = 1024;

/// Room for hits that a thread keeps for its next lookup.
const KEPT: usize = 16 * GATHERED;

thread_local! {
    static HITS: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
}

/// An ordered set of patterns in Python's syntax, compiled.
#[derive(Debug)]
pub struct PatternSet {
    matchers: Vec<Matcher>,
    scanner: Scanner,
    /// Patterns that require no literal and so are always candidates, ascending.
    unconditional: Vec<u32>,
}

impl PatternSet {
    /// Compiles the patterns, in order.
    ///
    /// # Errors
    /// [`PatternError`] for the first pattern that is malformed, cannot be matched in linear time or is too large.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = (S, PatternFlags)>) -> Result<Self, PatternError> {
        let (mut sources, mut cores) = (Vec::new(), Vec::new());
        for (index, (pattern, flags)) in patterns.into_iter().enumerate() {
            let pattern = pattern.as_ref();
            cores.push(dialect::parse(pattern, flags).map(Core::new).map_err(|refusal| PatternError {
                index,
                pattern: pattern.to_owned(),
                position: Some(refusal.position),
                reason: refusal.reason,
            })?);
            sources.push((pattern.to_owned(), flags));
        }
        let plan = plan::choose(cores.iter().map(|core| atoms::required(&core.hir)).collect());
        let parts = sources.into_iter().zip(cores).zip(&plan.triggers);
        let matchers = parts.map(|((source, core), trigger)| Matcher::new(source, core, trigger.as_ref())).collect();
        Ok(Self { matchers, scanner: plan.scanner, unconditional: plan.unconditional })
    }

    /// How many patterns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.matchers.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.matchers.is_empty()
    }

    /// The first pattern, in the order given, that matches anywhere in `text`, as `re.search` would.
    #[must_use]
    pub fn first(&self, text: &str) -> Option<PatternId> {
        self.first_where(text, |_| true)
    }

    /// The first pattern that `accept` lets through and that matches. A pattern not accepted costs no matching.
    #[must_use]
    pub fn first_where(&self, text: &str, mut accept: impl FnMut(PatternId) -> bool) -> Option<PatternId> {
        let mut first = None;
        self.candidates(text, |id, text, hits, cut| {
            if accept(id) && self.matchers[id.index()].is_match(text, hits, cut) {
                first = Some(id);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        first
    }

    /// All patterns that match, ascending.
    #[must_use]
    pub fn all(&self, text: &str) -> Vec<PatternId> {
        let mut all = Vec::new();
        self.candidates(text, |id, text, hits, cut| {
            if self.matchers[id.index()].is_match(text, hits, cut) {
                all.push(id);
            }
            ControlFlow::Continue(())
        });
        all
    }

    /// Visits in ascending order the patterns that may match, with where their triggers were hit.
    #[inline]
    fn candidates(&self, text: &str, mut visit: impl FnMut(PatternId, &Text<'_>, &[u64], bool) -> ControlFlow<()>) {
        let text = Text::new(text);
        let mut hits = HITS.take();
        hits.clear();
        self.gather(&text, &mut hits);
        let mut always = self.unconditional.iter().copied().peekable();
        let mut rest = hits.as_slice();
        loop {
            let hit = rest.first().map(|&hit| pattern_of(hit));
            let next = match (hit, always.peek().copied()) {
                (None, None) => break,
                (Some(hit), Some(free)) if free < hit => free,
                (None, Some(free)) => free,
                (Some(hit), _) => hit,
            };
            let mine = rest.iter().take_while(|&&hit| pattern_of(hit) == next).count();
            let (own, after) = rest.split_at(mine);
            rest = after;
            if mine == 0 {
                always.next();
            }
            let cut = mine > MAX_HITS;
            if visit(PatternId(next), &text, own, cut).is_break() {
                break;
            }
        }
        if hits.capacity() <= KEPT {
            HITS.set(hits);
        }
    }

    /// Fills `hits` with pattern and position of every trigger hit, sorted.
    #[inline]
    fn gather(&self, text: &Text<'_>, hits: &mut Vec<u64>) {
        if text.ascii {
            self.gather_from(text.str.as_bytes(), hits);
        } else {
            let folded: String = text.str.chars().map(atoms::fold).collect();
            self.gather_from(folded.as_bytes(), hits);
        }
        hits.sort_unstable();
    }

    #[inline]
    fn gather_from(&self, text: &[u8], hits: &mut Vec<u64>) {
        let mut room = GATHERED;
        self.scanner.scan(text, |hit| {
            let at = hit.at as u64 & u64::from(u32::MAX);
            hits.extend(hit.patterns.iter().map(|&id| u64::from(id) << 32 | at));
            if hits.len() > room {
                thin(hits);
                room = GATHERED.max(hits.len() * 2);
            }
        });
    }
}

/// The pattern of a packed hit.
fn pattern_of(hit: u64) -> u32 {
    (hit >> 32) as u32
}

/// Keeps the first few hits of each pattern, and one more to show that there were more.
fn thin(hits: &mut Vec<u64>) {
    hits.sort_unstable();
    let (mut last, mut count) = (u32::MAX, 0);
    hits.retain(|&hit| {
        count = if pattern_of(hit) == last { count + 1 } else { 1 };
        last = pattern_of(hit);
        count <= MAX_HITS + 1
    });
}

/// Facts for explaining and testing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatternStats {
    /// How many patterns there are.
    pub patterns: usize,
    /// How many require no literal and are tried on every text.
    pub unconditional: usize,
    /// How many literals are looked for.
    pub atoms: usize,
    /// How many have no table of their own and use the general engine on every text.
    pub without_table: usize,
}

impl PatternSet {
    /// The pattern as given.
    ///
    /// # Panics
    /// If `id` is not of this set.
    #[must_use]
    pub fn pattern(&self, id: PatternId) -> &str {
        self.matchers[id.index()].source()
    }

    /// Python's number and the name of each named group, in order of appearance.
    ///
    /// # Panics
    /// If `id` is not of this set.
    pub fn group_names(&self, id: PatternId) -> impl Iterator<Item = (usize, &str)> {
        self.matchers[id.index()].names().iter().map(|(index, name)| (*index, name.as_str()))
    }

    /// Whether pattern `id` matches; if so, `spans` becomes the byte spans of its named groups, in the order of
    /// [`group_names`](Self::group_names), `None` for a group that took no part.
    ///
    /// Spans are Python's but for one case: a group that can match nothing, inside a repetition (`(a*)*`), for which
    /// Python counts one more, empty round.
    ///
    /// The first call for a pattern builds what spans need, which takes some tens of microseconds or more.
    ///
    /// # Panics
    /// If `id` is not of this set, or the text is 4 GiB or longer.
    pub fn captures(&self, id: PatternId, text: &str, spans: &mut Vec<Option<(u32, u32)>>) -> bool {
        assert!(u32::try_from(text.len()).is_ok(), "spans reach no further than 4 GiB");
        self.matchers[id.index()].captures(&Text::new(text), spans)
    }

    /// Whether the pattern requires no literal, so that it is tried on every text.
    #[must_use]
    pub fn is_unconditional(&self, id: PatternId) -> bool {
        self.unconditional.binary_search(&id.0).is_ok()
    }

    /// Counts for explaining and testing.
    #[must_use]
    pub fn stats(&self) -> PatternStats {
        PatternStats {
            patterns: self.len(),
            unconditional: self.unconditional.len(),
            atoms: self.scanner.atoms(),
            without_table: self.matchers.iter().filter(|matcher| !matcher.has_table()).count(),
        }
    }

    /// Bytes held on the heap: tables, literals and engines built so far, without the allocator's own share. Not counted
    /// is the scratch memory of those engines, up to about 2 MiB for each pattern and thread that needs one.
    #[must_use]
    pub fn memory(&self) -> usize {
        let matchers: usize = self.matchers.iter().map(|matcher| size_of::<Matcher>() + matcher.memory()).sum();
        matchers + self.scanner.memory() + self.unconditional.len() * 4
    }

    /// Checks what must hold inside.
    ///
    /// # Panics
    /// If something does not hold.
    pub fn validate(&self) {
        assert!(self.unconditional.is_sorted(), "unconditional patterns ascend");
        self.scanner.validate(self.len());
    }
}
