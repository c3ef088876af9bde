//! The radix tree: literal text of any bytes, `{param}` segments and `{rest...}` tails.
//!
//! Theory of operation. Every node has a label, the bytes one must read to enter it. From a node there are
//! at most three ways on, tried in this order: the child whose label continues the text (children differ in
//! their first byte, so there is at most one), the param, the tail. A way that fails is taken back and the
//! next one tried, so a greedy choice costs time but never an answer.
//!
//! Two bounds on that time. A param that ends with its segment leaves no choice of where to go on, so each
//! node is entered once at most. A param with text behind it in its segment (`{base}...{head}`) may end in
//! many places; from the first such choice on, every (node, offset) that failed is remembered and not
//! entered again, and so is every (param, segment) of which no end led anywhere. The work is thus at most
//! nodes times bytes, whatever the path.

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use crate::endpoint::Place;
use crate::ids::RouteId;

/// Where the params lie in the path, in bytes, in the order of the route's names.
pub type Spans = SmallVec<[(u32, u32); 6]>;

pub(crate) const NONE: u32 = u32::MAX;
pub(crate) const NO_JUMP: u8 = u8::MAX;

/// From so many children on, a node has a row of 256 bytes in which to look its child up.
pub(crate) const MANY: usize = 5;

/// One node, 40 bytes; its children lie side by side.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) label: (u32, u32),
    pub(crate) children: (u32, u32),
    pub(crate) param: u32,
    pub(crate) end: Place,
    pub(crate) tail: Place,
    /// Its row of `jumps`, if it has many children.
    pub(crate) jump: u32,
    /// Whether text may follow within this param's segment.
    pub(crate) splits: bool,
}

/// The compiled tree.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub(crate) nodes: Vec<Node>,
    /// The first byte of each node's label: what picks a child.
    pub(crate) firsts: Vec<u8>,
    pub(crate) labels: Vec<u8>,
    /// For nodes with many children: which of them a byte leads to.
    pub(crate) jumps: Vec<[u8; 256]>,
}

impl Tree {
    /// The first route, in order of precedence, whose place `accept` accepts, and where its params lie.
    #[inline]
    pub fn find(&self, text: &str, accept: impl FnMut(Place) -> Option<RouteId>) -> Option<(RouteId, Spans)> {
        if self.nodes.is_empty() {
            return None;
        }
        let text = text.as_bytes();
        let mut walk = Walk { view: self.view(), text, spans: Spans::new(), accept, segment: (0, 0), failed: None };
        let route = walk.enter(0, 0)?;
        Some((route, walk.spans))
    }

    /// How many nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no route is in the tree.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every place that some route leads to.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.nodes.iter().flat_map(|node| [node.end, node.tail]).filter(|place| *place != Place::NONE)
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.firsts.capacity()
            + self.labels.capacity()
            + self.jumps.capacity() * 256
    }

    /// Check what must hold: children of a node differ in their first byte, and every label but a root's and
    /// a param's has one.
    ///
    /// # Panics
    /// When it does not.
    pub fn validate(&self) {
        for node in &self.nodes {
            let (first, count) = node.children;
            let mut bytes = self.firsts[first as usize..][..count as usize].to_vec();
            bytes.sort_unstable();
            bytes.dedup();
            assert_eq!(bytes.len(), count as usize, "two children begin with the same byte");
            for child in first..first + count {
                let label = self.label(child);
                assert_eq!(
                    label.first(),
                    Some(&self.firsts[child as usize]),
                    "a child's first byte is not its label's"
                );
            }
            assert!(node.param == NONE || self.nodes[node.param as usize].label.1 == 0, "a param has a label");
        }
    }

    fn label(&self, node: u32) -> &[u8] {
        let (at, len) = self.nodes[node as usize].label;
        &self.labels[at as usize..][..len as usize]
    }

    fn view(&self) -> View<'_> {
        View { nodes: &self.nodes, firsts: &self.firsts, labels: &self.labels, jumps: &self.jumps }
    }
}

/// The tree as four slices, which a loop can keep in registers.
#[derive(Clone, Copy)]
struct View<'t> {
    nodes: &'t [Node],
    firsts: &'t [u8],
    labels: &'t [u8],
    jumps: &'t [[u8; 256]],
}

impl View<'_> {
    /// The child whose label the text goes on with at `at`, and where that label ends.
    #[inline]
    fn step(&self, node: &Node, text: &[u8], at: usize) -> Option<(u32, usize)> {
        let byte = *text.get(at)?;
        let (first, count) = node.children;
        let child = if node.jump == NONE {
            let bytes = self.firsts.get(first as usize..(first + count) as usize)?;
            first + bytes.iter().position(|first| *first == byte)? as u32
        } else {
            let jump = self.jumps.get(node.jump as usize)?[usize::from(byte)];
            (jump != NO_JUMP).then(|| first + u32::from(jump))?
        };
        let (label, len) = self.nodes.get(child as usize)?.label;
        let end = at + len as usize;
        // The first byte has been compared.
        let rest = self.labels.get(label as usize + 1..label as usize + len as usize)?;
        same(text.get(at + 1..end)?, rest).then_some((child, end))
    }
}

/// Whether two texts of one length are equal. Labels are a few bytes long, for which calling `memcmp` costs more
/// than comparing them eight at a time and then one.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    let ((a8, a), (b8, b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let ((a4, a), (b4, b)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    a8.iter().zip(b8).all(|(a, b)| u64::from_ne_bytes(*a) == u64::from_ne_bytes(*b))
        && a4.iter().zip(b4).all(|(a, b)| u32::from_ne_bytes(*a) == u32::from_ne_bytes(*b))
        && a.iter().zip(b).all(|(a, b)| a == b)
}

/// How far the segment goes: up to the next slash, or to the end. Eight bytes at a time, since segments are
/// some ten bytes long: too short for a search that first picks its vector instructions.
#[inline]
fn segment_len(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let (chunks, rest) = text.as_chunks::<8>();
    for (chunk, at) in chunks.iter().zip((0..).step_by(8)) {
        // A byte is zero where there was a slash; the lowest bit set below is that of the first such byte.
        let zeros = u64::from_le_bytes(*chunk) ^ (ONES * u64::from(b'/'));
        let found = zeros.wrapping_sub(ONES) & !zeros & HIGHS;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
    }
    text.len() - rest.len() + rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len())
}

struct Walk<'t, F> {
    view: View<'t>,
    text: &'t [u8],
    spans: Spans,
    accept: F,
    /// The segment last measured: from within it, its end is known.
    segment: (usize, usize),
    /// What has failed since the first choice of a param's end; None before it.
    failed: Option<Failed>,
}

#[derive(Default)]
struct Failed {
    /// Nodes and the offsets from which they led nowhere.
    entries: HashSet<(u32, usize), foldhash::fast::RandomState>,
    /// Params and the segment ends before which no end of theirs led anywhere, from which start on.
    splits: HashMap<(u32, usize), usize, foldhash::fast::RandomState>,
}

impl<F: FnMut(Place) -> Option<RouteId>> Walk<'_, F> {
    /// Go on from a node whose label has been read; on failure the spans are as they were.
    #[inline(never)]
    fn enter(&mut self, id: u32, at: usize) -> Option<RouteId> {
        if self.failed.as_ref().is_some_and(|failed| failed.entries.contains(&(id, at))) {
            return None;
        }
        let spans = self.spans.len();
        let found = self.go_on(id, at);
        if found.is_none() {
            self.spans.truncate(spans);
            if let Some(failed) = &mut self.failed {
                failed.entries.insert((id, at));
            }
        }
        found
    }

    #[inline]
    fn go_on(&mut self, mut id: u32, mut at: usize) -> Option<RouteId> {
        let (view, text) = (self.view, self.text);
        loop {
            let node = &view.nodes[id as usize];
            let last_way = node.tail == Place::NONE;
            if at == text.len() {
                return (self.accept)(node.end).or_else(|| self.take_tail(node, at));
            }
            if let Some((child, end)) = view.step(node, text, at) {
                if last_way && node.param == NONE {
                    (id, at) = (child, end);
                    continue;
                }
                if let Some(found) = self.enter(child, end) {
                    return Some(found);
                }
            }
            if node.param != NONE && text[at] != b'/' {
                let end = self.segment_end(at);
                if view.nodes[node.param as usize].splits
                    && let Some(found) = self.split(node.param, at, end)
                {
                    return Some(found);
                }
                self.spans.push((at as u32, end as u32));
                if last_way {
                    (id, at) = (node.param, end);
                    continue;
                }
                if let Some(found) = self.enter(node.param, end) {
                    return Some(found);
                }
                self.spans.pop();
            }
            return self.take_tail(node, at);
        }
    }

    #[inline]
    fn segment_end(&mut self, at: usize) -> usize {
        if !(self.segment.0 <= at && at < self.segment.1) {
            self.segment = (at, at + segment_len(&self.text[at..]));
        }
        self.segment.1
    }

    /// Try every end of a param within its segment behind which one of its literals stands, nearest first.
    ///
    /// From a later start there are only fewer ends to try, so a param tries the ends in a segment once.
    #[inline(never)]
    fn split(&mut self, param: u32, start: usize, end: usize) -> Option<RouteId> {
        let segment = (param, end);
        let failed = self.failed.get_or_insert_default();
        if failed.splits.get(&segment).is_some_and(|from| *from <= start) {
            return None;
        }
        let node = &self.view.nodes[param as usize];
        for at in start + 1..end {
            let Some((child, after)) = self.view.step(node, self.text, at) else { continue };
            self.spans.push((start as u32, at as u32));
            if let Some(found) = self.enter(child, after) {
                return Some(found);
            }
            self.spans.pop();
        }
        self.failed.get_or_insert_default().splits.insert(segment, start);
        None
    }

    fn take_tail(&mut self, node: &Node, at: usize) -> Option<RouteId> {
        if node.tail == Place::NONE {
            return None;
        }
        let found = (self.accept)(node.tail)?;
        self.spans.push((at as u32, self.text.len() as u32));
        Some(found)
    }
}
