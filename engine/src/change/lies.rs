//! For tests: every malformed change we know of, built by code, with the name of the
//! reason for which it is refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "for tests only")]

mod bombs;
mod first;
mod log;
mod second;
mod text;

use crate::change::Actor;
use crate::change::raw::{self, RawChange};
use crate::hash::ChangeHash;

pub use bombs::deflated_zeros;
pub use first::{puts, replacing};
#[cfg(test)]
pub(crate) use log::honest as honest_log;
pub use log::{LogLie, log_lies};
pub use second::second;
pub use text::{first_text, first_text_lies, second_text, second_text_lies, typing};

type Case = (&'static str, RawChange);

/// A malformed change.
#[derive(Debug, Clone)]
pub struct Lie {
    /// Its name: what is wrong, and a number.
    pub what: String,
    /// Name of the reason for which it is refused; see
    /// [`crate::change::malformed::Malformed::name`].
    pub reason: &'static str,
    /// What would be stored.
    pub bytes: Vec<u8>,
}

/// Map changes of `actor` that are malformed as the first of a chain.
#[must_use]
pub fn first_lies(actor: Actor) -> Vec<Lie> {
    let cases = [
        first::header_cases(actor),
        first::column_cases(actor),
        first::operation_cases(actor),
        first::bomb_cases(actor),
        first::doubled_cases(actor),
    ];
    let mut lies = named("first", cases.concat());
    lies.extend(frame_lies(actor));
    lies.extend(bombs::bombs(actor));
    lies
}

/// Map changes of `actor` that are malformed as the second of a chain whose first is
/// `RawChange::put(actor)`, known as `first`.
#[must_use]
pub fn second_lies(actor: Actor, first: ChangeHash) -> Vec<Lie> {
    named("second", second::second_cases(actor, first))
}

fn named(place: &str, cases: Vec<Case>) -> Vec<Lie> {
    (1..)
        .zip(cases)
        .map(|(number, (reason, change)): (u32, Case)| Lie {
            what: format!("{place} {reason} {number}"),
            reason,
            bytes: change.chunk(),
        })
        .collect()
}

/// Honest bodies in frames that no change has.
fn frame_lies(actor: Actor) -> Vec<Lie> {
    let honest = RawChange::put(actor);
    let (body, chunk) = (honest.body(), honest.chunk());
    let altered = |at: usize, byte: u8| {
        let mut bytes = chunk.clone();
        bytes[at] = byte;
        bytes
    };
    let mut overlong = vec![1, 0x80 | u8::try_from(body.len()).unwrap(), 0];
    overlong.extend_from_slice(&body);
    let mut lies = vec![
        ("wrong magic", "magic", altered(0, 0)),
        ("wrong checksum", "checksum", altered(4, chunk[4] ^ 1)),
        ("empty checksum", "checksum", [&chunk[..4], &[0; 4], &chunk[8..]].concat()),
        ("a byte behind it", "trailing", [&chunk[..], &[0]].concat()),
        ("twice itself", "trailing", [&chunk[..], &chunk[..]].concat()),
        ("a byte short", "short", chunk[..chunk.len() - 1].to_vec()),
        ("magic only", "short", chunk[..4].to_vec()),
        ("length not in the shortest form", "varint", raw::seal_checksum(overlong)),
    ];
    let types = [
        ("a document", 0u8),
        ("a deflated change", 2),
        ("a bundle", 3),
        ("an unheard of chunk", 4),
        ("a sealed change", 0x53),
        ("chunk type 255", 0xff),
    ];
    lies.extend(types.map(|(what, kind)| (what, "chunk_type", raw::chunk(kind, &body))));
    let lie = |(what, reason, bytes): (&str, _, _)| Lie { what: what.to_owned(), reason, bytes };
    lies.into_iter().map(lie).collect()
}
