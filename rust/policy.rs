//! What a cache asks of an eviction policy, and the one list every policy is made of.

/// A place in the slab.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Slot(pub u32);

impl Slot {
    /// No place: the link past either end of a list. A slab never hands it out.
    pub const NONE: Slot = Slot(u32::MAX);

    /// This place as an index into an array with one element a slot.
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the slab keeps for its policy: two links a slot, and the hash of the key that lives there.
///
/// A slot is in one list at most, so two links are enough for any number of lists.
pub trait Links {
    /// The neighbor nearer the front.
    fn prev(&self, slot: Slot) -> Slot;
    /// The neighbor nearer the back.
    fn next(&self, slot: Slot) -> Slot;
    /// Changes the neighbor nearer the front.
    fn set_prev(&mut self, slot: Slot, to: Slot);
    /// Changes the neighbor nearer the back.
    fn set_next(&mut self, slot: Slot, to: Slot);
    /// A well mixed hash of the key in a slot; the same key has the same hash whenever it returns.
    fn hash(&self, slot: Slot) -> u64;
}

/// What a cache asks of an eviction policy.
///
/// The cache calls [`insert`](Policy::insert) once a new entry is in its slot, then, while it is over
/// its limit, takes a [`victim`](Policy::victim) and removes it. A value replaced under a key it
/// already has is a [`hit`](Policy::hit). Nothing here reads a clock or draws a random number, so the
/// same calls always end in the same order.
pub trait Policy {
    /// The entry in this slot was asked for.
    fn hit(&mut self, links: &mut impl Links, slot: Slot);
    /// A new entry was placed in this slot, after a miss.
    fn insert(&mut self, links: &mut impl Links, slot: Slot);
    /// Who goes next, or nothing if there is nobody. It may be the newest entry itself. The cache must
    /// remove what it is given before it asks again.
    fn victim(&mut self, links: &mut impl Links) -> Option<Slot>;
    /// The entry in this slot leaves: evicted, expired or invalidated. Its hash can still be read.
    fn remove(&mut self, links: &mut impl Links, slot: Slot);
    /// How many entries are held.
    fn len(&self) -> usize;
    /// Whether no entry is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Checks the invariants. It walks every entry, so it is for tests.
    ///
    /// # Panics
    ///
    /// If one is broken.
    fn validate(&self, links: &impl Links);
    /// Bytes held on the heap, apart from the links.
    fn memory(&self) -> usize;
}

/// A doubly linked list of slots, its links kept by the slab: every operation is a few stores.
#[derive(Debug)]
pub struct List {
    head: Slot,
    tail: Slot,
    len: usize,
}

impl Default for List {
    fn default() -> Self {
        Self { head: Slot::NONE, tail: Slot::NONE, len: 0 }
    }
}

impl List {
    /// How many slots are in the list.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot at the back.
    #[inline]
    #[must_use]
    pub fn back(&self) -> Option<Slot> {
        (self.tail != Slot::NONE).then_some(self.tail)
    }

    /// Puts a slot that is in no list at the front.
    #[inline]
    pub fn push_front(&mut self, links: &mut impl Links, slot: Slot) {
        links.set_prev(slot, Slot::NONE);
        links.set_next(slot, self.head);
        if self.head == Slot::NONE {
            self.tail = slot;
        } else {
            links.set_prev(self.head, slot);
        }
        self.head = slot;
        self.len += 1;
    }

    /// Takes out a slot that is in this list.
    #[inline]
    pub fn remove(&mut self, links: &mut impl Links, slot: Slot) {
        let (prev, next) = (links.prev(slot), links.next(slot));
        if prev == Slot::NONE {
            self.head = next;
        } else {
            links.set_next(prev, next);
        }
        if next == Slot::NONE {
            self.tail = prev;
        } else {
            links.set_prev(next, prev);
        }
        self.len -= 1;
    }

    /// Brings a slot that is in this list to its front.
    #[inline]
    pub fn move_to_front(&mut self, links: &mut impl Links, slot: Slot) {
        if self.head != slot {
            self.remove(links, slot);
            self.push_front(links, slot);
        }
    }

    /// Takes out the slot at the back.
    pub fn pop_back(&mut self, links: &mut impl Links) -> Option<Slot> {
        let slot = self.back()?;
        self.remove(links, slot);
        Some(slot)
    }

    /// The slots from front to back, for tests.
    ///
    /// # Panics
    ///
    /// If a link does not lead back, or the list has not its length.
    pub fn walk(&self, links: &impl Links) -> Vec<Slot> {
        let mut slots = Vec::with_capacity(self.len);
        let (mut before, mut at) = (Slot::NONE, self.head);
        while at != Slot::NONE {
            assert_eq!(links.prev(at), before, "{at:?} does not lead back");
            assert!(slots.len() < self.len, "the list is longer than its length, {}", self.len);
            slots.push(at);
            (before, at) = (at, links.next(at));
        }
        assert_eq!(self.tail, before, "the list does not end at its tail");
        assert_eq!(self.len, slots.len(), "the list is shorter than its length");
        slots
    }
}
