//! A set answers as each of its patterns alone would, asked through the crate `regex`.

use fastcascade::ids::PatternId;
use fastcascade::pattern::{PatternFlags, PatternSet};
use proptest::prelude::*;

/// Pieces that both dialects read alike.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[abckKsSi é0-9]{1,4}".prop_map(|text| text),
        1 => Just("\u{17f}t".to_owned()),
        1 => Just("\u{212a}el".to_owned()),
        2 => prop_oneof![Just("."), Just("[a-k]"), Just("[^bs]"), Just(r"\d"), Just("[KS]"), Just(" {0,2}")].prop_map(str::to_owned),
        1 => prop_oneof![Just(".{0,20}"), Just("[^;]{1,18}"), Just(".*"), Just("[a-z]+")].prop_map(str::to_owned),
        1 => prop_oneof![Just(r"\A"), Just(r"\z")].prop_map(str::to_owned),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    let sequence = prop::collection::vec(piece(), 1..4).prop_map(|pieces| pieces.concat());
    sequence.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            (inner.clone(), prop_oneof![Just("?"), Just("*"), Just("+"), Just("{1,2}"), Just("{2,}"), Just("??")])
                .prop_map(|(part, count)| format!("(?:{part}){count}")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("{a}{b}{c}")),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(prop_oneof!["[abckKsSi 0-9]{1,4}", "[a-z;]{0,22}"], 0..8)
            .prop_map(|parts| parts.concat()),
        "[abckKsSi é0-9ſ\u{212a}É]{0,24}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// `first`, `first_where` and `all` agree with a loop over the patterns.
    #[test]
    fn agrees_with_a_loop(
        patterns in prop::collection::vec((pattern(), any::<bool>()), 1..12),
        texts in prop::collection::vec(text(), 1..8),
    ) {
        // Python folds the dotless and dotted i with the plain one, `regex` does not; texts hold neither.
        let single = |(pattern, fold): &(String, bool)| {
            regex::RegexBuilder::new(pattern).case_insensitive(*fold).build().expect("both read it")
        };
        let oracle: Vec<regex::Regex> = patterns.iter().map(single).collect();
        let flags = |fold| PatternFlags { ignore_case: fold, ..PatternFlags::default() };
        let ours = patterns.iter().map(|(pattern, fold)| (pattern.replace(r"\z", r"\Z"), flags(*fold)));
        let set = PatternSet::new(ours).expect("both read it");
        set.validate();
        for text in &texts {
            let expected: Vec<PatternId> =
                (0..).zip(&oracle).filter(|(_, regex)| regex.is_match(text)).map(|(id, _)| PatternId(id)).collect();
            prop_assert_eq!(set.first(text), expected.first().copied(), "{:?}", text);
            let odd = |id: PatternId| id.0 % 2 == 1;
            prop_assert_eq!(set.first_where(text, odd), expected.iter().copied().find(|id| odd(*id)), "{:?}", text);
            prop_assert_eq!(set.all(text), expected, "{:?}", text);
        }
    }
}

/// A set is shared by threads, and each thread gets the same answers.
#[test]
fn shared_by_threads() {
    fn assert_shared<T: Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>(_: &T) {}
    let patterns = (0..50).map(|i| (format!("x{i}[a-z]+ (?:b|{i})$"), PatternFlags::default()));
    let set = PatternSet::new(patterns).expect("sound patterns");
    assert_shared(&set);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..50 {
                    let found = set.first(&format!("é x{i}abc {i}")).or(set.first(&format!("x{i}abc b\n")));
                    assert_eq!(found, Some(PatternId(i)));
                    assert_eq!(set.first(&format!("x{i}abc b")), Some(PatternId(i)));
                }
            });
        }
    });
}

/// Without patterns nothing matches, and an empty text is asked like any other.
#[test]
fn empty() {
    let none = PatternSet::new(Vec::<(&str, PatternFlags)>::new()).expect("no pattern is at fault");
    assert!(none.is_empty());
    assert_eq!((none.len(), none.first("a"), none.all("")), (0, None, vec![]));
    let set =
        PatternSet::new([("a", PatternFlags::default()), ("^$", PatternFlags::default())]).expect("sound patterns");
    assert_eq!(set.first(""), Some(PatternId(1)));
    assert_eq!(set.stats().unconditional, 2);
    assert!(set.is_unconditional(PatternId(0)), "one letter is too short to look for");
}
