//! What follows an opening parenthesis.

use regex_syntax::hir::{Capture, Hir};

use super::{NEST_LIMIT, Outcome, Parser, PatternFlags, Piece, Refusal};

/// What a group is called.
enum Naming {
    /// Not a group for Python's numbering either.
    Uncounted,
    Counted,
    Named(String),
}

impl Parser {
    /// `(...)` in all its kinds.
    pub(super) fn group(&mut self) -> Outcome<Piece> {
        let start = self.at;
        self.at += 1;
        let outer = self.flags;
        let naming = if self.eat('?') { self.extension(start)? } else { Naming::Counted };
        self.groups += usize::from(!matches!(naming, Naming::Uncounted));
        let slot = match naming {
            Naming::Named(name) => Some(self.declare(start, name)?),
            Naming::Uncounted | Naming::Counted => None,
        };
        let body = self.body(start)?;
        self.flags = outer;
        let hir = match slot {
            Some(slot) => self.capture(slot, body.hir),
            None => body.hir,
        };
        Ok(Piece::item(hir, body.size + 1))
    }

    /// Wraps a named group; the others need no slot.
    fn capture(&self, slot: usize, sub: Hir) -> Hir {
        let name = Some(self.names[slot - 1].1.as_str().into());
        let index = u32::try_from(slot).unwrap_or(u32::MAX);
        Hir::capture(Capture { index, name, sub: Box::new(sub) })
    }

    fn body(&mut self, start: usize) -> Outcome<Piece> {
        self.depth += 1;
        if self.depth > NEST_LIMIT {
            return Err(Refusal::new(start, format!("groups nested deeper than {NEST_LIMIT}; flatten the pattern")));
        }
        let body = self.alternation()?;
        self.depth -= 1;
        if !self.eat(')') {
            return Err(Refusal::new(start, "missing `)`; close the group or escape the `(`"));
        }
        Ok(body)
    }

    /// Reads after `(?`.
    fn extension(&mut self, start: usize) -> Outcome<Naming> {
        let next = self.peek();
        let after = self.chars.get(self.at + 1).copied();
        match (next, after) {
            (Some('=' | '!'), _) | (Some('<'), Some('=' | '!')) => Err(not_linear(start, "look-around")),
            (Some('>'), _) => Err(not_linear(start, "an atomic group")),
            (Some('('), _) => Err(not_linear(start, "a condition on a group")),
            (Some('P'), Some('=')) => Err(not_linear(start, "a reference back to a group")),
            (Some('P'), Some('<')) => {
                self.at += 2;
                self.name(start).map(Naming::Named)
            }
            (Some('<'), _) => {
                self.at += 1;
                self.name(start).map(Naming::Named)
            }
            _ => self.scoped_flags(start).map(|()| Naming::Uncounted),
        }
    }

    fn name(&mut self, start: usize) -> Outcome<String> {
        let rest = &self.chars[self.at..];
        let Some(length) = rest.iter().position(|&c| c == '>') else {
            return Err(Refusal::new(start, "missing `>` after the name of the group"));
        };
        let name: String = rest[..length].iter().collect();
        let mut letters = name.chars();
        let sound = letters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && letters.all(|c| c.is_alphanumeric() || c == '_');
        if !sound {
            return Err(Refusal::new(self.at, format!("{name:?} is no name for a group; use letters, digits and `_`")));
        }
        self.at += length + 1;
        Ok(name)
    }

    /// Notes a named group and gives its number among the named ones, from 1.
    fn declare(&mut self, start: usize, name: String) -> Outcome<usize> {
        if self.names.iter().any(|(_, known)| *known == name) {
            return Err(Refusal::new(start, format!("the name {name:?} is used twice; rename one of the groups")));
        }
        self.names.push((self.groups, name));
        Ok(self.names.len())
    }

    /// `(?i)` and the like, which Python allows only at the very start and which hold for the whole pattern.
    pub(super) fn global_flags(&mut self) -> Outcome<()> {
        loop {
            self.skip_ignored()?;
            let length = self.chars[self.at..].iter().position(|&c| c == ')').unwrap_or(0);
            let body = self.chars[self.at..].get(2..length).unwrap_or_default();
            let plain = !body.is_empty() && body.iter().all(|c| "aiLmsux".contains(*c));
            if !plain || !self.chars[self.at..].starts_with(&['(', '?']) {
                return Ok(());
            }
            let start = self.at;
            let verbose = self.flags.verbose;
            self.at += 2;
            self.flags = self.turn_on(start, self.flags, true)?;
            self.at += 1;
            if self.flags.verbose && !verbose {
                self.at = 0;
            }
        }
    }

    /// `(?i-s:`; leaves the reader behind the colon.
    fn scoped_flags(&mut self, start: usize) -> Outcome<()> {
        let mut flags = self.turn_on(start, self.flags, false)?;
        if self.eat('-') {
            let from = self.at;
            while let Some(c) = self.peek().filter(|c| "imsx".contains(*c)) {
                set(&mut flags, c, false);
                self.at += 1;
            }
            if self.at == from {
                return Err(Refusal::new(start, "only the flags i, m, s and x can be turned off"));
            }
        }
        if self.peek() == Some(')') {
            let reason = "flags for the whole pattern must stand at its start; use `(?i:...)` for a part";
            return Err(Refusal::new(start, reason));
        }
        if !self.eat(':') {
            return Err(Refusal::new(
                start,
                "unknown kind of group after `(?`; escape the `(` if it is meant literally",
            ));
        }
        self.flags = flags;
        Ok(())
    }

    fn turn_on(&mut self, start: usize, mut flags: PatternFlags, whole: bool) -> Outcome<PatternFlags> {
        let from = self.at;
        while let Some(c) = self.peek().filter(|c| "aiLmsux".contains(*c)) {
            if c == 'L' {
                return Err(Refusal::new(start, "the flag L is for bytes; drop it"));
            }
            if c == 'u' && whole && flags.ascii {
                return Err(Refusal::new(start, "the flags a and u contradict each other; keep one"));
            }
            set(&mut flags, c, true);
            self.at += 1;
        }
        let read = &self.chars[from..self.at];
        if read.contains(&'a') && read.contains(&'u') {
            return Err(Refusal::new(start, "the flags a and u contradict each other; keep one"));
        }
        Ok(flags)
    }
}

fn set(flags: &mut PatternFlags, c: char, on: bool) {
    match c {
        'a' => flags.ascii = on,
        'u' => flags.ascii = !on,
        'i' => flags.ignore_case = on,
        'm' => flags.multi_line = on,
        's' => flags.dot_all = on,
        'x' => flags.verbose = on,
        _ => {}
    }
}

fn not_linear(start: usize, what: &str) -> Refusal {
    let reason = format!("{what} is not supported, since matching must stay linear; rewrite the pattern without it");
    Refusal::new(start, reason)
}
