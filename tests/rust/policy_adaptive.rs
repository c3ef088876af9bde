//! The adaptive policy: its invariants, and the promises that make it worth having.

use crate::policy_slab::{Cache, Event, events};
use fastcascade::adaptive::Adaptive;
use fastcascade::lru::Lru;
use fastcascade::policy::Policy;
use proptest::prelude::*;

/// Applies one event, and says what came of it.
fn apply(cache: &mut Cache<Adaptive>, event: Event) -> Option<u32> {
    match event {
        Event::Ask(key) => Some(u32::from(cache.ask(key))),
        Event::Evict => cache.evict(),
        Event::Forget(key) => {
            cache.forget(key);
            None
        }
    }
}

proptest! {
    /// Whatever happens, lists and marks agree, and a cache is never over its capacity.
    #[test]
    fn its_invariants_hold(capacity in 1_usize..40, events in events(80, 600)) {
        let mut cache = Cache::<Adaptive>::new(capacity);
        for event in events {
            apply(&mut cache, event);
            cache.validate();
        }
    }

    /// A cache bounded by something else than entries, whose length goes up and down, is sound too.
    #[test]
    fn a_varying_length_is_sound(bursts in prop::collection::vec((1_u32..200, 0_usize..200), 1..20)) {
        let mut cache = Cache::<Adaptive>::new(usize::MAX);
        let mut key = 0;
        for (asked, evicted) in bursts {
            for _ in 0..asked {
                key = (key * 5 + 7) % 509;
                cache.ask(key);
                cache.validate();
            }
            for _ in 0..evicted {
                let before = cache.policy.len();
                prop_assert_eq!(cache.evict().is_some(), before > 0);
                cache.validate();
            }
        }
    }

    /// The same events always have the same outcome.
    #[test]
    fn it_is_deterministic(capacity in 1_usize..40, events in events(80, 400)) {
        let (mut one, mut other) = (Cache::<Adaptive>::new(capacity), Cache::<Adaptive>::new(capacity));
        for event in events {
            prop_assert_eq!(apply(&mut one, event), apply(&mut other, event));
        }
    }

    /// Until it is full it evicts nothing, so every key asked for again is a hit.
    #[test]
    fn it_keeps_what_fits(keys in prop::collection::vec(0_u32..30, 0..200)) {
        let mut cache = Cache::<Adaptive>::new(30);
        let mut seen = std::collections::HashSet::new();
        for key in keys {
            prop_assert_eq!(cache.ask(key), !seen.insert(key));
        }
    }
}

/// An empty cache has no victim, and is none the worse for being asked.
#[test]
fn an_empty_cache_has_no_victim() {
    let mut cache = Cache::<Adaptive>::new(10);
    assert_eq!(cache.evict(), None);
    (0..30).for_each(|key| {
        cache.ask(key);
        cache.validate();
    });
}

/// A newcomer can be asked for at once, even in a cache of one.
#[test]
fn a_newcomer_is_a_hit_at_once() {
    for capacity in [1, 2, 10, 1_000] {
        let mut cache = Cache::<Adaptive>::new(capacity);
        for key in 0..4 * u32::try_from(capacity).expect("small") {
            cache.ask(key);
            assert!(cache.ask(key), "key {key} of a cache of {capacity}");
        }
    }
}

/// Keys asked for now and then outlive a scan of ten times the cache, which empties an LRU cache.
#[test]
fn a_scan_passes_through() {
    let (mut cache, mut lru) = (Cache::<Adaptive>::new(100), Cache::<Lru>::new(100));
    (0..8).flat_map(|_| 0..80).for_each(|key| {
        cache.ask(key);
        lru.ask(key);
    });
    (1_000..2_000).for_each(|key| {
        cache.ask(key);
        lru.ask(key);
    });
    let kept = |table: &std::collections::HashMap<u32, _>| (0..80).filter(|key| table.contains_key(key)).count();
    assert!(kept(&cache.table) >= 70, "{} of 80 are left", kept(&cache.table));
    assert_eq!(kept(&lru.table), 0);
}

/// In a loop longer than the cache some of it stays; an LRU cache never hits.
#[test]
fn a_loop_does_not_thrash() {
    let mut cache = Cache::<Adaptive>::new(100);
    let hits = (0..50).flat_map(|_| 0..400).filter(|&key| cache.ask(key)).count();
    assert!(hits > 50 * 400 / 8, "{hits} hits, where the optimum is about 5,000");
}

/// When other keys become popular, they take the cache within some ten requests an entry.
#[test]
fn old_fame_fades() {
    let mut cache = Cache::<Adaptive>::new(100);
    (0..100).flat_map(|_| 0..90).for_each(|key| {
        cache.ask(key);
    });
    (0..40).flat_map(|_| 1_000..1_090).for_each(|key| {
        cache.ask(key);
    });
    let kept = (1_000..1_090).filter(|key| cache.table.contains_key(key)).count();
    assert!(kept >= 80, "{kept} of 90 are cached");
}

/// It takes about a byte a slot until something is evicted, and no more than 12 an entry then.
#[test]
fn memory_follows_the_entries() {
    let mut cache = Cache::<Adaptive>::new(10_000);
    (0..10).for_each(|key| {
        cache.ask(key);
    });
    assert!(cache.policy.memory() <= 16, "{} bytes for ten entries", cache.policy.memory());
    (0..30_000).for_each(|key| {
        cache.ask(key);
    });
    assert!(cache.policy.memory() <= 12 * 10_001 + 64, "{} bytes", cache.policy.memory());
}
