//! The exact table: one hash, one probe, one compare, whatever the number of routes.
//!
//! All texts lie in one string and a slot is 16 bytes, so a lookup in a table larger than the processor's
//! caches touches three lines: the control bytes, the slot, the text. The hasher is seeded per table; its
//! keys are the operator's routes, so a caller can miss, but cannot fill a chain.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::endpoint::Place;

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The upper half of the hash: rules out nearly every wrong slot without reading its text.
    tag: u32,
    span: Span,
    place: Place,
}

/// Where a text lies: its offset and its length.
pub type Span = (u32, u32);

/// Texts, each with the place it leads to.
#[derive(Clone, Debug, Default)]
pub struct Exact {
    slots: HashTable<Slot>,
    texts: String,
    hasher: RandomState,
}

/// The texts of a table are together longer than 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Exact {
    /// A table with room for so many texts.
    pub fn with_capacity(texts: usize) -> Self {
        Self { slots: HashTable::with_capacity(texts), ..Self::default() }
    }

    /// The place of a text.
    #[inline]
    pub fn find(&self, text: &str) -> Option<Place> {
        self.find_hashed(self.hash(text), text)
    }

    /// `find` with the hash made beforehand.
    #[inline]
    pub fn find_hashed(&self, hash: u64, text: &str) -> Option<Place> {
        self.slots.find(hash, |slot| slot.is(&self.texts, hash, text)).map(|slot| slot.place)
    }

    /// Set the place of a text, new or known; where the text lies is returned.
    ///
    /// # Errors
    /// When the texts together outgrow 4 GiB.
    pub fn set(&mut self, text: &str, place: Place) -> Result<Span, TooLong> {
        let hash = self.hash(text);
        let Self { slots, texts, .. } = self;
        if let Some(slot) = slots.find_mut(hash, |slot| slot.is(texts, hash, text)) {
            slot.place = place;
            return Ok(slot.span);
        }
        let span = self.keep(text)?;
        let Self { slots, texts, hasher } = self;
        let slot = Slot { tag: tag(hash), span, place };
        slots.insert_unique(hash, slot, |slot| hasher.hash_one(slot.text(texts)));
        Ok(span)
    }

    /// Keep a text without making it findable.
    ///
    /// # Errors
    /// When the texts together outgrow 4 GiB.
    pub fn keep(&mut self, text: &str) -> Result<Span, TooLong> {
        let at = u32::try_from(self.texts.len()).map_err(|_| TooLong)?;
        let len = u32::try_from(text.len()).map_err(|_| TooLong)?;
        self.texts.push_str(text);
        Ok((at, len))
    }

    /// A text that was kept.
    pub fn text(&self, (at, len): Span) -> &str {
        &self.texts[at as usize..][..len as usize]
    }

    /// The texts and their places, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Place)> {
        self.slots.iter().map(|slot| (self.text(slot.span), slot.place))
    }

    /// How many texts.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.slots.allocation_size() + self.texts.capacity()
    }

    /// Give back what building left over.
    pub fn shrink(&mut self) {
        self.texts.shrink_to_fit();
    }

    /// Check what must hold: every text is found where it lies, and leads where its slot says.
    ///
    /// # Panics
    /// When it does not.
    pub fn validate(&self) {
        for (text, place) in self.iter() {
            assert_eq!(self.find(text), Some(place), "{text:?} is in the table but is not found");
        }
    }

    /// This table's hash of a text: for who looks up many and makes all hashes first.
    #[inline]
    pub fn hash(&self, text: &str) -> u64 {
        self.hasher.hash_one(text.as_bytes())
    }
}

impl Slot {
    #[inline]
    fn text<'t>(&self, texts: &'t str) -> &'t [u8] {
        &texts.as_bytes()[self.span.0 as usize..][..self.span.1 as usize]
    }

    #[inline]
    fn is(&self, texts: &str, hash: u64, text: &str) -> bool {
        self.tag == tag(hash) && self.text(texts) == text.as_bytes()
    }
}

#[inline]
const fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}
