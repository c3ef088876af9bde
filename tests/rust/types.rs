//! What every public type promises to threads and to unwinding.

use std::collections::BTreeSet;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;

use fastcascade::keyring::Identity;
use fastcascade::{
    adaptive, bucket, cache, clock, endpoint, error, eviction, exact, front, ids, key, keyring, lru, method, path,
    pattern, policy, prefix, route, router, slab, tags, template, text, vectors,
};

/// A holder of an identity, as the ring is used.
type Holder = std::sync::Arc<Identity>;

fn shared<T: Send + Sync + UnwindSafe>(seen: &mut BTreeSet<&'static str>) {
    let name = std::any::type_name::<T>();
    let name = name.split(['<']).next().unwrap_or(name);
    seen.insert(name.rsplit("::").next().unwrap_or(name));
}

fn read_only<T: Send + Sync + UnwindSafe + RefUnwindSafe>(seen: &mut BTreeSet<&'static str>) {
    shared::<T>(seen);
}

/// `check!(seen, kind: a, b)` calls `kind::<a>(seen)`, `kind::<b>(seen)`.
macro_rules! check {
    ($seen:ident, $kind:ident: $($type:ty),+ $(,)?) => { $($kind::<$type>(&mut $seen);)+ };
}

/// Every public type may be sent, shared and carried through a panic, and those without a lock may be borrowed through
/// one; the list is complete.
#[test]
fn every_type_is_shared_and_unwinds() {
    let mut seen = BTreeSet::new();
    check!(seen, read_only: adaptive::Adaptive,
        bucket::Quota, bucket::QuotaError, bucket::Admission, cache::Limits, eviction::PolicyName, cache::Lookup<u8>,
        cache::Counters, cache::Cache<u8>, clock::Clock, endpoint::Place, endpoint::Endpoints, error::BuildError,
        exact::Exact, exact::TooLong, front::Ask<'static>, front::Decision<'static, u8>, front::Refusal, ids::RouteId,
        ids::PatternId, ids::Nanos, key::Digest, key::Parts, keyring::Identity, keyring::KeyringError, keyring::Marks, lru::Lru,
        method::MethodSet, method::Methods, method::MethodError, path::TrailingSlash, path::EncodedSlash,
        path::DotSegments, path::PathPolicy, path::PathReason, path::PathError, pattern::PatternFlags,
        pattern::PatternError, pattern::PatternSet, pattern::PatternStats, policy::Slot, policy::List, prefix::Tree, route::Pattern,
        route::Share, route::Access, route::Route<u8>, router::By, router::Normalize, router::Found, router::Step,
        router::Outcome, router::Router<u8>, slab::Slab<u8>, tags::Tags, template::Part, template::TemplateError,
        text::Form, text::TextPolicy, vectors::Fault, vectors::GroupId, vectors::Vectors, vectors::VectorsError,
    );
    check!(seen, shared: bucket::Limiter, keyring::KeyRing<Holder>);
    // Borrows two locks, so it is shared but does not promise to be whole after a panic.
    fn borrowed<T: Send + Sync>() {}
    borrowed::<front::Front<'static, u8, u8, Holder>>();
    seen.insert("Front");
    let missing: Vec<String> = public_types().into_iter().filter(|name| !seen.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "public types that this test does not name: {missing:?}");
}

/// The names of all types declared public in public modules, read from the source.
fn public_types() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rust");
    let read =
        |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let modules = read("lib.rs");
    let modules = modules.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let sources: Vec<String> = modules.map(|module| read(&format!("{module}.rs"))).collect();
    let declared = |line: &str| {
        let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
        Some(rest.chars().take_while(|c| c.is_alphanumeric()).collect::<String>())
    };
    let types: Vec<String> = sources.iter().flat_map(|source| source.lines().filter_map(declared)).collect();
    assert!(types.len() > 40, "the source is not read as it should be");
    types
}
