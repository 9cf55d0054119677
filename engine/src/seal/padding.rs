//! Padding of what is sealed, so that whoever carries it sees in which of few sizes it falls, and not
//! how long it is.
//!
//! ```text
//! padded = bytes ‖ mark ‖ zeros up to the size
//! ```
//!
//! Sizes of texts are those of Padmé (Nikitin and others, "Reducing Metadata Leakage from Encrypted
//! Files and Communication with PURBs", 2019), which add at most 12 % and tell of a length of n bits
//! no more than log n of them, and multiples of [`TEXT_STEP_BYTES`] where these are coarser, and for
//! short texts.

use std::iter::repeat_n;

/// Sizes of texts are multiples of it.
pub const TEXT_STEP_BYTES: usize = 32;
/// Up to so many bytes the sizes of texts are all of its multiples: that a text below 1 KiB answers or
/// mentions somebody adds what it adds in the clear.
const SHORT_BYTES: usize = 2048;
/// Sizes of what entries say are multiples of it, unless they say nothing beside their text.
pub const ENTRY_STEP_BYTES: usize = 64;

const MARK: u8 = 0x80;
const MARK_OF_ANSWER: u8 = 0x81;
const MARK_OF_MENTIONS: u8 = 0x82;

/// What is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padded {
    /// What an entry of the first form says: two bytes where it is one.
    FirstEntry,
    /// What an entry says; nothing stays nothing.
    Entry,
    /// A text.
    Text,
    /// A text, and behind it what it answers.
    Answer,
    /// Whom a text mentions, and behind it the text.
    Mentions,
}

impl Padded {
    /// Returns the size of something of `len` bytes, with the mark.
    fn size(self, len: usize) -> usize {
        let marked = len.saturating_add(1);
        match self {
            Self::FirstEntry if marked <= 2 => 2,
            Self::Entry if len == 0 => 0,
            Self::FirstEntry | Self::Entry => marked.next_multiple_of(ENTRY_STEP_BYTES),
            Self::Text | Self::Answer | Self::Mentions if marked <= SHORT_BYTES => {
                marked.next_multiple_of(TEXT_STEP_BYTES)
            }
            Self::Text | Self::Answer | Self::Mentions => padme_size(marked),
        }
    }

    /// Whether something of `len` bytes is padded to `size`, or was once.
    fn fits(self, len: usize, size: usize) -> bool {
        let once = matches!(self, Self::Text | Self::Answer);
        self.size(len) == size || (once && padme_size(len.saturating_add(1)) == size)
    }

    /// Which of these a padded text is, if it is one.
    pub(super) fn of_text(padded: &[u8]) -> Self {
        match padded.iter().rfind(|byte| **byte != 0) {
            Some(&MARK_OF_ANSWER) => Self::Answer,
            Some(&MARK_OF_MENTIONS) => Self::Mentions,
            _ => Self::Text,
        }
    }

    const fn mark(self) -> u8 {
        match self {
            Self::FirstEntry | Self::Entry | Self::Text => MARK,
            Self::Answer => MARK_OF_ANSWER,
            Self::Mentions => MARK_OF_MENTIONS,
        }
    }

    pub(super) fn pad(self, plain: &[u8]) -> Vec<u8> {
        let size = self.size(plain.len());
        let mut padded = Vec::with_capacity(size);
        padded.extend_from_slice(plain);
        if size > 0 {
            padded.push(self.mark());
        }
        padded.extend(repeat_n(0, size.saturating_sub(padded.len())));
        padded
    }

    /// Takes the padding off; `None` if it is not exactly that of what is before it.
    pub(super) fn strip(self, mut padded: Vec<u8>) -> Option<Vec<u8>> {
        let size = padded.len();
        if size == 0 && self.size(0) == 0 {
            return Some(padded);
        }
        let mark = padded.iter().rposition(|byte| *byte != 0)?;
        if padded.get(mark) != Some(&self.mark()) || !self.fits(mark, size) {
            return None;
        }
        padded.truncate(mark);
        Some(padded)
    }
}

/// Returns the size of a text with its mark that is not short.
fn padme_size(marked: usize) -> usize {
    marked.next_multiple_of(TEXT_STEP_BYTES.max(padme_step(marked)))
}

/// Returns what a length is rounded up to a multiple of by Padmé: of its bits as many stay as its
/// number of bits has.
fn padme_step(len: usize) -> usize {
    let Some(exponent) = len.checked_ilog2().filter(|exponent| *exponent > 0) else { return 1 };
    1 << (exponent - exponent.ilog2() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Padded; 5] =
        [Padded::FirstEntry, Padded::Entry, Padded::Text, Padded::Answer, Padded::Mentions];

    #[test]
    fn it_comes_off_again_and_only_as_it_was_put_on() {
        for kind in ALL {
            for len in (0..300).chain([1000, 4095, 4096, 70_000]) {
                for last in [0, 1, 0x80, 0x81, 0x82, 0xff] {
                    let plain = [&vec![last; len][..], &[last]].concat();
                    let padded = kind.pad(&plain);
                    assert_eq!(kind.strip(padded.clone()), Some(plain));
                    let more = [&padded[..], &[0]].concat();
                    assert_eq!(kind.strip(more), None);
                    let other = [&padded[..], &[0; 64]].concat();
                    assert_eq!(kind.strip(other), None);
                }
            }
            for bytes in [&[0; 32][..], &[1; 32], &[0; 64], &[0x80], &[0x81], &[0x82], &[0]] {
                assert_eq!(kind.strip(bytes.to_vec()), None, "{bytes:?}");
            }
            let nothing = (kind == Padded::Entry).then(Vec::new);
            assert_eq!(kind.strip(Vec::new()), nothing);
            assert_eq!(kind.strip(kind.pad(&[])), Some(Vec::new()));
        }
        for kind in [Padded::Text, Padded::Answer, Padded::Mentions] {
            assert_eq!(Padded::of_text(&kind.pad(&[7; 40])), kind);
        }
        for other in [&[][..], &[0; 32], &[7; 32]] {
            assert_eq!(Padded::of_text(other), Padded::Text);
        }
        // That it is an answer is part of it. One that says nothing has one form.
        assert_eq!(Padded::Text.strip(Padded::Answer.pad(&[7; 40])), None);
        assert_eq!(Padded::Answer.strip(Padded::Text.pad(&[7; 40])), None);
        let marked = [&[0x80][..], &[0; 63]].concat();
        assert_eq!(Padded::Entry.strip(marked), None);
    }

    #[test]
    fn sizes_are_few_and_cost_little() {
        let sizes = |kind: Padded, to: usize| {
            let all: std::collections::BTreeSet<_> = (0..to).map(|len| kind.size(len)).collect();
            all.len()
        };
        assert_eq!((sizes(Padded::Text, 256), sizes(Padded::Text, 256 * 1024)), (8, 208));
        assert_eq!((sizes(Padded::FirstEntry, 500), sizes(Padded::Entry, 500)), (9, 9));
        for len in 0..256 * 1024 {
            let cost = Padded::Text.size(len) - len;
            assert!(cost <= 32.max(len / 8 + 1), "{len}: {cost}");
            for kind in [Padded::Answer, Padded::Mentions] {
                assert_eq!(kind.size(len), Padded::Text.size(len));
            }
        }
        let texts =
            [(0, 32), (31, 32), (32, 64), (1023, 1024), (1024, 1056), (2047, 2048), (2048, 2176)];
        for (len, size) in texts.into_iter().chain([(5000, 5120)]) {
            assert_eq!(Padded::Text.size(len), size, "{len}");
        }
        // What was padded in longer steps from 1 KiB on is read as ever.
        for kind in [Padded::Text, Padded::Answer] {
            let once = [&[7; 1030][..], &[kind.mark()], &[0; 57]].concat();
            assert_eq!(kind.strip(once), Some(vec![7; 1030]));
        }
        // A message has nothing but its text to say; all else looks alike.
        for (len, first, size) in
            [(0, 2, 0), (1, 2, 64), (2, 64, 64), (33, 64, 64), (63, 64, 64), (64, 128, 128)]
        {
            assert_eq!(Padded::FirstEntry.size(len), first, "{len}");
            assert_eq!(Padded::Entry.size(len), size, "{len}");
        }
    }
}
