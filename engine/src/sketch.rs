//! A rateless sketch of tips: tells two sets apart at a cost of their difference.
//!
//! Cells are sums of pseudo-random choices of items, so that the cells of one side added to
//! those of the other hold the difference alone, which is peeled from them one by one. After
//! Yang, Gilad and Alizadeh, "Practical Rateless Set Reconciliation", SIGCOMM 2024; the
//! mapping from items to cells is drawn in whole numbers, and a cell keeps no count, since
//! the decoder knows its own items. How many cells it will take is told beforehand by an
//! estimate after Alon, Matias and Szegedy, "The Space Complexity of Approximating the
//! Frequency Moments", STOC 1996. Where few differ, [`sums`] of powers are shorter still.

mod field;
pub mod sums;

use std::collections::{HashMap, HashSet};

/// Bytes of a cell on the wire.
pub const CELL_BYTES: usize = Item::LEN + CHECK_BYTES;
/// Counters of an estimate, a byte each.
pub const COUNTERS: usize = 38;
/// Highest number of changes that an item tells from higher ones.
pub const ITEM_N_MAX: u64 = (1 << 12) - 1;
/// Estimates from here on say no more than "many": the counters have gone round.
pub const ESTIMATE_MAX: usize = 2000;

const CHECK_BYTES: usize = 3;
const LINK_MASK: u32 = (1 << 20) - 1;

/// A tip as it travels: a keyed name of the chain, the number of changes, a part of the keyed
/// link. 64 bits, which mean something in one round only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item(u64);

impl Item {
    /// Bytes on the wire.
    pub const LEN: usize = 8;

    /// Puts an item together; `n` beyond [`ITEM_N_MAX`] counts as that.
    #[must_use]
    pub fn new(tag: u32, n: u64, link: u32) -> Self {
        let n = n.min(ITEM_N_MAX);
        Self(u64::from(tag) << 32 | n << 20 | u64::from(link & LINK_MASK))
    }

    /// Keyed name of the chain.
    #[must_use]
    pub const fn tag(self) -> u32 {
        let [a, b, c, d, ..] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// Changes covered.
    #[must_use]
    pub const fn n(self) -> u64 {
        self.0 >> 20 & ITEM_N_MAX
    }

    /// The part of the keyed link.
    #[must_use]
    pub const fn link(self) -> u32 {
        let [.., a, b, c, d] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d]) & LINK_MASK
    }

    /// As a number, for [`sums`].
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// As on the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0.to_be_bytes()
    }

    /// From the wire: every value is an item.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

/// What an item is hashed to, under a key that nobody outside the session knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemHash {
    /// Tells a cell with one item from a sum of several; 24 bits.
    pub check: u32,
    /// Where the item's choice of cells starts.
    pub seed: u64,
    /// Its signs in an estimate, a bit a counter.
    pub signs: u64,
}

/// A sum of items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cell {
    sum: u64,
    check: u32,
}

impl Cell {
    fn add(&mut self, item: Item, hash: &ItemHash) {
        self.sum ^= item.0;
        self.check ^= hash.check;
    }

    const fn is_empty(&self) -> bool {
        self.sum == 0 && self.check == 0
    }

    /// As on the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; CELL_BYTES] {
        let mut out = [0; CELL_BYTES];
        let [_, check @ ..] = self.check.to_be_bytes();
        let bytes = Item(self.sum).to_bytes().into_iter().chain(check);
        for (to, from) in out.iter_mut().zip(bytes) {
            *to = from;
        }
        out
    }

    /// From the wire: every value is a cell.
    #[must_use]
    pub fn from_bytes(bytes: [u8; CELL_BYTES]) -> Self {
        let [sum @ .., a, b, c] = bytes;
        Self { sum: Item::from_bytes(sum).0, check: u32::from_be_bytes([0, a, b, c]) }
    }
}

/// The cells that an item is in, in rising order: all are in the first, and in cell `i` one
/// of `1 + i/2`.
#[derive(Debug, Clone, Copy)]
struct Walk {
    at: u64,
    state: u64,
}

impl Walk {
    const fn new(seed: u64) -> Self {
        Self { at: 0, state: seed }
    }

    /// Goes on to the next cell. That it lies beyond `j` has the probability
    /// `(i+1)(i+2) / ((j+1)(j+2))`, which a draw is solved for.
    fn step(&mut self) {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let draw = (z >> 32).max(1);
        let i = u128::from(self.at);
        let wanted = (((i + 1) * (i + 2)) << 32) / u128::from(draw);
        // The least j with (j+1)(j+2) > wanted.
        let root = wanted.isqrt();
        let j = if (root + 1) * root > wanted { root.saturating_sub(1) } else { root };
        self.at = u64::try_from(j.max(i + 1)).unwrap_or(u64::MAX);
    }
}

/// Makes cells of a set, as many as are asked for, in order.
#[derive(Debug)]
pub struct Encoder {
    items: Vec<(Item, ItemHash, Walk)>,
    made: u64,
}

impl Encoder {
    /// Starts at the first cell.
    #[must_use]
    pub fn new(items: impl IntoIterator<Item = (Item, ItemHash)>) -> Self {
        let with_walk = |(item, hash): (Item, ItemHash)| (item, hash, Walk::new(hash.seed));
        Self { items: items.into_iter().map(with_walk).collect(), made: 0 }
    }

    /// Cells made so far.
    #[must_use]
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// Makes the next `count` cells.
    #[must_use]
    pub fn cells(&mut self, count: usize) -> Vec<Cell> {
        let (from, to) = (self.made, self.made + count as u64);
        let mut cells = vec![Cell::default(); count];
        for (item, hash, walk) in &mut self.items {
            while walk.at < to {
                let place = usize::try_from(walk.at - from).unwrap_or(usize::MAX);
                if let Some(cell) = cells.get_mut(place) {
                    cell.add(*item, hash);
                }
                walk.step();
            }
        }
        self.made = to;
        cells
    }
}

/// Which items one set has and the other has not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// In the decoder's own set alone.
    pub own: Vec<Item>,
    /// In the other set alone.
    pub theirs: Vec<Item>,
}

/// Which items one set has and the other has not, by the sums of the other one's powers, if they
/// are enough. One sum more than there are differences tells that these are all, and not others.
#[must_use]
pub fn apart(theirs: &[u64], own: &HashSet<u64>) -> Option<Difference> {
    let sums = sums::sums(own.iter().copied(), theirs.len());
    let both: Vec<u64> = theirs.iter().zip(sums).map(|(a, b)| a ^ b).collect();
    let apart = sums::read(&both).filter(|apart| apart.len() < both.len())?;
    let items = apart.into_iter().map(|number| Item::from_bytes(number.to_be_bytes()));
    let (own, theirs) = items.partition(|item| own.contains(&item.number()));
    Some(Difference { own, theirs })
}

/// The cells make no sense: peeling them would never end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Senseless;

/// Peels the difference from the other side's cells.
#[derive(Debug)]
pub struct Decoder {
    own: HashSet<Item>,
    encoder: Encoder,
    cells: Vec<Cell>,
    peeled: HashMap<Item, (ItemHash, Walk)>,
}

impl Decoder {
    /// Starts with the decoder's own set.
    #[must_use]
    pub fn new(items: &[(Item, ItemHash)]) -> Self {
        Self {
            own: items.iter().map(|(item, _)| *item).collect(),
            encoder: Encoder::new(items.iter().copied()),
            cells: Vec::new(),
            peeled: HashMap::new(),
        }
    }

    /// Cells taken so far.
    #[must_use]
    pub const fn taken(&self) -> usize {
        self.cells.len()
    }

    /// Takes the next cells of the other side; `hash` is that of the session. Work and memory
    /// are bounded by the number of cells.
    ///
    /// # Errors
    /// If the cells cannot come of any two sets.
    pub fn take(
        &mut self,
        theirs: &[Cell],
        hash: impl Fn(Item) -> ItemHash,
    ) -> Result<(), Senseless> {
        let from = self.cells.len();
        let own = self.encoder.cells(theirs.len());
        let difference = |(theirs, own): (&Cell, Cell)| Cell {
            sum: theirs.sum ^ own.sum,
            check: theirs.check ^ own.check,
        };
        self.cells.extend(theirs.iter().zip(own).map(difference));
        let mut pending: Vec<usize> = (from..self.cells.len()).collect();
        for (item, (hash, walk)) in &mut self.peeled {
            spread(&mut self.cells, *item, hash, walk, &mut Vec::new());
        }
        while let Some(place) = pending.pop() {
            let Some(cell) = self.cells.get(place) else { continue };
            let item = Item(cell.sum);
            let found = hash(item);
            if cell.is_empty() || cell.check != found.check || !is_in(found.seed, place) {
                continue;
            }
            let mut walk = Walk::new(found.seed);
            spread(&mut self.cells, item, &found, &mut walk, &mut pending);
            // Each item leaves a cell empty behind it, and none comes twice.
            let again = self.peeled.insert(item, (found, walk)).is_some();
            if again || self.peeled.len() > self.cells.len() {
                return Err(Senseless);
            }
        }
        Ok(())
    }

    /// The whole difference, once the cells taken are enough for it.
    #[must_use]
    pub fn difference(&self) -> Option<Difference> {
        if self.cells.is_empty() || !self.cells.iter().all(Cell::is_empty) {
            return None;
        }
        let mut out = Difference::default();
        for item in self.peeled.keys() {
            let side = if self.own.contains(item) { &mut out.own } else { &mut out.theirs };
            side.push(*item);
        }
        out.own.sort_unstable();
        out.theirs.sort_unstable();
        Some(out)
    }
}

/// Adds an item to all cells there are from where its walk stands; names them.
fn spread(
    cells: &mut [Cell],
    item: Item,
    hash: &ItemHash,
    walk: &mut Walk,
    touched: &mut Vec<usize>,
) {
    while let Ok(place) = usize::try_from(walk.at) {
        let Some(cell) = cells.get_mut(place) else { break };
        cell.add(item, hash);
        touched.push(place);
        walk.step();
    }
}

/// Whether an item with this seed is in the cell at `place`.
fn is_in(seed: u64, place: usize) -> bool {
    let mut walk = Walk::new(seed);
    while walk.at < place as u64 {
        walk.step();
    }
    walk.at == place as u64
}

/// Sums of signs, by which two sets tell how many items they differ in. The difference of two
/// such counters is a random walk of as many steps as there are items in one set alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate(pub [u8; COUNTERS]);

impl Default for Estimate {
    fn default() -> Self {
        Self([0; COUNTERS])
    }
}

impl Estimate {
    /// Counts an item.
    pub fn add(&mut self, hash: &ItemHash) {
        for (place, counter) in self.0.iter_mut().enumerate() {
            let step = if hash.signs >> place & 1 == 0 { 1 } else { u8::MAX };
            *counter = counter.wrapping_add(step);
        }
    }

    /// Counts all items of a set that has none in common with this one.
    pub fn join(&mut self, other: &Self) {
        for (counter, more) in self.0.iter_mut().zip(other.0) {
            *counter = counter.wrapping_add(more);
        }
    }

    /// How many items are in one of two sets alone, about: its standard deviation is a
    /// quarter of it. More than [`ESTIMATE_MAX`] cannot be told apart.
    #[must_use]
    pub fn difference(&self, other: &Self) -> usize {
        let square = |(a, b): (&u8, &u8)| {
            let step = usize::from(a.wrapping_sub(*b).cast_signed().unsigned_abs());
            step * step
        };
        let sum: usize = self.0.iter().zip(&other.0).map(square).sum();
        sum.div_ceil(COUNTERS)
    }
}

#[cfg(test)]
mod tests;
