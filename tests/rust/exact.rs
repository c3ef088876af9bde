//! The exact table beside the standard library's map.

use std::collections::HashMap;

use fastcascade::endpoint::{Endpoints, Place};
use fastcascade::exact::Exact;
use fastcascade::ids::RouteId;
use fastcascade::method::MethodSet;
use proptest::prelude::*;

use crate::cases;

/// Places to store; only an endpoint table makes them.
fn places(count: u32) -> Vec<Place> {
    let mut endpoints = Endpoints::default();
    let mut add = |id| endpoints.add(Place::NONE, MethodSet::ANY, RouteId(id)).expect("a new place has no route");
    (0..count).map(&mut add).collect()
}

#[derive(Clone, Debug)]
enum Op {
    Set(String, usize),
    Find(String),
    Keep(String),
    Shrink,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let text = || prop_oneof!["[ab/]{0,3}", "[é日/]{0,2}", ".{0,40}"];
    let op = prop_oneof![
        4 => (text(), 0..16usize).prop_map(|(text, place)| Op::Set(text, place)),
        3 => text().prop_map(Op::Find),
        1 => text().prop_map(Op::Keep),
        1 => Just(Op::Shrink),
    ];
    prop::collection::vec(op, 0..60)
}

proptest! {
    #![proptest_config(cases(300))]

    /// Whatever is set, kept and asked for, the table answers as a map does.
    #[test]
    fn follows_a_map(ops in ops()) {
        let places = places(16);
        let (mut table, mut twin) = (Exact::default(), HashMap::new());
        for op in ops {
            match op {
                Op::Set(text, place) => {
                    let span = table.set(&text, places[place]).expect("the texts are short");
                    prop_assert_eq!(table.text(span), &text);
                    twin.insert(text, places[place]);
                }
                Op::Find(text) => prop_assert_eq!(table.find(&text), twin.get(&text).copied(), "{}", text),
                Op::Keep(text) => {
                    let span = table.keep(&text).expect("the texts are short");
                    prop_assert_eq!(table.text(span), &text);
                }
                Op::Shrink => table.shrink(),
            }
            table.validate();
            prop_assert_eq!((table.len(), table.is_empty()), (twin.len(), twin.is_empty()));
        }
        let all: HashMap<String, Place> = table.iter().map(|(text, place)| (text.to_owned(), place)).collect();
        prop_assert_eq!(all, twin);
    }
}

/// A million texts are all found, their near misses are not, and memory stays below 100 bytes a text.
#[test]
fn holds_a_million() {
    const MANY: u32 = 1_000_000;
    let places = places(1000);
    let mut table = Exact::with_capacity(MANY as usize);
    let text = |id: u32| format!("/item/{id}/{}", id.wrapping_mul(2_654_435_761));
    for id in 0..MANY {
        table.set(&text(id), places[id as usize % 1000]).expect("the texts take 25 MB");
    }
    table.shrink();
    assert_eq!(table.len(), MANY as usize);
    assert!(table.memory() < 100 * MANY as usize, "{} bytes", table.memory());
    for id in (0..MANY).step_by(97) {
        let mut text = text(id);
        assert_eq!(table.find(&text), Some(places[id as usize % 1000]), "{text}");
        text.push('/');
        assert_eq!(table.find(&text), None, "{text}");
    }
}

/// Every byte of a text counts, as do its case and its length.
#[test]
fn tells_near_texts_apart() {
    let place = places(1)[0];
    let texts = ["", "/", "//", "/a", "/A", "/a/", "/a\0", "/é", "/e\u{301}", " /a", "/a "];
    for text in texts {
        let mut table = Exact::default();
        table.set(text, place).expect("it is short");
        let found: Vec<_> = texts.into_iter().filter(|other| table.find(other).is_some()).collect();
        assert_eq!(found, [text]);
    }
}
