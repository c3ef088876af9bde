//! What a backslash means.

use regex_syntax::hir::{ClassUnicode, Look};

use super::{Outcome, Parser, Piece, Refusal, words};

/// An escape that stands for characters, inside a class or outside.
pub(super) enum Escape {
    Char(char),
    Class(ClassUnicode),
}

impl Parser {
    /// An escape outside a class.
    pub(super) fn escape(&mut self) -> Outcome<Piece> {
        let start = self.at;
        let look = match self.chars.get(start + 1) {
            Some('A') => Look::Start,
            Some('Z') => Look::End,
            Some('b') => self.boundary(Look::WordUnicode, Look::WordAscii),
            Some('B') => self.boundary(Look::WordUnicodeNegate, Look::WordAsciiNegate),
            Some('0'..='9') => return self.digits(start),
            _ => {
                return Ok(match self.char_escape()? {
                    Escape::Char(c) => self.literal(c),
                    Escape::Class(class) => Piece::class(class),
                });
            }
        };
        self.at += 2;
        Ok(Piece::anchor(look))
    }

    fn boundary(&mut self, unicode: Look, ascii: Look) -> Look {
        self.word_boundary |= !self.flags.ascii;
        if self.flags.ascii { ascii } else { unicode }
    }

    /// `\0`, `\012`, `\101`: octal; anything else with digits refers back to a group.
    fn digits(&mut self, start: usize) -> Outcome<Piece> {
        let octal = |i: usize| self.chars.get(start + i).is_some_and(|c| matches!(c, '0'..='7'));
        let length = match () {
            () if self.chars[start + 1] == '0' => 1 + usize::from(octal(2)) + usize::from(octal(2) && octal(3)),
            () if octal(1) && octal(2) && octal(3) => 3,
            () => {
                let reason = "a reference back to a group is not supported, since matching must stay linear; \
                              write out what may be repeated";
                return Err(Refusal::new(start, reason));
            }
        };
        let c = self.octal(start, length)?;
        Ok(self.literal(c))
    }

    fn octal(&mut self, start: usize, length: usize) -> Outcome<char> {
        let digits = &self.chars[start + 1..=start + length];
        let value = digits.iter().fold(0, |value, c| value * 8 + c.to_digit(8).unwrap_or(0));
        self.at = start + 1 + length;
        match char::from_u32(value) {
            Some(c) if value <= 0o377 => Ok(c),
            _ => Err(Refusal::new(start, "octal escape above `\\377`; use `\\u`")),
        }
    }

    /// An escape that means the same inside a class and outside.
    pub(super) fn char_escape(&mut self) -> Outcome<Escape> {
        let start = self.at;
        let Some(&c) = self.chars.get(start + 1) else {
            return Err(Refusal::new(start, "the pattern ends in a lone backslash; write `\\\\` for a backslash"));
        };
        self.at += 2;
        if let Some(class) = self.perl(c) {
            return Ok(Escape::Class(class));
        }
        Ok(Escape::Char(match c {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => self.hex(start, 2)?,
            'u' => self.hex(start, 4)?,
            'U' => self.hex(start, 8)?,
            'N' => return Err(Refusal::new(start, "`\\N{...}` is not supported; write the character itself or `\\u`")),
            'A'..='Z' | 'a'..='z' => {
                return Err(Refusal::new(start, format!("unknown escape `\\{c}`; drop the backslash")));
            }
            _ => c,
        }))
    }

    fn perl(&self, c: char) -> Option<ClassUnicode> {
        let perl = if self.flags.ascii { &words::ASCII } else { &words::UNICODE };
        let mut class = match c {
            'd' | 'D' => perl.digit.clone(),
            's' | 'S' => perl.space.clone(),
            'w' | 'W' => perl.word.clone(),
            _ => return None,
        };
        if c.is_ascii_uppercase() {
            class.negate();
        }
        Some(class)
    }

    fn hex(&mut self, start: usize, length: usize) -> Outcome<char> {
        let digits = self.chars.get(self.at..self.at + length).unwrap_or_default();
        let value = digits.iter().try_fold(0_u32, |value, c| Some((value << 4) | c.to_digit(16)?));
        let Some(value) = value.filter(|_| digits.len() == length) else {
            return Err(Refusal::new(
                start,
                format!("incomplete escape; it takes exactly {length} hexadecimal digits"),
            ));
        };
        self.at += length;
        char::from_u32(value).ok_or_else(|| {
            Refusal::new(start, "not a character: surrogates and values above U+10FFFF cannot occur in text")
        })
    }

    /// In a class `\b` is a backspace and digits are always octal.
    pub(super) fn class_escape(&mut self) -> Outcome<Escape> {
        let start = self.at;
        match self.chars.get(start + 1) {
            Some('b') => {
                self.at += 2;
                Ok(Escape::Char('\x08'))
            }
            Some('0'..='7') => {
                let more = |i: usize| self.chars.get(start + i).is_some_and(|c| matches!(c, '0'..='7'));
                let length = 1 + usize::from(more(2)) + usize::from(more(2) && more(3));
                Ok(Escape::Char(self.octal(start, length)?))
            }
            Some('8' | '9') => Err(Refusal::new(start, "unknown escape in a class; drop the backslash")),
            _ => self.char_escape(),
        }
    }
}
