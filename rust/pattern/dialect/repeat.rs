//! Counts behind a part of a pattern.

use regex_syntax::hir::{Hir, Repetition};

use super::{Kind, Outcome, Parser, Piece, Refusal};

/// The least and the most; `None` is no bound.
type Counts = (u32, Option<u32>);

impl Parser {
    /// Reads `*`, `+`, `?` or `{n,m}`; a `{` that is no such thing is a plain character and is left unread.
    pub(super) fn quantifier(&mut self, c: char) -> Outcome<Option<Counts>> {
        let start = self.at;
        let counts = match c {
            '*' => (0, None),
            '+' => (1, None),
            '?' => (0, Some(1)),
            '{' => return self.counted(start),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(counts))
    }

    fn counted(&mut self, start: usize) -> Outcome<Option<Counts>> {
        self.at += 1;
        if self.peek() == Some('}') {
            self.at = start;
            return Ok(None);
        }
        let low = self.number();
        let high = if self.eat(',') { self.number() } else { low };
        if !self.eat('}') {
            self.at = start;
            return Ok(None);
        }
        let min = low.unwrap_or(0);
        if high.is_some_and(|max| max < min) {
            return Err(Refusal::new(start, "the lower count is above the upper count; swap them"));
        }
        Ok(Some((min, high)))
    }

    fn number(&mut self) -> Option<u32> {
        let mut value: Option<u32> = None;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            value = Some(value.unwrap_or(0).saturating_mul(10).saturating_add(digit));
            self.at += 1;
        }
        value
    }

    pub(super) fn repeat(&mut self, piece: Piece, from: usize, at: usize, (min, max): Counts) -> Outcome<Piece> {
        match piece.kind {
            Kind::Anchor => return Err(nothing_to_repeat(at)),
            Kind::Repeat => return Err(Refusal::new(at, "multiple repeat; put the repeated part in `(?:...)`")),
            Kind::Item => {}
        }
        if self.peek() == Some('+') {
            let reason = "possessive repeat is not supported, since matching must stay linear; drop the second `+`";
            return Err(Refusal::new(self.at, reason));
        }
        let greedy = !self.eat('?');
        let copies = u64::from(max.unwrap_or(min).max(min)) + u64::from(max.is_none());
        let size = Self::bounded(from, piece.size.saturating_mul(copies).saturating_add(1))?;
        let hir = Hir::repetition(Repetition { min, max, greedy, sub: Box::new(piece.hir) });
        Ok(Piece { hir, size, kind: Kind::Repeat })
    }
}

pub(super) fn nothing_to_repeat(position: usize) -> Refusal {
    Refusal::new(position, "nothing to repeat; escape the operator if it is meant literally")
}
