//! What an operation had seen, as positions: how much of each strand.
//!
//! Strands are numbered from 0 as they come; the vector is a tree of 16 that shares every
//! node with the pasts it was made of. An operation that follows one other costs two or
//! three nodes, whatever the hub's size, and joining two pasts looks at the nodes in which
//! they differ only.

use std::sync::Arc;

use super::table::StrandIx;

const WIDTH: usize = 16;
const BITS: u32 = 4;

#[derive(Debug)]
enum Node {
    Leaf([u32; WIDTH]),
    Branch([Option<Arc<Self>>; WIDTH]),
}

/// For each strand the number of changes of it that are seen; 0 is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    root: Option<Arc<Node>>,
    /// Levels of branches above the leaves.
    height: u32,
}

impl Past {
    /// How much of a strand is seen.
    pub(super) fn of(&self, strand: StrandIx) -> u32 {
        if (u64::from(strand.0) >> (BITS * (self.height + 1))) != 0 {
            return 0;
        }
        let mut node = self.root.as_ref();
        let mut height = self.height;
        while let Some(inner) = node {
            match inner.as_ref() {
                Node::Leaf(values) => return values.get(slot(strand, 0)).copied().unwrap_or(0),
                Node::Branch(children) => {
                    node = children.get(slot(strand, height)).and_then(Option::as_ref);
                    height = height.saturating_sub(1);
                }
            }
        }
        0
    }

    /// The same with at least `n` changes of one strand.
    pub(super) fn with(mut self, strand: StrandIx, n: u32) -> Self {
        while (u64::from(strand.0) >> (BITS * (self.height + 1))) != 0 {
            self = self.raised();
        }
        self.root = Some(set(self.root.as_ref(), self.height, strand, n));
        self
    }

    /// What either has seen.
    pub(super) fn joined(mut self, other: &Self) -> Self {
        let mut other = other.clone();
        while self.height < other.height {
            self = self.raised();
        }
        while other.height < self.height {
            other = other.raised();
        }
        self.root = join(self.root, other.root);
        self
    }

    /// The same tree under one more branch.
    fn raised(self) -> Self {
        let root = self.root.map(|root| {
            let mut children: [Option<Arc<Node>>; WIDTH] = Default::default();
            if let Some(first) = children.first_mut() {
                *first = Some(root);
            }
            Arc::new(Node::Branch(children))
        });
        Self { root, height: self.height + 1 }
    }
}

fn slot(strand: StrandIx, height: u32) -> usize {
    (strand.0 >> (BITS * height)) as usize & (WIDTH - 1)
}

fn set(node: Option<&Arc<Node>>, height: u32, strand: StrandIx, n: u32) -> Arc<Node> {
    if height == 0 {
        let mut values = match node.map(AsRef::as_ref) {
            Some(Node::Leaf(values)) => *values,
            _ => [0; WIDTH],
        };
        if let Some(value) = values.get_mut(slot(strand, 0)) {
            *value = n.max(*value);
        }
        return Arc::new(Node::Leaf(values));
    }
    let mut children = match node.map(AsRef::as_ref) {
        Some(Node::Branch(children)) => children.clone(),
        _ => Default::default(),
    };
    if let Some(child) = children.get_mut(slot(strand, height)) {
        *child = Some(set(child.as_ref(), height - 1, strand, n));
    }
    Arc::new(Node::Branch(children))
}

/// Joins two trees of one height, giving back one of them where it holds the other.
fn join(a: Option<Arc<Node>>, b: Option<Arc<Node>>) -> Option<Arc<Node>> {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (one, other) => return one.or(other),
    };
    if Arc::ptr_eq(&a, &b) {
        return Some(a);
    }
    match (a.as_ref(), b.as_ref()) {
        (Node::Leaf(left), Node::Leaf(right)) => {
            let mut values = *left;
            values.iter_mut().zip(right).for_each(|(value, other)| *value = (*other).max(*value));
            if values == *left {
                Some(a)
            } else if values == *right {
                Some(b)
            } else {
                Some(Arc::new(Node::Leaf(values)))
            }
        }
        (Node::Branch(left), Node::Branch(right)) => {
            let mut children = left.clone();
            for (child, other) in children.iter_mut().zip(right) {
                *child = join(child.take(), other.clone());
            }
            if same(&children, left) {
                Some(a)
            } else if same(&children, right) {
                Some(b)
            } else {
                Some(Arc::new(Node::Branch(children)))
            }
        }
        // Trees of one height have leaves where the other has leaves.
        _ => Some(a),
    }
}

fn same(a: &[Option<Arc<Node>>; WIDTH], b: &[Option<Arc<Node>>; WIDTH]) -> bool {
    a.iter().zip(b).all(|pair| match pair {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn build(steps: &[(u32, u32)]) -> (Past, BTreeMap<u32, u32>) {
        let (mut past, mut plain) = (Past::default(), BTreeMap::new());
        for (strand, n) in steps {
            past = past.with(StrandIx(*strand), *n);
            let value = plain.entry(*strand).or_insert(0);
            *value = (*n).max(*value);
        }
        (past, plain)
    }

    fn steps() -> impl Strategy<Value = Vec<(u32, u32)>> {
        let strand = prop_oneof![0..40u32, 0..5000u32, any::<u32>()];
        prop::collection::vec((strand, 1..50u32), 0..40)
    }

    proptest! {
        #[test]
        fn a_past_is_the_greater_of_each_position(a in steps(), b in steps()) {
            let ((past_a, plain_a), (past_b, plain_b)) = (build(&a), build(&b));
            let joined = past_a.clone().joined(&past_b);
            for strand in plain_a.keys().chain(plain_b.keys()).chain(&[0, 7, u32::MAX]) {
                let of = |plain: &BTreeMap<u32, u32>| plain.get(strand).copied().unwrap_or(0);
                prop_assert_eq!(past_a.of(StrandIx(*strand)), of(&plain_a));
                let greater = of(&plain_a).max(of(&plain_b));
                prop_assert_eq!(joined.of(StrandIx(*strand)), greater);
            }
        }
    }

    #[test]
    fn joining_what_holds_the_other_makes_nothing_new() {
        let (old, _) = build(&[(3, 1), (900, 4)]);
        let new = old.clone().with(StrandIx(900), 5);
        let joined = old.joined(&new);
        assert!(Arc::ptr_eq(joined.root.as_ref().unwrap(), new.root.as_ref().unwrap()));
    }
}
