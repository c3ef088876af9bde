//! Digests: the same content leads to the same one, and nothing else does.

use std::collections::HashMap;

use fastcascade::key::{self, Digest, Parts};
use proptest::prelude::*;

use crate::cases;

/// A structure as a caller may digest it.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Bytes(Vec<u8>),
    Int(i64),
    Float(f64),
    Bool(bool),
    None,
    Sequence(Vec<Value>),
    Mapping(Vec<(String, Value)>),
}

fn write(parts: &mut Parts, value: &Value) {
    match value {
        Value::Text(text) => parts.text(text),
        Value::Bytes(bytes) => parts.bytes(bytes),
        Value::Int(int) => parts.int(&int.to_string()),
        Value::Float(float) => parts.float(*float),
        Value::Bool(value) => parts.bool(*value),
        Value::None => parts.none(),
        Value::Sequence(values) => {
            parts.sequence(values.len());
            values.iter().for_each(|value| write(parts, value));
        }
        Value::Mapping(pairs) => {
            parts.mapping(pairs.len());
            for (name, value) in pairs {
                parts.text(name);
                write(parts, value);
            }
        }
    }
}

fn digest(values: &[Value]) -> Digest {
    let mut parts = Parts::default();
    values.iter().for_each(|value| write(&mut parts, value));
    parts.finish()
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[a0n]{0,2}".prop_map(Value::Text),
        prop::collection::vec(0..3u8, 0..3).prop_map(Value::Bytes),
        (-2..3i64).prop_map(Value::Int),
        prop::sample::select(vec![0.0, 1.0, -1.0, 0.5, f64::INFINITY]).prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::None),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Sequence),
            prop::collection::vec(("[ab]", inner), 0..3).prop_map(Value::Mapping),
        ]
    })
}

proptest! {
    #![proptest_config(cases(2000))]

    /// Two structures have one digest exactly when they are equal, however alike they are.
    #[test]
    fn structures_are_told_apart(a in prop::collection::vec(value(), 0..4), b in prop::collection::vec(value(), 0..4)) {
        prop_assert_eq!(digest(&a) == digest(&b), a == b);
        prop_assert_eq!(digest(&a), digest(&a.clone()));
    }

    /// Two texts have one digest exactly when they are equal, and a text never has that of its bytes.
    #[test]
    fn texts_are_told_apart(text in ".{0,300}", at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut changed = text.clone().into_bytes();
        if !changed.is_empty() {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        let other = String::from_utf8_lossy(&changed);
        prop_assert_eq!(key::text(&text) == key::text(&other), text == other);
        prop_assert_eq!(key::bytes(text.as_bytes()) == key::bytes(&changed), text.as_bytes() == changed);
        prop_assert_ne!(key::text(&text), key::bytes(text.as_bytes()));
    }

    /// A scope is told from every other by how it is cut, too.
    #[test]
    fn scopes_are_told_apart(a in prop::collection::vec("[ab]{0,2}", 0..4), b in prop::collection::vec("[ab]{0,2}", 0..4)) {
        let scope = |parts: &[String]| key::scope(&parts.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(scope(&a) == scope(&b), a == b);
    }
}

/// Texts of every length around the limits of the two hashes, each with every bit turned once, have digests of their own.
#[test]
fn every_bit_of_every_length_counts() {
    let mut seen: HashMap<Digest, String> = HashMap::new();
    for length in (0..36).chain(120..140).chain(236..246).chain([512, 1023]) {
        let plain = "x".repeat(length);
        let mut changed: Vec<String> = (0..length).map(|at| format!("{}y{}", &plain[..at], &plain[at + 1..])).collect();
        changed.push(plain);
        for text in changed {
            let twice = seen.insert(key::text(&text), text);
            assert!(twice.is_none(), "{twice:?} has the digest of another text");
        }
    }
}

/// Equal numbers are one: both zeros, and all NaNs; a number is not its text, nor a truth value.
#[test]
fn numbers_are_themselves() {
    let float = |value| digest(&[Value::Float(value)]);
    assert_eq!(float(0.0), float(-0.0));
    assert_eq!(float(f64::NAN), float(-f64::NAN));
    let one =
        [Value::Int(1), Value::Float(1.0), Value::Bool(true), Value::Text("1".to_owned()), Value::Bytes(vec![b'1'])];
    for (at, a) in one.iter().enumerate() {
        let same = one.iter().filter(|b| digest(std::slice::from_ref(a)) == digest(std::slice::from_ref(b))).count();
        assert_eq!(same, 1, "{:?}", one[at]);
    }
    assert_eq!(key::int(-1), key::int(-1));
    assert_ne!(key::int(0), key::int(1));
}

/// The same content in two scopes has two digests, from each of which the other scope's is not had by chance.
#[test]
fn scopes_part_digests() {
    let scopes = [key::scope(&["a"]), key::scope(&["b"]), key::public_scope(), key::head_scope()];
    let texts = ["", "/", "/a", "/b"];
    let mut seen = std::collections::HashSet::new();
    for text in texts {
        assert!(seen.insert(key::text(text).to_bytes()));
        for scope in scopes {
            assert!(seen.insert(key::text(text).within(scope).to_bytes()), "{text}");
        }
    }
    assert_eq!(key::public_scope(), key::public_scope());
}
