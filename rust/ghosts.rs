//! What is remembered of keys that left: how often they were asked for, and when and whence they went.

/// Notes in a bucket. A key has one bucket, 32 bytes, so a look-up reads one cache line, or two.
const BUCKET: usize = 8;
/// Notes for every two entries of the cache. Two are for the two lists of ghosts, each half as long as
/// the cache; the others keep the counts of keys that left before. With four, 8 bytes an entry, a cache
/// of under 100 entries loses up to 2 points; with six it wins a quarter of a point at most.
const NOTES: usize = 5;
/// The greatest count.
pub(crate) const MOST: u8 = 15;
/// The ticks of a note's clock. They wrap, so after that many an old note would look new.
const TICKS: u32 = 1 << 14;
/// The most ticks a ghost is remembered for, an eighth of a turn.
const LONGEST: usize = 1 << 11;

/// How an entry left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Left {
    /// Refused by the main part when it fell out of the window.
    Window = 1,
    /// Evicted from the main part.
    Main = 2,
    /// Not for want of room: it expired, say. Such a key is no ghost, but its count is kept.
    Otherwise = 3,
}

/// A table of notes, 4 bytes each: 12 bits of fingerprint, 4 of count, 2 of how and 14 of when.
///
/// It forgets: a new note takes the place of one that is no ghost, if there is one in its bucket; of
/// those, of one with the lowest count; of those, of the oldest. It errs: a stranger passes for a key
/// that left about once in 500 look-ups.
#[derive(Debug)]
pub(crate) struct Ghosts {
    /// Zero is no note.
    buckets: Vec<[u32; BUCKET]>,
    /// How many left, by how.
    left: [u64; 4],
    /// Notes taken away since, whose places the next to leave fill: the others grow no older by it.
    taken: [u64; 4],
}

impl Ghosts {
    /// A table for a cache of so many entries.
    pub(crate) fn new(entries: usize) -> Self {
        let buckets = (NOTES * entries).div_ceil(2 * BUCKET).max(1);
        Self { buckets: vec![[0; BUCKET]; buckets], left: [0; 4], taken: [0; 4] }
    }

    /// Notes that a key left. Of each kind, the last `reach` to leave are ghosts.
    pub(crate) fn push(&mut self, hash: u64, count: u8, left: Left, reach: usize) {
        let kind = left as usize;
        if self.taken[kind] > 0 {
            self.taken[kind] -= 1;
        } else {
            self.left[kind] += 1;
        }
        let now = self.now(reach);
        let note = fingerprint(hash) | u32::from(count) << 16 | (left as u32) << 14 | now.ticks[kind];
        let index = place(hash, self.buckets.len());
        let bucket = &mut self.buckets[index];
        let worth = |i: usize| {
            let rank = u32::from(now.is_ghost(bucket[i])) << 4 | bucket[i] >> 16 & 15;
            (rank << 14 | (TICKS - 1 - now.age(bucket[i]))) << 3 | i as u32
        };
        let least = (0..BUCKET).map(worth).fold(u32::MAX, u32::min) as usize % BUCKET;
        bucket[least] = note;
    }

    /// Takes a key's note away: its count, and how it left if it is still a ghost.
    pub(crate) fn take(&mut self, hash: u64, reach: usize) -> Option<(u8, Option<Left>)> {
        let now = self.now(reach);
        let index = place(hash, self.buckets.len());
        let bucket = &mut self.buckets[index];
        let found = bucket.iter().position(|&note| note & FINGERPRINT == fingerprint(hash) && note != 0)?;
        let note = std::mem::take(&mut bucket[found]);
        let ghost =
            now.is_ghost(note).then(|| if kind(note) == Left::Window as usize { Left::Window } else { Left::Main });
        if let Some(left) = ghost {
            self.taken[left as usize] += 1;
        }
        Some(((note >> 16) as u8 & MOST, ghost))
    }

    /// Halves every count.
    pub(crate) fn age(&mut self) {
        for note in self.buckets.iter_mut().flatten() {
            *note = *note & !COUNT | (*note & COUNT) >> 1 & COUNT;
        }
    }

    /// Doubles the room. Each bucket is copied to the two its keys may now be in, so none is forgotten.
    pub(crate) fn double(&mut self) {
        self.buckets = self.buckets.iter().flat_map(|&bucket| [bucket, bucket]).collect();
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        self.buckets.capacity() * size_of::<[u32; BUCKET]>()
    }

    /// The clocks, set so that `reach` of either kind take no more than `LONGEST` ticks.
    #[inline]
    fn now(&self, reach: usize) -> Now {
        let coarse = (reach / LONGEST).checked_ilog2().map_or(0, |log| log + 1);
        let ticks = self.left.map(|left| (left >> coarse) as u32 & (TICKS - 1));
        let reach = (reach >> coarse) as u32;
        Now { ticks, reach: [0, reach, reach, 0] }
    }
}

/// The clock of each kind of leaver, and for how many ticks one is a ghost.
#[derive(Clone, Copy)]
struct Now {
    ticks: [u32; 4],
    reach: [u32; 4],
}

impl Now {
    /// Whether a note's key is still a ghost. Where there is no note, all bits are zero, and none is.
    #[inline]
    fn is_ghost(&self, note: u32) -> bool {
        self.age(note) < self.reach[kind(note)]
    }

    /// The ticks since a note was made.
    #[inline]
    fn age(&self, note: u32) -> u32 {
        self.ticks[kind(note)].wrapping_sub(note) & (TICKS - 1)
    }
}

/// The bits of a note that are its count.
const COUNT: u32 = 15 << 16;
/// The bits of a note that are its fingerprint.
const FINGERPRINT: u32 = 0xfff << 20;

#[inline]
fn fingerprint(hash: u64) -> u32 {
    (hash as u32) & FINGERPRINT
}

#[inline]
fn kind(note: u32) -> usize {
    (note >> 14 & 3) as usize
}

/// A key's bucket. The high bits of its hash decide, so among twice as many it is `2 * place` or the
/// next.
#[inline]
fn place(hash: u64, buckets: usize) -> usize {
    ((u128::from(hash) * buckets as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that fall in different buckets and have different fingerprints.
    fn hash(key: u64) -> u64 {
        key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// The last `reach` keys to leave are ghosts, the one before them is not, whatever the reach.
    #[test]
    fn a_ghost_lasts_as_long_as_the_reach() {
        for reach in [1, 7, 2_047] {
            let mut ghosts = Ghosts::new(8 * reach);
            (0..=reach as u64).for_each(|key| ghosts.push(hash(key), 1, Left::Main, reach));
            assert_eq!(ghosts.take(hash(0), reach), Some((1, None)), "reach {reach}");
            assert_eq!(ghosts.take(hash(1), reach), Some((1, Some(Left::Main))), "reach {reach}");
            assert_eq!(ghosts.take(hash(1), reach), None, "a note is taken once");
        }
    }

    /// What leaves one part makes no ghost of the other older.
    #[test]
    fn each_part_has_its_own_clock() {
        let mut ghosts = Ghosts::new(100);
        ghosts.push(hash(0), 3, Left::Window, 5);
        (1..20).for_each(|key| ghosts.push(hash(key), 1, Left::Main, 5));
        assert_eq!(ghosts.take(hash(0), 5), Some((3, Some(Left::Window))));
    }

    /// A key that left for another reason is no ghost, but keeps its count.
    #[test]
    fn an_expired_key_is_no_ghost() {
        let mut ghosts = Ghosts::new(100);
        ghosts.push(hash(0), 9, Left::Otherwise, 50);
        assert_eq!(ghosts.take(hash(0), 50), Some((9, None)));
    }

    /// Aging halves counts and nothing else.
    #[test]
    fn aging_halves_counts() {
        for (count, half) in [(0, 0), (1, 0), (2, 1), (7, 3), (15, 7)] {
            let mut ghosts = Ghosts::new(100);
            ghosts.push(hash(1), count, Left::Window, 50);
            ghosts.age();
            assert_eq!(ghosts.take(hash(1), 50), Some((half, Some(Left::Window))));
        }
    }

    /// Every note is found again after the table has doubled.
    #[test]
    fn doubling_forgets_nothing() {
        let mut ghosts = Ghosts::new(64);
        (0..20).for_each(|key| ghosts.push(hash(key), 5, Left::Main, 32));
        ghosts.double();
        (0..20).for_each(|key| {
            assert_eq!(ghosts.take(hash(key), 32), Some((5, Some(Left::Main))), "key {key}");
        });
    }
}
