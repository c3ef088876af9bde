//! Which entries carry which tag, in both directions; costs nothing to entries without tags.

use std::collections::{HashMap, HashSet};

use smallvec::SmallVec;

use crate::policy::Slot;

type Fast = foldhash::fast::RandomState;

/// The tags of a cache. Tag names may come from requests, so they are hashed with the standard library's
/// keyed hash; the rest are small numbers.
#[derive(Debug, Default)]
pub struct Tags {
    ids: HashMap<Box<str>, u64>,
    slots: HashMap<u64, HashSet<Slot, Fast>, Fast>,
    of: HashMap<Slot, SmallVec<[u64; 2]>, Fast>,
    names: HashMap<u64, Box<str>, Fast>,
    next: u64,
}

impl Tags {
    /// Give an entry its tags, in the place of those it had.
    pub fn set<'t>(&mut self, slot: Slot, tags: impl IntoIterator<Item = &'t str>) {
        self.remove(slot);
        for tag in tags {
            let id = self.id(tag);
            if self.slots.entry(id).or_default().insert(slot) {
                self.of.entry(slot).or_default().push(id);
            }
        }
    }

    /// The entry is gone: forget its tags, and each tag that nothing else carries.
    pub fn remove(&mut self, slot: Slot) {
        if self.of.is_empty() {
            return;
        }
        for id in self.of.remove(&slot).unwrap_or_default() {
            let Some(slots) = self.slots.get_mut(&id) else { continue };
            slots.remove(&slot);
            if slots.is_empty() {
                self.slots.remove(&id);
                self.names.remove(&id).map(|name| self.ids.remove(&name));
            }
        }
    }

    /// The entries with a tag.
    pub fn slots(&self, tag: &str) -> Vec<Slot> {
        let slots = self.ids.get(tag).and_then(|id| self.slots.get(id));
        slots.map(|slots| slots.iter().copied().collect()).unwrap_or_default()
    }

    /// Forget everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes held, to within the tables' own slack.
    pub fn memory(&self) -> usize {
        let names: usize = self.ids.keys().map(|name| name.len() * 2).sum();
        let pairs: usize = self.slots.values().map(|slots| map_bytes(slots.capacity(), size_of::<Slot>())).sum();
        names
            + pairs
            + map_bytes(self.ids.capacity(), 24)
            + map_bytes(self.names.capacity(), 24)
            + map_bytes(self.slots.capacity(), size_of::<(u64, HashSet<Slot, Fast>)>())
            + map_bytes(self.of.capacity(), size_of::<(Slot, SmallVec<[u64; 2]>)>())
    }

    /// Check what must hold: the two directions say the same.
    ///
    /// # Panics
    /// When it does not.
    pub fn validate(&self) {
        let forward: usize = self.slots.values().map(HashSet::len).sum();
        let backward: usize = self.of.values().map(SmallVec::len).sum();
        assert_eq!(forward, backward, "tags and entries disagree");
        for (slot, tags) in &self.of {
            assert!(tags.iter().all(|id| self.slots[id].contains(slot)), "an entry's tag does not know the entry");
        }
        assert_eq!(self.ids.len(), self.slots.len(), "a tag is kept that nothing carries");
    }

    fn id(&mut self, tag: &str) -> u64 {
        if let Some(id) = self.ids.get(tag) {
            return *id;
        }
        let id = self.next;
        self.next += 1;
        self.ids.insert(tag.into(), id);
        self.names.insert(id, tag.into());
        id
    }
}

/// What a table of the standard library takes for so many entries: a byte more each, and an eighth left free.
fn map_bytes(capacity: usize, entry: usize) -> usize {
    capacity * 8 / 7 * (entry + 1)
}
