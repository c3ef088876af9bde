//! Finds all atoms of all patterns in one pass over the text.
//!
//! Every three bytes of the text are hashed and looked up in a bitmap that stays in the first-level cache. Only where a
//! bit is set are atoms compared. Each atom is filed under the three of its bytes that are rarest among all atoms, so
//! that common words do not set bits. Unlike in an automaton, the address of a look-up does not depend on the one
//! before, so the processor has several under way.

use std::collections::HashMap;

/// Bytes looked up together.
const GRAM: usize = 3;
/// Grams taken from one load of eight bytes.
const GRAMS_PER_LOAD: usize = 6;
/// The bitmap has a fixed size, which spares a check per byte: 16 KiB.
const BITS: u32 = 17;
const WORDS: usize = 1 << (BITS - 6);
/// Sets bit 5 of every byte, which makes the two cases of a letter alike; the comparison sorts out the rest.
const FOLD: u64 = 0x2020_2020_2020_2020;
/// Bits of the bitmap that share a bucket, as a power of two.
const BUCKET: u32 = 4;

/// An atom where it is filed.
#[derive(Clone, Debug)]
struct Filed {
    gram: u32,
    /// Bytes of the atom before the gram.
    before: u32,
    /// The first bytes of the atom and which of them count, to tell most misses without going to the text of the atom.
    head: u64,
    mask: u64,
    text: Box<[u8]>,
    /// Which patterns wait for it: a range of `waiting`.
    from: u32,
    to: u32,
}

impl Filed {
    #[inline]
    fn differs(&self, here: [u8; 8]) -> bool {
        (u64::from_le_bytes(here) | FOLD) & self.mask != self.head
    }
}

/// Up to eight bytes, folded as the text is, and the mask for them.
fn head(atom: &[u8]) -> (u64, u64) {
    let (mut bytes, mut mask) = ([0; 8], [0; 8]);
    for (at, &byte) in atom.iter().take(8).enumerate() {
        (bytes[at], mask[at]) = (byte, 0xff);
    }
    let mask = u64::from_le_bytes(mask);
    ((u64::from_le_bytes(bytes) | FOLD) & mask, mask)
}

/// An atom found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit<'a> {
    /// Where the atom starts.
    pub at: usize,
    /// The patterns waiting for it.
    pub patterns: &'a [u32],
}

/// The atoms of all patterns, ready to be searched for.
#[derive(Debug)]
pub(crate) struct Scanner {
    bitmap: Box<[u64; WORDS]>,
    buckets: Vec<u32>,
    filed: Vec<Filed>,
    waiting: Vec<u32>,
}

impl Scanner {
    /// `atoms` maps each folded atom to the patterns that wait for it; `census` counts in how many patterns each gram
    /// occurs.
    pub fn new(atoms: Vec<(String, Vec<u32>)>, census: &HashMap<u32, usize>) -> Self {
        let (mut filed, mut waiting) = (Vec::with_capacity(atoms.len()), Vec::new());
        for (atom, patterns) in atoms {
            let from = small(waiting.len());
            waiting.extend(patterns);
            let (before, gram) = rarest(atom.as_bytes(), census);
            let (head, mask) = head(atom.as_bytes());
            filed.push(Filed {
                gram,
                before,
                head,
                mask,
                text: atom.into_bytes().into(),
                from,
                to: small(waiting.len()),
            });
        }
        filed.sort_by_key(|filed| slot(filed.gram));
        let (mut bitmap, mut buckets) = (Box::new([0; WORDS]), vec![0; (1 << (BITS - BUCKET)) + 1]);
        for slot in filed.iter().map(|filed| slot(filed.gram)) {
            bitmap[slot >> 6] |= 1 << (slot & 63);
            buckets[(slot >> BUCKET) + 1] += 1;
        }
        for i in 1..buckets.len() {
            buckets[i] += buckets[i - 1];
        }
        Self { bitmap, buckets, filed, waiting }
    }

    /// Calls `found` for every atom in `text`, whose letters may be of either case.
    #[inline]
    pub fn scan<'a>(&'a self, text: &[u8], mut found: impl FnMut(Hit<'a>)) {
        if self.filed.is_empty() || text.len() < GRAM {
            return;
        }
        let mut at = 0;
        while let Some(bytes) = text[at..].first_chunk::<8>() {
            let window = u64::from_le_bytes(*bytes) | FOLD;
            self.look_up(text, at, window, GRAMS_PER_LOAD, &mut found);
            at += GRAMS_PER_LOAD;
        }
        let rest = &text[at..];
        if rest.len() >= GRAM {
            let mut bytes = [0; 8];
            bytes[..rest.len()].copy_from_slice(rest);
            let window = u64::from_le_bytes(bytes) | FOLD;
            self.look_up(text, at, window, rest.len() + 1 - GRAM, &mut found);
        }
    }

    #[expect(clippy::inline_always, reason = "unrolled for the fixed number of grams; a tenth of the time of a lookup")]
    #[inline(always)]
    fn look_up<'a>(&'a self, text: &[u8], at: usize, window: u64, grams: usize, found: &mut impl FnMut(Hit<'a>)) {
        for offset in 0..grams {
            let gram = (window >> (8 * offset)) as u32 & 0x00ff_ffff;
            let slot = slot(gram);
            if self.bitmap[slot >> 6] >> (slot & 63) & 1 == 1 {
                self.compare(text, at + offset, gram, found);
            }
        }
    }

    #[inline(never)]
    fn compare<'a>(&'a self, text: &[u8], at: usize, gram: u32, found: &mut impl FnMut(Hit<'a>)) {
        let bucket = slot(gram) >> BUCKET;
        let range = self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize;
        for filed in &self.filed[range] {
            if filed.gram != gram {
                continue;
            }
            let Some(start) = at.checked_sub(filed.before as usize) else { continue };
            if text.get(start..).and_then(|here| here.first_chunk::<8>()).is_some_and(|here| filed.differs(*here)) {
                continue;
            }
            let here = text.get(start..start + filed.text.len());
            if here.is_some_and(|here| here.eq_ignore_ascii_case(&filed.text)) {
                found(Hit { at: start, patterns: &self.waiting[filed.from as usize..filed.to as usize] });
            }
        }
    }

    pub fn atoms(&self) -> usize {
        self.filed.len()
    }

    pub fn memory(&self) -> usize {
        let texts: usize = self.filed.iter().map(|filed| filed.text.len()).sum();
        WORDS * 8 + (self.buckets.len() + self.waiting.len()) * 4 + self.filed.len() * size_of::<Filed>() + texts
    }

    /// Whether every atom is found where it is filed.
    pub fn validate(&self, patterns: usize) {
        for filed in &self.filed {
            let mut seen = false;
            self.scan(&filed.text, |hit| {
                seen |= hit.at == 0 && hit.patterns.as_ptr() == self.waiting[filed.from as usize..].as_ptr();
            });
            assert!(seen, "an atom is not found in itself");
        }
        assert!(self.waiting.iter().all(|&id| (id as usize) < patterns), "an atom waits for an unknown pattern");
    }
}

#[inline]
fn slot(gram: u32) -> usize {
    (gram.wrapping_mul(0x9E37_79B1) >> (32 - BITS)) as usize
}

/// The number of atoms is bounded by the sizes of the patterns, far below what would not fit.
fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// All grams of an atom, folded as the text is.
pub(crate) fn grams(atom: &[u8]) -> impl Iterator<Item = u32> + '_ {
    atom.windows(GRAM).map(|gram| u32::from_le_bytes([gram[0] | 0x20, gram[1] | 0x20, gram[2] | 0x20, 0]))
}

fn rarest(atom: &[u8], census: &HashMap<u32, usize>) -> (u32, u32) {
    let count = |gram: &u32| census.get(gram).copied().unwrap_or(0);
    let best = grams(atom).enumerate().min_by_key(|(_, gram)| count(gram));
    let (before, gram) = best.unwrap_or((0, 0));
    (small(before), gram)
}
