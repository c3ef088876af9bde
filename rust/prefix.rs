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
//! entered again. The work is thus at most nodes times bytes, whatever the path.

use hashbrown::HashSet;
use smallvec::SmallVec;

use crate::endpoint::Place;
use crate::ids::RouteId;

/// Where the params lie in the path, in bytes, in the order of the route's names.
pub type Spans = SmallVec<[(u32, u32); 6]>;

pub(crate) const NONE: u32 = u32::MAX;

/// One node, 32 bytes; its children lie side by side.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) label: (u32, u32),
    pub(crate) children: (u32, u32),
    pub(crate) param: u32,
    pub(crate) end: Place,
    pub(crate) tail: Place,
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
}

impl Tree {
    /// The first route, in order of precedence, whose place `accept` accepts, and where its params lie.
    #[inline]
    pub fn find(&self, text: &str, accept: impl FnMut(Place) -> Option<RouteId>) -> Option<(RouteId, Spans)> {
        if self.nodes.is_empty() {
            return None;
        }
        let mut walk = Walk { tree: self, text: text.as_bytes(), spans: Spans::new(), accept, failed: None };
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
        self.nodes.capacity() * size_of::<Node>() + self.firsts.capacity() + self.labels.capacity()
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
                assert_eq!(label.first(), Some(&self.firsts[child as usize]), "a child's first byte is not its label's");
            }
            assert!(node.param == NONE || self.nodes[node.param as usize].label.1 == 0, "a param has a label");
        }
    }

    fn label(&self, node: u32) -> &[u8] {
        let (at, len) = self.nodes[node as usize].label;
        &self.labels[at as usize..][..len as usize]
    }

    /// The child whose label begins the rest of the text, and the label's length.
    #[inline]
    fn step(&self, node: &Node, rest: &[u8]) -> Option<(u32, usize)> {
        let (first, count) = node.children;
        let bytes = self.firsts.get(first as usize..)?.get(..count as usize)?;
        let child = first + bytes.iter().position(|byte| *byte == rest[0])? as u32;
        let label = self.label(child);
        begins(rest, label).then_some((child, label.len()))
    }
}

/// Whether `text` begins with `label`. Labels are a few bytes long, for which calling `memcmp` costs more than
/// comparing them eight and then one at a time.
#[inline]
fn begins(text: &[u8], label: &[u8]) -> bool {
    let Some(text) = text.get(..label.len()) else { return false };
    let ((text8, text1), (label8, label1)) = (text.as_chunks::<8>(), label.as_chunks::<8>());
    let same = |(a, b): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*a) == u64::from_ne_bytes(*b);
    text8.iter().zip(label8).all(same) && text1.iter().zip(label1).all(|(a, b)| a == b)
}

struct Walk<'t, F> {
    tree: &'t Tree,
    text: &'t [u8],
    spans: Spans,
    accept: F,
    /// What has failed since the first choice of a param's end; None before it.
    failed: Option<HashSet<(u32, usize), foldhash::fast::RandomState>>,
}

impl<F: FnMut(Place) -> Option<RouteId>> Walk<'_, F> {
    /// Go on from a node whose label has been read; on failure the spans are as they were.
    fn enter(&mut self, id: u32, at: usize) -> Option<RouteId> {
        if self.failed.as_ref().is_some_and(|failed| failed.contains(&(id, at))) {
            return None;
        }
        let spans = self.spans.len();
        let found = self.go_on(id, at);
        if found.is_none() {
            self.spans.truncate(spans);
            if let Some(failed) = &mut self.failed {
                failed.insert((id, at));
            }
        }
        found
    }

    fn go_on(&mut self, mut id: u32, mut at: usize) -> Option<RouteId> {
        loop {
            let node = &self.tree.nodes[id as usize];
            let rest = &self.text[at..];
            if rest.is_empty() {
                return (self.accept)(node.end).or_else(|| self.take_tail(node, at));
            }
            let last_way = node.tail == Place::NONE;
            if let Some((child, read)) = self.tree.step(node, rest) {
                if last_way && node.param == NONE {
                    (id, at) = (child, at + read);
                    continue;
                }
                if let Some(found) = self.enter(child, at + read) {
                    return Some(found);
                }
            }
            if node.param != NONE && rest[0] != b'/' {
                let end = at + memchr::memchr(b'/', rest).unwrap_or(rest.len());
                if self.tree.nodes[node.param as usize].splits
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

    /// Try every end of a param within its segment behind which one of its literals stands, nearest first.
    fn split(&mut self, param: u32, start: usize, end: usize) -> Option<RouteId> {
        self.failed.get_or_insert_default();
        let node = &self.tree.nodes[param as usize];
        for at in start + 1..end {
            let Some((child, read)) = self.tree.step(node, &self.text[at..]) else { continue };
            self.spans.push((start as u32, at as u32));
            if let Some(found) = self.enter(child, at + read) {
                return Some(found);
            }
            self.spans.pop();
        }
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
