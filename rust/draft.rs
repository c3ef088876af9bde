//! The radix tree while it is being built, as nodes that are easy to cut in two.

use crate::endpoint::Place;
use crate::prefix::{MANY, NO_JUMP, NONE, Node, Tree};
use crate::template::Part;

/// A tree being built: nodes as they are easiest to cut in two.
#[derive(Debug)]
pub struct Builder {
    root: Draft,
}

#[derive(Debug)]
struct Draft {
    label: Vec<u8>,
    children: Vec<Draft>,
    param: Option<Box<Draft>>,
    end: Place,
    tail: Place,
}

impl Default for Builder {
    fn default() -> Self {
        Self { root: Draft::new(&[]) }
    }
}

impl Builder {
    /// The place a template leads to, to be set where there is none yet.
    pub fn place(&mut self, parts: &[Part]) -> &mut Place {
        let mut node = &mut self.root;
        for part in parts {
            node = match part {
                Part::Literal(text) => node.descend(text.as_bytes()),
                Part::Param(_) => node.param.get_or_insert_with(|| Box::new(Draft::new(&[]))),
                Part::Tail(_) => return &mut node.tail,
            };
        }
        &mut node.end
    }

    /// Lay the tree out for reading.
    pub fn build(&self) -> Tree {
        let mut tree = Tree::default();
        tree.firsts.push(0);
        tree.nodes.push(self.root.leaf(&mut tree.labels));
        self.root.lay_out(0, &mut tree);
        if tree.nodes.len() == 1 && self.root.end == Place::NONE && self.root.tail == Place::NONE {
            return Tree::default();
        }
        tree.nodes.shrink_to_fit();
        tree.labels.shrink_to_fit();
        tree
    }
}

impl Draft {
    fn new(label: &[u8]) -> Self {
        Self { label: label.to_vec(), children: Vec::new(), param: None, end: Place::NONE, tail: Place::NONE }
    }

    /// The node that `text` leads to below this one, made where it is missing.
    fn descend(&mut self, text: &[u8]) -> &mut Self {
        let Some(first) = text.first() else { return self };
        let Some(at) = self.children.iter().position(|child| child.label[0] == *first) else {
            self.children.push(Self::new(text));
            let last = self.children.len() - 1;
            return &mut self.children[last];
        };
        let child = &mut self.children[at];
        let shared = child.label.iter().zip(text).take_while(|(a, b)| a == b).count();
        if shared < child.label.len() {
            child.cut(shared);
        }
        child.descend(&text[shared..])
    }

    /// Cut this node's label in two; what hung below it hangs below the lower half.
    fn cut(&mut self, at: usize) {
        let lower = self.label.split_off(at);
        let upper = Self::new(&self.label);
        let mut below = std::mem::replace(self, upper);
        below.label = lower;
        self.children.push(below);
    }

    fn leaf(&self, labels: &mut Vec<u8>) -> Node {
        let label = (labels.len() as u32, self.label.len() as u32);
        labels.extend_from_slice(&self.label);
        let splits = self.children.iter().any(|child| child.label[0] != b'/');
        Node { label, children: (0, 0), param: NONE, end: self.end, tail: self.tail, jump: NONE, splits }
    }

    fn lay_out(&self, id: usize, tree: &mut Tree) {
        let first = tree.nodes.len() as u32;
        for child in &self.children {
            tree.firsts.push(child.label[0]);
            let leaf = child.leaf(&mut tree.labels);
            tree.nodes.push(leaf);
        }
        tree.nodes[id].children = (first, self.children.len() as u32);
        if self.children.len() >= MANY {
            let mut row = [NO_JUMP; 256];
            for (child, at) in self.children.iter().zip(0..) {
                // Labels are UTF-8, in which fewer than 255 byte values occur.
                row[usize::from(child.label[0])] = at;
            }
            tree.nodes[id].jump = tree.jumps.len() as u32;
            tree.jumps.push(row);
        }
        if let Some(param) = &self.param {
            let at = tree.nodes.len();
            tree.firsts.push(0);
            let leaf = param.leaf(&mut tree.labels);
            tree.nodes.push(leaf);
            tree.nodes[id].param = at as u32;
            param.lay_out(at, tree);
        }
        for (at, child) in self.children.iter().enumerate() {
            child.lay_out(first as usize + at, tree);
        }
    }
}
