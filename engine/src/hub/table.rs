//! Rows by number. Numbers are given out here and never leave the module, so that a lookup
//! finds its row; one that did not would find an empty one instead of a panic.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// A row number.
pub(super) trait Number: Copy {
    fn new(number: u32) -> Self;
    fn number(self) -> u32;
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub(super) struct $name(pub(super) u32);

        impl Number for $name {
            fn new(number: u32) -> Self {
                Self(number)
            }

            fn number(self) -> u32 {
                self.0
            }
        }
    };
}

number!(
    /// An operation, in the order in which they were placed.
    OpIx
);
number!(
    /// One branch of a chain.
    StrandIx
);
number!(
    /// An account that wrote something or that something is about.
    AccountIx
);
number!(
    /// A role; 0 is everybody's.
    RoleIx
);

/// Rows that are only ever added.
#[derive(Debug)]
pub(super) struct Table<I, T> {
    rows: Vec<T>,
    /// What a foreign number finds.
    none: T,
    index: PhantomData<I>,
}

impl<I, T: Default> Default for Table<I, T> {
    fn default() -> Self {
        Self { rows: Vec::new(), none: T::default(), index: PhantomData }
    }
}

impl<I: Number, T> Table<I, T> {
    /// Adds a row and returns its number.
    pub(super) fn push(&mut self, row: T) -> I {
        // Four thousand million rows are more than memory holds.
        let number = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.rows.push(row);
        I::new(number)
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// All rows with their numbers.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (I, &T)> + ExactSizeIterator {
        let number = |at| u32::try_from(at).unwrap_or(u32::MAX);
        self.rows.iter().enumerate().map(move |(at, row)| (I::new(number(at)), row))
    }
}

impl<I: Number, T> Index<I> for Table<I, T> {
    type Output = T;

    fn index(&self, index: I) -> &T {
        self.rows.get(index.number() as usize).unwrap_or(&self.none)
    }
}

impl<I: Number, T> IndexMut<I> for Table<I, T> {
    fn index_mut(&mut self, index: I) -> &mut T {
        self.rows.get_mut(index.number() as usize).unwrap_or(&mut self.none)
    }
}
