//! A window and a frequency filter, balanced by what comes back (see [`Adaptive`]).

use crate::border::Border;
use crate::ghosts::{Ghosts, Left, MOST};
use crate::policy::{Links, List, Policy, Slot};

/// Requests an entry between two halvings of all counts. From 10 to 40 it hardly matters.
const PERIOD: usize = 20;

/// Where an entry is. The number is kept in the upper half of its byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Window = 1 << 4,
    Probation = 2 << 4,
    Protected = 3 << 4,
}

/// Keeps what is asked for often, and leans toward recency as far as that pays.
///
/// New entries wait in the window, a small LRU list. When one falls out of it, its count is compared
/// with that of the main part's last: whoever was asked for more often stays, and at a tie the newcomer
/// goes. So a scan or a loop passes through the window and leaves the rest alone. The main part is two
/// LRU lists, in which a hit moves an entry to the protected one, up to 4/5 of the part.
///
/// A count goes up to 15 and stays with its entry, in a byte; of a key that left, a note of 4 bytes
/// keeps it. Every 20 requests an entry all counts are halved, so that old fame fades. Cached counts
/// round up, the others down: were it the same for both, a halving in the midst of a loop would let
/// keys that had just been asked for win against all those that had not yet.
///
/// The notes also tell who left lately: the ghosts, as many as half the cache of those refused at the
/// window's end, and as many of those evicted from the main part. A refused key that returns was
/// misjudged. It goes straight to the main part, and the window grows by a quarter of an entry. A key
/// that returns after the main part lost it shows that part too small, and the window shrinks as much.
///
/// A hit costs a byte and a move within a list, a miss a line of notes. There is one byte a slot and,
/// once something has been evicted, 10 bytes of notes an entry. One request in `20 * len` halves all
/// counts, and takes about 1.5 ms a million entries.
///
/// After W-TinyLFU (Einziger, Friedman and Manes, 2017), with the ghosts of 2Q (Johnson and Shasha,
/// 1994) and S3-FIFO (Yang et al., 2023), and a border steered as in ARC (Megiddo and Modha, 2003).
#[derive(Debug, Default)]
pub struct Adaptive {
    /// A slot's part and count; zero if no entry is there.
    marks: Vec<u8>,
    window: List,
    probation: List,
    protected: List,
    border: Border,
    /// Newcomers that no victim has paid for: the window may be over its limit by so many.
    owed: usize,
    /// Whom the cache was told to evict, and from where.
    leaving: Option<(Slot, Left)>,
    requests: usize,
    /// Made at the first eviction: a cache that never fills has none.
    ghosts: Option<Ghosts>,
    /// The entries that `ghosts` was made for.
    room: usize,
}

impl Policy for Adaptive {
    #[inline]
    fn hit(&mut self, links: &mut impl Links, slot: Slot) {
        let mark = &mut self.marks[slot.index()];
        *mark += u8::from(*mark & MOST < MOST);
        match part(*mark) {
            Part::Window => self.window.move_to_front(links, slot),
            Part::Protected => self.protected.move_to_front(links, slot),
            Part::Probation => self.protect(links, slot),
        }
        self.tick();
    }

    fn insert(&mut self, links: &mut impl Links, slot: Slot) {
        if slot.index() >= self.marks.len() {
            self.marks.resize(slot.index() + 1, 0);
        }
        let (count, ghost) = self.recall(links.hash(slot));
        self.border.steer(ghost, self.len());
        self.settle(links);
        self.marks[slot.index()] = (count + 1).min(MOST);
        if ghost == Some(Left::Window) && self.main() > 0 {
            self.put(links, slot, Part::Probation);
        } else {
            self.put(links, slot, Part::Window);
            self.owed = (self.owed + 1).min(1 + self.len() / 64);
        }
        self.tick();
    }

    fn victim(&mut self, links: &mut impl Links) -> Option<Slot> {
        self.settle(links);
        let main = self.probation.back().or(self.protected.back());
        let over = self.window.len() > self.border.window || main.is_none();
        self.leaving = match (self.window.back().filter(|_| over), main) {
            (Some(last), Some(main)) => Some(self.weigh(links, last, main)),
            (Some(last), None) => Some((last, Left::Window)),
            (None, main) => main.map(|main| (main, Left::Main)),
        };
        if !over {
            self.owed = 0;
        }
        let (slot, _) = self.leaving?;
        self.make_room();
        Some(slot)
    }

    fn remove(&mut self, links: &mut impl Links, slot: Slot) {
        let (mark, reach) = (self.marks[slot.index()], self.reach());
        let evicted = self.leaving.take().filter(|&(leaving, _)| leaving == slot);
        let left = evicted.map_or(Left::Otherwise, |(_, left)| left);
        if let Some(ghosts) = &mut self.ghosts {
            ghosts.push(links.hash(slot), mark & MOST, left, reach);
        }
        self.list(part(mark)).remove(links, slot);
        self.marks[slot.index()] = 0;
    }

    fn len(&self) -> usize {
        self.window.len() + self.main()
    }

    fn validate(&self, links: &impl Links) {
        let lists =
            [(Part::Window, &self.window), (Part::Probation, &self.probation), (Part::Protected, &self.protected)];
        for (expected, list) in lists {
            for slot in list.walk(links) {
                assert_eq!(part(self.marks[slot.index()]), expected, "{slot:?} is marked for another list");
            }
        }
        let marked = self.marks.iter().filter(|&&mark| mark != 0).count();
        assert_eq!(marked, self.len(), "a slot is marked but in no list");
        let most = self.border.window + self.owed + 1;
        assert!(self.window.len() <= most, "{} are in the window, over {most}", self.window.len());
        assert!(self.protected.len() <= self.border.protected, "{} are protected", self.protected.len());
    }

    fn memory(&self) -> usize {
        self.marks.capacity() + self.ghosts.as_ref().map_or(0, Ghosts::memory)
    }
}

impl Adaptive {
    /// The entries of the main part.
    fn main(&self) -> usize {
        self.probation.len() + self.protected.len()
    }

    /// How many of each kind of ghost count.
    fn reach(&self) -> usize {
        self.len().div_ceil(2)
    }

    #[inline]
    fn list(&mut self, part: Part) -> &mut List {
        match part {
            Part::Window => &mut self.window,
            Part::Probation => &mut self.probation,
            Part::Protected => &mut self.protected,
        }
    }

    /// Puts a slot that is in no list at the front of one.
    #[inline]
    fn put(&mut self, links: &mut impl Links, slot: Slot, part: Part) {
        let mark = &mut self.marks[slot.index()];
        *mark = *mark & MOST | part as u8;
        self.list(part).push_front(links, slot);
    }

    /// Moves a slot on probation to the protected list, and whoever no longer fits there back.
    fn protect(&mut self, links: &mut impl Links, slot: Slot) {
        self.probation.remove(links, slot);
        self.put(links, slot, Part::Protected);
        self.demote(links);
    }

    fn demote(&mut self, links: &mut impl Links) {
        while self.protected.len() > self.border.protected {
            if let Some(last) = self.protected.pop_back(links) {
                self.put(links, last, Part::Probation);
            }
        }
    }

    /// Brings the lists to their limits. While there is still room, or where the window is to shrink,
    /// its last entries move to the main part unweighed: somebody else has already paid for them.
    fn settle(&mut self, links: &mut impl Links) {
        while self.window.len() > self.border.window + self.owed {
            if let Some(last) = self.window.pop_back(links) {
                self.put(links, last, Part::Probation);
            }
        }
        self.demote(links);
    }

    /// Lets the window's last and the main part's last contend. Returns who goes, and whence.
    fn weigh(&mut self, links: &mut impl Links, last: Slot, main: Slot) -> (Slot, Left) {
        self.owed = self.owed.saturating_sub(1);
        if self.marks[last.index()] & MOST <= self.marks[main.index()] & MOST {
            return (last, Left::Window);
        }
        self.window.remove(links, last);
        self.put(links, last, Part::Probation);
        (main, Left::Main)
    }

    /// What is known of a key that was not cached: its count, and the part it left if that was lately.
    fn recall(&mut self, hash: u64) -> (u8, Option<Left>) {
        let reach = self.reach();
        let known = self.ghosts.as_mut().and_then(|ghosts| ghosts.take(hash, reach));
        known.unwrap_or((0, None))
    }

    /// Makes the table of ghosts, or enlarges it where the cache has outgrown it by half.
    fn make_room(&mut self) {
        let entries = self.len();
        let ghosts = self.ghosts.get_or_insert_with(|| {
            self.room = entries.max(1);
            Ghosts::new(entries)
        });
        while entries > self.room + self.room / 2 + 1 {
            self.room *= 2;
            ghosts.double();
        }
    }

    /// Counts a request, and from time to time halves every count.
    #[inline]
    fn tick(&mut self) {
        self.requests += 1;
        if self.requests >= PERIOD * self.len().max(16) {
            self.age();
        }
    }

    #[cold]
    fn age(&mut self) {
        self.requests = 0;
        for mark in &mut self.marks {
            *mark = *mark & !MOST | (*mark & MOST).div_ceil(2);
        }
        if let Some(ghosts) = &mut self.ghosts {
            ghosts.age();
        }
    }
}

#[inline]
fn part(mark: u8) -> Part {
    match mark >> 4 {
        1 => Part::Window,
        2 => Part::Probation,
        _ => Part::Protected,
    }
}
