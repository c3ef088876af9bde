//! Where the entries of a cache lie: one vector, places reused, neighbors by index instead of pointer.
//!
//! An entry is its digest, its value and two links: 32 bytes with a pointer for a value. What not every cache
//! needs (a time of expiry, a weight) has a column of its own that stays empty until it is first used.

use crate::ids::Nanos;
use crate::key::Digest;
use crate::policy::{Links, Slot};

/// Aligned to its size with a pointer for a value, so that no entry lies across two lines of the processor's cache.
#[derive(Debug)]
#[repr(align(32))]
struct Entry<V> {
    digest: Digest,
    /// None in a free place, whose `next` is then the next free one.
    value: Option<V>,
    prev: Slot,
    next: Slot,
}

/// The entries.
#[derive(Debug)]
pub struct Slab<V> {
    entries: Vec<Entry<V>>,
    expires: Vec<Nanos>,
    weights: Vec<u32>,
    free: Slot,
    most: usize,
}

impl<V> Slab<V> {
    /// An empty slab, of which at most so many places will be used at once.
    pub const fn new(most: usize) -> Self {
        Self { entries: Vec::new(), expires: Vec::new(), weights: Vec::new(), free: Slot::NONE, most }
    }

    /// Put a value into a free place.
    pub fn insert(&mut self, digest: Digest, value: V, expires: Nanos, weight: u32) -> Slot {
        let entry = Entry { digest, value: Some(value), prev: Slot::NONE, next: Slot::NONE };
        let slot = self.free;
        if slot == Slot::NONE {
            return self.append(entry, expires, weight);
        }
        let place = &mut self.entries[slot.index()];
        self.free = place.next;
        *place = entry;
        self.describe(slot, expires, weight);
        slot
    }

    /// Take a value out; its place is free again.
    pub fn remove(&mut self, slot: Slot) -> Option<V> {
        let place = &mut self.entries[slot.index()];
        place.next = self.free;
        self.free = slot;
        place.value.take()
    }

    /// Put another value into a taken place; the old one is returned.
    pub fn replace(&mut self, slot: Slot, value: V, expires: Nanos, weight: u32) -> Option<V> {
        self.describe(slot, expires, weight);
        self.entries[slot.index()].value.replace(value)
    }

    /// The value in a place.
    #[inline]
    pub fn value(&self, slot: Slot) -> Option<&V> {
        self.entries[slot.index()].value.as_ref()
    }

    /// The digest in a place.
    #[inline]
    pub fn digest(&self, slot: Slot) -> Digest {
        self.entries[slot.index()].digest
    }

    /// When the entry ceases to be fresh.
    #[inline]
    pub fn expires(&self, slot: Slot) -> Nanos {
        self.expires.get(slot.index()).copied().unwrap_or(Nanos::NEVER)
    }

    /// Whether any entry was ever given an end; while none was, no clock need be read.
    #[inline]
    pub const fn has_expiry(&self) -> bool {
        !self.expires.is_empty()
    }

    /// What the entry weighs.
    pub fn weight(&self, slot: Slot) -> u32 {
        self.weights.get(slot.index()).copied().unwrap_or(1)
    }

    /// The taken places.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &V)> {
        let places = self.entries.iter().zip(0..);
        places.filter_map(|(entry, at)| entry.value.as_ref().map(|value| (Slot(at), value)))
    }

    /// Empty every place; the values are returned.
    pub fn clear(&mut self) -> Vec<V> {
        self.expires = Vec::new();
        self.weights = Vec::new();
        self.free = Slot::NONE;
        std::mem::take(&mut self.entries).into_iter().filter_map(|entry| entry.value).collect()
    }

    /// Bytes held, values counted as what a place gives them.
    pub fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<V>>()
            + self.expires.capacity() * size_of::<Nanos>()
            + self.weights.capacity() * size_of::<u32>()
    }

    fn append(&mut self, entry: Entry<V>, expires: Nanos, weight: u32) -> Slot {
        // A quarter at a time and never past the bound: doubling would leave a full cache with up to half its
        // places unused.
        if self.entries.len() == self.entries.capacity() {
            let more = (self.entries.len() / 4).max(16).min(self.most.saturating_sub(self.entries.len()).max(1));
            self.entries.reserve_exact(more);
        }
        let slot = Slot(self.entries.len() as u32);
        self.entries.push(entry);
        self.describe(slot, expires, weight);
        slot
    }

    fn describe(&mut self, slot: Slot, expires: Nanos, weight: u32) {
        set(&mut self.expires, slot, expires, Nanos::NEVER, self.entries.capacity());
        set(&mut self.weights, slot, weight, 1, self.entries.capacity());
    }
}

/// Write to a column, which begins to be kept with the first value that is not the usual one.
fn set<C: Copy + PartialEq>(column: &mut Vec<C>, slot: Slot, value: C, usual: C, capacity: usize) {
    let at = slot.index();
    if column.is_empty() && value == usual {
        return;
    }
    if column.len() <= at {
        column.reserve_exact(capacity.saturating_sub(column.len()));
        column.resize(at + 1, usual);
    }
    column[at] = value;
}

impl<V> Links for Slab<V> {
    fn prev(&self, slot: Slot) -> Slot {
        self.entries[slot.index()].prev
    }

    fn next(&self, slot: Slot) -> Slot {
        self.entries[slot.index()].next
    }

    fn set_prev(&mut self, slot: Slot, to: Slot) {
        self.entries[slot.index()].prev = to;
    }

    fn set_next(&mut self, slot: Slot, to: Slot) {
        self.entries[slot.index()].next = to;
    }

    fn hash(&self, slot: Slot) -> u64 {
        self.digest(slot).hash()
    }
}
