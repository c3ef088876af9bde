//! Who leaves a full cache: the contract between a cache and its eviction policy, and the list they share.

/// A place in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// No place.
    pub const NONE: Self = Self(u32::MAX);

    /// The place as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The links the slab keeps for a policy: a policy owns the order, never the values.
pub trait Links {
    /// The neighbor before.
    fn prev(&self, slot: Slot) -> Slot;
    /// The neighbor behind.
    fn next(&self, slot: Slot) -> Slot;
    /// Change the neighbor before.
    fn set_prev(&mut self, slot: Slot, to: Slot);
    /// Change the neighbor behind.
    fn set_next(&mut self, slot: Slot, to: Slot);
    /// The key's hash: well mixed, and the same whenever the key comes back.
    fn hash(&self, slot: Slot) -> u64;
}

/// A doubly linked list through the slab, front to back.
#[derive(Clone, Copy, Debug)]
pub struct List {
    front: Slot,
    back: Slot,
    len: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { front: Slot::NONE, back: Slot::NONE, len: 0 }
    }
}

impl List {
    /// The slot at the front.
    pub const fn front(&self) -> Slot {
        self.front
    }

    /// The slot at the back.
    pub const fn back(&self) -> Slot {
        self.back
    }

    /// How many slots.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Put a slot that is in no list at the front.
    #[inline]
    pub fn push_front(&mut self, links: &mut impl Links, slot: Slot) {
        links.set_prev(slot, Slot::NONE);
        links.set_next(slot, self.front);
        if self.front == Slot::NONE {
            self.back = slot;
        } else {
            links.set_prev(self.front, slot);
        }
        self.front = slot;
        self.len += 1;
    }

    /// Take out a slot that is in this list.
    #[inline]
    pub fn remove(&mut self, links: &mut impl Links, slot: Slot) {
        let (prev, next) = (links.prev(slot), links.next(slot));
        if prev == Slot::NONE {
            self.front = next;
        } else {
            links.set_next(prev, next);
        }
        if next == Slot::NONE {
            self.back = prev;
        } else {
            links.set_prev(next, prev);
        }
        self.len -= 1;
    }

    /// Bring a slot of this list to the front.
    #[inline]
    pub fn move_to_front(&mut self, links: &mut impl Links, slot: Slot) {
        if self.front != slot {
            self.remove(links, slot);
            self.push_front(links, slot);
        }
    }

    /// The slots from front to back.
    pub fn iter<'l>(&self, links: &'l impl Links) -> impl Iterator<Item = Slot> + 'l {
        let some = |slot: Slot| (slot != Slot::NONE).then_some(slot);
        std::iter::successors(some(self.front), move |slot| some(links.next(*slot)))
    }

    /// Check what must hold: every link is mutual, and there are as many as counted.
    ///
    /// # Panics
    /// When it does not.
    pub fn validate(&self, links: &impl Links) {
        let mut before = Slot::NONE;
        let mut count = 0;
        for slot in self.iter(links) {
            assert_eq!(links.prev(slot), before, "a link is not mutual");
            before = slot;
            count += 1;
        }
        assert_eq!((self.back, self.len), (before, count), "a list does not end where it should");
    }
}

/// What a cache asks of an eviction policy.
pub trait Policy {
    /// An entry was used.
    fn hit(&mut self, links: &mut impl Links, slot: Slot);
    /// A new entry was placed.
    fn insert(&mut self, links: &mut impl Links, slot: Slot);
    /// Who goes next; the newcomer itself may. None when there is nobody.
    fn victim(&mut self, links: &mut impl Links) -> Option<Slot>;
    /// An entry leaves, for whatever reason.
    fn remove(&mut self, links: &mut impl Links, slot: Slot);
    /// Forget everything.
    fn clear(&mut self);
    /// Heap bytes beyond the links.
    fn memory(&self) -> usize;
    /// Check what must hold.
    fn validate(&self, links: &impl Links);
}
