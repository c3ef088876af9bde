//! The cache beside a list that is told only who was evicted, and with LRU not even that.

use fastcascade::cache::{Cache, Counters, Limits, Lookup};
use fastcascade::eviction::PolicyName;
use fastcascade::ids::Nanos;
use fastcascade::key::{self, Digest};
use proptest::prelude::*;

use crate::cases;
use crate::oracles::{Kept, Recent};

fn limits(max_items: usize, max_weight: u64, ttl: Option<u64>, stale_for: u64) -> Limits {
    Limits { max_items, max_weight, ttl: ttl.map(Nanos), stale_for: Nanos(stale_for) }
}

fn digest(key: u8) -> Digest {
    key::int(i64::from(key))
}

#[derive(Clone, Debug)]
enum Op {
    Get(u8),
    Peek(u8),
    Put(u8, Option<u64>, u32, Vec<&'static str>),
    Remove(u8),
    Invalidate(&'static str),
    Clear,
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..12u8;
    let tag = || prop::sample::select(vec!["a", "b", "é"]);
    let ttl = prop::option::weighted(0.3, 0..20u64);
    let weight = prop_oneof![5 => Just(1u32), 2 => 0..9u32];
    let put = (key(), ttl, weight, prop::collection::vec(tag(), 0..3));
    prop_oneof![
        8 => key().prop_map(Op::Get),
        2 => key().prop_map(Op::Peek),
        8 => put.prop_map(|(key, ttl, weight, tags)| Op::Put(key, ttl, weight, tags)),
        1 => key().prop_map(Op::Remove),
        1 => tag().prop_map(Op::Invalidate),
        2 => (0..12u64).prop_map(Op::Wait),
        1 => prop::bool::weighted(0.2).prop_map(|clear| if clear { Op::Clear } else { Op::Get(0) }),
    ]
}

/// A cache, its twin, and everything the twin expects to have been counted.
struct Pair {
    policy: PolicyName,
    limits: Limits,
    cache: Cache<u64>,
    twin: Recent,
    counted: Counters,
    now: u64,
    next: u64,
}

impl Pair {
    fn new(policy: PolicyName, limits: Limits) -> Self {
        let (twin, counted) = (Recent::default(), Counters::default());
        Self { policy, limits, cache: Cache::new(limits, policy), twin, counted, now: 1000, next: 0 }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Get(key) => self.get(key),
            Op::Peek(key) => {
                let found = self.cache.peek(digest(key), || Nanos(self.now), |value| *value);
                assert_eq!(found, self.expected(key), "peek {key}");
            }
            Op::Put(key, ttl, weight, tags) => self.put(key, ttl, weight, &tags),
            Op::Remove(key) => {
                let gone = self.twin.take(|kept| kept.key == key);
                assert_eq!(self.cache.remove(digest(key)).as_slice(), values(&gone));
            }
            Op::Invalidate(tag) => {
                let gone = self.twin.take(|kept| kept.tags.iter().any(|own| own == tag));
                self.counted.invalidations += gone.len() as u64;
                assert_eq!(sorted(self.cache.invalidate(tag)), sorted(values(&gone)), "tag {tag}");
            }
            Op::Clear => {
                let gone = self.twin.take(|_| true);
                assert_eq!(sorted(self.cache.clear()), sorted(values(&gone)));
            }
            Op::Wait(time) => self.now += time,
        }
        self.compare();
    }

    fn expected(&self, key: u8) -> Lookup<u64> {
        match self.twin.get(key) {
            Some(kept) if self.now < kept.expires => Lookup::Fresh(kept.value),
            Some(kept) if self.now < kept.expires.saturating_add(self.limits.stale_for.0) => Lookup::Stale(kept.value),
            _ => Lookup::Miss,
        }
    }

    fn get(&mut self, key: u8) {
        let expected = self.expected(key);
        let (found, gone) = self.cache.get(digest(key), || Nanos(self.now), |value| *value);
        assert_eq!(found, expected, "get {key}");
        match expected {
            Lookup::Fresh(_) => {
                self.counted.hits += 1;
                self.twin.get(key).cloned().into_iter().for_each(|kept| self.twin.put_first(kept));
            }
            Lookup::Stale(_) => self.counted.stale += 1,
            Lookup::Miss => {
                self.counted.misses += 1;
                let expired = self.twin.take(|kept| kept.key == key);
                self.counted.expirations += expired.len() as u64;
                assert_eq!(gone.as_slice(), values(&expired), "what has expired leaves when it is met");
            }
        }
    }

    fn put(&mut self, key: u8, ttl: Option<u64>, weight: u32, tags: &[&'static str]) {
        let value = self.next;
        self.next += 1;
        let times = (ttl.map(Nanos), weight);
        let (kept, gone) = self.cache.put(digest(key), value, times, tags.iter().copied(), || Nanos(self.now));
        let mut left = values(&self.twin.take(|kept| kept.key == key));
        assert_eq!(kept, u64::from(weight) <= self.limits.max_weight && self.limits.max_items > 0);
        if kept {
            self.counted.puts += 1;
            let expires = ttl.or(self.limits.ttl.map(|ttl| ttl.0)).map_or(u64::MAX, |ttl| self.now + ttl);
            let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            self.twin.put_first(Kept { key, value, expires, weight: u64::from(weight), tags });
            left.extend(self.make_room(&gone));
        } else {
            left.push(value);
        }
        assert_eq!(sorted(gone.to_vec()), sorted(left), "what leaves is handed out, and nothing else is");
    }

    /// Take out of the twin who had to go: the oldest under LRU, under another policy whom the cache chose next.
    fn make_room(&mut self, gone: &[u64]) -> Vec<u64> {
        let mut left = Vec::new();
        while self.twin.0.len() > self.limits.max_items || self.twin.weight() > self.limits.max_weight {
            let oldest = self.twin.0.last().map(|kept| kept.value).filter(|_| self.policy == PolicyName::Lru);
            let known = |value: &&u64| self.twin.0.iter().any(|kept| kept.value == **value);
            let victim = oldest.or(gone.iter().find(known).copied()).expect("too few were evicted");
            self.twin.take(|kept| kept.value == victim);
            self.counted.evictions += 1;
            left.push(victim);
        }
        left
    }

    fn compare(&self) {
        self.cache.validate();
        assert_eq!(self.cache.counters(), self.counted);
        let all: Vec<u64> = self.cache.values().copied().collect();
        assert_eq!(sorted(all), sorted(values(&self.twin.0)));
        assert_eq!((self.cache.len(), self.cache.weight()), (self.twin.0.len(), self.twin.weight()));
    }
}

fn values(kept: &[Kept]) -> Vec<u64> {
    kept.iter().map(|kept| kept.value).collect()
}

fn sorted(mut values: Vec<u64>) -> Vec<u64> {
    values.sort_unstable();
    values
}

proptest! {
    #![proptest_config(cases(400))]

    /// Under every policy a lookup answers as the list does, what leaves is handed out, and the counters add up.
    #[test]
    fn follows_the_list(
        ops in prop::collection::vec(op(), 0..120),
        max_items in 0..9usize,
        max_weight in prop_oneof![Just(u64::MAX), 0..30u64],
        ttl in prop::option::of(0..15u64),
        stale_for in 0..6u64,
    ) {
        for policy in PolicyName::ALL {
            let mut pair = Pair::new(policy, limits(max_items, max_weight, ttl, stale_for));
            ops.iter().cloned().for_each(|op| pair.run(op));
        }
    }

    /// A cache of which nothing ever expires answers the same and never asks for the time.
    #[test]
    fn reads_no_clock_without_a_ttl(ops in prop::collection::vec(op(), 0..80), max_items in 1..9usize) {
        for policy in PolicyName::ALL {
            let mut cache = Cache::new(limits(max_items, u64::MAX, None, 5), policy);
            let never = || -> Nanos { panic!("the clock was read") };
            for op in &ops {
                match op {
                    Op::Put(key, _, weight, tags) => {
                        let _ = cache.put(digest(*key), 0, (None, *weight), tags.iter().copied(), never);
                    }
                    Op::Get(key) => drop(cache.get(digest(*key), never, |value| *value)),
                    _ => {}
                }
                cache.validate();
            }
        }
    }
}

/// Policies are known by their names, each only by its own, and LRU is one.
#[test]
fn policies_have_names() {
    for policy in PolicyName::ALL {
        assert_eq!(PolicyName::from_name(policy.name()), Some(policy));
        assert_eq!(PolicyName::from_name(&policy.name().to_uppercase()), None);
    }
    assert_eq!(PolicyName::from_name("lru"), Some(PolicyName::Lru));
    assert_eq!(PolicyName::from_name(""), None);
}

/// The ends of an entry's life are exact: fresh to the last nanosecond of its ttl, stale to the last of its window.
#[test]
fn ends_are_exact() {
    for policy in PolicyName::ALL {
        let mut cache = Cache::new(limits(4, u64::MAX, Some(100), 50), policy);
        let _ = cache.put(digest(1), 7, (None, 1), [], || Nanos(1000));
        let mut at = |now| cache.get(digest(1), || Nanos(now), |value| *value).0;
        assert_eq!(at(1099), Lookup::Fresh(7));
        assert_eq!([at(1100), at(1149)], [Lookup::Stale(7); 2]);
        assert_eq!([at(1150), at(1000)], [Lookup::Miss; 2], "what is gone does not come back");
    }
}

/// A thousand times as many puts as places leave the cache within its bounds and its memory where it was.
#[test]
fn stays_within_its_bounds() {
    for policy in PolicyName::ALL {
        let mut cache = Cache::new(limits(100, u64::MAX, Some(10), 0), policy);
        let mut full = 0;
        for at in 0..100_000u64 {
            let tag = (at % 7).to_string();
            let (kept, _) = cache.put(key::int(at as i64), at, (None, 1), [tag.as_str()], || Nanos(at));
            assert!(kept && cache.len() <= 100, "{policy:?} at {at}");
            full = if at == 20_000 { cache.memory() } else { full };
        }
        cache.validate();
        assert!(cache.memory() <= full * 5 / 4, "{policy:?}: {full} bytes became {}", cache.memory());
    }
}

/// An entry that is asked for again and again outlives a scan that is asked for once, under every policy but LRU.
#[test]
fn what_is_used_outlives_a_scan() {
    for policy in PolicyName::ALL.into_iter().filter(|policy| *policy != PolicyName::Lru) {
        let mut cache = Cache::new(limits(100, u64::MAX, None, 0), policy);
        let never = || Nanos(0);
        for _ in 0..50 {
            for hot in 0..20u8 {
                if cache.get(digest(hot), never, |_| ()).0 == Lookup::Miss {
                    let _ = cache.put(digest(hot), 0, (None, 1), [], never);
                }
            }
        }
        for cold in 1000..1500 {
            let _ = cache.put(key::int(cold), 0, (None, 1), [], never);
        }
        let hot = (0..20).filter(|hot| cache.peek(digest(*hot), never, |_| ()) != Lookup::Miss).count();
        assert!(hot >= 18, "{policy:?} kept {hot} of 20");
    }
}
