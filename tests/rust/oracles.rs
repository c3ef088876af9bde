//! Naive twins: the shortest code that says what the structures must answer, with no regard to cost.

use std::collections::HashMap;

use fastcascade::router::By;
use fastcascade::template::{self, Part};

/// A rule of the naive table: its text, and its methods (None for all).
#[derive(Clone, Debug)]
pub struct Rule {
    pub text: String,
    pub methods: Option<Vec<String>>,
    /// Whether the text is a pattern; the twin knows only `^literal` and `literal`.
    pub regex: bool,
}

/// What was found: the rule's place in the list, the matcher, and where its params lie.
pub type Answer = (usize, By, Vec<(usize, usize)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Byte(u8),
    Param,
    Tail,
}

/// All rules in a list, searched from its beginning every time.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rules: Vec<Rule>,
    pieces: Vec<Vec<Piece>>,
}

impl Table {
    /// A table of rules whose templates can be read.
    pub fn new(rules: Vec<Rule>) -> Self {
        let pieces = rules.iter().map(|rule| if rule.regex { Vec::new() } else { pieces(&rule.text) }).collect();
        Self { rules, pieces }
    }

    /// The earlier and the later of the first two rules that answer the same requests.
    pub fn conflict(&self) -> Option<(usize, usize)> {
        (0..self.rules.len()).find_map(|later| {
            (0..later)
                .find(|earlier| self.same_place(*earlier, later) && self.overlap(*earlier, later))
                .map(|e| (e, later))
        })
    }

    /// The first rule that matches and takes the method.
    pub fn find(&self, path: &str, method: &str) -> Option<Answer> {
        By::ALL.into_iter().find_map(|by| self.find_by(by, path, &|rule| self.takes(rule, method)))
    }

    /// The first rule of one matcher that matches and is accepted.
    pub fn find_by(&self, by: By, path: &str, accept: &dyn Fn(usize) -> bool) -> Option<Answer> {
        let mut own = (0..self.rules.len()).filter(|rule| self.matcher(*rule) == by);
        let (rule, spans) = match by {
            By::Exact => {
                let whole: Vec<Piece> = path.bytes().map(Piece::Byte).collect();
                (own.find(|rule| self.pieces[*rule] == whole && accept(*rule))?, Vec::new())
            }
            By::Prefix => {
                let states: Vec<_> = own.map(|rule| (rule, self.pieces[rule].as_slice())).collect();
                search(&states, path.as_bytes(), 0, accept)?
            }
            By::Regex => (own.find(|rule| self.pattern_matches(*rule, path) && accept(*rule))?, Vec::new()),
            By::Wildcard => (own.find(|rule| accept(*rule))?, Vec::new()),
        };
        Some((rule, by, spans))
    }

    /// Whether the matcher has any rule.
    pub fn has(&self, by: By) -> bool {
        (0..self.rules.len()).any(|rule| self.matcher(rule) == by)
    }

    /// Whether a rule takes a method: `HEAD` too where it takes `GET` and no other rule at its place has `HEAD`.
    pub fn takes(&self, rule: usize, method: &str) -> bool {
        let names = |rule: usize, method: &str| match &self.rules[rule].methods {
            None => true,
            Some(methods) => methods.iter().any(|own| own == method),
        };
        let head_elsewhere = || (0..self.rules.len()).any(|other| self.same_place(other, rule) && names(other, "HEAD"));
        names(rule, method) || (method == "HEAD" && names(rule, "GET") && (self.rules[rule].regex || !head_elsewhere()))
    }

    fn matcher(&self, rule: usize) -> By {
        match &self.rules[rule] {
            Rule { regex: true, .. } => By::Regex,
            Rule { text, .. } if text == "*" => By::Wildcard,
            _ if self.pieces[rule].iter().all(|piece| matches!(piece, Piece::Byte(_))) => By::Exact,
            _ => By::Prefix,
        }
    }

    fn same_place(&self, a: usize, b: usize) -> bool {
        let plain = |rule: usize| (self.matcher(rule), &self.pieces[rule]);
        if self.rules[a].regex { a == b } else { plain(a) == plain(b) }
    }

    fn overlap(&self, a: usize, b: usize) -> bool {
        match (&self.rules[a].methods, &self.rules[b].methods) {
            (Some(a), Some(b)) => a.iter().any(|method| b.contains(method)),
            _ => true,
        }
    }

    fn pattern_matches(&self, rule: usize, path: &str) -> bool {
        let text = self.rules[rule].text.as_str();
        text.strip_prefix('^').map_or_else(|| path.contains(text), |start| path.starts_with(start))
    }
}

fn pieces(text: &str) -> Vec<Piece> {
    let parts = template::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
    let piece = |part: Part| match part {
        Part::Literal(text) => text.bytes().map(Piece::Byte).collect(),
        Part::Param(_) => vec![Piece::Param],
        Part::Tail(_) => vec![Piece::Tail],
    };
    parts.into_iter().flat_map(piece).collect()
}

/// What is left of each rule that agrees with the text so far.
type States<'p> = Vec<(usize, &'p [Piece])>;

/// The first way through, byte for byte: a literal before a param before a tail; of a param's ends the nearest.
fn search<'p>(
    states: &[(usize, &'p [Piece])],
    text: &[u8],
    at: usize,
    accept: &dyn Fn(usize) -> bool,
) -> Option<(usize, Vec<(usize, usize)>)> {
    let after = |next: Piece| -> States<'p> {
        let agrees = |(_, left): &&(usize, &'p [Piece])| left.first() == Some(&next);
        states.iter().filter(agrees).map(|(rule, left)| (*rule, &left[1..])).collect()
    };
    let by_tail = || {
        let rule = after(Piece::Tail).into_iter().map(|(rule, _)| rule).find(|rule| accept(*rule))?;
        Some((rule, vec![(at, text.len())]))
    };
    let Some(byte) = text.get(at) else {
        let ended = states.iter().find(|(rule, left)| left.is_empty() && accept(*rule));
        return ended.map(|(rule, _)| (*rule, Vec::new())).or_else(by_tail);
    };
    let literal = after(Piece::Byte(*byte));
    if let Some(found) = (!literal.is_empty()).then(|| search(&literal, text, at + 1, accept)).flatten() {
        return Some(found);
    }
    let param = after(Piece::Param);
    let segment = text[at..].iter().take_while(|byte| **byte != b'/').count();
    for end in at + 1..=at + segment {
        if param.is_empty() {
            break;
        }
        if let Some((rule, mut spans)) = search(&param, text, end, accept) {
            spans.insert(0, (at, end));
            return Some((rule, spans));
        }
    }
    by_tail()
}

/// One entry of the naive cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub key: u8,
    pub value: u64,
    pub expires: u64,
    pub weight: u64,
    pub tags: Vec<String>,
}

/// The naive cache: a list from the most to the least recently used.
#[derive(Clone, Debug, Default)]
pub struct Recent(pub Vec<Kept>);

impl Recent {
    /// The entry of a key.
    pub fn get(&self, key: u8) -> Option<&Kept> {
        self.0.iter().find(|kept| kept.key == key)
    }

    /// Take the entries out that a question picks.
    pub fn take(&mut self, pick: impl Fn(&Kept) -> bool) -> Vec<Kept> {
        let (gone, kept) = std::mem::take(&mut self.0).into_iter().partition(pick);
        self.0 = kept;
        gone
    }

    /// Put an entry first, or a known one back to the first place.
    pub fn put_first(&mut self, kept: Kept) {
        self.take(|other| other.key == kept.key);
        self.0.insert(0, kept);
    }

    /// What all entries weigh.
    pub fn weight(&self) -> u64 {
        self.0.iter().map(|kept| kept.weight).sum()
    }
}

/// The cell rate rule in whole numbers: `amount` tokens each `period`, times in units of 1 / (4 * amount) ns, so that
/// quarters of a token are exact.
#[derive(Clone, Debug)]
pub struct Rate {
    pub amount: u128,
    pub period: u128,
    pub burst: u128,
    full_at: HashMap<u8, u128>,
}

impl Rate {
    /// A rate for clients whose buckets are all full.
    pub fn new(amount: u128, period: u128, burst: u128) -> Self {
        Self { amount, period, burst, full_at: HashMap::new() }
    }

    /// Take so many quarter tokens, or say for how long (in units) they cannot be had; None for never.
    pub fn admit(&mut self, client: u8, quarters: u128, now: u64) -> Option<u128> {
        if quarters > self.burst * 4 {
            return None;
        }
        let now = u128::from(now) * self.unit();
        let full_at = self.full_at.get(&client).copied().unwrap_or(0).max(now) + quarters * self.period;
        let latest = now + self.burst * 4 * self.period;
        if full_at <= latest {
            self.full_at.insert(client, full_at);
        }
        Some(full_at.saturating_sub(latest))
    }

    /// Give back or take what was reserved too much or too little.
    pub fn settle(&mut self, client: u8, reserved: u128, used: u128, now: u64) {
        let now = u128::from(now) * self.unit();
        let full_at = self.full_at.get(&client).copied().unwrap_or(0).max(now) + used * self.period;
        self.full_at.insert(client, full_at.saturating_sub(reserved * self.period).max(now));
    }

    /// Units in a nanosecond.
    pub fn unit(&self) -> u128 {
        4 * self.amount
    }
}
