//! Patterns mean what they mean to Python's `re`.

#[rustfmt::skip]
#[path = "data/dialect_table.rs"]
mod table;

use fastcascade::ids::PatternId;
use fastcascade::pattern::{PatternFlags, PatternSet};

fn flags(letters: &str) -> PatternFlags {
    PatternFlags {
        ignore_case: letters.contains('i'),
        multi_line: letters.contains('m'),
        dot_all: letters.contains('s'),
        verbose: letters.contains('x'),
        ascii: letters.contains('a'),
    }
}

/// Each pattern of the table matches where Python finds it, with the same spans of its groups.
#[test]
fn matches_as_python() {
    for &(letters, pattern, text, expected) in table::MATCHES {
        let set = PatternSet::new([(pattern, flags(letters))]).unwrap_or_else(|error| panic!("{error}"));
        let mut spans = Vec::new();
        let matched = set.captures(PatternId(0), text, &mut spans);
        let found = matched.then_some(spans.as_slice());
        assert_eq!(found, expected, "{letters} {pattern:?} {text:?}");
        assert_eq!(set.first(text).is_some(), expected.is_some(), "first: {letters} {pattern:?} {text:?}");
        assert_eq!(set.all(text).len(), usize::from(expected.is_some()), "all: {letters} {pattern:?} {text:?}");
    }
}

/// What cannot be matched in linear time, is malformed or is too large is refused, with its place.
#[test]
fn refuses_with_a_position() {
    for &(letters, pattern, position) in table::REFUSED {
        let good = ("fine", PatternFlags::default());
        let error = PatternSet::new([good, (pattern, flags(letters))]).expect_err(pattern);
        assert_eq!((error.index, error.pattern.as_str()), (1, pattern), "{error}");
        if position.is_some() {
            assert_eq!(error.position, position, "{error}");
        }
    }
}

/// Flags may stand at the start of a pattern, as in Python.
#[test]
fn leading_flags() {
    let cases = [
        ("(?i)ab", "AB", true),
        ("(?im)(?s)^a.b", "x\nA\nB", true),
        ("(?x) a b # note", "ab", true),
        ("(?#note)(?i)a", "A", true),
        ("(?a)\\w", "\u{e9}", false),
        ("(?ai)k", "\u{212a}", false),
    ];
    for (pattern, text, expected) in cases {
        let set = PatternSet::new([(pattern, PatternFlags::default())]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(set.first(text).is_some(), expected, "{pattern:?} {text:?}");
    }
}

/// A message names the pattern, the place, the reason and a way out.
#[test]
fn messages() {
    let error = PatternSet::new([("a(?=b)", PatternFlags::default())]).expect_err("look-ahead");
    let expected = "pattern 0 (\"a(?=b)\") at character 1: look-around is not supported, since matching must stay linear; \
                    rewrite the pattern without it";
    assert_eq!(error.to_string(), expected);
}

/// Groups keep Python's numbers and their names, in order of appearance; groups without a name are not listed.
#[test]
fn group_names() {
    let set = PatternSet::new([("(a)(?P<n>b)((?:x)(?<m>c))", PatternFlags::default())]).expect("a sound pattern");
    let names: Vec<_> = set.group_names(PatternId(0)).collect();
    assert_eq!(names, [(2, "n"), (4, "m")]);
}
