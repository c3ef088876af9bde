//! Smaller forms of a pattern that answer the same question for less.
//!
//! - [`ascii`]: for texts that are ASCII only, which most are; tables shrink by an order of magnitude.
//! - [`core`]: for asking only whether a pattern matches; what may match nothing at either end is dropped.
//! - [`relax`]: without upper counts such as the 200 in `.{0,200}`, which cost a state each.

use regex_syntax::hir::{Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition};

use crate::pattern::dialect::SOFT_END;

/// Rebuilds `hir` bottom up, with `leaf` deciding over everything that is not a composite.
fn rebuild(hir: &Hir, leaf: &mut impl FnMut(&Hir) -> Hir) -> Hir {
    match hir.kind() {
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(|part| rebuild(part, leaf)).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(|part| rebuild(part, leaf)).collect()),
        HirKind::Repetition(rep) => {
            Hir::repetition(Repetition { sub: Box::new(rebuild(&rep.sub, leaf)), ..rep.clone() })
        }
        HirKind::Capture(group) => Hir::capture(Capture { sub: Box::new(rebuild(&group.sub, leaf)), ..group.clone() }),
        _ => leaf(hir),
    }
}

/// The pattern with Python's `$` as the very end of the text, right for texts that do not end in a newline.
pub(crate) fn hard_end(hir: &Hir) -> Hir {
    rebuild(hir, &mut |leaf| match leaf.kind() {
        HirKind::Look(look) if *look == SOFT_END => Hir::look(Look::End),
        _ => leaf.clone(),
    })
}

/// The pattern as it reads on ASCII text.
pub(crate) fn ascii(hir: &Hir) -> Hir {
    rebuild(hir, &mut |leaf| match leaf.kind() {
        HirKind::Literal(literal) if !literal.0.is_ascii() => Hir::fail(),
        HirKind::Class(Class::Unicode(class)) => {
            let mut narrow = ClassUnicode::new([ClassUnicodeRange::new('\0', '\x7f')]);
            narrow.intersect(class);
            Hir::class(Class::Unicode(narrow))
        }
        HirKind::Look(Look::WordUnicode) => Hir::look(Look::WordAscii),
        HirKind::Look(Look::WordUnicodeNegate) => Hir::look(Look::WordAsciiNegate),
        _ => leaf.clone(),
    })
}

/// What has to be found for the pattern to match somewhere: no captures, nothing optional at the ends.
pub(crate) fn core(hir: &Hir) -> Hir {
    trim(&trim(&without_captures(hir), End::Last), End::First)
}

fn without_captures(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Capture(group) => without_captures(&group.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(without_captures).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(without_captures).collect()),
        HirKind::Repetition(rep) => {
            Hir::repetition(Repetition { sub: Box::new(without_captures(&rep.sub)), ..rep.clone() })
        }
        _ => hir.clone(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

/// Drops what can match nothing from one end. A search asks for some start and some end, so whatever matches the rest
/// is a match of the whole with the dropped part empty, and the other way round.
fn trim(hir: &Hir, end: End) -> Hir {
    if vanishes(hir) {
        return Hir::empty();
    }
    match hir.kind() {
        HirKind::Concat(parts) => trim_parts(parts, end),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(|part| trim(part, end)).collect()),
        HirKind::Repetition(rep) if rep.min == 1 => trim(&rep.sub, end),
        HirKind::Repetition(rep) => Hir::repetition(Repetition { max: Some(rep.min), ..rep.clone() }),
        _ => hir.clone(),
    }
}

fn trim_parts(parts: &[Hir], end: End) -> Hir {
    let mut parts = parts.to_vec();
    while !parts.is_empty() {
        let at = if end == End::First { 0 } else { parts.len() - 1 };
        let trimmed = trim(&parts[at], end);
        if !matches!(trimmed.kind(), HirKind::Empty) {
            parts[at] = trimmed;
            break;
        }
        parts.remove(at);
    }
    Hir::concat(parts)
}

/// Whether the part can always match nothing.
fn vanishes(hir: &Hir) -> bool {
    let facts = hir.properties();
    match hir.kind() {
        HirKind::Repetition(rep) if rep.min == 0 => true,
        HirKind::Alternation(parts) => parts.iter().any(vanishes),
        _ => facts.minimum_len() == Some(0) && facts.look_set().is_empty(),
    }
}

/// Splits `^.{0,200}rest` into the rest, trimmed, and the 200. The rest found anywhere is a match of the whole if it is
/// found within so many characters and on the first line.
pub(crate) fn without_lead(core: &Hir) -> Option<(Hir, usize)> {
    let HirKind::Concat(parts) = core.kind() else { return None };
    let [first, lead, rest @ ..] = parts.as_slice() else { return None };
    let (HirKind::Look(Look::Start), HirKind::Repetition(lead)) = (first.kind(), lead.kind()) else { return None };
    let HirKind::Class(Class::Unicode(class)) = lead.sub.kind() else { return None };
    let (mut missing, newline) = (class.clone(), ClassUnicodeRange::new('\n', '\n'));
    missing.negate();
    let any = missing.ranges().iter().all(|range| *range == newline);
    let within = lead.max.map_or(usize::MAX, |max| max as usize);
    (any && lead.min == 0).then(|| (self::core(&Hir::concat(rest.to_vec())), within))
}

/// A pattern without its large upper counts, and how long a match may be for them not to have mattered.
pub(crate) struct Relaxed {
    pub hir: Hir,
    /// A match this long or shorter is one of the original too; `None` if nothing was changed.
    pub exact_within: Option<usize>,
}

/// Drops the upper counts from `at_least` on.
pub(crate) fn relax(hir: &Hir, at_least: u32) -> Relaxed {
    let mut exact_within = None;
    let hir = drop_counts(hir, at_least, &mut exact_within);
    Relaxed { hir, exact_within }
}

fn drop_counts(hir: &Hir, at_least: u32, within: &mut Option<usize>) -> Hir {
    match hir.kind() {
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(|part| drop_counts(part, at_least, within)).collect()),
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.iter().map(|part| drop_counts(part, at_least, within)).collect())
        }
        HirKind::Repetition(rep) => {
            let mut rep = rep.clone();
            rep.sub = Box::new(drop_counts(&rep.sub, at_least, within));
            let width = rep.sub.properties().minimum_len().unwrap_or(0);
            if let Some(max) = rep.max.filter(|&max| max >= at_least && max > rep.min && width > 0) {
                let limit = max as usize * width;
                *within = Some(within.map_or(limit, |known| known.min(limit)));
                rep.max = None;
            }
            Hir::repetition(rep)
        }
        _ => hir.clone(),
    }
}
