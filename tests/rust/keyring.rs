//! The key ring beside a map that keeps what the ring does not.

use std::collections::HashMap;
use std::sync::Arc;

use fastcascade::ids::Nanos;
use fastcascade::keyring::{Identity, KeyRing, KeyringError, Marks};
use proptest::prelude::*;

use crate::cases;

type Ring = KeyRing<Arc<Identity>>;

fn identity(name: &str, tenant: Option<&str>, scopes: &[&str]) -> Identity {
    Identity::new(name, tenant, scopes)
}

fn name_of(ring: &Ring, secret: &str, now: u64) -> Option<String> {
    ring.identify(secret.as_bytes(), || Nanos(now), |identity, _| identity.name().to_owned())
}

/// What a ring says stands for an identity.
fn marks(identity: &Identity) -> Marks {
    let ring = Ring::default();
    ring.add(b"secret", Arc::new(identity.clone()), Nanos::NEVER, Nanos(0)).expect("it is new");
    ring.identify(b"secret", || Nanos(0), |_, marks| *marks).expect("it was added")
}

#[derive(Clone, Debug)]
enum Op {
    Add(String, String, Option<u64>),
    Identify(String),
    Rotate(String, String, u64),
    Remove(String),
    Revoke(String),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let secret = || "[ab]{0,3}";
    let name = || "[mno]";
    prop_oneof![
        5 => (secret(), name(), prop::option::of(0..40u64)).prop_map(|(secret, name, life)| Op::Add(secret, name, life)),
        5 => secret().prop_map(Op::Identify),
        3 => (secret(), secret(), 0..20u64).prop_map(|(old, new, grace)| Op::Rotate(old, new, grace)),
        1 => secret().prop_map(Op::Remove),
        1 => name().prop_map(Op::Revoke),
        2 => (0..15u64).prop_map(Op::Wait),
    ]
}

/// What the ring must know: each secret with its name and its end.
#[derive(Default)]
struct Twin(HashMap<String, (String, u64)>);

impl Twin {
    fn live(&self, secret: &str, now: u64) -> Option<(String, u64)> {
        self.0.get(secret).filter(|(_, end)| *end > now).cloned()
    }

    fn add(&mut self, secret: &str, name: &str, end: u64, now: u64) -> Result<(), KeyringError> {
        if secret.is_empty() {
            return Err(KeyringError::Empty);
        }
        if self.live(secret, now).is_some() {
            return Err(KeyringError::Known);
        }
        self.0.insert(secret.to_owned(), (name.to_owned(), end));
        Ok(())
    }

    fn rotate(&mut self, old: &str, new: &str, old_end: u64, now: u64) -> Result<(), KeyringError> {
        let (name, end) = self.live(old, now).ok_or(KeyringError::Unknown)?;
        self.add(new, &name, end, now)?;
        self.0.insert(old.to_owned(), (name, end.min(old_end)));
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(500))]

    /// Whatever is added, rotated, removed and revoked, the ring knows the secrets that the map knows.
    #[test]
    fn follows_a_map(ops in prop::collection::vec(op(), 0..80)) {
        let (ring, mut twin, mut now) = (Ring::default(), Twin::default(), 100);
        for op in ops {
            match &op {
                Op::Add(secret, name, life) => {
                    let end = life.map_or(u64::MAX, |life| now + life);
                    let added = ring.add(secret.as_bytes(), Arc::new(identity(name, None, &[])), Nanos(end), Nanos(now));
                    prop_assert_eq!(added, twin.add(secret, name, end, now), "{:?}", op);
                }
                Op::Identify(secret) => {
                    prop_assert_eq!(name_of(&ring, secret, now), twin.live(secret, now).map(|(name, _)| name), "{:?}", op);
                }
                Op::Rotate(old, new, grace) => {
                    let end = Nanos(now + grace);
                    let rotated = ring.rotate(old.as_bytes(), new.as_bytes(), end, Nanos(now), Arc::clone);
                    prop_assert_eq!(rotated, twin.rotate(old, new, end.0, now), "{:?}", op);
                }
                Op::Remove(secret) => {
                    prop_assert_eq!(ring.remove(secret.as_bytes(), Nanos(now)), twin.0.remove(secret).is_some_and(|(_, end)| end > now), "{:?}", op);
                }
                Op::Revoke(name) => {
                    let worked = twin.0.values().filter(|(own, end)| own == name && *end > now).count();
                    twin.0.retain(|_, (own, _)| own != name);
                    prop_assert_eq!(ring.revoke(name, Nanos(now)), worked, "{:?}", op);
                }
                Op::Wait(time) => now += time,
            }
            // What has expired may have been forgotten.
            let working = twin.0.values().filter(|(_, end)| *end > now).count();
            let len = ring.len();
            prop_assert!((working..=twin.0.len()).contains(&len));
            prop_assert_eq!(ring.is_empty(), len < 1);
            let mut names = Vec::new();
            ring.for_each(|identity| names.push(identity.name().to_owned()));
            prop_assert_eq!(names.len(), ring.len());
        }
    }

    /// Two identities share a scope exactly when they are one: same name, tenant and scopes, in whatever order.
    #[test]
    fn scopes_tell_identities_apart(
        names in ("[ab\\x000-2]{0,3}", "[ab\\x000-2]{0,3}"),
        tenants in (prop::option::of("[ab\\x000-2]{0,3}"), prop::option::of("[ab\\x000-2]{0,3}")),
        scopes in (prop::collection::vec("[ab]{1,2}", 0..3), prop::collection::vec("[ab]{1,2}", 0..3)),
    ) {
        let a = Identity::new(&names.0, tenants.0.as_deref(), &scopes.0);
        let b = Identity::new(&names.1, tenants.1.as_deref(), &scopes.1);
        let same_scopes = a.scopes() == b.scopes();
        let same_person = a.name() == b.name() && a.tenant() == b.tenant();
        let same_tenant = a.tenant().is_some() && a.tenant() == b.tenant();
        let (one, other) = (marks(&a), marks(&b));
        prop_assert_eq!(one.own == other.own, same_person && same_scopes);
        prop_assert_eq!(a.shared_scope() == b.shared_scope(), same_scopes && (same_tenant || same_person));
        prop_assert_eq!(one.bucket == other.bucket, same_person);
        prop_assert_ne!(one.own, one.bucket);
        let mut reversed = scopes.0.clone();
        reversed.reverse();
        prop_assert_eq!(Identity::new(&names.0, tenants.0.as_deref(), reversed.iter().chain(&scopes.0)), a);
    }
}

/// An identity has the scopes it was given, each alone and together, and no other.
#[test]
fn scopes_are_checked() {
    let boxed = |scopes: &[&str]| scopes.iter().map(|scope| Box::from(*scope)).collect::<Vec<Box<str>>>();
    let identity = identity("a", Some("t"), &["write", "read", "read"]);
    assert_eq!(identity.scopes(), boxed(&["read", "write"]));
    for (needed, expected) in [
        (&[][..], true),
        (&["read"], true),
        (&["write", "read"], true),
        (&["read", "admin"], false),
        (&["Read"], false),
        (&[""], false),
    ] {
        assert_eq!(identity.has_all(&boxed(needed)), expected, "{needed:?}");
    }
}

/// Secrets of any bytes and length are told apart by every byte, and none can be read out of the ring's own text.
#[test]
fn secrets_are_kept_as_hashes() {
    let ring = Ring::default();
    let long = "k".repeat(100_000);
    let secrets = ["sk-live-1", "sk-live-2", "sk-live-1\0", "é", long.as_str()];
    for (at, secret) in secrets.iter().enumerate() {
        let owner = Arc::new(identity(&at.to_string(), None, &[]));
        ring.add(secret.as_bytes(), owner, Nanos::NEVER, Nanos(0)).expect("it is new");
    }
    for (at, secret) in secrets.iter().enumerate() {
        assert_eq!(name_of(&ring, secret, 1), Some(at.to_string()));
    }
    for unknown in ["", "sk-live-", "sk-live-3", "SK-LIVE-1", &long[1..]] {
        assert_eq!(name_of(&ring, unknown, 1), None, "{}", unknown.len());
    }
    assert!(!format!("{ring:?}").contains("sk-live"), "{ring:?}");
}

/// A ring on which no secret ever ends never asks for the time, and one that has had any asks.
#[test]
fn reads_no_clock_without_an_end() {
    let ring = Ring::default();
    let add = |secret: &str, end| ring.add(secret.as_bytes(), Arc::new(identity(secret, None, &[])), end, Nanos(5));
    let known = |secret: &str, now: &dyn Fn() -> Nanos| ring.identify(secret.as_bytes(), now, |_, _| ()).is_some();
    add("a", Nanos::NEVER).expect("it is new");
    assert!(known("a", &|| panic!("the clock was read")));
    add("b", Nanos(10)).expect("it is new");
    assert!(known("a", &|| Nanos(10)) && known("b", &|| Nanos(9)) && !known("b", &|| Nanos(10)));
    let ring = Ring::default();
    ring.add(b"old", Arc::new(identity("c", None, &[])), Nanos::NEVER, Nanos(5)).expect("it is new");
    ring.rotate(b"old", b"new", Nanos(10), Nanos(5), Arc::clone).expect("it is known");
    assert!(ring.identify(b"old", || Nanos(10), |_, _| ()).is_none(), "a rotated secret ends");
}
