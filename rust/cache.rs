//! The cache: digest to value, bounded by count and by weight, with an age and a window past it.
//!
//! An entry is *fresh* until its ttl has passed, then *stale* for the cache's stale window, then gone. A
//! stale one is for when no fresh answer can be had; reading it is no use that would keep it.
//!
//! Nothing here drops a value that leaves: it is handed to the caller, who drops it once the lock is
//! released, because dropping a Python object can run Python.

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::eviction::{Eviction, PolicyName};
use crate::ids::Nanos;
use crate::key::Digest;
use crate::policy::Slot;
use crate::slab::Slab;
use crate::tags::Tags;

/// How large a cache may grow and how long entries live.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At most so many entries.
    pub max_items: usize,
    /// At most so much weight together.
    pub max_weight: u64,
    /// How long an entry is fresh if it does not say itself.
    pub ttl: Option<Nanos>,
    /// How long after that it is stale before it is gone.
    pub stale_for: Nanos,
}

/// What a lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<R> {
    /// An entry within its ttl.
    Fresh(R),
    /// An entry past its ttl and within the stale window.
    Stale(R),
    /// Nothing.
    Miss,
}

/// Counters since the cache was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lookups that found a fresh entry.
    pub hits: u64,
    /// Lookups that found a stale one.
    pub stale: u64,
    /// Lookups that found none.
    pub misses: u64,
    /// Entries put in, replacements included.
    pub puts: u64,
    /// Entries that had to make room.
    pub evictions: u64,
    /// Entries found to be past their stale window.
    pub expirations: u64,
    /// Entries dropped by tag.
    pub invalidations: u64,
}

/// Values that have left the cache, to be dropped outside the lock.
pub type Gone<V> = SmallVec<[V; 2]>;

/// A bounded cache; whoever shares it puts a lock around it.
#[derive(Debug)]
pub struct Cache<V> {
    limits: Limits,
    table: HashTable<Slot>,
    slab: Slab<V>,
    policy: Eviction,
    tags: Tags,
    weight: u64,
    counters: Counters,
    used: Used,
}

/// Entries used since the policy was last told, in order.
///
/// Moving an entry to the front of a list writes to its two neighbors, which in a large cache are two waits
/// for memory. The order matters only when somebody has to leave, so uses are gathered and passed on
/// together: the waits then overlap, and the order comes out the same.
#[derive(Debug)]
struct Used {
    slots: [Slot; 32],
    len: usize,
}

impl<V> Cache<V> {
    /// An empty cache. At most 2^32 - 1 entries fit whatever the limits say.
    pub fn new(mut limits: Limits, policy: PolicyName) -> Self {
        limits.max_items = limits.max_items.min(u32::MAX as usize - 1);
        Self {
            limits,
            table: HashTable::new(),
            slab: Slab::new(limits.max_items),
            policy: Eviction::new(policy),
            tags: Tags::default(),
            weight: 0,
            counters: Counters::default(),
            used: Used { slots: [Slot::NONE; 32], len: 0 },
        }
    }

    /// Find an entry and let `read` take what is needed of it; counts, and a fresh one counts as used.
    ///
    /// `now` is only called when an entry can expire at all. What is found to be past its time leaves.
    #[inline]
    pub fn get<R>(
        &mut self,
        key: Digest,
        now: impl FnOnce() -> Nanos,
        read: impl FnOnce(&V) -> R,
    ) -> (Lookup<R>, Option<V>) {
        let (found, gone) = self.probe(key, now, read);
        self.count(&found);
        (found, gone)
    }

    /// `get` without the counting: for who asks under several keys and counts once.
    #[inline]
    pub fn probe<R>(
        &mut self,
        key: Digest,
        now: impl FnOnce() -> Nanos,
        read: impl FnOnce(&V) -> R,
    ) -> (Lookup<R>, Option<V>) {
        let Some(slot) = self.slot(key) else { return (Lookup::Miss, None) };
        let age = self.age(slot, now);
        let Some(value) = self.slab.value(slot).filter(|_| age != Age::Gone) else {
            self.counters.expirations += 1;
            return (Lookup::Miss, self.take(slot));
        };
        let read = read(value);
        if age == Age::Stale {
            return (Lookup::Stale(read), None);
        }
        self.note_use(slot);
        (Lookup::Fresh(read), None)
    }

    /// Count the outcome of a lookup.
    #[inline]
    pub fn count<R>(&mut self, found: &Lookup<R>) {
        match found {
            Lookup::Fresh(_) => self.counters.hits += 1,
            Lookup::Stale(_) => self.counters.stale += 1,
            Lookup::Miss => self.counters.misses += 1,
        }
    }

    /// Find an entry without counting or using it.
    pub fn peek<R>(&self, key: Digest, now: impl FnOnce() -> Nanos, read: impl FnOnce(&V) -> R) -> Lookup<R> {
        let Some(slot) = self.slot(key) else { return Lookup::Miss };
        match (self.age(slot, now), self.slab.value(slot)) {
            (Age::Fresh, Some(value)) => Lookup::Fresh(read(value)),
            (Age::Stale, Some(value)) => Lookup::Stale(read(value)),
            _ => Lookup::Miss,
        }
    }

    /// Keep a value, in the place of whatever its key had.
    ///
    /// Returns whether it was kept (it is not when it is heavier than all that may be), and what left.
    pub fn put<'t>(
        &mut self,
        key: Digest,
        value: V,
        (ttl, weight): (Option<Nanos>, u32),
        tags: impl IntoIterator<Item = &'t str>,
        now: impl FnOnce() -> Nanos,
    ) -> (bool, Gone<V>) {
        let mut gone = Gone::new();
        let known = self.slot(key);
        if u64::from(weight) > self.limits.max_weight || self.limits.max_items == 0 {
            gone.extend(known.and_then(|slot| self.take(slot)));
            gone.push(value);
            return (false, gone);
        }
        self.counters.puts += 1;
        self.pass_on_uses();
        let expires = ttl.or(self.limits.ttl).map_or(Nanos::NEVER, |ttl| now().plus(ttl));
        let slot = if let Some(slot) = known {
            self.weight -= u64::from(self.slab.weight(slot));
            gone.extend(self.slab.replace(slot, value, expires, weight));
            self.policy.hit(&mut self.slab, slot);
            slot
        } else {
            let slot = self.slab.insert(key, value, expires, weight);
            let slab = &self.slab;
            self.table.insert_unique(key.hash(), slot, |slot| slab.digest(*slot).hash());
            self.policy.insert(&mut self.slab, slot);
            slot
        };
        self.weight += u64::from(weight);
        self.tags.set(slot, tags);
        self.make_room(&mut gone);
        (true, gone)
    }

    /// Drop an entry; it is returned.
    pub fn remove(&mut self, key: Digest) -> Option<V> {
        let slot = self.slot(key)?;
        self.take(slot)
    }

    /// Drop every entry with a tag; they are returned.
    pub fn invalidate(&mut self, tag: &str) -> Vec<V> {
        let gone: Vec<V> = self.tags.slots(tag).into_iter().filter_map(|slot| self.take(slot)).collect();
        self.counters.invalidations += gone.len() as u64;
        gone
    }

    /// Drop everything; it is returned.
    pub fn clear(&mut self) -> Vec<V> {
        self.used.len = 0;
        self.table = HashTable::new();
        self.policy = Eviction::new(self.policy.name());
        self.tags.clear();
        self.weight = 0;
        self.slab.clear()
    }

    /// How many entries, those past their time included until they are met.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// What the entries weigh together.
    pub const fn weight(&self) -> u64 {
        self.weight
    }

    /// Counters since the cache was made.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Every value, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.slab.iter().map(|(_, value)| value)
    }

    /// Bytes held for the entries, a value counted as what a place gives it (a pointer for a Python object).
    pub fn memory(&self) -> usize {
        self.table.allocation_size() + self.slab.memory() + self.policy.memory() + self.tags.memory()
    }

    /// Check what must hold: table, slab, policy and tags speak of the same entries, within the limits.
    ///
    /// # Panics
    /// When it does not.
    pub fn validate(&self) {
        assert_eq!(self.table.len(), self.slab.iter().count(), "table and slab disagree");
        let mut weight = 0;
        for (slot, _) in self.slab.iter() {
            assert_eq!(self.slot(self.slab.digest(slot)), Some(slot), "an entry is not found where it lies");
            weight += u64::from(self.slab.weight(slot));
        }
        assert_eq!(self.weight, weight, "the weights do not add up");
        assert!(self.len() <= self.limits.max_items && weight <= self.limits.max_weight, "over the limits");
        self.policy.validate(&self.slab);
        self.tags.validate();
    }

    #[inline]
    fn slot(&self, key: Digest) -> Option<Slot> {
        self.table.find(key.hash(), |slot| self.slab.digest(*slot) == key).copied()
    }

    #[inline]
    fn age(&self, slot: Slot, now: impl FnOnce() -> Nanos) -> Age {
        if !self.slab.has_expiry() {
            return Age::Fresh;
        }
        let (expires, now) = (self.slab.expires(slot), now());
        if now < expires {
            Age::Fresh
        } else if now < expires.plus(self.limits.stale_for) {
            Age::Stale
        } else {
            Age::Gone
        }
    }

    /// Take an entry out of everything that knows it.
    fn take(&mut self, slot: Slot) -> Option<V> {
        self.pass_on_uses();
        let hash = self.slab.digest(slot).hash();
        if let Ok(found) = self.table.find_entry(hash, |other| *other == slot) {
            found.remove();
        }
        self.policy.remove(&mut self.slab, slot);
        self.tags.remove(slot);
        self.weight -= u64::from(self.slab.weight(slot));
        self.slab.remove(slot)
    }

    #[inline]
    fn note_use(&mut self, slot: Slot) {
        if self.used.len == self.used.slots.len() {
            self.pass_on_uses();
        }
        self.used.slots[self.used.len] = slot;
        self.used.len += 1;
    }

    fn pass_on_uses(&mut self) {
        for slot in &self.used.slots[..self.used.len] {
            self.policy.hit(&mut self.slab, *slot);
        }
        self.used.len = 0;
    }

    fn make_room(&mut self, gone: &mut Gone<V>) {
        while self.table.len() > self.limits.max_items || self.weight > self.limits.max_weight {
            let Some(victim) = self.policy.victim(&mut self.slab) else { return };
            self.counters.evictions += 1;
            gone.extend(self.take(victim));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Fresh,
    Stale,
    Gone,
}
