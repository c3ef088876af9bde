//! Reads a pattern as Python's `re` reads it and builds the `regex-syntax` form directly.
//!
//! There is no second textual dialect in between: what Python reads as a plain character never reaches a parser that
//! could read it as an operator. What Python allows and linear matching does not is refused with its position.
//!
//! Two meanings have no counterpart in `regex-syntax` and are marked for the caller:
//! - `$` without `MULTILINE` also holds before a newline that ends the text. It becomes [`SOFT_END`].
//! - `\b` and `\B` use Python's idea of a word character, which differs from Unicode's for a few kinds of character.
//!
//! Where versions of Python differ, `\B` in an empty text follows 3.14. `(?<name>...)` is read as `(?P<name>...)`,
//! which Python refuses.

mod class;
mod escape;
mod group;
mod repeat;
mod words;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, Look};

pub(crate) use words::{is_word, words_disagree};

/// Stands for Python's `$` without `MULTILINE`; Python has no CRLF anchor, so this look is free for the purpose.
pub(crate) const SOFT_END: Look = Look::EndCRLF;

/// Groups inside groups; bounds the recursion of everything that walks a pattern.
const NEST_LIMIT: usize = 100;

/// The size of a pattern with its counted repetitions written out, roughly in states of an automaton.
const SIZE_LIMIT: u64 = 32_000;

/// How a pattern is to be read: the flags of Python's `re`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are the independent flags of Python's `re`")]
pub struct PatternFlags {
    /// Upper and lower case are alike (`re.IGNORECASE`).
    pub ignore_case: bool,
    /// `^` and `$` also match at line ends (`re.MULTILINE`).
    pub multi_line: bool,
    /// `.` also matches a newline (`re.DOTALL`).
    pub dot_all: bool,
    /// White space and `#` comments in the pattern mean nothing (`re.VERBOSE`).
    pub verbose: bool,
    /// `\d`, `\w`, `\s`, `\b` and case folding keep to ASCII (`re.ASCII`).
    pub ascii: bool,
}

/// A pattern read and bounded.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The pattern; only named groups are captures, numbered from 1 in order of appearance.
    pub hir: Hir,
    /// Python's group number and the name, in order of appearance.
    pub names: Vec<(usize, String)>,
    /// Whether [`SOFT_END`] occurs.
    pub soft_end: bool,
    /// Whether a Unicode word boundary occurs.
    pub word_boundary: bool,
}

/// Why a pattern is refused, and at which character.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub position: usize,
    pub reason: String,
}

impl Refusal {
    fn new(position: usize, reason: impl Into<String>) -> Self {
        Self { position, reason: reason.into() }
    }
}

type Outcome<T> = Result<T, Refusal>;

/// What may follow a piece depends on what it is: Python refuses `^*` and `a**`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Item,
    Anchor,
    Repeat,
}

/// A part of a pattern with its size.
struct Piece {
    hir: Hir,
    size: u64,
    kind: Kind,
}

impl Piece {
    fn item(hir: Hir, size: u64) -> Self {
        Self { hir, size, kind: Kind::Item }
    }

    fn class(class: ClassUnicode) -> Self {
        // A range beyond ASCII takes a few byte ranges, shared in part.
        let wide = class.ranges().last().is_some_and(|last| last.end() > '\x7f');
        let size = 1 + class.ranges().len() as u64 / 4 + if wide { 4 } else { 0 };
        Self::item(Hir::class(Class::Unicode(class)), size)
    }

    fn anchor(look: Look) -> Self {
        Self { hir: Hir::look(look), size: 1, kind: Kind::Anchor }
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    flags: PatternFlags,
    depth: usize,
    groups: usize,
    names: Vec<(usize, String)>,
    soft_end: bool,
    word_boundary: bool,
}

/// Reads `pattern` under `flags`.
///
/// # Errors
/// A [`Refusal`] for what Python refuses too, for what cannot be matched in linear time, and for what is too large.
pub(crate) fn parse(pattern: &str, flags: PatternFlags) -> Outcome<Parsed> {
    let mut parser = Parser {
        chars: pattern.chars().collect(),
        at: 0,
        flags,
        depth: 0,
        groups: 0,
        names: Vec::new(),
        soft_end: false,
        word_boundary: false,
    };
    parser.global_flags()?;
    let whole = parser.alternation()?;
    if parser.at < parser.chars.len() {
        return Err(Refusal::new(parser.at, "unbalanced `)`; escape it as `\\)` if it is meant literally"));
    }
    Ok(Parsed { hir: whole.hir, names: parser.names, soft_end: parser.soft_end, word_boundary: parser.word_boundary })
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let hit = self.peek() == Some(wanted);
        self.at += usize::from(hit);
        hit
    }

    fn bounded(position: usize, size: u64) -> Outcome<u64> {
        if size <= SIZE_LIMIT {
            return Ok(size);
        }
        let reason = format!(
            "too large: about {size} states when its repetitions are written out, more than {SIZE_LIMIT}; \
             lower the counts or use `*` or `+`"
        );
        Err(Refusal::new(position, reason))
    }

    fn alternation(&mut self) -> Outcome<Piece> {
        let start = self.at;
        let first = self.sequence()?;
        let mut size = first.size;
        let mut branches = vec![first.hir];
        while self.eat('|') {
            let branch = self.sequence()?;
            size = Self::bounded(start, size.saturating_add(branch.size).saturating_add(1))?;
            branches.push(branch.hir);
        }
        Ok(Piece::item(Hir::alternation(branches), size))
    }

    fn sequence(&mut self) -> Outcome<Piece> {
        let mut parts: Vec<Hir> = Vec::new();
        let mut size = 1_u64;
        let mut last: Option<(Piece, usize)> = None;
        loop {
            self.skip_ignored()?;
            let start = self.at;
            let Some(c) = self.peek().filter(|&c| c != '|' && c != ')') else { break };
            if let Some(counts) = self.quantifier(c)? {
                let (piece, from) = last.take().ok_or_else(|| repeat::nothing_to_repeat(start))?;
                last = Some((self.repeat(piece, from, start, counts)?, from));
                continue;
            }
            let piece = self.item(c)?;
            if let Some((before, _)) = last.replace((piece, start)) {
                size = Self::bounded(start, size.saturating_add(before.size))?;
                parts.push(before.hir);
            }
        }
        if let Some((piece, from)) = last {
            size = Self::bounded(from, size.saturating_add(piece.size))?;
            parts.push(piece.hir);
        }
        Ok(Piece::item(Hir::concat(parts), size))
    }

    /// Skips what means nothing: `(?#...)` always, white space and `#` comments when verbose.
    fn skip_ignored(&mut self) -> Outcome<()> {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c') if self.flags.verbose => self.at += 1,
                Some('#') if self.flags.verbose => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                Some('(') if self.chars[self.at..].starts_with(&['(', '?', '#']) => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Outcome<()> {
        let start = self.at;
        match self.chars[start..].iter().position(|&c| c == ')') {
            Some(length) => self.at += length + 1,
            None => return Err(Refusal::new(start, "missing `)` after the comment `(?#`")),
        }
        Ok(())
    }

    fn item(&mut self, c: char) -> Outcome<Piece> {
        match c {
            '(' => return self.group(),
            '[' => return self.class(),
            '\\' => return self.escape(),
            _ => self.at += 1,
        }
        Ok(match c {
            '.' => Piece::class(self.any()),
            '^' if self.flags.multi_line => Piece::anchor(Look::StartLF),
            '^' => Piece::anchor(Look::Start),
            '$' if self.flags.multi_line => Piece::anchor(Look::EndLF),
            '$' => {
                self.soft_end = true;
                Piece::anchor(SOFT_END)
            }
            _ => self.literal(c),
        })
    }

    fn any(&self) -> ClassUnicode {
        let mut class = ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]);
        if self.flags.dot_all {
            class = ClassUnicode::empty();
        }
        class.negate();
        class
    }

    fn literal(&self, c: char) -> Piece {
        let class = self.folded(ClassUnicode::new([ClassUnicodeRange::new(c, c)]));
        Piece::class(class)
    }
}
