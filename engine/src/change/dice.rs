//! For tests: chance that is the same each time, and what it makes of a change.

use std::cell::Cell;

use crate::change::raw;

/// xorshift: repeatable, and enough to choose mutations.
pub(crate) struct Dice(pub(crate) Cell<u64>);

impl Dice {
    pub(crate) fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        x
    }

    pub(crate) fn below(&self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap()
    }

    pub(crate) fn byte(&self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Alters some bytes of a chunk's body; the checksum is right again.
pub(crate) fn mutate_bytes(dice: &Dice, honest: &[u8]) -> Vec<u8> {
    let mut r = crate::codec::Reader::new(&honest[9..]);
    r.varint(u64::MAX, "length").unwrap();
    let mut body = r.rest().to_vec();
    for _ in 0..=dice.below(3) {
        // Mostly the columns: the hashes before them are refused soon.
        let from = if dice.below(4) == 0 { 0 } else { body.len() / 2 };
        let at = from + dice.below(body.len() - from);
        match dice.below(5) {
            0 => body[at] ^= 1 << dice.below(8),
            1 => body[at] = dice.byte(),
            2 => body.insert(at, dice.byte()),
            3 => drop(body.remove(at)),
            _ => body[at] = body[at].wrapping_add(1),
        }
    }
    raw::chunk(1, &body)
}
