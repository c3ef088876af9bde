//! Which literals a pattern cannot do without.
//!
//! A pattern matches only if, for each of its [`Clause`]s, the text holds at least one of the clause's atoms. This is
//! the idea of Russ Cox's trigram index and of RE2's filtered search, with the distance from the start of the match
//! kept as well, so that a hit says where to look.
//!
//! Atoms are folded by [`fold`], and so is the text. Whatever `fold` does, the same is done to both sides, so a filter
//! can only let too much through, never too little.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Shorter atoms hit too often to be worth looking for.
pub(crate) const MIN_ATOM: usize = 3;
/// Strings kept while neighbors are joined.
const MAX_JOINED: usize = 64;
/// Strings kept in one alternation.
const MAX_UNION: usize = 256;
/// A joined string is cut here; longer ones hit no less.
const MAX_LENGTH: usize = 24;
/// Characters, after folding, up to which a class is written out.
const MAX_CLASS: usize = 10;

/// Maps a character to the one that stands for it in atoms and in the text scanned.
pub(crate) fn fold(c: char) -> char {
    match c {
        '\u{130}' | '\u{131}' => 'i',
        '\u{17f}' => 's',
        'ς' => 'σ',
        _ if c.is_ascii() => c.to_ascii_lowercase(),
        _ => {
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(one), None) => one,
                _ => c,
            }
        }
    }
}

/// At least one of the atoms occurs in every match, between `near` and `far` characters after the start of the match.
#[derive(Clone, Debug)]
pub(crate) struct Clause {
    pub atoms: Vec<String>,
    pub near: usize,
    pub far: Option<usize>,
}

impl Clause {
    fn new(mut atoms: Vec<String>, span: Span) -> Option<Self> {
        atoms.sort_unstable();
        atoms.dedup();
        let useful = !atoms.is_empty() && atoms.iter().all(|atom| atom.len() >= MIN_ATOM);
        useful.then_some(Self { atoms, near: span.near, far: span.far })
    }

    /// Larger is better: long atoms first, then few of them.
    fn merit(&self) -> (usize, std::cmp::Reverse<usize>) {
        let shortest = self.atoms.iter().map(String::len).min().unwrap_or(0);
        (shortest.min(8), std::cmp::Reverse(self.atoms.len()))
    }
}

/// A count of characters, from `near` to `far`; `None` is unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    near: usize,
    far: Option<usize>,
}

impl Span {
    const ZERO: Self = Self { near: 0, far: Some(0) };
    const ONE: Self = Self { near: 1, far: Some(1) };

    fn plus(self, other: Self) -> Self {
        let far = self.far.zip(other.far).map(|(a, b)| a.saturating_add(b));
        Self { near: self.near.saturating_add(other.near), far }
    }

    fn or(self, other: Self) -> Self {
        Self { near: self.near.min(other.near), far: self.far.zip(other.far).map(|(a, b)| a.max(b)) }
    }

    fn times(self, min: u32, max: Option<u32>) -> Self {
        let far = match max {
            Some(max) => self.far.map(|far| far.saturating_mul(max as usize)),
            None => None,
        };
        Self { near: self.near.saturating_mul(min as usize), far }
    }
}

/// What is known of a part: all strings it matches (if few) or at least how its matches begin, what it requires, how
/// long it is.
struct Facts {
    exact: Option<Vec<String>>,
    starts: Vec<String>,
    clauses: Vec<Clause>,
    width: Span,
}

impl Facts {
    fn exact(strings: Vec<String>, width: Span) -> Self {
        Self { exact: Some(strings), starts: Vec::new(), clauses: Vec::new(), width }
    }

    fn unknown(width: Span) -> Self {
        Self { exact: None, starts: vec![String::new()], clauses: Vec::new(), width }
    }

    /// The strings one of which every match begins with.
    fn starts(&self) -> &[String] {
        self.exact.as_deref().unwrap_or(&self.starts)
    }

    /// All clauses, the exact strings among them.
    fn into_clauses(mut self) -> Vec<Clause> {
        if let Some(clause) = self.exact.take().and_then(|strings| Clause::new(strings, Span::ZERO)) {
            self.clauses.push(clause);
        }
        self.clauses
    }

    fn into_best(self) -> Option<Clause> {
        self.into_clauses().into_iter().max_by_key(Clause::merit)
    }
}

/// The clauses of a pattern; none if it can match without any particular literal.
pub(crate) fn required(hir: &Hir) -> Vec<Clause> {
    facts(hir).into_clauses()
}

fn facts(hir: &Hir) -> Facts {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Facts::exact(vec![String::new()], Span::ZERO),
        HirKind::Literal(literal) => literal_facts(&literal.0),
        HirKind::Class(class) => class_facts(class),
        HirKind::Capture(group) => facts(&group.sub),
        HirKind::Repetition(rep) => repeated(facts(&rep.sub), rep.min, rep.max),
        HirKind::Concat(parts) => joined(parts),
        HirKind::Alternation(parts) => either(parts),
    }
}

fn literal_facts(bytes: &[u8]) -> Facts {
    let text = String::from_utf8_lossy(bytes);
    let length = text.chars().count();
    let width = Span { near: length, far: Some(length) };
    Facts::exact(vec![text.chars().map(fold).collect()], width)
}

fn class_facts(class: &Class) -> Facts {
    let Class::Unicode(class) = class else { return Facts::unknown(Span::ONE) };
    if class.ranges().iter().map(regex_syntax::hir::ClassUnicodeRange::len).sum::<usize>() > MAX_CLASS * 4 {
        return Facts::unknown(Span::ONE);
    }
    let mut chars: Vec<char> = class.ranges().iter().flat_map(|range| range.start()..=range.end()).map(fold).collect();
    chars.sort_unstable();
    chars.dedup();
    if chars.len() > MAX_CLASS {
        return Facts::unknown(Span::ONE);
    }
    Facts::exact(chars.into_iter().map(String::from).collect(), Span::ONE)
}

fn repeated(sub: Facts, min: u32, max: Option<u32>) -> Facts {
    let width = sub.width.times(min, max);
    let few = max.filter(|&max| max <= 3).zip(sub.exact.as_ref());
    if let Some(all) = few.and_then(|(max, strings)| powers(strings, min, max)) {
        return Facts::exact(all, width);
    }
    if min == 0 {
        return Facts::unknown(width);
    }
    let starts = sub.starts().to_vec();
    Facts { exact: None, starts, clauses: sub.into_clauses(), width }
}

fn powers(strings: &[String], min: u32, max: u32) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut power = vec![String::new()];
    for count in 0..=max {
        if count >= min {
            all.extend(power.iter().cloned());
        }
        if count < max {
            power = product(&power, strings)?;
        }
    }
    all.sort_unstable();
    all.dedup();
    (all.len() <= MAX_JOINED).then_some(all)
}

fn product(left: &[String], right: &[String]) -> Option<Vec<String>> {
    let longest = |strings: &[String]| strings.iter().map(String::len).max().unwrap_or(0);
    let few = left.len() * right.len() <= MAX_JOINED.max(right.len()).max(left.len());
    if !few || longest(left) + longest(right) > MAX_LENGTH && left.len() * right.len() > 1 {
        return None;
    }
    Some(left.iter().flat_map(|a| right.iter().map(move |b| format!("{a}{b}"))).collect())
}

/// Joins neighbors while all their strings are known; where that ends, a clause is noted and joining starts anew.
fn joined(parts: &[Hir]) -> Facts {
    let mut clauses: Vec<Clause> = Vec::new();
    let (mut run, mut run_at) = (vec![String::new()], Span::ZERO);
    let (mut at, mut starts) = (Span::ZERO, None);
    for part in parts {
        let part = facts(part);
        let after = at.plus(part.width);
        let grown = part.exact.as_ref().and_then(|strings| product(&run, strings));
        if let Some(grown) = grown {
            run = grown;
        } else {
            let begun = product(&run, part.starts()).unwrap_or(run);
            starts.get_or_insert_with(|| begun.clone());
            clauses.extend(Clause::new(begun, run_at));
            (run, run_at) = match &part.exact {
                Some(strings) => (strings.clone(), at),
                None => (vec![String::new()], after),
            };
            clauses.extend(part.clauses.into_iter().map(|clause| shifted(clause, at)));
        }
        at = after;
    }
    let Some(starts) = starts else { return Facts::exact(run, at) };
    clauses.extend(Clause::new(run, run_at));
    Facts { exact: None, starts, clauses, width: at }
}

fn shifted(clause: Clause, by: Span) -> Clause {
    let span = by.plus(Span { near: clause.near, far: clause.far });
    Clause { near: span.near, far: span.far, ..clause }
}

fn either(parts: &[Hir]) -> Facts {
    let branches: Vec<Facts> = parts.iter().map(facts).collect();
    let width = branches.iter().map(|branch| branch.width).reduce(Span::or).unwrap_or(Span::ZERO);
    let exact: Option<Vec<&Vec<String>>> = branches.iter().map(|branch| branch.exact.as_ref()).collect();
    if let Some(exact) = exact {
        let all: Vec<String> = exact.into_iter().flatten().cloned().collect();
        if all.len() <= MAX_UNION {
            return Facts::exact(all, width);
        }
    }
    let mut starts: Vec<String> = branches.iter().flat_map(Facts::starts).cloned().collect();
    if starts.len() > MAX_UNION {
        starts = vec![String::new()];
    }
    let best: Option<Vec<Clause>> = branches.into_iter().map(Facts::into_best).collect();
    let clauses = best.and_then(union).into_iter().collect();
    Facts { exact: None, starts, clauses, width }
}

fn union(clauses: Vec<Clause>) -> Option<Clause> {
    let span = |clause: &Clause| Span { near: clause.near, far: clause.far };
    let whole = clauses.iter().map(span).reduce(Span::or)?;
    let atoms: Vec<String> = clauses.into_iter().flat_map(|clause| clause.atoms).collect();
    if atoms.len() > MAX_UNION { None } else { Clause::new(atoms, whole) }
}
