//! Which eviction policy a cache has: chosen by name when it is made, the same from then on.

use crate::adaptive::Adaptive;
use crate::lru::Lru;
use crate::policy::{Policy, Slot};
use crate::slab::Slab;

/// The policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyName {
    /// Least recently used.
    Lru,
    /// Recency and frequency, balanced by what comes back.
    Adaptive,
}

impl PolicyName {
    /// All policies.
    pub const ALL: [Self; 2] = [Self::Lru, Self::Adaptive];

    /// The name users select it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Adaptive => "adaptive",
        }
    }

    /// The policy of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name() == name)
    }
}

/// The policy a cache was given; a branch that is always the same one costs less than a call through a table.
#[derive(Debug)]
pub(crate) enum Eviction {
    Lru(Lru),
    Adaptive(Adaptive),
}

/// The same call on whichever policy it is.
macro_rules! either {
    ($policy:expr, $one:ident => $call:expr) => {
        match $policy {
            Eviction::Lru($one) => $call,
            Eviction::Adaptive($one) => $call,
        }
    };
}

impl Eviction {
    pub(crate) fn new(name: PolicyName) -> Self {
        match name {
            PolicyName::Lru => Self::Lru(Lru::default()),
            PolicyName::Adaptive => Self::Adaptive(Adaptive::default()),
        }
    }

    pub(crate) const fn name(&self) -> PolicyName {
        match self {
            Self::Lru(_) => PolicyName::Lru,
            Self::Adaptive(_) => PolicyName::Adaptive,
        }
    }

    #[inline]
    pub(crate) fn hit<V>(&mut self, slab: &mut Slab<V>, slot: Slot) {
        either!(self, policy => policy.hit(slab, slot));
    }

    pub(crate) fn insert<V>(&mut self, slab: &mut Slab<V>, slot: Slot) {
        either!(self, policy => policy.insert(slab, slot));
    }

    pub(crate) fn victim<V>(&mut self, slab: &mut Slab<V>) -> Option<Slot> {
        either!(self, policy => policy.victim(slab))
    }

    pub(crate) fn remove<V>(&mut self, slab: &mut Slab<V>, slot: Slot) {
        either!(self, policy => policy.remove(slab, slot));
    }

    pub(crate) fn memory(&self) -> usize {
        either!(self, policy => policy.memory())
    }

    pub(crate) fn validate<V>(&self, slab: &Slab<V>) {
        either!(self, policy => policy.validate(slab));
    }
}
