//! Texts that look like what people write: words of an uneven distribution, no two alike.

use super::Seeded;

const WORDS: &[&str] = &[
    "the",
    "of",
    "and",
    "to",
    "we",
    "it",
    "was",
    "in",
    "that",
    "a",
    "is",
    "on",
    "for",
    "not",
    "with",
    "as",
    "you",
    "at",
    "be",
    "this",
    "but",
    "by",
    "had",
    "from",
    "they",
    "she",
    "he",
    "there",
    "all",
    "one",
    "so",
    "out",
    "up",
    "when",
    "them",
    "who",
    "will",
    "more",
    "no",
    "if",
    "what",
    "about",
    "time",
    "people",
    "water",
    "river",
    "morning",
    "bridge",
    "window",
    "letter",
    "garden",
    "winter",
    "harbour",
    "ferry",
    "bread",
    "music",
    "station",
    "evening",
    "market",
    "mountain",
    "question",
    "answer",
    "weather",
    "neighbour",
    "kitchen",
    "silence",
    "bicycle",
    "orchard",
    "lantern",
    "compass",
];

/// Returns a text of about `bytes` bytes, at least one word and the number in front.
#[must_use]
pub fn text(number: u64, bytes: usize, seeded: &mut Seeded) -> String {
    let mut text = number.to_string();
    while text.len() < bytes {
        // The smaller of two: frequent words are frequent.
        let count = WORDS.len() as u64;
        let word = seeded.below(count).min(seeded.below(count)) as usize;
        text.push(' ');
        text.push_str(WORDS[word]);
    }
    text
}

/// Bytes of a message of a chat or wall: a log-normal around 80, at most 2,000.
#[must_use]
pub fn message_bytes(seeded: &mut Seeded) -> usize {
    (80.0 * (0.6 * seeded.normal()).exp()).min(2000.0) as usize
}
