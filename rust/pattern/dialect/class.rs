//! Classes in brackets, and case folding.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::escape::Escape;
use super::{Outcome, Parser, Piece, Refusal};

/// Python holds these four alike when case does not count; Unicode's simple folding does not.
const DOTTED_AND_DOTLESS: [char; 4] = ['I', 'i', '\u{130}', '\u{131}'];

impl Parser {
    /// `[...]`, in which Python knows ranges, escapes and a leading `^`, and nothing else.
    pub(super) fn class(&mut self) -> Outcome<Piece> {
        let start = self.at;
        self.at += 1;
        let negated = self.eat('^');
        let (mut plain, mut perl) = (ClassUnicode::empty(), ClassUnicode::empty());
        let first = self.at;
        loop {
            match self.peek() {
                None => return Err(Refusal::new(start, "unterminated class; add the closing `]`")),
                Some(']') if self.at > first => break,
                Some(_) => self.class_item(&mut plain, &mut perl)?,
            }
        }
        self.at += 1;
        let mut class = self.folded(plain);
        class.union(&perl);
        if negated {
            class.negate();
        }
        Ok(Piece::class(class))
    }

    fn class_item(&mut self, plain: &mut ClassUnicode, perl: &mut ClassUnicode) -> Outcome<()> {
        let from = self.at;
        let low = self.class_unit()?;
        let ranged = self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|&c| c != ']');
        if !ranged {
            match low {
                Escape::Char(c) => plain.push(ClassUnicodeRange::new(c, c)),
                Escape::Class(class) => perl.union(&class),
            }
            return Ok(());
        }
        self.at += 1;
        match (low, self.class_unit()?) {
            (Escape::Char(low), Escape::Char(high)) if low <= high => plain.push(ClassUnicodeRange::new(low, high)),
            _ => return Err(Refusal::new(from, "bad character range; put `-` first or last if it is meant literally")),
        }
        Ok(())
    }

    fn class_unit(&mut self) -> Outcome<Escape> {
        let Some(c) = self.peek() else {
            return Err(Refusal::new(self.at, "unterminated class; add the closing `]`"));
        };
        if c == '\\' {
            return self.class_escape();
        }
        self.at += 1;
        Ok(Escape::Char(c))
    }

    /// Adds the other cases if case does not count.
    pub(super) fn folded(&self, mut class: ClassUnicode) -> ClassUnicode {
        if !self.flags.ignore_case {
            return class;
        }
        if self.flags.ascii {
            return fold_ascii(class);
        }
        class.case_fold_simple();
        let mut special = ClassUnicode::new(DOTTED_AND_DOTLESS.map(|c| ClassUnicodeRange::new(c, c)));
        let all = special.clone();
        special.intersect(&class);
        if !special.ranges().is_empty() {
            class.union(&all);
        }
        class
    }
}

fn fold_ascii(mut class: ClassUnicode) -> ClassUnicode {
    for (from, to) in [('a', 'A'), ('A', 'a')] {
        let mut letters = ClassUnicode::new([ClassUnicodeRange::new(from, shift(from, 25))]);
        letters.intersect(&class);
        for range in letters.ranges().to_vec() {
            let other = |c: char| shift(to, c as u8 - from as u8);
            class.push(ClassUnicodeRange::new(other(range.start()), other(range.end())));
        }
    }
    class
}

fn shift(base: char, by: u8) -> char {
    char::from(base as u8 + by)
}
