//! Chunks that unfold to far more than they are.

use super::Lie;
use crate::change::Actor;
use crate::change::raw::{self, RawChange};

/// Deflated (RFC 1951) zeros: at least `count` of them, 258 to each 13 bits.
#[must_use]
pub fn deflated_zeros(count: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    // The last block, with the fixed code.
    bits.push(0b1, 1);
    bits.push(0b01, 2);
    bits.push_code(0b0011_0000, 8);
    for _ in 0..count.div_ceil(258) {
        // 258 bytes again, from one byte back.
        bits.push_code(0b1100_0101, 8);
        bits.push_code(0, 5);
    }
    bits.push_code(0, 7);
    bits.bytes
}

pub(super) fn bombs(actor: Actor) -> Vec<Lie> {
    let lie = |what: &str, reason, bytes| Lie { what: what.to_owned(), reason, bytes };
    let unchecked = |bytes: Vec<u8>| [&bytes[..4], &[0; 4], &bytes[8..]].concat();
    let small = raw::chunk(2, &deflated_zeros(9 << 20));
    let column =
        RawChange::put(actor).without(0x57).with(0x56 | 8, deflated_zeros(5 << 20)).chunk();
    vec![
        lie("9 MiB deflated", "chunk_type", small.clone()),
        lie("9 MiB deflated, no checksum", "chunk_type", unchecked(small)),
        lie("5 MiB in a deflated column", "deflated", column),
        lie("a document of 2 million operations", "chunk_type", document(2_000_000)),
        lie("a document of 2^40 operations", "chunk_type", document(1 << 40)),
    ]
}

/// A document chunk whose operation columns are runs of `count`.
fn document(count: i64) -> Vec<u8> {
    let column = raw::run(count, &[1]);
    // One actor, no heads; no change columns; operation columns 0x42 and 0x15.
    let mut body = vec![1, 16];
    body.extend_from_slice(&[7; 16]);
    body.extend_from_slice(&[0, 0, 2, 0x15]);
    let keys = raw::run(count, &raw::text("k"));
    body.extend(raw::unsigned(keys.len() as u64));
    body.push(0x42);
    body.extend(raw::unsigned(column.len() as u64));
    body.extend(keys);
    body.extend(column);
    raw::chunk(0, &body)
}

/// Bits as deflate packs them: from the lowest of each byte on.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for at in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(value >> at & 1 == 1) << (self.used % 8);
            }
            self.used += 1;
        }
    }

    /// Codes go in from their highest bit on.
    fn push_code(&mut self, code: u32, count: u32) {
        for at in (0..count).rev() {
            self.push(code >> at & 1, 1);
        }
    }
}
