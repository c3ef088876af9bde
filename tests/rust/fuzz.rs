//! The fuzz bodies on the stable toolchain: random and mutated inputs, a bounded number of them.

use proptest::prelude::*;

use crate::cases;
use crate::fuzz_bodies::{fuzz_path, fuzz_patterns, fuzz_text, fuzz_tree};

/// Bytes made of pieces that matter to a body more often than chance would have them, and of any bytes.
fn input(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        5 => prop::sample::select(pieces).prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    (any::<u8>(), prop::collection::vec(piece, 0..most))
        .prop_map(|(choice, body)| [vec![choice], body.concat()].concat())
}

/// A good input with some of its bytes changed, doubled or taken out.
fn mutated(seeds: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 0..6);
    (any::<u8>(), prop::sample::select(seeds), changes).prop_map(|(choice, seed, changes)| {
        let mut bytes = [&[choice], seed.as_bytes()].concat();
        for (at, byte, change) in changes {
            let at = at.index(bytes.len());
            match change {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, bytes[at]),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    })
}

const PATHS: &[&str] = &["/", "..", ".", "%", "%2e", "%2F", "%25", "%C3%A9", "%00", "\\", "?", "a", "é"];
const PATH_SEEDS: &[&str] = &["/v1//chat/%2e%2e/caf%C3%A9/", "/a/./b/../c%2Fd", "/%E6%97%A5/%252F/x"];
const TEXTS: &[&str] = &["\u{345}", "\u{301}", "ᾳ", "ß", " ", "A", "\u{AD}", "İ", "ﬁ", "\u{3000}", "가", "Σ"];
const TEXT_SEEDS: &[&str] = &["  Ｓtra\u{AD}ße\n12 ", "Reset  my PASSWORD", "ᾴ\u{345}\u{301}é"];
const PATTERNS: &[&str] = &[
    "a", "b", "(", ")", "[", "]", "|", "*", "+", "?", "{2,3}", "^", "$", "\\d", "\\b", "\\w", "(?:", "(?P<n>", "[^a]",
    ".", "\n", "-", "é", "A",
];
const PATTERN_SEEDS: &[&str] = &[
    "^/v(?P<major>[0-9]+)/legacy\n/v12/legacy/x",
    "(?i)reset\\s+(?:my )?password\nRESET my password",
    "(a|ab)(c|bcd)*d{1,3}\nabcdd",
    "(a*)*b\naaaaaaaaaaaaaaaaaaaaaaaa",
    "[^/]+\\.(?P<ext>png|jpe?g)\\b\n/img/a.jpeg?x",
];

proptest! {
    #![proptest_config(cases(2000))]

    /// Paths come out safe and stable, or are refused.
    #[test]
    fn paths(random in input(PATHS, 20), near in mutated(PATH_SEEDS)) {
        fuzz_path(&random);
        fuzz_path(&near);
    }

    /// Folded texts are stable and blind to spelling.
    #[test]
    fn texts(random in input(TEXTS, 20), near in mutated(TEXT_SEEDS)) {
        fuzz_text(&random);
        fuzz_text(&near);
    }

    /// Tree and list agree.
    #[test]
    fn trees(random in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_tree(&random);
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    /// Patterns are built or refused, and match as another engine says.
    #[test]
    fn patterns(random in input(PATTERNS, 14), near in mutated(PATTERN_SEEDS)) {
        fuzz_patterns(&random);
        fuzz_patterns(&near);
    }
}
