//! A small slab and a cache of keys on it, for the tests of policies.
#![allow(dead_code, reason = "each test file uses a part")]

use fastcascade::policy::{Links, Policy, Slot};
use std::collections::HashMap;

/// Links and a key for each slot.
#[derive(Default)]
pub struct Slab {
    prev: Vec<Slot>,
    next: Vec<Slot>,
    keys: Vec<u32>,
}

impl Links for Slab {
    fn prev(&self, slot: Slot) -> Slot {
        self.prev[slot.index()]
    }
    fn next(&self, slot: Slot) -> Slot {
        self.next[slot.index()]
    }
    fn set_prev(&mut self, slot: Slot, to: Slot) {
        self.prev[slot.index()] = to;
    }
    fn set_next(&mut self, slot: Slot, to: Slot) {
        self.next[slot.index()] = to;
    }
    fn hash(&self, slot: Slot) -> u64 {
        let mixed = u64::from(self.keys[slot.index()] + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
}

/// A cache of keys under a policy, of at most `capacity` keys.
pub struct Cache<P> {
    pub slab: Slab,
    pub policy: P,
    pub table: HashMap<u32, Slot>,
    free: Vec<Slot>,
    capacity: usize,
}

impl<P: Policy + Default> Cache<P> {
    pub fn new(capacity: usize) -> Self {
        let (slab, policy) = (Slab::default(), P::default());
        Self { slab, policy, table: HashMap::new(), free: Vec::new(), capacity }
    }

    /// Asks for a key, which is in the cache afterwards unless it was evicted itself; true for a hit.
    pub fn ask(&mut self, key: u32) -> bool {
        if let Some(&slot) = self.table.get(&key) {
            self.policy.hit(&mut self.slab, slot);
            return true;
        }
        let slot = self.place(key);
        self.table.insert(key, slot);
        self.policy.insert(&mut self.slab, slot);
        while self.policy.len() > self.capacity {
            self.evict();
        }
        false
    }

    /// Drops a key, as if it had expired.
    pub fn forget(&mut self, key: u32) {
        if let Some(slot) = self.table.remove(&key) {
            self.policy.remove(&mut self.slab, slot);
            self.free.push(slot);
        }
    }

    /// Evicts one key, if there is one.
    pub fn evict(&mut self) -> Option<u32> {
        let slot = self.policy.victim(&mut self.slab)?;
        let key = self.slab.keys[slot.index()];
        assert_eq!(self.table.remove(&key), Some(slot), "the victim is not in the cache");
        self.policy.remove(&mut self.slab, slot);
        self.free.push(slot);
        Some(key)
    }

    /// Checks the policy, and that it holds what the table holds.
    pub fn validate(&self) {
        self.policy.validate(&self.slab);
        assert_eq!(self.policy.len(), self.table.len());
        assert!(self.table.len() <= self.capacity);
    }

    fn place(&mut self, key: u32) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.slab.keys[slot.index()] = key;
            return slot;
        }
        self.slab.keys.push(key);
        self.slab.prev.push(Slot::NONE);
        self.slab.next.push(Slot::NONE);
        Slot(u32::try_from(self.slab.keys.len() - 1).expect("few slots"))
    }
}

/// What may happen to a cache.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    Ask(u32),
    Forget(u32),
    Evict,
}

/// Mostly requests for few keys, so that there are hits, ghosts and evictions.
pub fn events(keys: u32, most: usize) -> impl proptest::strategy::Strategy<Value = Vec<Event>> {
    use proptest::prelude::*;
    let event = prop_oneof![
        12 => (0..keys).prop_map(Event::Ask),
        4 => (0..keys / 8 + 1).prop_map(Event::Ask),
        2 => (0..keys).prop_map(Event::Forget),
        1 => Just(Event::Evict),
    ];
    prop::collection::vec(event, 0..most)
}
