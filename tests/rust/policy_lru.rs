//! The least recently used policy against a queue.

use crate::policy_slab::{Cache, Event, events};
use fastcascade::lru::Lru;
use proptest::prelude::*;
use std::collections::VecDeque;

/// The most recent key is at the front.
#[derive(Default)]
struct Oracle(VecDeque<u32>);

impl Oracle {
    fn ask(&mut self, key: u32, capacity: usize) -> bool {
        let hit = self.0.contains(&key);
        self.forget(key);
        self.0.push_front(key);
        self.0.truncate(capacity);
        hit
    }

    fn forget(&mut self, key: u32) {
        self.0.retain(|&other| other != key);
    }
}

proptest! {
    /// It hits, misses and evicts exactly as a queue with the most recent key in front.
    #[test]
    fn it_is_a_queue(capacity in 1_usize..20, events in events(40, 300)) {
        let (mut cache, mut oracle) = (Cache::<Lru>::new(capacity), Oracle::default());
        for event in events {
            match event {
                Event::Ask(key) => prop_assert_eq!(cache.ask(key), oracle.ask(key, capacity)),
                Event::Evict => prop_assert_eq!(cache.evict(), oracle.0.pop_back()),
                Event::Forget(key) => {
                    cache.forget(key);
                    oracle.forget(key);
                }
            }
            cache.validate();
        }
        let mut left: Vec<u32> = std::iter::from_fn(|| cache.evict()).collect();
        left.reverse();
        prop_assert_eq!(left, Vec::from(oracle.0));
    }
}
