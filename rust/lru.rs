//! Least recently used: the entry not used for longest leaves first.

use crate::policy::{Links, List, Policy, Slot};

/// One list, the most recent at the front.
#[derive(Clone, Debug, Default)]
pub struct Lru {
    recent: List,
}

impl Policy for Lru {
    #[inline]
    fn hit(&mut self, links: &mut impl Links, slot: Slot) {
        self.recent.move_to_front(links, slot);
    }

    fn insert(&mut self, links: &mut impl Links, slot: Slot) {
        self.recent.push_front(links, slot);
    }

    fn victim(&mut self, _links: &mut impl Links) -> Option<Slot> {
        (!self.recent.is_empty()).then(|| self.recent.back())
    }

    fn remove(&mut self, links: &mut impl Links, slot: Slot) {
        self.recent.remove(links, slot);
    }

    fn clear(&mut self) {
        self.recent = List::default();
    }

    fn memory(&self) -> usize {
        0
    }

    fn validate(&self, links: &impl Links) {
        self.recent.validate(links);
    }
}
