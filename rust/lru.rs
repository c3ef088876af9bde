//! Least recently used: one list, and the entry longest unasked for goes first.

use crate::policy::{Links, List, Policy, Slot};

/// Evicts the entry that has gone longest without being asked for. It keeps nothing but its list.
#[derive(Debug, Default)]
pub struct Lru {
    order: List,
}

impl Policy for Lru {
    #[inline]
    fn hit(&mut self, links: &mut impl Links, slot: Slot) {
        self.order.move_to_front(links, slot);
    }

    #[inline]
    fn insert(&mut self, links: &mut impl Links, slot: Slot) {
        self.order.push_front(links, slot);
    }

    #[inline]
    fn victim(&mut self, _links: &mut impl Links) -> Option<Slot> {
        self.order.back()
    }

    #[inline]
    fn remove(&mut self, links: &mut impl Links, slot: Slot) {
        self.order.remove(links, slot);
    }

    fn len(&self) -> usize {
        self.order.len()
    }

    fn validate(&self, links: &impl Links) {
        self.order.walk(links);
    }

    fn memory(&self) -> usize {
        0
    }
}
